"""Which runs are compared, and which may be."""

from pathlib import Path

import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.report.compare.differences import match
from cifarlab.report.compare.selection import Side, check_comparable, read_side
from tests.report.folders import aged, failed, finished, predicted


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two values of dropout with seeds 0, 1 and 2, and a failed cell."""
    for dropout in (0.1, 0.3):
        for seed in (0, 1, 2):
            typed = [f"dropout={dropout}", f"seed={seed}"]
            finished(tmp_path / f"{dropout}_{seed}", typed, 0.5, {"data": {"seed": seed}})
    failed(tmp_path / "0.3_3", "X", "y")
    return tmp_path


def names(side: Side) -> list[str]:
    return [cell.name for cell in side.runs.values()]


def test_runs_sweeps_and_patterns(sweep) -> None:
    chosen = ["0.1_0", "0.1_1", "0.1_2"]
    assert names(read_side("a", [str(sweep)], ["dropout:0.1"])) == chosen
    assert names(read_side("a", [str(sweep)], ["dropout:1e-1", "seed:2"])) == ["0.1_2"]
    assert names(read_side("a", [f"{sweep}/0.1_*"], [])) == chosen
    assert names(read_side("a", [f"{sweep}/0.1_{s}" for s in (2, 0)], [])) == ["0.1_0", "0.1_2"]
    assert names(read_side("a", [f"{sweep}/0.3_*", f"{sweep}/0.3_1"], []))[2:] == ["0.3_2"]


def test_by_tag(sweep) -> None:
    for seed, tags in ((5, ["paper", 3]), (6, ["draft"])):
        more = {"tags": tags, "data": {"seed": seed}}
        finished(sweep / f"x_{seed}", ["dropout=0.1", f"seed={seed}"], 0.5, more)
    assert names(read_side("a", [str(sweep)], ["tag:paper"])) == ["x_5"]
    assert names(read_side("a", [str(sweep)], ["tag:3", "dropout:0.1"])) == ["x_5"]
    with pytest.raises(UserError, match="no such run; tag is 3, draft, paper"):
        read_side("a", [str(sweep)], ["tag:pap"])


def test_of_two_runs_of_one_seed_the_newer(sweep) -> None:
    aged(finished(sweep / "again", ["dropout=0.1", "seed=1"], 0.9, {"data": {"seed": 1}}), 60)
    side = read_side("a", [str(sweep)], ["dropout:0.1"])
    assert names(side) == ["0.1_0", "0.1_1", "0.1_2"] and side.left_out == [str(sweep / "again")]


@pytest.mark.parametrize(
    "path, where, message",
    [
        ("", [], "a: several configurations: dropout is 0.1, 0.3; choose one with where_a=dropout"),
        ("", ["dropout:0.2"], "where_a=dropout:0.2: no such run; dropout is 0.1, 0.3"),
        ("", ["droput:0.1"], "where_a=droput:0.1: no run has the key droput"),
        ("", ["tag:paper"], "where_a=tag:paper: no run has a tag"),
        ("", ["dropout=0.1"], "where_a=dropout=0.1: must be key:value"),
        ("0.3_3", [], "neither a finished run nor a sweep"),
        ("0.3_3*", [], "no finished run there"),
        ("nowhere", [], "neither a finished run nor a sweep"),
    ],
)
def test_what_cannot_be_a_side(sweep, path: str, where: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        read_side("a", [str(sweep / path)], where)


def test_a_run_without_its_configuration(sweep) -> None:
    (sweep / "0.1_0" / "config.yaml").unlink()
    with pytest.raises(UserError, match="0.1_0: its config.yaml is missing or damaged"):
        read_side("a", [str(sweep / "0.1_0")], [])


def side(folder: Path, label: str, **data: object) -> Side:
    facts = {"name": "x", "num_train": 9, "num_val": 3, "num_test": 2, "split_hash": "00"} | data
    finished(folder / label, [f"lr={ord(label)}"], 0.5, data=facts)
    return read_side(label, [str(folder / label)], [])


def test_only_what_was_measured_on_the_same_images(tmp_path) -> None:
    a = side(tmp_path, "a")
    check_comparable(a, side(tmp_path, "b"))
    with pytest.raises(UserError, match="not the same data: x; y"):
        check_comparable(a, side(tmp_path, "c", name="y"))
    with pytest.raises(UserError, match="not the same test images: 2; 3"):
        check_comparable(a, side(tmp_path, "d", num_test=3))
    other = side(tmp_path, "e", split_hash="11")
    with pytest.raises(UserError, match=r"not validated on the same images \(splits 00, 11\)"):
        check_comparable(a, other)
    for name in ("a", "e"):
        predicted(tmp_path / name, val=np.array([True] * 3), test=np.array([True]))
    a, other = (read_side(n, [str(tmp_path / n)], []) for n in ("a", "e"))  # a run is read once
    check_comparable(a, other)  # a share of the training images, the same to validate on


def test_pairs_where_seeds_are_shared(tmp_path) -> None:
    def runs(name: str, *seeds: int) -> Side:
        folder = tmp_path / f"{name}{seeds}"
        for seed in seeds:
            finished(folder / str(seed), [f"lr={ord(name)}", f"seed={seed}"], 0.5)
        return read_side(name, [str(folder)], [])

    found = match(runs("a", 0, 1, 2), runs("b", 1, 2, 3))
    assert found.how == "paired" and [c.name for c in found.a] == ["1", "2"]
    assert [c.name for c in found.b] == ["1", "2"] and [p[-1] for p in found.unused] == ["0", "3"]
    found = match(runs("a", 4, 5), runs("b", 5, 6))
    assert (found.how, len(found.a), len(found.b)) == ("welch", 2, 2), "one shared is no pair"
    assert match(runs("a", 7), runs("b", 8)).how == "single"
    found = match(runs("a", 9), runs("b", 8, 9))
    assert found.how == "single" and found.b[0].name == "9" and len(found.unused) == 1
