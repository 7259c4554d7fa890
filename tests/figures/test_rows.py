"""The figures of studies say what they are given."""

import math

import pytest

from cifarlab.figures import ladder, rows, swept
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Curve
from cifarlab.figures.rows import Pair
from cifarlab.figures.style import COLOURS


def drawn(axes, marker: str) -> list[tuple[float, float]]:
    """Where markers of a kind are."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(x, y) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def test_reported_figures_lie_where_they_belong() -> None:
    pairs = [
        Pair(Point(0.80, 0.02, [0.79, 0.81]), (0.83, 0.83)),
        Pair(Point(0.60, math.nan, [0.60]), (0.62, math.inf)),
        Pair(None, (0.61, 0.66)),
    ]
    axes = rows.beside_reported(["a", "b", "c"], {"test accuracy": pairs}, "shortened").axes[0]
    assert (0.83, 0.16) in drawn(axes, "D") and (0.62, 1.16) in drawn(axes, ">")
    assert {x for x, _ in drawn(axes, "D")} >= {0.61, 0.66}
    assert [x for x, _ in drawn(axes, "o")] == [0.80, 0.60]
    low, high = axes.get_xlim()
    assert low < 0.60 and high > 0.83, "the report's figures are on the axis, too"
    assert axes.get_figure().get_suptitle() == "shortened", "in the picture, which may be copied"


@pytest.mark.parametrize(
    ("reported", "labels"),
    [
        ((0.6, 0.6), ["report"]),
        ((0.6, 0.7), ["report"]),
        ((0.6, math.inf), ["report: at least"]),
        ((-math.inf, 0.6), ["report: at most"]),
    ],
)
def test_the_legend_names_the_markers_of_the_report(
    reported: tuple[float, float], labels: list[str]
) -> None:
    pair = Pair(Point(0.5, math.nan, [0.5]), reported)
    figure = rows.beside_reported(["a"], {"test accuracy": [pair]})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][1:] == labels


def test_rows_of_one_group_have_one_colour() -> None:
    pairs = [Pair(Point(0.8, 0.02, [0.79, 0.81]), None)] * 3
    axes = rows.beside_reported(["a", "b", "c"], {"test": pairs}, groups=["x", "y", "x"]).axes[0]
    dots = [
        line.get_color()
        for line in axes.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    ]
    assert dots == [COLOURS[0], COLOURS[1], COLOURS[0]]


def test_gaps_are_written_in_points() -> None:
    axes = rows.gaps(["a", "b"], [0.90, 0.70], [0.80, 0.72], "").axes[0]
    assert [text.get_text() for text in axes.texts] == ["+10.0", "−2.0"]


def test_a_waterfall_ends_where_its_steps_lead() -> None:
    steps = [("bn", Point(0.05, 0.01, [])), ("tanh", Point(-0.02, math.nan, []))]
    axes = ladder.waterfall(0.60, steps).axes[0]
    bars = [(bar.get_y(), bar.get_height()) for bar in axes.patches]
    expected = [(0, 0.60), (0.60, 0.05), (0.65, -0.02), (0, 0.63)]
    assert [float(y) for y, _ in bars] == pytest.approx([y for y, _ in expected])
    assert [float(height) for _, height in bars] == pytest.approx([h for _, h in expected])
    assert [text.get_text() for text in axes.texts] == ["+5.0", "−2.0", "60.0 %", "63.0 %"]
    out = ladder.differences(steps).axes[0]
    assert [x for x, _ in drawn(out, "o")] == [0.05, -0.02]


def test_curves_mark_the_best_epoch_of_every_run() -> None:
    columns = {"epoch": [1, 2, 3], "val_acc": [0.1, 0.2, 0.3], "train_acc": [0.2, 0.3, 0.4]}
    figure = rows.curves({"a": [Curve(columns, 2), Curve(columns, 3)], "b": []}, "acc")
    assert drawn(figure.axes[0], "v") == [(2, 0.2), (3, 0.3)]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1, "rows can be compared"
    once = {name: values[:1] for name, values in columns.items()}
    (axes, *_) = rows.curves({"a": [Curve(once, 1)]}, "acc").axes
    assert {line.get_marker() for line in axes.lines if len(line.get_xdata())} == {".", "v"}
    loss = {"epoch": [1, 2], "val_loss": [9.0, 0.5], "train_loss": [1.0, 0.4]}
    axes = rows.curves({"a": [Curve(loss, 2)]}, "loss").axes[0]
    assert axes.get_ylim() == (0, 3.5), "one run that diverged does not squeeze the others"


def test_swept_has_ours_and_the_reports() -> None:
    ours = {"test": {0.2: Point(0.7, 0.01, [0.7, 0.7]), 0.1: Point(0.8, 0.01, [0.8, 0.8])}}
    axes = swept.draw("dropout", ours, {"test": {0.1: 0.83}}).axes[0]
    labelled = {line.get_label(): line.get_data() for line in axes.lines}
    assert list(labelled["ours, test"][0]) == [0.1, 0.2], "in the order of the axis"
    assert list(labelled["report, test"][1]) == [0.83]


def test_intervals_are_within_the_axis_but_do_not_squeeze_it() -> None:
    """Means 0.70 and 0.80: intervals count to 0.60 and 0.90."""

    def limits(half: float) -> tuple[float, float]:
        ours = {"test": {1.0: Point(0.7, half, [0.7, 0.7]), 2.0: Point(0.8, half, [0.8, 0.8])}}
        return swept.draw("x", ours, {}).axes[0].get_ylim()

    assert limits(0.04)[0] < 0.66 and limits(0.04)[1] > 0.84
    assert limits(0.04)[0] > 0.60 and limits(0.04)[1] < 0.90
    assert limits(5) == pytest.approx(limits(0.1)), "that of two runs is cut off"
    assert limits(5) == pytest.approx((0.575, 0.925))
    assert limits(float("nan")) == pytest.approx((0.675, 0.825))


def test_series_of_a_swept_figure_are_side_by_side() -> None:
    point = {0.1: Point(0.8, 0.01, [0.8, 0.8])}
    figure = swept.draw("dropout", {"validation": point, "test": point}, {"test": {0.1: 0.83}})
    figure.draw_without_rendering()
    at = {}
    for line in figure.axes[0].lines:
        if not line.get_label().startswith("_"):
            at[line.get_label()] = line.get_transform().transform(line.get_xydata())[0][0]
    assert at["ours, validation"] + 5 < at["ours, test"] == at["report, test"]
