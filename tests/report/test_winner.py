"""What is said about the first row of a sweep."""

from pathlib import Path

import pytest

from cifarlab.report.sweep.ranking import remarks
from cifarlab.report.sweep.results import collect, summarize
from tests.report.folders import finished
from tests.test_record import RECORD


def said(folder: Path) -> str:
    results = collect(folder)
    return remarks(results, summarize(results))


def sweep(folder: Path, rows: dict[float, list[float]], **fields: object) -> None:
    for lr, accuracies in rows.items():
        for seed, acc in enumerate(accuracies):
            finished(folder / f"{lr}_{seed}", [f"lr={lr}", f"seed={seed}"], acc, **fields)


def test_clear_of_some(tmp_path) -> None:
    """Differences to the second 0.01, 0.02, 0.00: p = 0.2254 (t = 1.73, 2 degrees of freedom); to
    the third 0.20, 0.21, 0.19: p = 0.00083, twice that by Holm."""
    sweep(tmp_path, {1: [0.70, 0.72, 0.71], 2: [0.69, 0.70, 0.71], 3: [0.50, 0.51, 0.52]})
    assert said(tmp_path) == (
        "Validation and test agree about the first, lr=1. On validation it is not "
        "distinguishable from the second, lr=2: 1.00 points ahead (95 % interval -1.48 to 3.48; "
        "p = 0.23, Holm over 2 rows). It is clear of 1 of the 2 others."
    )


@pytest.mark.parametrize(("others", "count"), [((0.5, 0.4), "each"), ((0.705, 0.7), "none")])
def test_clear_of_each_or_none(tmp_path, others: tuple[float, float], count: str) -> None:
    rows = {
        lr: [acc, acc + 0.01, acc + 0.003]
        for lr, acc in zip((1, 2, 3), (0.71, *others), strict=True)
    }
    rows[1].reverse()
    sweep(tmp_path, rows)
    assert said(tmp_path).endswith(f"It is clear of {count} of the 2 others.")


def test_clear_of_the_second(tmp_path) -> None:
    sweep(tmp_path, {1: [0.80, 0.82, 0.81], 2: [0.70, 0.71, 0.69]})
    assert "On validation it is clear of the second, lr=2: 11.00 points ahead" in said(tmp_path)


def test_ahead_by_seeds_of_its_own_is_clear_of_nothing(tmp_path) -> None:
    """Over the three seeds of both the first is 0.10, 0.101 and 0.099 below the second."""
    rows = {1: [0.60, 0.61, 0.62, 0.95, 0.96], 2: [0.70, 0.711, 0.719], 3: [0.5, 0.3, 0.6]}
    sweep(tmp_path, rows)
    text = said(tmp_path)
    assert "By the seeds that both have it is 10.00 points behind the second, lr=2 (95 %" in text
    assert "p < 0.001, Holm over 2 rows). It is clear of none of the 2 others." in text


def test_one_run_a_row(tmp_path) -> None:
    sweep(tmp_path, {1: [0.8], 2: [0.7]})
    assert said(tmp_path).endswith(
        "Whether it is better than the second, lr=2, is open: one run says nothing about the "
        "spread."
    )


def test_test_has_no_say(tmp_path) -> None:
    metrics = {s: {"loss": 1.0, "acc": x} for s, x in (("train", 1), ("val", 0.6), ("test", 0.9))}
    sweep(tmp_path, {1: [0.8]})
    sweep(tmp_path, {2: [0.6]}, metrics=metrics)
    assert said(tmp_path).startswith(
        "Test would have lr=2 first, by 11.00 points; validation chooses lr=1."
    )


def test_rows_that_validated_elsewhere_are_not_tested(tmp_path) -> None:
    sweep(tmp_path, {1: [0.8, 0.7]})
    sweep(tmp_path, {2: [0.6, 0.5]}, data=RECORD.data | {"split_hash": "11"})
    assert "Rows validated on different images: their differences are not tested." in said(tmp_path)


@pytest.mark.parametrize("rows", [{}, {1: [0.8, 0.7]}])
def test_nothing_to_say(tmp_path, rows: dict) -> None:
    sweep(tmp_path, rows)
    assert said(tmp_path) == ""
