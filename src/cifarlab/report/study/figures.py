"""The figures of a study, from its runs."""

from collections.abc import Iterator, Sequence

from cifarlab.figures import charts, ladder, rows, swept
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Curve, Figure
from cifarlab.figures.forest import Mark, Row
from cifarlab.figures.rows import Pair
from cifarlab.report.pictures import Drawn
from cifarlab.report.study.nets import pictures
from cifarlab.report.study.results import Line, StudyResults
from cifarlab.report.study.verdicts import difference, estimate
from cifarlab.stats.intervals import mean_interval
from cifarlab.stats.quantities import quantity
from cifarlab.store.run import Run
from cifarlab.studies.schema import Step

_PANELS = ("peak_val_acc", "val_acc", "test_acc", "train_acc")  # shown where somebody reports them
_WORDS = {"val_acc": "validation", "peak_val_acc": "validation, highest", "test_acc": "test"}


def figures(results: StudyResults) -> Iterator[Drawn]:
    """The figures, one after another. Only what there are runs for is drawn."""
    lines, note = results.measured, results.mark
    if not lines:
        return
    names = _reported(results) or ["val_acc", "test_acc"]
    panels = {quantity(n).label: [pair(line, n) for line in results.lines] for n in names}
    shown = [line.label for line in results.lines]
    yield from _ladder(results)
    caption = "Ours: means with 95 % intervals; small marks: single runs."
    if _reported(results):
        caption += " Diamonds: the report's figures; triangles: at least, or at most that."
    charts_ = charts.beside_reported(shown, panels)
    yield Drawn("reported.png", caption, rows.beside_reported(shown, panels, note), charts_)
    axis = results.study.axis
    if axis is not None and any(line.row.id in axis.values for line in lines):
        yield Drawn("swept.png", f"Accuracy over {axis.name}.", _swept(results, names))
    train, test = ([_mean(line, f"{split}_acc") for line in lines] for split in ("train", "test"))
    caption = "The gap: accuracy on training and on test images, same weights, no augmentation."
    of = [line.label for line in lines], train, test
    yield Drawn("gaps.png", caption, rows.gaps(*of, note), [charts.gaps(*of)])
    drawn = {line.label: _curves(line.runs) for line in lines if not line.row.like}
    drawn = {name: runs for name, runs in drawn.items() if runs}
    if drawn:
        caption = "Accuracy over the epochs, one line a run; markers: best epochs."
        charts_ = charts.over_epochs(drawn, "acc")
        yield Drawn("curves_acc.png", caption, rows.curves(drawn, "acc", note), charts_)
        caption = "Loss over the epochs. Training's is the mean while it ran, with augmentation on."
        charts_ = charts.over_epochs(drawn, "loss")
        yield Drawn("curves_loss.png", caption, rows.curves(drawn, "loss", note), charts_)
    yield from pictures(results)


def _ladder(results: StudyResults) -> Iterator[Drawn]:
    """The figures of a ladder, of the first setting if several were swept."""
    runs = results.of(results.settings[0])
    added = [s for s in results.study.steps if not s.removed]
    steps = [(s.ingredient, _difference(s, runs)) for s in added]
    if steps and runs.get(added[0].against) and all(point for _, point in steps):
        start = mean_interval([run.measure("val_acc") for run in runs[added[0].against]])[0]
        done = [(name, point) for name, point in steps if point]
        caption = "One ingredient more in each bar; 95 % intervals of the difference to the last."
        figure = ladder.waterfall(start, done, results.mark)
        yield Drawn("waterfall.png", caption, figure, [charts.waterfall(start, done)])
    removed = [s for s in results.study.steps if s.removed]
    left = [(s.ingredient, point) for s in removed if (point := _difference(s, runs))]
    if left:
        caption = "Each ingredient left out of the whole: difference to the whole, 95 % interval."
        yield Drawn(
            "left_out.png", caption, ladder.differences(left, results.mark), _left_out(left)
        )


def _left_out(steps: ladder.Steps) -> list[charts.Chart]:
    marks = [
        Row(name, {"validation": Mark(point.mean, *point.ends, point.half < abs(point.mean))})
        for name, point in steps
    ]
    return charts.differences({"": marks}, "change when it is left out (points)")


def _difference(step: Step, runs: dict[str, tuple[Run, ...]]) -> Point | None:
    a, b = runs.get(step.row, ()), runs.get(step.against, ())
    found = difference(a, b, "val_acc")
    if found is None:
        return None
    before = {run.replicate: run.measure("val_acc") for run in b}
    single = [r.measure("val_acc") - before[r.replicate] for r in a if r.replicate in before]
    return Point(found.value, found.half, single)


def _reported(results: StudyResults) -> list[str]:
    names = {figure.quantity.name for row in results.study.rows for figure in row.reported}
    return [name for name in _PANELS if name in names]


def pair(line: Line, name: str) -> Pair:
    """Ours and the reported figure of a row for a quantity."""
    found = [r for r in line.row.reported if r.quantity.name == name]
    ends = (found[0].low, found[0].high) if found else None
    return Pair(_point(line, name), ends)


def _point(line: Line, name: str) -> Point | None:
    values = [value for run in line.runs if (value := run.measure(name)) == value]
    found = estimate(values)
    return Point(found.value, found.half, values) if found else None


def _mean(line: Line, name: str) -> float:
    return mean_interval([run.measure(name) for run in line.runs])[0]


def _swept(results: StudyResults, names: Sequence[str]) -> Figure:
    axis = results.study.axis
    assert axis is not None
    ours: dict[str, dict[float, Point]] = {}
    reported: dict[str, dict[float, float]] = {}
    many = len(results.settings) > 1
    for name in dict.fromkeys(["val_acc", *names]):
        if name not in _WORDS:
            continue
        for line in results.lines:
            if line.row.id not in axis.values:
                continue
            x, words = axis.values[line.row.id], _WORDS[name]
            if (point := _point(line, name)) is not None:
                series = f"{words}, {line.setting}" if many else words
                ours.setdefault(series, {})[x] = point
            both = pair(line, name)
            if both.reported and both.reported[0] == both.reported[1]:
                reported.setdefault(words, {})[x] = both.reported[0]
    return swept.draw(axis.name, ours, reported, results.mark)


def _curves(runs: Sequence[Run]) -> list[Curve]:
    """Of the runs of more than one epoch: one is no curve."""
    return [Curve(run.columns, run.result.best_epoch) for run in runs if len(run.epochs) > 1]
