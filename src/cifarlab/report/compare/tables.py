"""The tables of a comparison."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from cifarlab.report.compare import sentences
from cifarlab.report.compare.differences import ACCURACIES, ClassDifference, Comparison, Difference
from cifarlab.report.compare.selection import Side
from cifarlab.report.document import Block, Grid, Heading, Text
from cifarlab.report.sweep.results import MEASURED
from cifarlab.report.tables import Table, listed
from cifarlab.stats.intervals import LEVEL
from cifarlab.stats.quantities import METRICS, QUANTITIES, Quantity

MOST_CLASSES = 20  # shown; compare.json has all of them
_CLASS_COLUMNS = ("a", "b", "a - b", "interval", "p")
_LEVEL = f"{100 * LEVEL:.0f} %"


class Changed(NamedTuple):
    """A key of the configuration that differs, its value in a and in b, and whether it was
    typed."""

    key: str
    a: str
    b: str
    typed: bool


def sides(a: Side, b: Side) -> Block:
    """The table of which runs are compared."""
    table = [["", "runs", "seeds", "model", "asked for"]]
    for side in (a, b):
        seeds = dict.fromkeys(str(record.seed) for record in side.records)
        model = side.records[0].model
        table.append([side.name, str(len(side.runs)), listed([*seeds]), model, side.asked])
    return Grid.of(table, words=(2, 3, 4))


def blocks(changed: tuple[list[Changed], list[str]], comparison: Comparison) -> list[Block]:
    """The blocks that say in what the configurations differ, and the results.

    changed: see ``cifarlab.report.compare.write.configuration``.
    """
    found = [*_changed(*changed), *_metrics(comparison)]
    found += _classes(comparison) if comparison.classes else []
    return found + (_alone(comparison) if any(comparison.alone.values()) else [])


def differing(comparison: Comparison, most: int) -> list[str]:
    """The names of the classes in their order; only the ``most`` that differ most if there are
    more."""
    largest: dict[str, float] = {}
    for found in comparison.classes.values():
        for c in found:
            largest[c.name] = max(largest.get(c.name, 0.0), abs(c.difference.value))
    kept = sorted(largest, key=lambda name: -largest[name])[:most]
    return [name for name in largest if name in kept]


def _changed(rows: Sequence[Changed], following: list[str]) -> list[Block]:
    found: list[Block] = [Heading("Configuration")]
    if rows:
        table = [[row.key, row.a, row.b, "yes" if row.typed else "no"] for row in rows]
        found.append(Grid(["key", "a", "b", "typed"], table, words=(1, 2, 3)))
    if following:
        found.append(Text(f"Following from these: {listed(following)}."))
    elif not rows:
        found.append(Text("The same, but for the seed."))
    return found


def _metrics(comparison: Comparison) -> list[Block]:
    table = [["", "a", "b", "a - b", "seeds vary", "p", "images vary", "both vary", "p"]]
    table += [_metric_row(name, found) for name, found in comparison.metrics.items()]
    text = f"Accuracies and their differences in %, losses in nats; {_LEVEL} intervals of a - b, "
    if comparison.matching.how == "single":
        text += "of these two nets over images."
        return [Heading("Results"), Grid.of(_without_empty(table)), Text(text)]
    text += f"where only seeds vary ({sentences.over(comparison.matching)}), only images, or both."
    accuracies = {m.removesuffix("_acc"): comparison.metrics[m] for m in ACCURACIES}
    effects = [
        f"{split} {d.effect.value:.1f} ({sentences.interval(d.effect, scale=1, digits=1)})"
        for split, d in accuracies.items()
        if not math.isnan(d.effect.value)
    ]
    if effects:
        text += " Differences of accuracy in standard deviations over seeds (Hedges' g): "
        text += f"{', '.join(effects)}."
    tested = {s: d.wilcoxon for s, d in accuracies.items() if not math.isnan(d.wilcoxon)}
    if tested:
        found = ", ".join(f"{split} {sentences.p_is(p)}" for split, p in tested.items())
        text += f" Wilcoxon's signed-rank test of the accuracies: {found}."
    return [Heading("Results"), Grid.of(_without_empty(table)), Text(text)]


def _metric_row(name: str, found: Difference) -> list[str]:
    own = Quantity(name, "", name, digits=4)
    metric = METRICS[name.partition("_")[2]] if name in MEASURED else QUANTITIES.get(name, own)
    scale, digits = 100 if metric.unit == "%" else 1, metric.digits
    values = [f"{scale * x:.{digits}f}" for x in (found.a, found.b, found.a - found.b)]
    seeds, over_images, both = (
        sentences.interval(e, scale=scale, digits=digits)
        for e in (found.seeds, found.images, found.together)
    )
    p_seeds, p_both = (sentences.p_value(e.p) if e else "" for e in (found.seeds, found.together))
    return [name.replace("_", " ", 1), *values, seeds, p_seeds, over_images, both, p_both]


def _classes(comparison: Comparison) -> list[Block]:
    """A table with a row for each class, and both splits in each row."""
    from cifarlab.figures.style import beside_labels  # matplotlib takes a second to import

    by_name: dict[str, dict[str, ClassDifference]] = {}
    for split, found in comparison.classes.items():
        for c in found:
            by_name.setdefault(c.name, {})[split] = c
    columns = [(split, what) for split in comparison.classes for what in _CLASS_COLUMNS]
    table = [["class", *map(" ".join, columns)]]
    shown = dict(zip(by_name, beside_labels([*by_name]), strict=True))
    for name in differing(comparison, MOST_CLASSES):
        cells = [_class_cells(by_name[name].get(split)) for split in comparison.classes]
        table.append([shown[name], *(cell for part in cells for cell in part)])
    vary = "images vary" if comparison.matching.how == "single" else "seeds and images vary"
    text = f"Accuracies in %; {_LEVEL} intervals where {vary}; p by Holm over the classes."
    for split, found in comparison.classes.items():
        clear = [c for c in found if c.p_holm < 1 - LEVEL]
        names = [f"{c.name} ({sentences.points(c.difference.value, 1)})" for c in clear]
        text += f" Changed on {split}: {listed(names) if names else 'none for certain'}."
    if len(by_name) > MOST_CLASSES:
        text += f" Shown are the {MOST_CLASSES} that differ most of {len(by_name)}."
    return [Heading("Classes"), Grid.of(_without_empty(table)), Text(text)]


def _class_cells(found: ClassDifference | None) -> list[str]:
    if found is None:
        return [""] * len(_CLASS_COLUMNS)
    a, b, difference = (sentences.points(x, 1) for x in (found.a, found.b, found.difference.value))
    return [
        a,
        b,
        difference,
        sentences.interval(found.difference, digits=1),
        sentences.p_value(found.p_holm),
    ]


def _alone(comparison: Comparison) -> list[Block]:
    table = [["", "seed", "both", "a alone", "b alone", "neither", "McNemar's p"]]
    for split, pairs in comparison.alone.items():
        for run, pair in zip(comparison.matching.a, pairs, strict=True):
            seed = str(run.result.seed)
            counts = [f"{n:,}" for n in (pair.both, pair.only_a, pair.only_b, pair.neither)]
            table.append([split, seed, *counts, sentences.p_value(pair.p)])
    text = "Images that both, one alone or neither gets right; p is about these nets, pair by pair."
    return [Heading("Images"), Grid.of(table), Text(text)]


def _without_empty(table: Sequence[Sequence[str]]) -> Table:
    """The table without the columns that have nothing below their header."""
    keep = [i for i in range(len(table[0])) if i == 0 or any(row[i] for row in table[1:])]
    return [[row[i] for i in keep] for row in table]
