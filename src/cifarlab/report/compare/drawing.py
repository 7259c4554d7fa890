"""The picture of a comparison."""

from cifarlab.figures import charts, forest
from cifarlab.figures.forest import Mark, Row
from cifarlab.figures.style import class_labels
from cifarlab.report.compare.differences import Comparison
from cifarlab.report.compare.tables import MOST_CLASSES, differing
from cifarlab.report.pictures import Drawn
from cifarlab.stats.intervals import LEVEL, Estimate

CAPTION = "Differences of accuracy, a - b, with their 95 % intervals; round: not clear of 0."
_AXIS = "difference of accuracy, a - b (percentage points)"
_NAMES = {"val": "validation", "test": "test"}
_VARY = {"seeds": "seeds vary", "images": "images vary", "together": "both vary"}


def draw(comparison: Comparison) -> Drawn | None:
    """The differences of accuracy as a forest plot: on all images, by what varies, and for each
    class. ``None`` if there is nothing to draw: two runs without predictions have no interval."""
    overall = []
    for kind, label in _VARY.items():
        marks = {}
        for split, name in _NAMES.items():
            estimate: Estimate | None = getattr(comparison.metrics[f"{split}_acc"], kind)
            if estimate is not None and estimate.low == estimate.low:
                marks[name] = _mark(estimate, estimate.decided)
        if marks:
            overall.append(Row(label, marks))
    names = [c.name for found in comparison.classes.values() for c in found]
    names = list(dict.fromkeys(names))  # of both splits, in their order
    labels = dict(zip(names, class_labels(names), strict=True))
    classes = []
    for name in differing(comparison, MOST_CLASSES):
        marks = {
            _NAMES[split]: _mark(c.difference, c.p_holm < 1 - LEVEL)
            for split, found in comparison.classes.items()
            for c in found
            if c.name == name
        }
        classes.append(Row(labels[name], marks))
    if not overall and not classes:
        return None
    vary = "images vary" if comparison.matching.how == "single" else "seeds and images vary"
    panels = {"all images": overall, f"by class, {vary}": classes}
    note = f"{100 * LEVEL:.0f} % intervals; filled: clear of 0, classes after Holm's correction"
    figure = forest.draw(panels, _AXIS, note)
    return Drawn("compare.png", CAPTION, figure, charts.differences(panels, _AXIS))


def _mark(estimate: Estimate, clear: bool) -> Mark:
    return Mark(estimate.value, estimate.low, estimate.high, clear)
