import numpy as np
import pytest
from matplotlib.text import Text

from cifarlab.figures.curves import Curve, draw, overlay, png, save
from cifarlab.figures.predictions import contact_sheet

COLUMNS = {
    "epoch": [1, 2, 3],
    "train_loss": [2.0, 1.0, 0.5],
    "val_loss": [2.1, 1.5, 1.8],
    "train_acc": [0.2, 0.5, 0.8],
    "val_acc": [0.2, 0.45, 0.4],
}


def test_lines_are_the_columns_and_the_best_epoch_is_marked(tmp_path) -> None:
    figure = draw(Curve(COLUMNS, 2), title="a run")
    loss, accuracy = figure.axes
    for axes, metric in ((loss, "loss"), (accuracy, "acc")):
        lines = {line.get_label(): line for line in axes.lines}
        assert list(lines["training"].get_ydata()) == COLUMNS[f"train_{metric}"]
        assert list(lines["validation"].get_ydata()) == COLUMNS[f"val_{metric}"]
        assert list(lines["best epoch (2)"].get_xdata()) == [2, 2]
    save(figure, tmp_path / "deep" / "curves.png")
    assert (tmp_path / "deep" / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["$\\frac$.png", "a$b_1$c", "$ $"])
def test_a_name_is_no_formula(name: str, tmp_path) -> None:
    sheet = contact_sheet([np.zeros((8, 8, 3), np.uint8)], [(name, 0.5)], [name], name)
    save(sheet, tmp_path / "sheet.png")
    figure = draw(Curve(COLUMNS, 2), title=name)
    axes = figure.axes[0]
    axes.set_xticks([1, 2], [name, "x"])
    assert png(figure).startswith(b"\x89PNG")
    texts = [t for f in (sheet, figure) for t in f.findobj(Text) if "$" in t.get_text()]
    assert len(texts) >= 5 and not any(text.get_parse_math() for text in texts)


def test_a_single_epoch() -> None:
    """One tick, at 1; training is a point, since a line of one would not be seen."""
    once = Curve({name: values[:1] for name, values in COLUMNS.items()}, 1)
    for figure in (draw(once), overlay({"a": once, "b": once})):
        png(figure)
        for axes in figure.axes:
            low, high = axes.get_xlim()
            assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
    assert all(
        line.get_marker() != "None" for line in figure.axes[0].lines if line.get_ls() == "--"
    )
