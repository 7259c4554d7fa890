"""Loss against a learning rate that rises from step to step."""

from collections.abc import Sequence

from cifarlab.figures.style import TRAINING, Figure, log_axis


def draw(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggested: float | None,
) -> Figure:
    """One panel.

    Args:
        rates: learning rates, one a step, rising.
        losses, smoothed: training loss at each (nats). Losses far above where it began, where
            training breaks down, are out of the picture.
        suggested: marked; ``None`` marks nothing.
    """
    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axes = figure.subplots()
    log_axis(axes)
    axes.plot(rates, losses, ".", color="0.7", ms=3, label="one step")
    axes.plot(rates, smoothed, color=TRAINING, label="smoothed")
    if suggested is not None:
        axes.axvline(suggested, color="0.4", lw=1, ls=":", label=f"optimizer.lr={suggested:.3g}")
    lowest, first = min(smoothed), smoothed[0]
    margin = max(0.3 * (first - lowest), 0.05 * first)
    axes.set_ylim(lowest - margin, first + margin)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training cross-entropy (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(  # above, off the points
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=8.5
    )
    return figure
