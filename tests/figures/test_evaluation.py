"""The figures of an evaluation show the numbers they were given."""

import numpy as np
import pytest

from cifarlab.figures import classes, confusion, curves, pictures, reliability
from cifarlab.figures.curves import Curve
from cifarlab.figures.evaluation import Sheet, Shown, draw
from cifarlab.figures.reliability import Panel

COUNTS = np.array([[5, 2, 0], [1, 700, 3], [0, 4, 6]])
NAMES = ("cat", "dog", "axolotl")
PANEL = Panel("x", np.linspace(0, 1, 3), np.array([np.nan, 0.75]), np.array([0, 8]))


def test_the_matrix_prints_the_counts() -> None:
    (axes,) = confusion.draw(COUNTS, NAMES).axes
    printed = np.zeros_like(COUNTS)
    for text in axes.texts:
        column, row = text.get_position()
        printed[row, column] = int(text.get_text())
    assert (printed == COUNTS).all()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)


def test_many_classes_have_shades_only() -> None:
    axes, bar = confusion.draw(np.eye(100, dtype=int), [str(i) for i in range(100)]).axes
    assert not axes.texts and bar.get_ylabel() == "share of the true class"


def test_shades_are_shares_of_the_row() -> None:
    """Class ``dog`` has a hundred times the images of ``cat``, and as dark a diagonal."""
    counts = np.array([[9, 1], [100, 900]])
    (image,) = confusion.draw(counts, NAMES[:2]).axes[0].images
    np.testing.assert_allclose(image.get_array(), [[0.9, 0.1], [0.1, 0.9]])
    assert confusion.row_shares(np.zeros((2, 2), int)).sum() == 0, "a class without images"


def test_classes_of_low_recall_are_on_top() -> None:
    (axes,) = classes.draw(np.array([0.9, np.nan, 0.5]), np.array([0.8, 0.0, 0.3]), NAMES).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["dog", "axolotl", "cat"]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["recall"].get_xdata()) == [0.0, 0.3, 0.8]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first is above"


def test_bars_reach_the_accuracy_and_the_gap_the_diagonal() -> None:
    diagram, histogram = reliability.draw([PANEL]).axes
    bars, gaps = diagram.containers
    assert [bar.get_height() for bar in bars] == [0, 0.75]
    assert [gap.get_height() for gap in gaps] == [0, 0], "0.75 is the middle of its bin"
    assert [bar.get_height() for bar in histogram.patches] == [0, 8]


def test_bins_of_few_answers_are_faded() -> None:
    panel = Panel("x", np.linspace(0, 1, 3), np.array([0.5, 0.75]), np.array([9, 10]))
    figure = reliability.draw([panel])
    faded = [[bar.get_alpha() for bar in bars] for bars in figure.axes[0].containers]
    assert faded == [[0.25, None]] * 2
    (legend,) = figure.legends
    swatches = zip(legend.get_texts(), legend.legend_handles, strict=True)
    assert {text.get_text(): handle.get_alpha() for text, handle in swatches} == {
        "as sure as right": None, "test accuracy": None, "gap": None, "fewer than 10 answers": 0.25
    }, "also where the first bin is faded"  # fmt: skip
    assert not figure.axes[0].get_legend(), "off the data"


def test_images_and_captions_belong_together() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    figure = pictures.draw(images, ["a", "b", "c"], columns=2)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_xlabel() for axes in shown] == ["a", "b", "c"]
    assert [axes.images[0].get_array()[0, 0, 0] for axes in shown] == [0, 1, 2]


def test_several_runs_over_each_other() -> None:
    columns = {"epoch": [1, 2], "val_loss": [2.0, 1.0], "train_loss": [2.0, 0.5]}
    columns |= {"val_acc": [0.1, 0.5], "train_acc": [0.2, 0.7]}
    figure = curves.overlay(
        {"A x": Curve(columns, 2), "B y": Curve(columns | {"val_acc": [0.3, 0.4]}, 2)}
    )
    _, accuracy = figure.axes
    drawn = [list(line.get_ydata()) for line in accuracy.lines if line.get_ls() == "-"]
    assert drawn == [[0.1, 0.5], [0.3, 0.4]]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["A x", "B y", "validation", "training", "best epoch"]


@pytest.mark.parametrize("images", [None, np.zeros((2, 4, 4, 3), np.uint8)])
def test_the_sheet_has_images_or_says_why_not(images) -> None:
    shown = Shown(images, ["cat\n90%", "dog\n80%"], "the images are gone")
    ones = np.ones(3)
    sheet = Sheet("t", ["f"], None, COUNTS, ones, ones, NAMES, [PANEL, PANEL], shown, shown)
    figure = draw(sheet)
    assert curves.pixels(figure, dpi=40).shape == (17 * 40, 11 * 40, 3)
    said = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert said.count("the images are gone") == (2 if images is None else 0)
    assert "no metrics.csv" in said
    assert sum(len(axes.images) for axes in figure.axes) == (1 if images is None else 5)
