"""Several runs in one report: curves over each other, a table, the images they disagree on."""

import math
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.base.durations import duration
from cifarlab.base.errors import UserError
from cifarlab.figures import charts, curves, pictures
from cifarlab.figures.curves import Curve
from cifarlab.figures.style import class_labels
from cifarlab.report.document import Block, Grid, Heading, Picture, Text, write_page
from cifarlab.report.facts import link_to, provenance, when
from cifarlab.report.images import images_of
from cifarlab.report.tables import Table
from cifarlab.stats.calibration import reliability
from cifarlab.stats.quantities import METRICS
from cifarlab.store.configs import shown
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.record import NEUTRAL_KEYS, RunRecord, short_name
from cifarlab.store.run import ABSENT, Run
from cifarlab.store.tables import write_csv

_SHOWN = 24  # images
_MOST = len(string.ascii_uppercase)


def write_comparison(folders: Sequence[Path], out: Path | None) -> str:
    """Write ``report.md``, ``report.html``, ``disagreements.csv`` and figures; return the text to
    show.

    folders: of the runs.
    out: the folder to write into; ``None``: ``outputs/compare/<the runs>``.

    Raises ``UserError`` if a run is not finished, is named twice, or has other validation or test
    images than the first one.
    """
    runs = load(folders)
    names = labels(runs)
    out = out or Path("outputs") / "compare" / default_name(folders)
    out.mkdir(parents=True, exist_ok=True)
    which = disagreements([run.answers for run in runs])
    if len(which):
        write_csv(out / "disagreements.csv", _rows(runs, which))
    else:
        (out / "disagreements.csv").unlink(missing_ok=True)
    where = [
        (name, link_to(run, str(run.folder), out), f"{run.result.seed}", when(run.written))
        for name, run in zip(names, runs, strict=True)
    ]
    images_file = out / "figures" / "disagreements.png"
    note = _draw(runs, which, images_file)
    curves_file = out / "figures" / "curves.png"
    curves_file.unlink(missing_ok=True)
    drawn: list[Block] = []
    if all(run.columns for run in runs):
        shown = {
            name: Curve(run.columns, run.result.best_epoch)
            for name, run in zip(names, runs, strict=True)
        }
        curves.save(curves.overlay(shown), curves_file)
        below = "Loss and accuracy of each epoch; validation drawn through, training dashed."
        drawn = [Picture.read(curves_file, out, below, charts.overlay(shown))]
    blocks: list[Block] = [
        *provenance(runs),
        Grid(("", "run folder", "seed", "finished"), where, words=(1,)),
        Heading("Side by side"),
        Grid.of(side_by_side(runs)),
        *drawn,
        Heading("Agreement on the test images"),
        Grid.of(agreement(runs)),
        Text(note),
        *[Picture.read(path, out) for path in [images_file] if path.is_file()],
    ]
    return write_page(out, ", ".join(names), blocks)


def load(folders: Sequence[Path]) -> list[Run]:
    """Read the runs and check that they can be compared. Raises as ``write_comparison`` does."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError(f"path: names a run twice: {', '.join(map(str, folders))}")
    if len(folders) > _MOST:
        raise UserError(f"path: {len(folders)} runs; at most {_MOST} side by side")
    runs = [Run.finished(folder) for folder in folders]
    for other in runs[1:]:
        _check_same_images(runs[0], other)
    return runs


def _check_same_images(one: Run, other: Run) -> None:
    """Raise ``UserError`` unless both runs were validated and tested on the same images; those that
    they were trained on may differ (``data.fraction``)."""
    a, b = one.result.data, other.result.data
    first, second = one.answers, other.answers
    if a["name"] != b["name"] or not first.same_test(second):
        raise UserError(
            f"{one.folder} was tested on {a['name']}, {other.folder} on "
            f"{b['name'] if a['name'] != b['name'] else 'other images of that name'}: "
            "only runs on one data set can be compared"
        )
    if a["split_hash"] != b["split_hash"] and not np.array_equal(
        first.val_indices, second.val_indices
    ):
        raise UserError(
            f"{one.folder} (split {a['split_hash']}) and {other.folder} (split {b['split_hash']}) "
            "were validated on different images: only runs of one data.split, data.val_size, "
            "data.split_seed and data.fold can be compared"
        )


def labels(runs: Sequence[Run]) -> list[str]:
    """The names of the runs in tables and figures: ``A <name>``, ``B <name>``, ..."""
    return [f"{a} {run.result.name}" for a, run in zip(string.ascii_uppercase, runs, strict=False)]


def default_name(folders: Sequence[Path]) -> str:
    """A name for the folder of a comparison, made of the last two parts of each path, so that the
    same runs always get the same one."""
    return short_name("__".join("-".join(folder.resolve().parts[-2:]) for folder in folders))


def disagreements(runs: Sequence[RunPredictions]) -> np.ndarray:
    """The positions of the test images to which the runs give different answers.

    First come those with the highest confidence, averaged over the runs.
    """
    answers = np.stack([run.test.answers for run in runs])
    differ = np.flatnonzero((answers != answers[0]).any(axis=0))
    sure = np.mean([run.test.confidence[differ] for run in runs], axis=0)
    return differ[np.argsort(-sure, kind="stable")]


def agreement(runs: Sequence[Run]) -> Table:
    """A table of how many test images are answered right by all runs, by none, or by only one, and
    how many get different answers."""
    right = np.stack([run.answers.test.is_right for run in runs])
    total, found = right.shape[1], right.sum(axis=0)
    rows = [("all right", (found == len(runs)).sum()), ("none right", (found == 0).sum())]
    rows += [
        (f"only {letter} right", (one & (found == 1)).sum())
        for letter, one in zip(string.ascii_uppercase, right, strict=False)
    ]
    if len(runs) > 2:
        rows.append(("some right, some wrong", ((found > 1) & (found < len(runs))).sum()))
    answers = np.stack([run.answers.test.answers for run in runs])
    rows.append(("not all the same answer", (answers != answers[0]).any(axis=0).sum()))
    return [("", "images", "share")] + [(name, f"{n:,}", f"{n / total:.2%}") for name, n in rows]


def side_by_side(runs: Sequence[Run]) -> Table:
    """A table with a row for each quantity, and one for each key of the configurations that
    differs."""
    table = [("", *labels(runs))]
    for metric in METRICS.values():
        for split in ("test", "val", "train"):
            values = [run.measure(f"{split}_{metric.name}") for run in runs]
            told = (ABSENT if math.isnan(value) else metric.short(value) for value in values)
            table.append((f"{split} {metric.label}", *told))
    eces = (reliability(run.answers.test).ece for run in runs)
    table.append(("test calibration error", *(f"{ece:.2%}" for ece in eces)))
    records = [run.result for run in runs]
    table += [
        ("best epoch", *(_best_epoch(r) for r in records)),
        ("parameters", *(f"{r.num_params:,}" for r in records)),
        ("million multiply-accumulates", *(f"{r.macs / 1e6:.1f}" for r in records)),
        ("training time", *(duration(r.time["fit_s"]) for r in records)),
    ]
    return [*table, *differences([run.config or {} for run in runs])]


def _best_epoch(record: RunRecord) -> str:
    return ABSENT if record.members else f"{record.best_epoch} of {record.epochs_run}"


def differences(configs: Sequence[dict[str, Any]]) -> Table:
    """A row for each key that differs between the configurations, first the options of groups.

    Left out are keys that not all configurations have, and those that repeat a key at the top.
    """
    flat = [_flat(config) for config in configs]
    rows: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for config in flat for key in config):
        values = [config.get(key, ABSENT) for config in flat]
        repeats = rows.get(key.rpartition(".")[2]) == values
        if len(set(values)) > 1 and ABSENT not in values and not repeats:
            rows[key.removeprefix("choices.")] = values
    return [(key, *values) for key, values in rows.items()]


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """The values of a configuration by dotted key, first the options of groups; without keys that
    change no result."""
    found: dict[str, str] = {}
    if not prefix:
        found |= _flat(config.get("choices", {}), "choices.")
    for key, value in config.items():
        if f"{prefix}{key}" in NEUTRAL_KEYS or key in ("_target_", "augment"):
            continue
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = shown(value)
    return found


def _rows(runs: Sequence[Run], which: np.ndarray) -> list[dict[str, Any]]:
    """The rows of ``disagreements.csv``, for the images at the positions ``which``."""
    truth, names = runs[0].answers.test.labels, runs[0].answers.classes
    rows = []
    for i in which:
        row: dict[str, Any] = {"test_image": int(i), "class": names[truth[i]]}
        for letter, run in zip(string.ascii_uppercase, runs, strict=False):
            test = run.answers.test
            row |= {letter: names[test.answers[i]], f"{letter}_conf": round(test.confidence[i], 4)}
        rows.append(row)
    return rows


def _draw(runs: Sequence[Run], which: np.ndarray, path: Path) -> str:
    """Draw the first images of ``which`` and return a sentence about the picture."""
    path.unlink(missing_ok=True)
    if not len(which):
        return "All runs answer every test image alike."
    try:
        images = images_of(runs[0])
    except UserError as error:
        return f"The images are not here: {error}. disagreements.csv lists their numbers."
    first = which[:_SHOWN]
    captions = [_caption(runs, class_labels(images.classes), i) for i in first]
    title = "answer and confidence of each run; + is right"
    curves.save(pictures.draw(images.test_images[first], captions, 8, title), path)
    return (
        f"Shown: {len(first)} of the {len(which):,} images that are not answered alike, those "
        "where the runs are surest; all are in disagreements.csv."
    )


def _caption(runs: Sequence[Run], classes: Sequence[str], i: int | np.integer) -> str:
    lines = [f"is {classes[runs[0].answers.test.labels[i]]}"]
    for letter, run in zip(string.ascii_uppercase, runs, strict=False):
        test = run.answers.test
        mark = " +" if test.is_right[i] else ""
        lines.append(f"{letter} {classes[test.answers[i]]} {test.confidence[i]:.0%}{mark}")
    return "\n".join(lines)
