"""Which figures a sweep gets and what is in them."""

from pathlib import Path

import numpy as np
import pytest

from cifarlab.report.sweep import figures as drawing
from cifarlab.report.sweep.results import Results, collect
from tests.report.folders import finished


def drawn(results: Results) -> dict:
    return {drawn.name: drawn.figure for drawn in drawing.figures(results)}


def made(folder: Path, cells: list[tuple[list[str], float]]) -> Results:
    for i, (typed, acc) in enumerate(cells):
        finished(folder / f"{i:03}", typed, acc)
    return collect(folder)


def test_one_axis(tmp_path) -> None:
    cells = [(["lr=0.1", "seed=0"], 0.5), (["lr=0.1", "seed=1"], 0.7), (["lr=0.02", "seed=0"], 0.4)]
    figures = drawn(made(tmp_path, cells))
    assert set(figures) == {"axis_lr.png"}, "all cost the same: there is no front to draw"
    (axes,) = figures["axis_lr.png"].axes
    means = {line.get_label(): line for line in axes.lines}
    assert list(means["validation"].get_xdata()) == [0.02, 0.1], "numbers by size"
    assert list(means["validation"].get_ydata()) == pytest.approx([0.4, 0.6])
    assert list(means["test"].get_ydata()) == pytest.approx([0.39, 0.59])


def test_two_axes_have_lines_by_level_and_a_map(tmp_path) -> None:
    cells = [(["model=b", "lr=1"], 0.5), (["model=b", "lr=2"], 0.6), (["model=a", "lr=2"], 0.7)]
    figures = drawn(made(tmp_path, cells))
    assert "main_effects.png" not in figures
    validation, test = figures["axis_lr.png"].axes
    assert (validation.get_title(), test.get_title()) == ("validation", "test")
    lines = {line.get_label(): line for line in validation.lines}
    assert list(lines["b"].get_ydata()) == [0.5, 0.6]
    assert list(lines["a"].get_xdata()) == [2.0], "the missing one is left out"
    (image,) = figures["heatmap.png"].axes[0].images
    assert np.array_equal(image.get_array().filled(9), [[0.5, 0.6], [9, 0.7]])


def test_three_axes_have_main_effects(tmp_path) -> None:
    """acc = 0.05 + 0.1 a + 0.2 b + 0.4 c, two seeds apart by 0.02: means by hand."""
    cells = [
        ([f"a={a}", f"b={b}", f"c={c}", f"seed={s}"], 0.05 + 0.1 * a + 0.2 * b + 0.4 * c + 0.02 * s)
        for a in (0, 1) for b in (0, 1) for c in (0, 1) for s in (0, 1)
    ]  # fmt: skip
    results = made(tmp_path, cells)
    figures = drawn(results)
    assert "heatmap.png" not in figures
    panels = {axes.get_xlabel(): axes for axes in figures["main_effects.png"].axes}
    for key, effect in (("a", 0.1), ("b", 0.2), ("c", 0.4)):
        (means,) = [line for line in panels[key].lines if line.get_label() == "mean"]
        low, high = means.get_ydata()
        assert high - low == pytest.approx(effect)
        assert (low + high) / 2 == pytest.approx(0.41)
    # over the four combinations of the others (0, 0.2, 0.4, 0.6), not over eight runs:
    # t(0.975, 3) = 3.18245, standard deviation 0.258199
    among = [cell for cell in results.kept if cell.value("a") == "0"]
    values = drawing.combinations(among, ["a", "b", "c"], "val_acc")
    half = drawing._point(values, values).half
    assert half == pytest.approx(3.18245 * 0.258199 / 2, rel=1e-4)
    assert not [name for name in figures if name.startswith("axis_")], "the same numbers again"


def test_seeds_alone_are_a_strip(tmp_path) -> None:
    figures = drawn(made(tmp_path, [([f"seed={s}"], 0.5 + 0.1 * s) for s in range(3)]))
    assert set(figures) == {"axis_seed.png"}
    dots = [line for line in figures["axis_seed.png"].axes[0].lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in dots] == [
        pytest.approx([0.5, 0.6, 0.7]), pytest.approx([0.49, 0.59, 0.69]),
    ]  # fmt: skip


def test_the_curves_of_the_best_rows(tmp_path) -> None:
    """Of each row the run in the middle; a row without epochs has none."""
    cells = [
        ([f"lr={lr}", f"seed={s}"], 0.1 * lr + 0.01 * s) for lr in range(1, 10) for s in (0, 1, 2)
    ]
    results = made(tmp_path, cells)
    for run in results.kept[3:]:
        rows = "epoch,train_loss,train_acc,val_loss,val_acc\n1,2,0.1,2,0.2\n2,1,0.2,1,0.3\n"
        (run.folder / "metrics.csv").write_text(rows)
    (curves,) = [d for d in drawing.figures(collect(tmp_path)) if d.name == "curves.png"]
    names = [text.get_text() for text in curves.figure.legends[0].get_texts()]
    assert names[:7] == [f"{lr}, seed 1" for lr in range(9, 2, -1)]
    assert curves.caption == (
        "Loss and accuracy over the epochs: the 7 best by validation of all 8 rows, the middle run "
        "of each."
    )


def test_one_cell_has_none(tmp_path) -> None:
    assert drawn(made(tmp_path, [(["seed=0"], 0.5)])) == {}


def test_the_setting_that_most_cells_have_is_drawn(tmp_path) -> None:
    for i, (lr, size, acc) in enumerate([(1, 1, 0.1), (1, 2, 0.5), (2, 2, 0.6)]):
        finished(tmp_path / str(i), [f"lr={lr}"], acc, {"val_size": size})
    results = collect(tmp_path)
    assert results.untyped == [["val_size"]]
    assert [cell.name for cell in drawing.setting(results)] == ["1", "2"]
    figure = drawn(results)["axis_lr.png"]
    assert figure.get_suptitle() == "only val_size=2"


def test_two_runs_have_no_interval_and_three_have(tmp_path) -> None:
    cells = [([f"lr={lr}", f"seed={s}"], 0.5 + 0.1 * s) for lr in (1, 2) for s in range(1 + lr)]
    (axes,) = drawn(made(tmp_path, cells))["axis_lr.png"].axes
    bars = [line for line in axes.lines if line.get_gid() == "interval"]
    assert {line.get_xdata()[0] for line in bars} == {2.0}
