import math

import pytest

from cifarlab.figures.forest import Mark, Row, draw
from cifarlab.figures.style import MARKERS, TEST, VALIDATION


def test_panels_rows_and_marks() -> None:
    nan = math.nan
    overall = [Row("seeds vary", {"validation": Mark(0.01, -0.4, 3.0, False)})]
    classes = [
        Row("cat", {"validation": Mark(0.1, 0.05, 0.15, True), "test": Mark(0.0, nan, nan, False)}),
        Row("a class with a very long name indeed", {"test": Mark(-0.1, -0.2, 0.0, False)}),
    ]
    figure = draw({"all images": overall, "none": [], "by class": classes}, "difference", "note")
    first, second = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["all images", "by class"]
    assert first.get_xlim()[1] == pytest.approx(0.11), "an interval does not squeeze the rest"
    (cut,) = [line for line in first.lines if line.get_marker() == ">"]
    assert cut.get_xdata()[0] < 0.11, "an arrow, since it goes further"
    assert [text.get_text() for text in second.get_yticklabels()][0] == "cat"
    points = [line for line in second.lines if line.get_marker() in MARKERS]
    assert [float(line.get_xdata()[0]) for line in points] == [0.1, 0.0, -0.1]
    assert [line.get_markerfacecolor() for line in points][0] == points[0].get_color()
    assert points[1].get_markerfacecolor() == "white"
    lines = [line for line in second.lines if line.get_gid() == "interval"]
    assert [list(line.get_xdata()) for line in lines] == [[0.05, 0.15], [-0.2, 0.0]]
    assert [point.get_color() for point in points] == [VALIDATION, TEST, TEST]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["validation", "test"]
    assert second.get_xlabel() == "difference\nnote"
    figure.draw_without_rendering()
