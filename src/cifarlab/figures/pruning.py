"""Accuracy over the share of weights that are 0."""

from collections.abc import Sequence

from cifarlab.figures.style import VALIDATION, Figure, accuracy_axis, percent, plain


def draw(
    amounts: Sequence[float],
    accuracies: Sequence[float],
    ends: Sequence[tuple[float, float]],
    title: str = "",
) -> Figure:
    """One line over the amounts, with what images of the same number would scatter by.

    Args:
        amounts: shares of the weights that are 0, rising; the first 0.
        accuracies: fractions, on validation images.
        ends: of the interval of each.
        title: above.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    low, high = zip(*ends, strict=True)
    axes.plot(amounts, accuracies, color=VALIDATION, marker="o", ms=4, lw=1.2)
    axes.fill_between(amounts, low, high, color=VALIDATION, alpha=0.15, lw=0)
    axes.set(xlabel="weights that are 0", ylabel="validation accuracy", title=title)
    axes.title.set_fontsize(10)
    accuracy_axis(axes, accuracies, [*low, *high])
    axes.xaxis.set_major_formatter(percent)
    plain(axes)
    return figure
