"""Verdicts against intervals computed by hand."""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from cifarlab.report.study.verdicts import ALL, compare, difference, estimate, judge, prediction
from cifarlab.stats.quantities import quantity
from cifarlab.store.record import RunRecord
from cifarlab.store.run import Run, of_epochs
from cifarlab.studies.claims import parse_claim
from cifarlab.studies.schema import Reported
from tests.test_record import RECORD

T2 = 4.302653  # Student's t, 97.5 %, two degrees of freedom


def made_of(folder: Path, record: RunRecord) -> Run:
    return Run(folder=folder, status="completed", typed={}, record=record)


def runs(*accuracies: float, first: int = 0) -> list[Run]:
    """One a seed, ``test_acc`` and ``val_acc`` the same."""
    made = []
    for seed, acc in enumerate(accuracies, start=first):
        metrics = {split: {"loss": 1.0, "acc": acc} for split in ("train", "val", "test")}
        made.append(made_of(Path("none"), dataclasses.replace(RECORD, seed=seed, metrics=metrics)))
    return made


def reported(low: float, high: float | None = None, images: int | None = None) -> Reported:
    return Reported(quantity("test_acc"), low, low if high is None else high, images)


def test_one_more_run_is_what_a_report_is_held_against() -> None:
    """Values 0.80, 0.81, 0.82: standard deviation 0.01, prediction T2 x 0.01 x sqrt(4/3)."""
    ours, finding = compare(reported(0.85), runs(0.80, 0.81, 0.82))
    assert ours is not None and ours.value == pytest.approx(0.81)
    assert ours.high - ours.value == pytest.approx(T2 * 0.01 / math.sqrt(3))
    assert finding.half == pytest.approx(T2 * 0.01 * math.sqrt(4 / 3))
    assert finding.verdict == "uninformative", "within the interval of a run, which is +- 5 points"
    assert compare(reported(0.87), runs(0.80, 0.81, 0.82))[1].verdict == "report is higher"
    assert compare(reported(0.75), runs(0.80, 0.81, 0.82))[1].verdict == "report is lower"


def test_compatible_is_said_where_the_interval_can_tell() -> None:
    """Values 0.806, 0.810, 0.814: T2 x 0.004 x sqrt(4/3) is 1.99 points; with 0.0041, 2.04."""
    _, finding = compare(reported(0.829), runs(0.806, 0.810, 0.814))
    assert (finding.verdict, round(finding.half, 4)) == ("compatible", 0.0199)
    assert compare(reported(0.829), runs(0.8059, 0.810, 0.8141))[1].verdict == "uninformative"
    assert compare(reported(0.831), runs(0.8059, 0.810, 0.8141))[1].verdict == "report is higher"


def test_a_loss_is_compatible_where_the_interval_can_tell() -> None:
    """Standard deviation 0.02, T2 x 0.02 x sqrt(4/3) = 0.0994 nats; 0.021: 0.1043."""
    for spread, verdict in ((0.02, "compatible"), (0.021, "uninformative")):
        made = []
        for run, loss in zip(runs(0.8, 0.8, 0.8), (0.5 - spread, 0.5, 0.5 + spread), strict=True):
            metrics = {split: {"loss": loss, "acc": 0.8} for split in ("train", "val", "test")}
            record = dataclasses.replace(run.result, metrics=metrics)
            made.append(made_of(Path("none"), record))
        figure = Reported(quantity("test_loss"), 0.55, 0.55)
        assert compare(figure, made)[1].verdict == verdict


def test_two_seeds_have_no_interval() -> None:
    ours, finding = compare(reported(0.80), runs(0.80, 0.81))
    assert ours is not None and ours.value == pytest.approx(0.805) and not ours.has_interval
    assert (finding.verdict, finding.text) == ("undecided", "two seeds")
    found = judge(claim(0), {"x": runs(0.80, 0.81), "y": runs(0.70, 0.72)})
    assert (found.verdict, found.text) == ("undecided", "two seeds, as claimed")


def test_few_test_images_widen_the_interval() -> None:
    """By Satterthwaite's degrees of freedom: variances of runs (2 of them) and of the images."""
    of_runs = 1e-4 * 4 / 3
    _, all_of_them = compare(reported(0.87), runs(0.80, 0.81, 0.82))
    assert all_of_them.half == pytest.approx(T2 * math.sqrt(of_runs), rel=1e-5)
    for images, wider in ((200, 1.19), (1000, 1)):  # 1,000 have less than half of all the variance
        _, finding = compare(reported(0.87, images=images), runs(0.80, 0.81, 0.82))
        of_images = 0.81 * 0.19 / images * (1 - images / 10_000)
        df = 2 * ((of_runs + of_images) / of_runs) ** 2
        summed = float(stats.t.ppf(0.975, df)) * math.sqrt(of_runs + of_images)
        assert finding.half == pytest.approx(max(summed, all_of_them.half), rel=1e-5)
        assert finding.half / all_of_them.half == pytest.approx(wider, abs=0.01)


@pytest.mark.parametrize("images", [0.0, 0.1, 0.5, 2.0])
def test_one_more_run_lies_within(images: float) -> None:
    """In 95 % of 2,000 draws, +- 3.5 standard errors, whatever part the images have in it."""
    random, draws, inside = np.random.default_rng(4), 2000, 0
    for _ in range(draws):
        *ours, theirs = random.normal(0, 1, 4)
        half = prediction(ours, images * 4 / 3)
        inside += abs(theirs + random.normal(0, (images * 4 / 3) ** 0.5) - np.mean(ours)) <= half
    assert inside / draws == pytest.approx(0.95, abs=3.5 * (0.95 * 0.05 / draws) ** 0.5)


@pytest.mark.parametrize(
    ("name", "images", "assumed", "of_images"),
    [
        ("val_acc", None, ["split"], 2 / 500),
        ("peak_val_acc", 1000, ["optimizer", "split"], 1 / 500 + 1 / 1000),
        ("val_acc", None, ["optimizer"], 0.0),
        ("test_acc", None, ["split"], 0.0),
        ("train_acc", None, ["split"], 0.0),
    ],
)
def test_a_split_of_ours_is_of_other_images(
    name: str, images: int | None, assumed: list[str], of_images: float, tmp_path: Path
) -> None:
    made = on_500_images(tmp_path)
    figure = Reported(quantity(name), 0.85, 0.85, images)
    _, finding = compare(figure, made, assumed)
    of_runs, variance = 1e-4 * 4 / 3, 0.81 * 0.19 * of_images
    df = 2 * ((of_runs + variance) / of_runs) ** 2
    expected = float(stats.t.ppf(0.975, df)) * math.sqrt(of_runs + variance)
    expected = max(expected, T2 * math.sqrt(of_runs))
    assert finding.half == pytest.approx(expected, rel=1e-5)


def on_500_images(folder: Path) -> list[Run]:
    """Runs of three seeds with validation accuracies of 80, 81 and 82 %."""
    made = []
    for run in runs(0.80, 0.81, 0.82):
        here = folder / str(run.result.seed)
        here.mkdir()
        accuracy = run.measure("val_acc")
        (here / "metrics.csv").write_text(f"epoch,val_acc,val_loss\n1,{accuracy},1.0\n")
        record = dataclasses.replace(run.result, data=RECORD.data | {"num_val": 500})
        made.append(made_of(here, record))
    return made


def test_a_range_of_other_images_is_told_apart_less_often(tmp_path: Path) -> None:
    """81 ± 2.48 points of runs; of 500 images of ours and 500 of theirs ± 4.86 more: ± 5.46."""
    made, figure = on_500_images(tmp_path), quantity("peak_val_acc")
    half = math.hypot(T2 * math.sqrt(1e-4 / 3), 1.959964 * math.sqrt(0.81 * 0.19 / 250))
    assert half == pytest.approx(0.0546, abs=1e-4)
    for edge, split, same in (
        (0.81 - half + 1e-6, "undecided", "report is lower"),
        (0.81 - half - 1e-6, "report is lower", "report is lower"),
        (0.81 - 0.024, "undecided", "undecided"),
    ):
        figures = Reported(figure, 0.6, edge, 500)
        assert compare(figures, made, ["split"])[1].verdict == split
        assert compare(figures, made)[1].verdict == same
    bound = Reported(figure, 0.81 - half + 1e-6, math.inf, 500)
    assert compare(bound, made)[1].verdict == "reached"
    assert compare(bound, made, ["split"])[1].verdict == "undecided"


def test_ranges_and_single_runs() -> None:
    infinite = math.inf
    assert compare(reported(0.75, infinite), runs(0.80, 0.81, 0.82))[1].verdict == "reached"
    assert compare(reported(0.80, infinite), runs(0.80, 0.81, 0.82))[1].verdict == "undecided"
    assert compare(reported(0.90, infinite), runs(0.80, 0.81, 0.82))[1].verdict == "not reached"
    for low, high, verdict in ((0.61, 0.66, "lower"), (0.90, 0.95, "higher")):
        found = compare(reported(low, high), runs(0.80, 0.81, 0.82))[1]
        assert found.verdict == f"report is {verdict}", "a range has two sides"
    assert compare(reported(-infinite, 0.7), runs(0.80, 0.81, 0.82))[1].verdict == "not reached"
    ours, finding = compare(reported(0.80), runs(0.80))
    assert finding.verdict == "undecided" and ours is not None and not ours.has_interval
    assert compare(reported(0.80), [])[0] is None


def test_shared_seeds_are_paired() -> None:
    a, b = runs(0.70, 0.80, 0.90), runs(0.69, 0.78, 0.87)
    paired = difference(a, b, "val_acc")
    assert paired is not None and paired.how == "paired"
    assert paired.value == pytest.approx(0.02)
    assert paired.high - paired.value == pytest.approx(T2 * 0.01 / math.sqrt(3), rel=1e-5)
    other = difference(a, runs(0.69, 0.78, 0.87, first=10), "val_acc")
    assert other is not None and other.how == "welch" and other.low < 0, "seeds apart: no pairs"
    assert other.value == pytest.approx(0.02)
    one = difference(runs(0.8), runs(0.7), "val_acc")
    assert one is not None and not one.has_interval and one.value == pytest.approx(0.1)
    assert difference(runs(0.8), [], "val_acc") is None


def claim(by: float):
    check = {"kind": "greater", "a": "x", "b": "y", "metric": "val_acc", "by": by}
    return parse_claim({"quote": "q", "check": check}, "")


def test_claims() -> None:
    """x is above y by 0.02 +- 0.0248 (three pairs), by 0.02 +- 0.0025, or by 0.02 three times."""
    wide = {"x": runs(0.70, 0.80, 0.90), "y": runs(0.69, 0.78, 0.87)}
    sharp = {"x": runs(0.70, 0.80, 0.90), "y": runs(0.681, 0.78, 0.879)}
    assert judge(claim(0), wide).verdict == "undecided"
    assert judge(claim(-1), wide).verdict == "supported"
    assert judge(claim(6), wide).verdict == "contradicted"
    assert judge(claim(1), sharp).verdict == "supported"
    assert judge(claim(3), sharp).verdict == "contradicted"
    single = judge(claim(0), {"x": runs(0.8), "y": runs(0.7)})
    assert (single.verdict, single.text) == ("undecided", "one seed, as claimed")
    same = judge(claim(0), {"x": runs(0.75, 0.5, 1.0), "y": runs(0.5, 0.25, 0.75)})
    assert (same.verdict, same.text) == ("undecided", "no spread to judge by, as claimed")
    missing = judge(claim(0), {"x": runs(0.8, 0.8)})
    assert (missing.verdict, missing.text) == ("not measured", "no run of y")


def test_what_is_not_the_experiment_judges_no_claim() -> None:
    wide = {"x": runs(0.70, 0.80, 0.90), "y": runs(0.681, 0.78, 0.879)}
    assert judge(claim(1), wide).verdict == "supported"
    for caveat in ("shortened to 20% of the epochs", "data=synthetic"):
        found = judge(claim(1), wide, [caveat])
        assert (found.verdict, found.text) == ("not judged", caveat)
        assert found.estimates[0] is not None, "shown all the same"
    assert judge(claim(1), {}, ["shortened"]).verdict == "not measured"


def test_on_a_recipe_of_ours_no_claim_is_contradicted() -> None:
    sharp = {"x": runs(0.70, 0.80, 0.90), "y": runs(0.681, 0.78, 0.879)}
    assert judge(claim(3), sharp).verdict == "contradicted"
    found = judge(claim(3), sharp, assumed=["optimizer", "split"])
    assert found.verdict == "undecided"
    assert found.text == "not as claimed, on a recipe whose optimizer, split are ours"
    assert judge(claim(1), sharp, assumed=["optimizer"]).verdict == "supported"
    found = judge(claim(3), sharp, assumed=[ALL])
    assert found.text == "not as claimed, in an experiment of ours, not the source's"


def test_holm_over_the_comparisons_of_a_claim() -> None:
    """x lies 0.025 +- 0.0248 below y, p = 0.049: alone a contradiction; of two comparisons none,
    since Holm doubles it; of two that lie as far, either, with p = 0.0005."""
    lower = runs(0.655, 0.755, 0.865)
    rows = {"x": lower, "y": runs(0.69, 0.78, 0.88), "z": lower}
    one = difference(rows["x"], rows["y"], "val_acc")
    assert one is not None and one.high < 0 and 0.025 < one.p < 0.05

    def above(*others: str):
        check = {"kind": "greater", "a": "x", "b": [*others], "metric": "val_acc", "by": 0}
        return parse_claim({"quote": "q", "check": check}, "")

    assert judge(above("y"), rows).verdict == "contradicted"
    assert judge(above("y", "z"), rows).verdict == "undecided"
    sharp = {"x": runs(0.65, 0.75, 0.85), "y": runs(0.701, 0.80, 0.899), "z": lower}
    found = difference(sharp["x"], sharp["y"], "val_acc")
    assert found is not None and found.p < 0.025
    assert judge(above("y", "z"), sharp).verdict == "contradicted"


def curves(folder: Path, *reached: int | None) -> list[Run]:
    """Of ten epochs, one run a seed: 60 % from the epoch given on, or never."""
    made = []
    for seed, epoch in enumerate(reached):
        run = made_of(
            folder / f"{len(list(folder.iterdir()))}", dataclasses.replace(RECORD, seed=seed)
        )
        run.folder.mkdir()
        with (run.folder / "metrics.csv").open("w") as file:
            writer = csv.DictWriter(file, ["epoch", "val_acc", "val_loss"])
            writer.writeheader()
            writer.writerows(
                {"epoch": e, "val_acc": 0.6 if epoch and e >= epoch else 0.5, "val_loss": 1.0}
                for e in range(1, 11)
            )
        made.append(run)
    return made


ABOUT = {"kind": "about", "a": "y", "b": "x", "within": 5}


@pytest.mark.parametrize(
    ("x", "y", "check", "verdict"),
    [
        # 11 stands for 11 or more: y - x is 6 or more, and 8 is not ruled out
        ((5, 5, 6), (None, None, None), {"kind": "greater", "a": "y", "b": "x"}, "supported"),
        ((5, 5, 6), (None, None, None), {"kind": "greater", "a": "x", "b": "y"}, "contradicted"),
        ((5, 5, 6), (None, 10, 10), {"kind": "greater", "a": "y", "b": "x", "by": 8}, "undecided"),
        # at the last moment, or much later: about the same, or not
        ((10, 10, 10), (10, 10, None), ABOUT, "undecided"),
        ((10, 10, 10), (10, 10, 9), ABOUT, "supported"),
        ((1, 1, 2), (None, None, None), ABOUT, "contradicted"),
        ((None, None, None), (None, None, 9), {"kind": "greater", "a": "x", "b": "y"}, "undecided"),
        ((5, 5, 6), (), {"kind": "at_most", "a": "x", "value": 8}, "supported"),
        ((5, 5, None), (), {"kind": "at_most", "a": "x", "value": 18}, "undecided"),
        ((None,), (None,), {"kind": "greater", "a": "x", "b": "y"}, "undecided"),
        ((9, 10, None), (), {"kind": "at_least", "a": "x", "value": 7}, "supported"),
    ],
)  # fmt: skip
def test_what_is_never_reached_is_a_lower_bound(
    x: tuple, y: tuple, check: dict, verdict: str, tmp_path: Path
) -> None:
    plain = {"quote": "q", "check": {"metric": "epochs_to_60"} | check}
    found = judge(parse_claim(plain, ""), {"x": curves(tmp_path, *x), "y": curves(tmp_path, *y)})
    assert found.verdict == verdict
    if verdict == "undecided":
        assert "never get there" in found.text


def test_the_mean_leaves_out_what_was_not_measured() -> None:
    assert estimate([math.nan]) is None
    found = estimate([0.5, math.nan, 0.7])
    assert found is not None and found.n == 2 and found.value == pytest.approx(0.6)


EPOCHS = [
    {"epoch": 1.0, "train_acc": 0.30, "val_acc": 0.40, "val_loss": 1.2},
    {"epoch": 2.0, "train_acc": 0.50, "val_acc": 0.60, "val_loss": 0.9},
    {"epoch": 3.0, "train_acc": 0.80, "val_acc": 0.62, "val_loss": 1.0},
    {"epoch": 4.0, "train_acc": 0.99, "val_acc": 0.61, "val_loss": 1.3},
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peak_val_acc", 0.62), ("peak_epoch", 3), ("peak_val_loss", 1.0), ("first_val_acc", 0.4),
        ("last_val_acc", 0.61), ("val_loss_rise", 0.4), ("val_acc_swing", 0.01),
        ("epochs_after_peak", 1), ("last_train_acc", 0.99), ("epochs_to_60", 2),
        ("epochs_to_70", 5),
    ],
)  # fmt: skip
def test_quantities_of_a_curve(name: str, value: float, tmp_path: Path) -> None:
    assert of_epochs(EPOCHS, name) == pytest.approx(value)
    assert math.isnan(made_of(tmp_path, RECORD).measure(name)), "without a metrics.csv"
    assert math.isnan(made_of(tmp_path, RECORD).measure("peak_val_minus_test"))
    with (tmp_path / "metrics.csv").open("w") as file:
        writer = csv.DictWriter(file, EPOCHS[0])
        writer.writeheader()
        writer.writerows(row | {"epoch": int(row["epoch"])} for row in EPOCHS)
    test = RECORD.metrics["test"]["acc"]
    drop = made_of(tmp_path, RECORD).measure("peak_val_minus_test")
    assert drop == pytest.approx(0.62 - test)
    assert made_of(tmp_path, RECORD).measure(name) == pytest.approx(value)


def test_quantities_of_a_record(tmp_path: Path) -> None:
    metrics = {"train": {"acc": 0.9, "loss": 0.1}, "val": {"acc": 0.8, "loss": 0.5}}
    metrics["test"] = {"acc": 0.7, "loss": 0.6}
    run = made_of(tmp_path, dataclasses.replace(RECORD, metrics=metrics))
    assert run.measure("test_loss") == 0.6 and run.measure("gap") == pytest.approx(0.2)
    assert run.measure("val_gap") == pytest.approx(0.1) and run.measure("best_epoch") == 3
    assert run.measure("val_minus_test") == pytest.approx(0.1) and run.measure("epochs_run") == 7


def verdict_of_ratio(value: float, within: float, a: list[Run], b: list[Run]) -> str:
    check = {"kind": "ratio", "a": "a", "b": "b", "metric": "test_acc"}
    claim = parse_claim({"quote": "q", "check": {**check, "value": value, "within": within}}, "x")
    return judge(claim, {"a": a, "b": b}).verdict


def test_a_ratio_of_means() -> None:
    """0.60, 0.62, 0.61 over 0.40, 0.41, 0.42: whether r is in the interval is whether 0 is in that
    of a - r b, which is what Fieller's theorem says, at each end of it."""
    a, b = runs(0.60, 0.62, 0.61), runs(0.40, 0.41, 0.42)
    check = {"kind": "ratio", "a": "a", "b": "b", "metric": "test_acc", "value": 1.5, "within": 0.3}
    claim = parse_claim({"quote": "q", "check": check}, "x")
    (found,) = judge(claim, {"a": a, "b": b}).estimates
    assert found is not None and found.value == pytest.approx(0.61 / 0.41)
    for end in (found.low, found.high):
        rest = [x - end * y for x, y in ((0.60, 0.40), (0.62, 0.41), (0.61, 0.42))]
        mean = sum(rest) / 3
        error = (sum((r - mean) ** 2 for r in rest) / 2 / 3) ** 0.5
        assert abs(mean) == pytest.approx(T2 * error)
    assert claim.comparisons[0].says() == "a / b in [1.20, 1.80]"
    assert claim.comparisons[0].shown(found) == f"1.49 [{found.low:.2f}, {found.high:.2f}]"


def test_claims_of_ratios() -> None:
    a, b = runs(0.60, 0.62, 0.61), runs(0.40, 0.41, 0.42)
    assert verdict_of_ratio(1.5, 0.2, a, b) == "supported"
    assert verdict_of_ratio(1.55, 0.05, a, b) == "undecided", "1.49, but 1.50 lies within"
    assert verdict_of_ratio(2.0, 0.2, a, b) == "contradicted"
    assert verdict_of_ratio(1.0, 0.2, a, b) == "contradicted", "on the other side as well"
    assert verdict_of_ratio(2.0, 0.2, a[:2], b[:2]) == "undecided", "two seeds"
    unpaired = runs(0.60, 0.62, 0.61, first=7)
    assert verdict_of_ratio(1.5, 0.2, unpaired, b) == "supported"
    assert verdict_of_ratio(2.0, 0.2, unpaired, b) == "contradicted"


def test_no_ratio_to_nothing() -> None:
    """Not an error, and no verdict: of a mean of 0, and of one that may be 0."""
    a = runs(0.60, 0.62, 0.61)
    assert verdict_of_ratio(1.5, 0.2, a, runs(0.0, 0.0, 0.0)) == "undecided"
    assert verdict_of_ratio(1.5, 0.2, a, runs(-0.1, 0.0, 0.4)) == "undecided"


def test_the_size_of_a_net_needs_no_seeds(tmp_path: Path) -> None:
    def sized(params: int) -> list[Run]:
        return [made_of(tmp_path, dataclasses.replace(RECORD, num_params=params))]

    check = {"kind": "ratio", "a": "a", "b": "b", "metric": "params", "value": 15, "within": 1.5}
    claim = parse_claim({"quote": "q", "check": check}, "x")
    assert judge(claim, {"a": sized(616_610), "b": sized(38_042)}).verdict == "supported"
    assert judge(claim, {"a": sized(700_000), "b": sized(38_042)}).verdict == "contradicted"
    check = {"kind": "at_least", "a": "a", "metric": "params", "value": 600_000}
    claim = parse_claim({"quote": "q", "check": check}, "x")
    assert claim.comparisons[0].says() == "a ≥ 600,000"
    assert judge(claim, {"a": sized(616_610)}).verdict == "supported"
    assert judge(claim, {"a": sized(599_999)}).verdict == "contradicted"
