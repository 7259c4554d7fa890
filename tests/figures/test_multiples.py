"""A panel a row, a line a run and split."""

from cifarlab.figures.multiples import SPLITS, small_multiples

RUN = {"epoch": [1.0, 2.0], "train_acc": [0.3, 0.5], "val_acc": [0.4, 0.45]}


def test_every_run_of_every_row_is_drawn() -> None:
    figure = small_multiples({f"row {n}": [RUN] * (n % 3 + 1) for n in range(6)})
    assert [axes.get_title() for axes in figure.axes] == [f"row {n}" for n in range(6)]
    lines = [line for axes in figure.axes for line in axes.lines]
    assert len(lines) == 2 * (1 + 2 + 3 + 1 + 2 + 3)
    for colour, name in SPLITS.values():
        drawn = [line for line in lines if line.get_color() == colour]
        key = {"training": "train_acc", "validation": "val_acc"}[name]
        assert len(drawn) == 12 and all(list(line.get_ydata()) == RUN[key] for line in drawn)
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1, "accuracies can be compared across panels"


def test_one_row_of_one_epoch() -> None:
    one = {key: values[:1] for key, values in RUN.items()}
    (axes,) = small_multiples({"row": [one]}).axes
    assert all(line.get_marker() == "." for line in axes.lines)
