"""The charts of a page have the numbers of the pictures, and names are data in them."""

import json
import math

import numpy as np
import pytest

from cifarlab.figures import charts
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Curve
from cifarlab.figures.forest import Mark, Row
from cifarlab.figures.reliability import Panel
from cifarlab.figures.rows import Pair
from cifarlab.figures.style import (
    ALL,
    COLOURS,
    IN_DARK,
    NONE,
    ON_ALL,
    ON_NONE,
    REPORT,
    SPLITS,
    TEST,
    TRAINING,
    VALIDATION,
)

NAN = math.nan
COLUMNS = {
    "epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [1.5, NAN],
    "train_acc": [0.2, 0.5], "val_acc": [0.2, 0.45],
}  # fmt: skip


def values(chart: dict, layer: int | None = None) -> list[dict]:
    part = chart if layer is None else chart["layer"][layer]
    return part["data"]["values"]


def colours(chart: dict, layer: int) -> dict[str, str]:
    scale = chart["layer"][layer]["encoding"]["color"]["scale"]
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_curves() -> None:
    loss, accuracy = charts.curves(Curve(COLUMNS, 1))
    assert [v["value"] for v in values(loss)] == [2.0, 1.0, 1.5, None], "NaN is not drawn"
    assert [v["value"] for v in values(accuracy)] == [0.2, 0.5, 0.2, 0.45]
    assert values(loss, 0)[0]["epoch"] == 1, "the best epoch"
    assert colours(loss, 1) == {"training": TRAINING, "validation": VALIDATION}
    assert loss["layer"][1]["encoding"]["x"]["axis"]["values"] == [1, 2], "no epoch 1.5"
    one, _ = charts.overlay({"A x": Curve(COLUMNS, 2), "B y": Curve(COLUMNS, 2)})
    assert colours(one, 0) == {"A x": COLOURS[0], "B y": COLOURS[1]}


def test_the_curves_of_rows_have_a_line_a_run_on_one_scale() -> None:
    short = {key: found[:1] for key, found in COLUMNS.items()}
    runs = [Curve(COLUMNS, 2), Curve(short, 1)]
    first, second = made = charts.over_epochs({"a": runs, "b": runs[1:]}, "acc")
    assert [chart["title"] for chart in made] == ["a", "b"]
    assert [(v["run"], v["series"], v["epoch"], v["value"]) for v in values(first)] == [
        (1, "training", 1, 0.2), (1, "training", 2, 0.5), (1, "validation", 1, 0.2),
        (1, "validation", 2, 0.45), (2, "training", 1, 0.2), (2, "validation", 1, 0.2),
    ]  # fmt: skip
    assert [(v["run"], v["epoch"], v["value"]) for v in values(first, 1)] == [
        (1, 2, 0.45), (2, 1, 0.2),
    ], "the best epochs"  # fmt: skip
    line = first["layer"][0]["encoding"]
    assert line["detail"] == {"field": "run"} and colours(first, 0) == {
        "training": TRAINING, "validation": VALIDATION,
    }  # fmt: skip
    scales = [chart["layer"][0]["encoding"]["y"]["scale"]["domain"] for chart in made]
    low, high = scales[0]
    assert scales[0] == scales[1] and low < 0.2 and high > 0.5
    (diverged,) = charts.over_epochs({"a": runs[:1]}, "loss")
    assert diverged["layer"][0]["encoding"]["y"]["scale"]["domain"] == [0, 2.2], "but for the NaN"
    assert diverged["layer"][0]["encoding"]["y"]["title"] == "loss", "it may be no cross-entropy"
    json.dumps([made, diverged], allow_nan=False)


def test_reliability_and_confusion() -> None:
    panel = Panel("x", np.linspace(0, 1, 4), np.array([NAN, 0.5, 0.75]), np.array([0, 9, 10]))
    (chart,) = charts.reliability([panel])
    assert [(v["accuracy"], v["answers"], v["alpha"]) for v in values(chart)] == [
        (0.5, 9, 0.3), (0.75, 10, 1.0),
    ]  # fmt: skip
    assert chart["layer"][0]["mark"]["color"] == TEST
    chart = charts.confusion(np.array([[9, 1], [0, 4]]), ["a", "b"])
    assert [(v["true"], v["answer"], v["images"], v["share"]) for v in values(chart)] == [
        ("a", "a", 9, 0.9), ("a", "b", 1, 0.1), ("b", "b", 4, 1.0),
    ]  # fmt: skip
    assert chart["encoding"]["x"]["axis"]["labelOverlap"] is False, "each class has its name"
    assert {NONE, ALL, ON_NONE, ON_ALL} <= set(IN_DARK), "in the dark few are dark, many light"
    chart = charts.classes(np.array([0.9, NAN]), np.array([0.8, 0.0]), ["a", "b"])
    assert [(v["class"], v["series"], v["value"]) for v in values(chart)] == [
        ("a", "recall", 0.8), ("b", "recall", 0.0), ("a", "precision", 0.9),
    ]  # fmt: skip
    assert chart["encoding"]["y"]["scale"]["domain"] == ["b", "a"], "lowest recall on top"


@pytest.mark.parametrize(("levels", "mark"), [(["a", "b"], "point"), (["1", "2"], "line")])
def test_levels_are_joined_only_where_they_are_numbers(levels: list[str], mark: str) -> None:
    points = [Point(0.5, 0.1, [0.4, 0.5, 0.6]), Point(0.6, NAN, [0.6])]
    (chart,) = charts.levels("m", levels, {"": {"validation": points}})
    assert chart["layer"][-1]["mark"]["type"] == mark
    assert [v.get("low") for v in values(chart)] == [0.4, None]
    assert [v["value"] for v in values(chart, 1)] == [0.4, 0.5, 0.6]
    assert colours(chart, -1) == {"validation": VALIDATION}


def test_scatters_have_the_front_and_the_best_so_far() -> None:
    chart = charts.pareto([1, 2, 3], [0.5, 0.7, 0.6], ["a", "b", "c"], "s")
    assert {v["run"]: v["series"] for v in values(chart)} == {
        "a": "Pareto front", "b": "Pareto front", "c": "the others",
    }  # fmt: skip
    assert [(v["x"], v["value"]) for v in values(chart, 0)] == [(1, 0.5), (2, 0.7)]
    for costs, form in (([0.4, 0.8], ".6~g"), ([4e5, 8e5], "~s")):
        chart = charts.pareto(costs, [0.5, 0.7], ["a", "b"], "cost")
        assert chart["layer"][1]["encoding"]["x"]["axis"]["format"] == form
    chart = charts.history([0.2, NAN, 0.9, 0.1], [False, False, True, False], list("abcd"))
    assert [v["run"] for v in values(chart)] == ["a", "d", "c"]
    assert [v["value"] for v in values(chart, 0)] == [0.2, 0.2], "a pruned cell is not the best"


def test_parallel_coordinates() -> None:
    keys = {"lr": ["0.001", "0.1", "0.01"], "model": ["b", "a", "b"]}
    chart = charts.parallel(keys, [0.2, 0.6, 0.4], ["x", "y", "z"])
    placed = {(v["run"], v["key"]): v["place"] for v in values(chart)}
    assert placed == {
        ("x", "lr"): 0, ("y", "lr"): 1, ("z", "lr"): 0.5, ("x", "model"): 0, ("y", "model"): 1,
        ("z", "model"): 0, ("x", "validation accuracy"): 0, ("y", "validation accuracy"): 1,
        ("z", "validation accuracy"): 0.5,
    }  # fmt: skip
    assert [v["value"] for v in values(chart, 2)][:3] == ["0.001", "0.01", "0.1"], "its ticks"
    assert [v["down"] for v in values(chart, 3)] == [0, 1, 0], "neighbours on different lines"
    chart = charts.parallel({"lr": ["1", "2"]}, [1 / 15, 0.1], ["x", "y"])
    (slider,) = [p for p in chart["params"] if p["name"] == "least"]
    assert (slider["value"], slider["bind"]["max"], slider["bind"]["step"]) == (6.6, 10, 0.1)


def test_reported_figures_are_another_series() -> None:
    pairs = [Pair(Point(0.7, 0.01, [0.7]), (0.8, math.inf)), Pair(None, (0.6, 0.6))]
    chart, *none = charts.beside_reported(
        ["a", "b"], {"test accuracy": pairs, "x": [Pair(None, None)] * 2}
    )
    assert [(v["row"], v["series"], v["value"]) for v in values(chart)] == [
        ("a", "ours", 0.7), ("a", "report: at least", 0.8), ("b", "report", 0.6),
    ]  # fmt: skip
    assert colours(chart, 1) == {"ours": TEST, "report": REPORT, "report: at least": REPORT}
    assert not none and len(chart["layer"]) == 2
    shapes = chart["layer"][1]["encoding"]["shape"]["scale"]
    assert shapes["range"] == ["circle", "diamond", "triangle-right"]
    chart, *_ = charts.beside_reported(["a.1", "b"], {"test": pairs}, ["a", "b"])
    assert [v["series"] for v in values(chart)] == ["ours, a", "report: at least", "report"]
    assert [*colours(chart, 1).items()][:2] == [("ours, a", COLOURS[0]), ("ours, b", COLOURS[1])]


def test_single_runs_are_seen_beside_their_mean() -> None:
    pair = Pair(Point(0.7, 0.2, [0.6, 0.9]), (-math.inf, 0.95))
    (chart,) = charts.beside_reported(["a"], {"test accuracy": [pair]})
    assert [v["value"] for v in values(chart, 1)] == [0.6, 0.9]
    low, high = chart["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.6 and high > 0.9


def test_a_map_shows_the_cells_that_there_are() -> None:
    chart = charts.heatmap(
        np.array([[0.5, NAN], [0.6, 0.7]]), ["x", "y"], ["1", "2"], "model", "lr"
    )
    assert [(v["row"], v["column"], v["value"]) for v in values(chart)] == [
        ("x", "1", 0.5), ("y", "1", 0.6), ("y", "2", 0.7),
    ]  # fmt: skip
    assert chart["encoding"]["x"]["axis"]["title"] == "lr"
    json.dumps(chart, allow_nan=False)


def test_gaps_are_in_points() -> None:
    chart = charts.gaps(["a", "b"], [0.9, 0.7], [0.8, 0.72])
    assert [v["gap"] for v in values(chart, 0)] == ["+10.0", "-2.0"]
    assert colours(chart, 1) == {"test": TEST, "training, best weights": TRAINING}


def test_a_waterfall_goes_on_where_the_last_step_ended() -> None:
    steps = [("bn", Point(0.05, 0.01, [])), ("tanh", Point(-0.02, NAN, []))]
    chart = charts.waterfall(0.60, steps)
    found = [(v["name"], v["from"], v["to"]) for v in values(chart)]
    low = found[0][1]
    assert found == [
        ("base", low, 0.6),
        ("bn", 0.6, 0.65),
        ("tanh", 0.65, 0.63),
        ("all", low, 0.63),
    ]
    assert 0.5 < low < 0.6 and (values(chart)[1]["low"], values(chart)[1]["high"]) == (0.64, 0.66)
    json.dumps(chart, allow_nan=False)


def test_differences_are_in_points_and_hollow_where_open() -> None:
    marks = {"validation": Mark(0.02, 0.01, 0.03, True), "test": Mark(0.01, NAN, NAN, False)}
    (chart,) = charts.differences({"all": [Row("seeds vary", marks)], "none": []}, "a - b")
    assert [(v["series"], v["value"], v["low"], v["clear"]) for v in values(chart)] == [
        ("validation", 2.0, 1.0, "yes"), ("test", 1.0, None, "no"),
    ]  # fmt: skip
    assert colours(chart, 2) == {"validation": VALIDATION, "test": TEST}
    json.dumps(chart, allow_nan=False)


def test_a_name_is_data_and_nothing_else() -> None:
    """Vega evaluates expressions, and reads dots and brackets in names of fields."""
    name = "a.b[0]'\\ </script>"
    made = [
        charts.confusion(np.eye(2, dtype=int), [name, "b"]),
        charts.parallel({name: ["1", "2"]}, [0.1, 0.2], [name, "b"]),
        *charts.overlay({name: Curve(COLUMNS, 1)}),
        *charts.over_epochs({name: [Curve(COLUMNS, 1)]}, "acc"),
        *charts.levels(name, [name, "b"], {"": {name: [Point(0.5, 0.1, [0.5])] * 2}}),
        charts.gaps([name, "b"], [0.9, 0.8], [0.8, 0.7]),
        charts.waterfall(0.5, [(name, Point(0.1, 0.01, []))]),
        *charts.differences({name: [Row(name, {"test": Mark(0.1, 0.0, 0.2, True)})]}, "a - b"),
        charts.heatmap(np.array([[0.5, 0.6]]), [name], ["b", name], name, "lr"),
        *charts.beside_reported([name], {"test": [Pair(Point(0.5, NAN, [0.5]), None)]}),
    ]

    def check(part: object, key: str) -> None:
        if isinstance(part, dict):
            assert name not in part
            for k, v in part.items():
                if key not in ("values", "domain"):
                    check(v, k)
        elif isinstance(part, list):
            for item in part:
                check(item, key)
        elif part == name:
            assert key in ("title", "values", "domain"), key

    for chart in made:
        check(chart, "")
        json.dumps(chart, allow_nan=False)


def test_every_dark_colour_stands_for_one_of_ours() -> None:
    assert set(IN_DARK) <= {*COLOURS, *SPLITS.values(), REPORT, NONE, ALL, ON_NONE, ON_ALL}
    assert len(set(IN_DARK.values())) == len(IN_DARK) and not set(IN_DARK) & set(IN_DARK.values())
