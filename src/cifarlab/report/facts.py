"""What a page says of where its numbers come from: when, on what data, with which code."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from cifarlab.base.durations import counted, duration
from cifarlab.report.document import Block, Link, Text
from cifarlab.report.tables import listed
from cifarlab.store.record import RunRecord
from cifarlab.store.run import Run


def provenance(runs: Sequence[Run]) -> list[Block]:
    """A small paragraph: when the last of the runs ended, data, split, seeds, machine, versions,
    commit, how long they took together, and the overrides that all of them have. Nothing for no
    runs."""
    if not runs:
        return []
    records = [run.result for run in runs]
    splits = each(str(record.data["split_hash"])[:8] for record in records)
    seeds = each(f"{record.seed}" for record in records)
    ended = when(max(run.written for run in runs))
    text = (
        f"{ended}. {trained_on(records)} Split {splits}; {'seeds' if ',' in seeds else 'seed'} "
        f"{seeds}."
    )
    first, *others = (list(run.typed.items()) for run in runs)
    shared = [f"{key}={value}" for key, value in first if all((key, value) in o for o in others)]
    typed = f"Typed{' for all' if others else ''}: {' '.join(shared)}" if shared else ""
    return [Text(text, "small"), *([Text(typed, "small")] if typed else [])]


def trained_on(records: Sequence[RunRecord]) -> str:
    """Sentences about data, hardware, versions and the time of the runs; empty if there are
    none."""
    if not records:
        return ""
    data = each(
        f"{r.data['name']} ({r.data['num_train']:,} / {r.data['num_val']:,} / "
        f"{r.data['num_test']:,} images)"
        for r in records
    )
    machines = each(_machine(r) for r in records)
    torch = each(str(r.versions.get("torch", "?")) for r in records)
    commits = each(_commit(r) for r in records)
    total = duration(sum(r.time["fit_s"] for r in records))
    energy = [sum(r.energy.values()) for r in records if r.energy]
    total += f", {sum(energy) / 3600:,.3g} Wh" if len(energy) == len(records) else ""
    return (
        f"Data: {data}. Trained on {machines}; torch {torch}, commit {commits}; {total}"
        f"{' in all' if len(records) > 1 else ''}."
    )


def link_to(run: Run, text: str, page: Path) -> Link:
    """A link from a page in the folder ``page`` to the report of a run, or to its folder if it has
    none."""
    folder = run.folder.resolve()
    target = folder / "report.html"
    shown = target if target.is_file() else folder
    return Link(text, relative(shown, page) + ("" if shown is target else "/"))


def relative(path: Path, page: Path) -> str:
    """A path as seen from the folder of a page, also where one is not below the other."""
    import os.path

    return Path(os.path.relpath(path.resolve(), page.resolve())).as_posix()


def when(seconds: float) -> str:
    """A time, in seconds since 1970, as a date: ``2026-11-28 15:14``."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def each(values: Iterable[str]) -> str:
    """The different values, with commas between."""
    return listed(list(dict.fromkeys(values)))


def _commit(record: RunRecord) -> str:
    sha = str(record.git.get("sha") or "?")[:8]
    return f"{sha} with changes" if record.git.get("dirty") else sha


def _machine(record: RunRecord) -> str:
    hardware = record.hardware
    words = [str(hardware.get("precision", "?"))]
    if hardware.get("device") == "cpu":
        words.append(counted(hardware.get("threads", "?"), "thread"))
    return f"{hardware.get('name', '?')} ({', '.join(words)})"
