"""Two sides compared, in configuration and results: ``compare.html``, ``.md``, ``.json`` and
``.png``."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from cifarlab.base.errors import UserError
from cifarlab.report.compare import sentences
from cifarlab.report.compare.differences import SPLITS, Comparison, compare, match
from cifarlab.report.compare.selection import Side, check_comparable
from cifarlab.report.compare.tables import Changed, blocks, sides
from cifarlab.report.document import Block, Heading, Text, markdown, write_document
from cifarlab.report.facts import provenance
from cifarlab.report.pictures import save_all
from cifarlab.report.sweep.results import REPLICATES
from cifarlab.report.tables import listed
from cifarlab.stats.intervals import LEVEL
from cifarlab.store.configs import leaves, untyped
from cifarlab.store.files import write_atomic
from cifarlab.store.record import NEUTRAL_KEYS, short_name


def write_comparison(a: Side, b: Side, folder: Path, width: float) -> str:
    """Compare two sides, write ``compare.html``, ``.md``, ``.json`` and, if there is an interval to
    draw, ``.png``; return the text
    to show.

    folder: to write into.
    width: half the width that the interval of an accuracy should reach, a fraction.

    Raises ``UserError`` if the sides cannot be compared.
    """
    if both := {c.folder for c in a.runs.values()} & {c.folder for c in b.runs.values()}:
        raise UserError(f"a and b: {min(both)} is on both sides; choose by where_a and where_b")
    check_comparable(a, b)
    comparison = compare(match(a, b), width)
    changed = configuration(a, b)
    lines, notes = sentences.verdict(comparison, width), remarks(a, b, comparison)
    said: list[Block] = [Heading("Verdict"), *map(Text, [*lines, *notes])]
    found, drawing = blocks(changed, comparison), list[Block]()
    folder.mkdir(parents=True, exist_ok=True)
    from cifarlab.report.compare.drawing import draw  # matplotlib takes a second to import

    about = provenance([*comparison.matching.a, *comparison.matching.b])
    if (drawn := draw(comparison)) is not None:
        drawing += save_all([drawn], folder, below="")
    page = [sides(a, b), *said, *drawing, *found, *about]
    written = write_document(folder, "a and b compared", page, "compare")
    document = _document(a, b, comparison) | {
        "configuration": [change._asdict() for change in changed[0]],
        "verdict": lines,
        "notes": notes,
    }
    write_atomic(folder / "compare.json", json.dumps(_plain(document), indent=1) + "\n")
    # a terminal is read from its end
    return f"{markdown([sides(a, b), *found, *said])}\n{written}"


def folder_name(a: Side, b: Side) -> str:
    """A name for the folder of a comparison; the same command always gets the same."""
    return short_name("_vs_".join(_short(side.asked) for side in (a, b)))


def configuration(a: Side, b: Side) -> tuple[list[Changed], list[str]]:
    """The keys that differ between the configurations, and those that follow from these.

    Seeds, folds and keys that change no result are left out.
    """
    runs = [*a.runs.values(), *b.runs.values()]
    first, second = runs[0], runs[len(a.runs)]
    keys = dict.fromkeys(key for run in runs for key in run.typed if key not in NEUTRAL_KEYS)
    typed = [k for k in keys if k not in REPLICATES and first.value(k) != second.value(k)]
    known = [*typed, *REPLICATES]
    values = [{key: run.value(key) for key in known} for run in runs]
    extra = [
        key for key in untyped(known, values, [run.config or {} for run in runs])
        if key not in keys and first.value(key) != second.value(key)
    ]  # fmt: skip
    rows = [Changed(k, first.value(k), second.value(k), k in typed) for k in [*typed, *extra]]
    one, other = (dict(leaves(run.config or {})) for run in (first, second))
    differ = [k for k in {**one, **other} if one.get(k) != other.get(k)]
    told = {*typed, *extra, "seed", "data.seed", "data.fold"}
    above = tuple(f"{key}." for key in {*told, *differ})
    return rows, [key for key in differ if key not in told and not key.startswith(above)]


def remarks(a: Side, b: Side, comparison: Comparison) -> list[str]:
    """Sentences about the runs that a reader must know, such as which of them were left out."""
    notes = []
    runs = [*comparison.matching.a, *comparison.matching.b]
    used = [(run.folder, run.record) for run in runs]
    if often := [f"{path} ({r.test_reads} times)" for path, r in used if r and r.test_reads > 1]:
        notes.append(f"The test set was read more than once for {listed(often, 5)}.")
    taught = {r.teacher["run"]: set[str]() for _, r in used if r and r.teacher}
    for _, record in used:
        if record and record.teacher:
            taught[record.teacher["run"]].add(record.teacher["weights_sha256"])
    if changed := [name for name, weights in taught.items() if len(weights) > 1]:
        notes.append(f"Not all were taught by the same weights of {listed(changed, 5)}.")
    if unused := comparison.matching.unused:
        notes.append(f"Not used, their seed is on one side only: {listed(unused, 5)}.")
    if left_out := [*a.left_out, *b.left_out]:
        notes.append(f"Not used, a newer run has the same seed: {listed(left_out, 5)}.")
    if damaged := [*a.damaged, *b.damaged]:
        notes.append(f"Not used, damaged: {'; '.join(damaged)}.")
    if missing := [split for split in SPLITS if split not in comparison.classes]:
        notes.append(
            f"Nothing over images and classes for {' and '.join(missing)}: predictions.npz is "
            "missing, or folds validated on different images."
        )
    splits = {(c.value("data.fold"), c.record.data["split_hash"]) for c in runs if c.record}
    if len(splits) > len({fold for fold, _ in splits}):
        notes.append("They trained on different images and were validated on the same.")
    return notes


def _document(a: Side, b: Side, comparison: Comparison) -> dict[str, Any]:
    def side(which: Side) -> dict[str, Any]:
        return {"asked": which.asked, "runs": [str(c.folder) for c in which.runs.values()]}

    def group(found: dict[str, list]) -> dict[str, list]:
        return {split: [dataclasses.asdict(x) for x in each] for split, each in found.items()}

    return {
        "schema": 1,
        "a": side(a),
        "b": side(b),
        "how": comparison.matching.how,
        "level": LEVEL,
        "metrics": {m: dataclasses.asdict(d) for m, d in comparison.metrics.items()},
        "classes": group(comparison.classes),
        "alone": group(comparison.alone),
    }


def _plain(value: Any) -> Any:
    """A value for JSON: with ``None`` for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(asked: str) -> str:
    last = " ".join(Path(word).name for word in asked.split(" ") if word != "where")
    return re.sub(r"[^\w.+-]+", "-", last).strip("-.")
