"""The report of a folder, ``report.md`` and ``report.html``: of a run, a sweep or a study."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from cifarlab.base.durations import duration, times
from cifarlab.base.errors import UserError
from cifarlab.report.document import (
    Block,
    Code,
    Grid,
    Heading,
    Text,
    write_page,
)
from cifarlab.report.facts import provenance
from cifarlab.report.index import indexed, write_index
from cifarlab.report.sweep.page import write_results, write_sweep
from cifarlab.report.sweep.results import collect
from cifarlab.report.tables import Table
from cifarlab.stats.quantities import BALANCED, BALANCED_LABEL, METRICS
from cifarlab.store.record import RunRecord, is_finished
from cifarlab.store.run import Run
from cifarlab.store.sweep import is_study, is_sweep
from cifarlab.studies.schema import Study

_SPLITS = ("train", "val", "test")


def write_report(folder: Path, known: Sequence[Study] = (), words: str = "") -> str:
    """Write the report of a folder into it and return the text to show.

    For a sweep or a study this also writes, at any time, what is written at its end. For a folder
    with such folders below it writes an index.

    known: all studies that there are: the index has their rows, too, if nothing has been run yet.
    words: the page in words that an index links to; empty: the one beside it, if there is one.

    Raises ``UserError`` if ``folder`` is none of these.
    """
    if is_finished(folder):
        return write_run(folder)
    if is_study(folder):
        return write_results(folder)
    if is_sweep(folder):
        return write_sweep(collect(folder))
    if indexed(folder):
        return write_index(folder, known, words)
    raise UserError(
        f"path={folder}: neither a finished run nor a sweep, nor are there any below it"
    )


def write_run(folder: Path) -> str:
    """Write the report of a finished run, with its evaluation; return the text to show."""
    run = Run.finished(folder)
    return write_page(folder, run.result.title, _run(run))


def _run(run: Run) -> list[Block]:
    record = run.result
    return [
        *provenance([run]),
        Grid.of(results(record)),
        *_evaluation(run),
        Heading("The run"),
        Grid.of(_facts(record), words=(1,)),
        Heading("Again"),
        Code([shlex.join(_command(record))]),
    ]


def _evaluation(run: Run) -> list[Block]:
    """Write the sheet of the evaluation and return its blocks; one line if a file is missing."""
    from cifarlab.report import evaluation  # matplotlib takes a second to import

    try:
        return evaluation.blocks(run, *evaluation.write_sheet(run))
    except UserError as error:
        return [Heading("Evaluation"), Text(str(error))]


def results(record: RunRecord) -> Table:
    """Of each split what was measured, with test-time augmentation too where it was asked for."""
    measured = dict(record.metrics)
    if record.tta:
        measured |= {f"{s}, tta={record.tta['views']}": record.tta[s] for s in ("val", "test")}
    more = [name for name in record.metrics["test"] if name not in METRICS]
    rows = [
        (
            name,
            *(m.short(values.get(m.name, math.nan)) for m in METRICS.values()),
            *(_more(key, values.get(key, math.nan)) for key in more),
        )
        for name, values in measured.items()
    ]
    labels = (BALANCED_LABEL if name == BALANCED else name for name in more)
    return [("", *(m.label for m in METRICS.values()), *labels), *rows]


def _more(name: str, value: float) -> str:
    """A value of what not every run has."""
    if math.isnan(value):
        return "-"
    return f"{value:.2%}" if name == BALANCED else f"{value:.4f}"


def _facts(record: RunRecord) -> Table:
    data, hardware, speed = record.data, record.hardware, record.time["images_per_s"]
    epochs = f"{record.epochs_run}, best {record.best_epoch} ({record.status})"
    return [
        ("", ""),
        ("parameters", f"{record.num_params:,}"),
        ("multiply-accumulates an image", f"{record.macs:,}"),
        ("train, val, test images", ", ".join(f"{data[f'num_{s}']:,}" for s in _SPLITS)),
        *([("data", data["layout"])] if data.get("layout") else []),
        ("split", data["split_hash"]),
        *([] if record.members else [("epochs", epochs)]),
        ("training time", f"{duration(record.time['fit_s'])}, {speed:,.0f} images/s"),
        ("hardware", f"{hardware['devices']} x {hardware['name']}, {hardware['precision']}"),
        ("test set read", times(record.test_reads)),
        *_teacher(record),
        *_members(record),
    ]  # fmt: skip


def _teacher(record: RunRecord) -> Table:
    if record.teacher is None:
        return []
    run, model, weights = (record.teacher[k] for k in ("run", "model", "weights_sha256"))
    return [("teacher", f"{run} ({model}, weights {weights[:8]})")]


def _members(record: RunRecord) -> Table:
    return [
        ("member", f"{m['run']} ({m['model']}, seed {m['seed']}, val {m['val_acc']:.2%})")
        for m in record.members or ()
    ]


def _command(record: RunRecord) -> list[str]:
    """What was typed to make the run."""
    if record.members:
        runs = ",".join(member["run"] for member in record.members)
        return ["python", "scripts/ensemble.py", f"runs=[{runs}]", f"name={record.name}"]
    return ["python", "train.py", *record.overrides]
