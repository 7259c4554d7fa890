"""The figures of a sweep, from its results."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from cifarlab.figures import axis, effects, heatmap, pareto, search
from cifarlab.figures.axis import Point
from cifarlab.figures.curves import Figure, save
from cifarlab.report.sweep.results import REPLICATES, Results
from cifarlab.report.sweep.search import importances, last_accuracy
from cifarlab.stats.intervals import mean_interval
from cifarlab.store.run import ABSENT, Run

_ACCURACIES = {"validation": "val_acc", "test": "test_acc"}
_OURS = ("axis_*.png", "heatmap.png", "main_effects.png", "pareto_*.png", "search_*.png")


def draw_all(results: Results) -> None:
    """Draw the figures into the sweep's folder ``figures`` and remove those of an earlier call."""
    made, folder = set(), results.sweep.folder / "figures"
    drawn = search_figures(results) if results.sweep.is_search else figures(results)
    for name, figure in drawn:
        save(figure, folder / name)
        made.add(name)
    for pattern in _OURS:
        for path in folder.glob(pattern):
            if path.name not in made:
                path.unlink()


def figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """The name of the file and the figure, one after another.

    If cells differ in keys that nobody typed, the figures show one setting of these: see
    ``setting``.
    """
    cells = setting(results)
    keys = [key for key in results.swept if key not in REPLICATES]
    levels = {key: _levels(key, results.sweep.runs, cells) for key in keys}
    levels = {key: found for key, found in levels.items() if len(found) > 1}
    note = _note(results, cells)
    for key in levels:
        yield f"axis_{_file(key)}.png", _axis(key, levels, cells, note)
    if not levels and len(cells) > 1:
        key = next((key for key in results.swept if key in REPLICATES), "seed")
        values = {name: [c.measure(acc) for c in cells] for name, acc in _ACCURACIES.items()}
        names = [f"{key}={cell.value(key)}" for cell in cells]
        yield f"axis_{_file(key)}.png", axis.strip(values, names, note)
    if len(levels) == 2:
        yield "heatmap.png", _heatmap(levels, cells)
    if len(levels) > 2:
        yield "main_effects.png", _effects(levels, cells, note)
    if levels:
        yield from _pareto(list(levels), cells)


def search_figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """The same for a search: for the study of Optuna's that the newest cell belongs to."""
    study = max(results.kept, key=lambda cell: cell.written).name.rpartition("_")[2]
    cells = [cell for cell in results.sweep.runs if cell.name.endswith(f"_{study}")]
    begun = [cell for cell in cells if cell.status != "missing"]
    pruned = [cell.status == "pruned" for cell in begun]
    yield "search_history.png", search.history([last_accuracy(c) for c in begun], pruned)
    finished = [cell for cell in cells if cell.record]
    keys = [key for key in results.swept if len({cell.value(key) for cell in finished}) > 1]
    if keys:
        values = {key: [cell.value(key) for cell in finished] for key in keys}
        yield "search_slices.png", search.slices(values, [c.measure("val_acc") for c in finished])
    if len(finished) >= 4 and (shares := importances(results.sweep.folder, study)):
        yield "search_importance.png", search.importance(shares)


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
    mean, _, half = mean_interval(runs if len(combined) == 1 else combined)
    return Point(mean, half, runs)


def combinations(cells: Sequence[Run], keys: Sequence[str], name: str) -> list[float]:
    """The accuracy ``name`` for each combination of values of ``keys``, the mean of its cells."""
    by: dict[tuple, list[float]] = defaultdict(list)
    for cell in cells:
        by[tuple(cell.value(key) for key in keys)].append(cell.measure(name))
    return [mean_interval(values)[0] for values in by.values()]


def _axis(key: str, levels: dict[str, list[str]], cells: Sequence[Run], note: str) -> Figure:
    keys = list(levels)

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
        return axis.draw(key, levels[key], panels, legend=other, title=note)
    over = f"means over {', '.join(k for k in keys if k != key)}" if len(keys) > 2 else ""
    panels = {"": {name: points(acc, cells) for name, acc in _ACCURACIES.items()}}
    return axis.draw(key, levels[key], panels, title="; ".join(filter(None, [over, note])))


def _heatmap(levels: dict[str, list[str]], cells: Sequence[Run]) -> Figure:
    (row_key, rows), (column_key, columns) = levels.items()
    means = np.full((len(rows), len(columns)), math.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            found = [c for c in cells if (c.value(row_key), c.value(column_key)) == (row, column)]
            if found:
                means[i, j] = mean_interval([cell.measure("val_acc") for cell in found])[0]
    return heatmap.draw(means, rows, columns, row_key, column_key)


def _effects(levels: dict[str, list[str]], cells: Sequence[Run], note: str) -> Figure:
    keys = list(levels)
    factors: dict[str, dict[str, Point]] = {}
    for key, names in levels.items():
        factors[key] = {}
        for name in names:
            values = combinations([c for c in cells if c.value(key) == name], keys, "val_acc")
            mean, _, half = mean_interval(values)
            factors[key][name] = Point(mean, half, values)
    there = len(combinations(cells, keys, "val_acc"))
    of = math.prod(map(len, levels.values()))
    gaps = f"{there} of {of} combinations: levels are not quite comparable" if there < of else ""
    return effects.draw(factors, "; ".join(filter(None, [gaps, note])))


def _pareto(keys: Sequence[str], cells: Sequence[Run]) -> Iterator[tuple[str, Figure]]:
    by: dict[tuple, list[Run]] = defaultdict(list)
    for cell in cells:
        by[tuple(cell.value(key) for key in keys)].append(cell)
    accuracies = [mean_interval([c.measure("val_acc") for c in found])[0] for found in by.values()]
    labels = [" ".join(value for value in values if value != ABSENT) for values in by]
    records = [[cell.record for cell in found if cell.record] for found in by.values()]
    times = [mean_interval([r.time["fit_s"] for r in members])[0] for members in records]
    params = [float(members[0].num_params) for members in records]
    for name, costs, cost in (
        ("time", times, "training time (s), validation included"),
        ("params", params, "parameters"),
    ):
        if min(costs) > 0:
            yield f"pareto_{name}.png", pareto.draw(costs, accuracies, labels, cost)


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
