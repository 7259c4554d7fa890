"""The figures of a search, from known numbers."""

import math

import numpy as np

from cifarlab.figures import search


def test_history_shows_the_best_so_far_and_the_pruned_apart() -> None:
    figure = search.history([0.2, math.nan, 0.5, 0.9, 0.4], [False, False, False, True, False])
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["best so far"], [0.2, 0.2, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(lines["finished"], [0.2, math.nan, 0.5, math.nan, 0.4])
    np.testing.assert_array_equal(lines["pruned, last epoch"], [math.nan] * 3 + [0.9, math.nan])
    assert len(search.history([0.1, 0.2], [False, False]).axes[0].lines) == 2


def test_importance_has_the_largest_at_the_top() -> None:
    axes = search.importance({"dropout": 0.2, "optimizer.lr": 0.7, "batch_size": 0.1}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        "batch_size", "dropout", "optimizer.lr",
    ]  # fmt: skip


def test_slices_place_numbers_and_options() -> None:
    values = {
        "optimizer.lr": ["0.001", "0.1", "0.01", "0.02", "0.3"],
        "model": ["mlp", "baseline", "mlp", "mlp", "baseline"],
        "batch_size": ["128", "32", "128", "32", "32"],
        "dropout": ["0.1", "0.2", "0.3", "0.4", "0.5"],
    }
    figure = search.slices(values, [0.1, 0.2, 0.3, 0.4, 0.5])
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    assert panels.keys() == values.keys()
    places = {key: axes.collections[0].get_offsets()[:, 0] for key, axes in panels.items()}
    assert panels["optimizer.lr"].get_xscale() == "log"
    np.testing.assert_allclose(places["optimizer.lr"], [0.001, 0.1, 0.01, 0.02, 0.3])
    np.testing.assert_array_equal(places["model"], [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(places["batch_size"], [1, 0, 1, 0, 0])
    assert panels["dropout"].get_xscale() == "linear"
