"""Figures of sweeps: the numbers are where they belong, and every shape can be drawn."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cifarlab.figures import axis, effects, heatmap, pareto, swept
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import save
from cifarlab.figures.style import (
    COLOURS,
    MARKERS,
    REPORT,
    SPLITS,
    TEST,
    VALIDATION,
    numbers,
    short,
)

NAN = math.nan
LONG = [f"[crop,hflip,cutout,erasing,number{i}]" for i in range(12)]


def lines(figure: Figure, panel: int = 0) -> dict:
    return {line.get_label(): line for line in figure.axes[panel].lines}


def points(*means: float) -> list[Point]:
    return [Point(mean, 0.02, [mean - 0.01, mean + 0.01]) for mean in means]


def test_points_intervals_and_dots_are_where_the_numbers_are() -> None:
    series = {"validation": points(0.5, 0.7), "test": [Point(0.4, NAN, [0.4]), Point(NAN, NAN, [])]}
    figure = axis.draw("dropout", ["0.1", "0.5"], {"": series})
    drawn = lines(figure)
    assert list(drawn["validation"].get_xdata()) == [0.1, 0.5]
    assert list(drawn["validation"].get_ydata()) == [0.5, 0.7]
    assert list(drawn["test"].get_ydata()) == [0.4], "a level without runs is left out"
    vertical = [line for line in figure.axes[0].lines if line.get_gid() == "interval"]
    assert [list(line.get_ydata()) for line in vertical] == [
        pytest.approx([0.48, 0.52]), pytest.approx([0.68, 0.72]),
    ]  # fmt: skip
    dots = next(line for line in figure.axes[0].lines if line.get_marker() == ".")
    assert list(dots.get_ydata()) == pytest.approx([0.49, 0.51, 0.69, 0.71])
    low, high = figure.axes[0].get_ylim()
    assert low < 0.4 and high > 0.71


@pytest.mark.parametrize(
    ("levels", "scale", "x"),
    [
        (["0.1", "0.2", "0.5"], "linear", [0.1, 0.2, 0.5]),
        (["1e-4", "1e-3", "1e-2"], "log", [1e-4, 1e-3, 1e-2]),
        (["1", "2", "99"], "linear", [1, 2, 99]),
        (["1", "2", "100"], "log", [1, 2, 100]),
        (["0", "1e-4", "1e-2"], "linear", [0, 1, 2]),  # side by side
        (["none", "0.1", "0.2"], "linear", [0, 1, 2]),
        (["nan", "1", "2"], "linear", [0, 1, 2]),
        (["7"], "linear", [7]),
    ],
)
def test_the_axis_of_levels(levels: list[str], scale: str, x: list[float]) -> None:
    figure = axis.draw("key", levels, {"": {"validation": points(*([0.5] * len(levels)))}})
    assert figure.axes[0].get_xscale() == scale
    assert list(lines(figure)["validation"].get_xdata()) == x
    left, right = figure.axes[0].get_xlim()
    assert left < min(x) and right > max(x)


def test_no_line_leads_from_one_name_to_another() -> None:
    panel = {"validation": points(0.5, 0.6)}
    for panels in ({"": panel}, {"validation": panel, "test": panel}):
        for levels, style in ((["a", "b"], "None"), (["1", "2"], "-")):
            drawn = lines(axis.draw("m", levels, panels))["validation"]
            assert drawn.get_linestyle() == style
    names = effects.draw({"m": dict(zip("ab", points(0.5, 0.6), strict=True))})
    assert lines(names)["mean"].get_linestyle() == "None"
    numbers_ = effects.draw({"m": dict(zip("12", points(0.5, 0.6), strict=True))})
    assert lines(numbers_)["mean"].get_linestyle() == "-"


def test_one_colour_has_one_meaning() -> None:
    series = dict.fromkeys(("test", "validation", "x"), points(0.5, 0.6))
    for figure in (axis.draw("m", ["a", "b"], {"": series}), swept.draw("m", {
        name: dict(zip((1.0, 2.0), values, strict=True)) for name, values in series.items()
    }, {})):  # fmt: skip
        found = {
            key.removeprefix("ours, "): line.get_color() for key, line in lines(figure).items()
        }
        assert (found["test"], found["validation"]) == (TEST, VALIDATION)
        assert found["x"] not in SPLITS.values()
    assert not set(COLOURS) & {*SPLITS.values(), REPORT}


def test_an_interval_that_is_cut_off_ends_in_an_arrow() -> None:
    wide = [Point(0.5, 5.0, [0.5, 0.5]), Point(0.52, 0.001, [0.52, 0.52])]
    axes = axis.draw("m", ["1", "2"], {"": {"validation": wide}}).axes[0]
    low, high = axes.get_ylim()
    up, down = (
        [line.get_ydata()[0] for line in axes.lines if line.get_marker() == m] for m in "^v"
    )
    assert len(up) == len(down) == 1 and low < down[0] < up[0] < high
    caps = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "_"]
    assert caps == pytest.approx([0.519, 0.521]), "the other one is whole"


def test_a_strip_of_seeds() -> None:
    figure = axis.strip({"validation": [0.5, 0.6], "test": [0.4, 0.7]}, ["0", "1"])
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [
        [0.5, 0.4], [0.6, 0.7], [0.5, 0.6], [0.4, 0.7],
    ]  # fmt: skip


def test_a_map_has_the_numbers_and_gaps() -> None:
    means = np.array([[0.512, NAN], [0.7, 0.9]])
    figure = heatmap.draw(means, ["a", "b"], ["1", "2"], "model", "lr")
    axes = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "51.2", (0, 1): "70.0", (1, 1): "90.0"}, "column, row"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("lr", "model")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_main_effects_are_drawn_as_given() -> None:
    levels = {"a": Point(0.4, 0.1, [0.3, 0.5]), "b": Point(0.6, NAN, [0.6])}
    figure = effects.draw({"model": levels, "lr": {"1": Point(0.5, -1.0, [0.3, 0.5, 0.6])}})
    model, lr = figure.axes
    assert list(lines(figure)["mean"].get_ydata()) == [0.4, 0.6]
    assert model.get_ylim() == lr.get_ylim(), "one scale"
    bars = [line for axes in figure.axes for line in axes.lines if line.get_gid() == "interval"]
    assert [list(bar.get_ydata()) for bar in bars] == [pytest.approx([0.3, 0.5])]
    dashed = [line for line in model.lines if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata()[0] == pytest.approx(1.4 / 3)


def test_the_front_by_hand() -> None:
    """d is dearer and worse than b; c as dear as b and worse; f as good as e and dearer."""
    costs = [1, 2, 2, 3, 5, 9]
    accuracies = [0.5, 0.7, 0.6, 0.65, 0.8, 0.8]
    assert pareto.front(costs, accuracies) == [0, 1, 4]
    assert pareto.front([2, 1], [0.5, 0.5]) == [1]
    assert pareto.front([1, 1], [0.5, 0.5]) == [0]
    assert pareto.front([1, 2], [NAN, 0.5]) == [1]


def test_the_front_is_drawn_and_labelled() -> None:
    figure = pareto.draw([1, 2, 2, 3, 5], [0.5, 0.7, 0.6, 0.65, 0.8], list("abcde"), "time (s)")
    (axes,) = figure.axes
    drawn = lines(figure)
    assert list(drawn["Pareto front"].get_xdata()) == [1, 2, 5]
    assert list(drawn["Pareto front"].get_ydata()) == [0.5, 0.7, 0.8]
    assert drawn["the others"].get_xydata().tolist() == [[2, 0.6], [3, 0.65]]
    assert {text.get_text(): text.xy for text in axes.texts} == {
        "a": (1, 0.5), "b": (2, 0.7), "c": (2, 0.6), "d": (3, 0.65), "e": (5, 0.8),
    }  # fmt: skip
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "time (s)"


def test_labels_of_many_points_do_not_cover_one_another() -> None:
    random = np.random.RandomState(0)
    costs, accuracies = 10 ** random.rand(25), random.rand(25)
    figure = pareto.draw(list(costs), list(accuracies), LONG[:1] * 25, "parameters")
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without their lines
    assert len(boxes) >= len(pareto.front(list(costs), list(accuracies)))
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


@pytest.mark.parametrize("count", [1, 12])
def test_few_and_many_long_names_can_be_drawn(count: int, tmp_path) -> None:
    names, some = LONG[:count], points(*np.linspace(0.5, 0.9, count))
    every = dict.fromkeys(names, some)
    figures = [
        axis.draw("aug", names, {"": {"validation": some}}),
        axis.draw("aug", names, {"validation": every, "test": every}, legend="aug", title="x"),
        axis.strip({"validation": [0.5] * count, "test": [0.5] * count}, names),
        heatmap.draw(np.full((count, count), NAN), names, names, "a", "b"),
        heatmap.draw(np.full((count, count), 0.5), names, names, "a", "b"),
        effects.draw({f"factor{i}": dict(zip(names, some, strict=True)) for i in range(5)}),
        pareto.draw([7] * count, [0.5] * count, names, "parameters"),
    ]
    for figure in figures:
        save(figure, tmp_path / "figure.png")
    labels = [label.get_text() for label in figures[0].axes[0].get_xticklabels()]
    assert len(set(labels)) == count, "cut short, and still told apart"


def test_small_helpers() -> None:
    assert short("a" * 10 + "b" * 10 + "c" * 10, 11) == "aaaaa…ccccc" and short("abc", 3) == "abc"
    assert numbers(["1", "x"]) is None and numbers(["0", "1", "1000"]) is None
    assert len(set(COLOURS)) == len(COLOURS) and len(set(MARKERS)) >= 12
