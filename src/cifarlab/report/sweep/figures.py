"""The figures of a sweep, from its results."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from cifarlab.figures import axis, charts, effects, heatmap, pareto, search
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Curve, overlay
from cifarlab.report.document import Picture
from cifarlab.report.pictures import Drawn, save_all
from cifarlab.report.sweep.results import REPLICATES, Results, brief
from cifarlab.report.sweep.search import importances, last_accuracy
from cifarlab.stats.intervals import LEAST, NAN, mean_interval
from cifarlab.store.run import ABSENT, Run

Chart = charts.Chart
_ACCURACIES = {"validation": "val_acc", "test": "test_acc"}
_MOST_CURVES = 7  # colours that can be told apart
_OURS = (
    "curves.png",
    "axis_*.png",
    "heatmap.png",
    "main_effects.png",
    "pareto_*.png",
    "search_*.png",
)


def draw_all(results: Results) -> list[Picture]:
    """Draw the figures into the sweep's folder ``figures``, remove those of an earlier call, and
    return them for a page."""
    folder = results.sweep.folder
    drawn = search_figures(results) if results.sweep.is_search else figures(results)
    made = save_all(drawn, folder)
    names = {f"{picture.name}.png" for picture in made}
    for pattern in _OURS:
        for path in (folder / "figures").glob(pattern):
            if path.name not in names:
                path.unlink()
    return made


def figures(results: Results) -> Iterator[Drawn]:
    """The figures, one after another. With more than two axes the main effects stand for each axis
    by itself.

    If cells differ in keys that nobody typed, the figures show one setting of these: see
    ``setting``.
    """
    cells = setting(results)
    keys = [key for key in results.swept if key not in REPLICATES]
    levels = {key: _levels(key, results.sweep.runs, cells) for key in keys}
    levels = {key: found for key, found in levels.items() if len(found) > 1}
    note = _note(results, cells)
    for key in levels if len(levels) <= 2 else ():
        yield _axis(key, levels, cells, note)
    if not levels and len(cells) > 1:
        key = next((key for key in results.swept if key in REPLICATES), "seed")
        values = {name: [c.measure(acc) for c in cells] for name, acc in _ACCURACIES.items()}
        names = [f"{key}={cell.value(key)}" for cell in cells]
        caption = f"Runs that differ in {key} alone; a line joins the accuracies of a run."
        yield Drawn(f"axis_{_file(key)}.png", caption, axis.strip(values, names, note))
    if len(levels) == 2:
        yield _heatmap(levels, cells)
    if len(levels) > 2:
        yield _effects(levels, cells, note)
    if levels:
        yield from _pareto(list(levels), cells)
    yield from _curves(results, cells)


def search_figures(results: Results) -> Iterator[Drawn]:
    """The same for a search: for the study of Optuna's that the newest cell belongs to."""
    study = max(results.kept, key=lambda cell: cell.written).name.rpartition("_")[2]
    cells = [cell for cell in results.sweep.runs if cell.name.endswith(f"_{study}")]
    begun = [cell for cell in cells if cell.status != "missing"]
    pruned = [cell.status == "pruned" for cell in begun]
    accuracies = [last_accuracy(cell) for cell in begun]
    yield Drawn(
        "search_history.png",
        "Validation accuracy of the cells in their order, and the best so far.",
        search.history(accuracies, pruned),
        [_history(begun, accuracies, pruned)] if any(map(math.isfinite, accuracies)) else (),
    )
    finished = [cell for cell in cells if cell.record]
    keys = [key for key in results.swept if len({cell.value(key) for cell in finished}) > 1]
    if keys:
        values = {key: [cell.value(key) for cell in finished] for key in keys}
        yield Drawn(
            "search_slices.png",
            "Validation accuracy of the finished cells, and their values of each key.",
            search.slices(values, [c.measure("val_acc") for c in finished]),
            [_parallel(keys, finished)] if len(finished) > 1 else (),
        )
    shares = importances(results.sweep.folder, study) if len(finished) >= 4 else {}
    if len(shares) > 1:  # a single key has all of it
        stopped = len(begun) - len(finished)
        caption = (
            "How much of the spread between good and bad cells goes with each key, by the "
            f"{len(finished)} finished cells"
        ) + (f"; {stopped} others are left out." if stopped else ".")
        yield Drawn("search_importance.png", caption, search.importance(shares))
    yield from _curves(results, finished)


def setting(results: Results) -> list[Run]:
    """The finished cells to draw, where some differ in keys that nobody typed.

    They are those with the setting of these keys that most cells have; among equals, the newest. In
    the other cells something differs that was not meant to be compared.
    """
    by: dict[tuple, list[Run]] = defaultdict(list)
    for cell in results.kept:
        by[tuple(cell.value(key) for key in results.extra)].append(cell)
    return max(by.values(), key=lambda cells: (len(cells), max(cell.written for cell in cells)))


def estimate(cells: Sequence[Run], keys: Sequence[str], name: str) -> Point:
    """The accuracy ``name`` of ``cells``: the mean, its 95 % interval, and each cell's.

    Cells with the same values of ``keys`` are repetitions, and the interval is over them. If there
    are several combinations of values, it is over their means: more seeds are no more combinations.
    """
    runs = [cell.measure(name) for cell in cells]
    combined = combinations(cells, keys, name)
    return _point(runs if len(combined) == 1 else combined, runs)


def _point(values: Sequence[float], runs: Sequence[float]) -> Point:
    """The mean of the values, with its interval from ``LEAST`` of them on."""
    mean, _, half = mean_interval(values)
    return Point(mean, half if len(values) >= LEAST else NAN, runs)


def combinations(cells: Sequence[Run], keys: Sequence[str], name: str) -> list[float]:
    """The accuracy ``name`` for each combination of values of ``keys``, the mean of its cells."""
    by: dict[tuple, list[float]] = defaultdict(list)
    for cell in cells:
        by[tuple(cell.value(key) for key in keys)].append(cell.measure(name))
    return [mean_interval(values)[0] for values in by.values()]


def _axis(key: str, levels: dict[str, list[str]], cells: Sequence[Run], note: str) -> Drawn:
    keys, name = list(levels), f"axis_{_file(key)}.png"
    intervals = f"lines: 95 % intervals, of {LEAST} runs or more; small marks: single runs"

    def points(acc: str, among: Sequence[Run]) -> list[Point]:
        members = [[c for c in among if c.value(key) == level] for level in levels[key]]
        empty = Point(math.nan, math.nan, [])
        return [estimate(found, keys, acc) if found else empty for found in members]

    if len(keys) == 2:
        (other,) = [k for k in keys if k != key]
        panels = {
            name: {
                level: points(acc, [cell for cell in cells if cell.value(other) == level])
                for level in levels[other]
            }
            for name, acc in _ACCURACIES.items()
        }
        figure = axis.draw(key, levels[key], panels, legend=other, title=note)
        caption = f"Mean accuracy over {key}, a series for each {other}; {intervals}."
    else:
        panels = {"": {split: points(acc, cells) for split, acc in _ACCURACIES.items()}}
        figure = axis.draw(key, levels[key], panels, title=note)
        caption = f"Mean accuracy over {key}; {intervals}."
    return Drawn(name, caption, figure, charts.levels(key, levels[key], panels))


def _heatmap(levels: dict[str, list[str]], cells: Sequence[Run]) -> Drawn:
    (row_key, rows), (column_key, columns) = levels.items()
    means = np.full((len(rows), len(columns)), math.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            found = [c for c in cells if (c.value(row_key), c.value(column_key)) == (row, column)]
            if found:
                means[i, j] = mean_interval([cell.measure("val_acc") for cell in found])[0]
    of = means, rows, columns, row_key, column_key
    caption = "Mean validation accuracy, in per cent."
    return Drawn("heatmap.png", caption, heatmap.draw(*of), [charts.heatmap(*of)])


def _effects(levels: dict[str, list[str]], cells: Sequence[Run], note: str) -> Drawn:
    keys = list(levels)
    factors: dict[str, dict[str, Point]] = {}
    for key, names in levels.items():
        factors[key] = {}
        for name in names:
            values = combinations([c for c in cells if c.value(key) == name], keys, "val_acc")
            factors[key][name] = _point(values, values)
    there = len(combinations(cells, keys, "val_acc"))
    of = math.prod(map(len, levels.values()))
    gaps = f"{there} of {of} combinations: levels are not quite comparable" if there < of else ""
    caption = (
        "Mean validation accuracy at each level over all combinations of the others, which are the "
        f"dots; bars: 95 % intervals over {LEAST} of them or more; dashed: the mean of all."
    )
    figure = effects.draw(factors, "; ".join(filter(None, [gaps, note])))
    return Drawn("main_effects.png", caption, figure, [_parallel(keys, cells)])


def _history(cells: Sequence[Run], accuracies: Sequence[float], pruned: Sequence[bool]) -> Chart:
    labels = [f"{cell.name}: {_typed(cell)}" for cell in cells]
    return charts.history(accuracies, pruned, labels)


def _parallel(keys: Sequence[str], cells: Sequence[Run]) -> Chart:
    values = {key: [brief(cell.value(key)) for cell in cells] for key in keys}
    names = [f"{cell.name}, seed {cell.result.seed}" for cell in cells]
    return charts.parallel(values, [cell.measure("val_acc") for cell in cells], names)


def _typed(cell: Run) -> str:
    return " ".join(f"{key}={brief(value)}" for key, value in cell.typed.items())


def _pareto(keys: Sequence[str], cells: Sequence[Run]) -> Iterator[Drawn]:
    by: dict[tuple, list[Run]] = defaultdict(list)
    for cell in cells:
        by[tuple(cell.value(key) for key in keys)].append(cell)
    accuracies = [mean_interval([c.measure("val_acc") for c in found])[0] for found in by.values()]
    labels = [" ".join(value for value in values if value != ABSENT) for values in by]
    records = [[cell.record for cell in found if cell.record] for found in by.values()]
    times = [mean_interval([r.time["fit_s"] for r in members])[0] for members in records]
    params = [float(members[0].num_params) for members in records]
    for name, words, costs, cost in (
        ("time", "training time", times, "training time (s), validation included"),
        ("params", "parameters", params, "parameters"),
    ):
        if 0 < min(costs) < max(costs):  # of one cost there is nothing to choose
            yield Drawn(
                f"pareto_{name}.png",
                f"What accuracy costs in {words}; the line: the best that each cost buys.",
                pareto.draw(costs, accuracies, labels, cost),
                [charts.pareto(costs, accuracies, labels, cost)],
            )


def _curves(results: Results, cells: Sequence[Run]) -> Iterator[Drawn]:
    """The curves of the best rows of a sweep, of each the run in the middle by validation, or of
    the best cells of a search."""
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for cell in cells:
        if cell.epochs:
            groups[results.group(cell)].append(cell)
    middle = []
    for members in groups.values():
        ranked = sorted(members, key=lambda cell: cell.measure("val_acc"))
        mean = mean_interval([cell.measure("val_acc") for cell in members])[0]
        middle.append((mean, ranked[len(ranked) // 2]))
    middle.sort(key=lambda item: item[0], reverse=True)
    best = [cell for _, cell in middle[:_MOST_CURVES]]
    if len(best) < 2:
        return
    shown = {_label(results, cell): Curve(cell.columns, cell.result.best_epoch) for cell in best}
    of = "all" if len(best) == len(middle) else f"the {len(best)} best by validation of all"
    caption = f"Loss and accuracy over the epochs: {of} {len(middle)} rows"
    caption += ", the middle run of each." if len(cells) > len(middle) else "."
    yield Drawn("curves.png", caption, overlay(shown), charts.overlay(shown))


def _label(results: Results, cell: Run) -> str:
    values = " ".join(brief(value) for value in results.group(cell) if value != ABSENT)
    if results.sweep.is_search:
        return f"{cell.name.partition('_')[0]}: {values}"
    return f"{values}, seed {cell.result.seed}" if values else f"seed {cell.result.seed}"


def _levels(key: str, planned: Sequence[Run], cells: Sequence[Run]) -> list[str]:
    """The values of ``key`` in ``cells``: numbers by size, others in the order of the plan."""
    there = Counter(cell.value(key) for cell in cells)
    found = [value for value in dict.fromkeys(cell.value(key) for cell in planned) if there[value]]
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def _note(results: Results, cells: Sequence[Run]) -> str:
    if not results.extra:
        return ""
    shown = [f"{keys[0]}={cells[0].value(keys[0])}" for keys in results.untyped]
    return f"only {', '.join(shown)}"


def _file(key: str) -> str:
    return re.sub(r"[^\w.-]+", "-", key)
