"""How nets do on corrupted images: ``robustness.csv``, ``.json``, ``.md``, ``.html`` and
``.png``."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cifarlab.base.durations import counted
from cifarlab.data.corruptions import GROUP_OF, GROUPS, SEVERITIES
from cifarlab.report.document import Block, Grid, Picture, Text, markdown, write_document
from cifarlab.report.facts import provenance
from cifarlab.report.study.page import shown_over
from cifarlab.report.study.verdicts import estimate
from cifarlab.stats.intervals import LEAST
from cifarlab.stats.quantities import QUANTITIES
from cifarlab.store.files import write_atomic
from cifarlab.store.robustness import Robustness
from cifarlab.store.run import Run
from cifarlab.store.tables import write_csv

_ACC = QUANTITIES["corrupt_acc"]
_COMPLETE = len(GROUP_OF) * len(SEVERITIES)
CAPTION = "Test accuracy over the severity, a panel for each group; 0: the images as they are."
Of = Callable[[Robustness], float]


def write_robustness(
    labels: Sequence[str],
    runs: Sequence[Run],
    found: Sequence[Robustness],
    folder: Path,
    source: Path | None = None,
) -> str:
    """Write all five files and return the table; runs of one label are averaged.

    labels, runs, found: one for each run, of the same corruptions and severities.
    source: the folder of CIFAR-10-C, if the images are from there.
    """
    by = {
        label: [each for name, each in zip(labels, found, strict=True) if name == label]
        for label in dict.fromkeys(labels)
    }
    summary: list[Block] = [Grid.of(_summary(by)), Text(_said(found[0], source), "small")]
    picture = folder / "robustness.png"
    folder.mkdir(parents=True, exist_ok=True)
    _draw(by, picture)
    rows, documents = [], []
    for label, run, each in zip(labels, runs, found, strict=True):
        common = {"label": label, "run": str(run.folder), "seed": run.result.seed}
        documents.append(
            common
            | {
                "measured": dataclasses.asdict(each),
                "mce": each.mce if _is_complete(each) else None,
            }
        )
        rows += [common | row for row in _rows(each)]
    write_csv(folder / "robustness.csv", rows)
    write_atomic(folder / "robustness.json", json.dumps(documents, indent=1) + "\n")
    drawn: list[Block] = [*summary, Grid.of(_each(by)), Picture.read(picture, folder, CAPTION)]
    page = write_document(folder, "Robustness", [*drawn, *provenance(runs)], "robustness")
    return f"{markdown(summary)}\n{page}"


def write_new_test(
    labels: Sequence[str],
    runs: Sequence[Run],
    found: Sequence[tuple[float, int]],
    source: Path,
    folder: Path,
) -> str:
    """Write accuracies on another test set, CIFAR-10.1, to ``new_test.csv`` and return the table.

    found: accuracy and number of images of each run.
    """
    rows: list[dict[str, Any]] = [
        {"label": label, "run": str(run.folder), "seed": run.result.seed, "images": count}
        | {"test_acc": run.measure("test_acc"), "new_acc": acc}
        for label, run, (acc, count) in zip(labels, runs, found, strict=True)
    ]
    table = [["", "n", "test acc %", f"{source.stem} acc %", "difference"]]
    for label in dict.fromkeys(labels):
        these = [row for row in rows if row["label"] == label]
        old, new = ([row[key] for row in these] for key in ("test_acc", "new_acc"))
        apart = [b - a for a, b in zip(old, new, strict=True)]
        shown = [shown_over(values, _ACC) for values in (old, new, apart)]
        table.append([label, str(len(these)), *shown])
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "new_test.csv", rows)
    text = f"{found[0][1]:,} images of {source.name}; test: the run's own test set."
    return f"{markdown([Grid.of(table), Text(text, 'small')])}\n{folder / 'new_test.csv'}"


def _summary(by: dict[str, list[Robustness]]) -> list[list[str]]:
    """Accuracies by group of corruptions, and the mean corruption error."""
    first = next(iter(by.values()))[0]
    groups = [group for group in GROUPS if any(GROUP_OF[name] == group for name in first.acc)]
    table = [["", "n", "clean %", *(f"{group} %" for group in groups), "corrupted %", "mCE %"]]
    for label, runs in by.items():
        of: list[Of] = [lambda run: run.clean]
        of += [lambda run, group=group: _of_group(run, group) for group in groups]  # type: ignore[misc]
        of += [lambda run: run.corrupt_acc]
        cells = [shown_over([get(run) for run in runs], _ACC) for get in of]
        error = shown_over([run.mce for run in runs], _ACC) if _is_complete(first) else "-"
        table.append([label, str(len(runs)), *cells, error])
    return table


def _each(by: dict[str, list[Robustness]]) -> list[list[str]]:
    """Of a single label the accuracies at each severity, of several their means over these."""
    first = next(iter(by.values()))[0]
    if len(by) == 1:
        (runs,) = by.values()
        table = [["corruption", "group", *map(str, first.severities), "mean"]]
        for name in first.acc:
            at = [
                shown_over([r.acc[name][i] for r in runs], _ACC)
                for i in range(len(first.severities))
            ]
            mean = shown_over([run.mean(name) for run in runs], _ACC)
            table.append([name, GROUP_OF[name], *at, mean])
        return table
    table = [["corruption", "group", *by]]
    for name in first.acc:
        means = [shown_over([run.mean(name) for run in runs], _ACC) for runs in by.values()]
        table.append([name, GROUP_OF[name], *means])
    return table


def _is_complete(measured: Robustness) -> bool:
    """Whether it is of all that a mean corruption error is of."""
    return len(measured.acc) * len(measured.severities) == _COMPLETE


def _said(first: Robustness, source: Path | None) -> str:
    """What was measured, in words."""
    at = ", ".join(map(str, first.severities))
    count = counted(len(first.acc), "corruption")
    text = f"Accuracy on {first.images:,} test images under {count} at "
    text += f"severities {at}, means over severities, then over corruptions; "
    text += "mCE: the mean corruption error, 100 less the accuracy, not divided by AlexNet's"
    text += (
        ". " if _is_complete(first) else "; it is of all fifteen corruptions at all severities. "
    )
    if source is not None:
        text += f"Images of {source.name}. "
    elif "frost" in first.acc:
        text += "Images made here; frost is drawn, a stand-in for CIFAR-10-C's photographs. "
    return f"{text}± is the 95 % interval over n seeds (Student's t), from {LEAST} on."


def _rows(found: Robustness) -> list[dict[str, Any]]:
    cells = [("clean", "", 0, found.clean)]
    for name, accs in found.acc.items():
        pairs = zip(found.severities, accs, strict=True)
        cells += [(name, GROUP_OF[name], severity, acc) for severity, acc in pairs]
    keys = ("corruption", "group", "severity", "acc")
    return [{"images": found.images} | dict(zip(keys, cell, strict=True)) for cell in cells]


def _of_group(found: Robustness, group: str) -> float:
    means = [found.mean(name) for name in found.acc if GROUP_OF[name] == group]
    return sum(means) / len(means)


def _draw(by: dict[str, list[Robustness]], path: Path) -> None:
    from cifarlab.figures import robustness as figure  # matplotlib takes a second to import
    from cifarlab.figures.axis import Point
    from cifarlab.figures.curves import save

    first = next(iter(by.values()))[0]

    def line(runs: list[Robustness], names: list[str]) -> list[Point]:
        values = [[run.clean for run in runs]]
        for i in range(len(first.severities)):
            values.append([sum(run.acc[name][i] for name in names) / len(names) for run in runs])
        return [Point(mean.value, mean.half, v) for v in values if (mean := estimate(v))]

    panels = {}
    for group in GROUPS:
        names = [name for name in first.acc if GROUP_OF[name] == group]
        if names and len(by) == 1:
            (runs,) = by.values()
            panels[group] = {name.replace("_", " "): line(runs, [name]) for name in names}
        elif names:
            panels[group] = {label: line(runs, names) for label, runs in by.items()}
    title = f"{first.images:,} test images" + (f", {next(iter(by))}" if len(by) == 1 else "")
    save(figure.draw([0, *first.severities], panels, title), path)
