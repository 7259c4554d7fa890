"""What there is to show: folders with runs, and the runs in them as they are at the moment.

Everything is read and nothing is written. Folders may be half written, be damaged, or vanish while
they are read: none of this is an error.
"""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cifarlab.base.durations import duration
from cifarlab.base.errors import UserError, told
from cifarlab.base.options import Monitor
from cifarlab.report.sweep.results import brief
from cifarlab.store.record import CONFIG, NEUTRAL_KEYS, RESULT, best_row
from cifarlab.store.run import FINISHED, UNFINISHED, Epochs, Run, as_typed, read_config
from cifarlab.store.sweep import Sweep, is_sweep
from cifarlab.sweep.standing import standing

_DEPTH = 3  # folders below the one to watch: outputs/sweeps/<sweep>
_MOST_KEYS = 4  # of which a run's name is made


@dataclass(frozen=True)
class Seen:
    """A run as it was when it was looked at.

    of: the name of the folder that it is shown with.
    run: what ``Run.read`` says of it.
    epochs: the rows of its ``metrics.csv``; none if the run is damaged.
    max_epochs: how many epochs it is to train; ``None`` if it is not known yet.
    monitor: by which its best epoch is chosen.
    """

    of: str
    run: Run
    epochs: Epochs
    max_epochs: int | None
    monitor: Monitor = "val/loss"

    @property
    def key(self) -> str:
        """What tells it from all others: its folder."""
        return str(self.run.folder)

    @property
    def last_epoch(self) -> int:
        """Of those in ``epochs``, counted from 1; 0 before the first."""
        return int(self.epochs[-1]["epoch"]) if self.epochs else 0

    @cached_property
    def best(self) -> Mapping[str, float] | None:
        """The best epoch so far, see ``best_row``; ``None`` before the first."""
        return best_row(self.epochs, self.monitor)

    @property
    def val_acc(self) -> float:
        """The validation accuracy of the weights that are kept, a fraction; NaN if there are
        none."""
        if self.run.record:
            return self.run.measure("val_acc")
        return self.best["val_acc"] if self.best else math.nan

    @property
    def time(self) -> str:
        """How long the training took, or about how long the rest of it will take; may be empty."""
        if self.run.record:
            return duration(self.run.record.time["fit_s"])
        if self.run.status != "running" or not self.epochs or not self.max_epochs:
            return ""
        seconds = sum(row["epoch_s"] for row in self.epochs)
        left = (self.max_epochs - self.last_epoch) * seconds / self.last_epoch
        return f"{duration(left)} left"

    @property
    def order(self) -> tuple:
        """First what is running, then what is finished, the best first, then all others."""
        status = self.run.status
        if status == "running":
            return (0,)
        if status in FINISHED:
            return 1, math.isnan(self.val_acc), -self.val_acc
        return 2, UNFINISHED.index(status), self.run.name


class Watch:
    """The runs below a folder.

    Each finished run is read once, and again only if its result was written anew.

    root: the folder; it need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._finished: dict[Path, tuple[int, Run]] = {}

    def folders(self) -> dict[str, Path]:
        """The folders with runs by their names, those where something happened last first."""
        found = sorted(_with_runs(self.root, _DEPTH), key=_changed, reverse=True)
        return {self._name(folder): folder for folder in found}

    def runs(self, names: Sequence[str]) -> list[Seen]:
        """The runs of some of ``folders``, in the order in which they are shown.

        Names of folders that are not there are ignored. Raises ``UserError`` if the plan of a sweep
        cannot be read.
        """
        there = self.folders()
        seen = []
        for name in names:
            if name in there:
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    seen += [self._seen(name, run) for run in self._read(there[name]).runs]
        return sorted(seen, key=lambda each: each.order)

    def standing(self, names: Sequence[str]) -> str:
        """Lines that say how each sweep among the folders stands; empty if there is none."""
        there = self.folders()
        lines = ((name, standing(there[name])) for name in names if name in there)
        return "\n".join(f"{name}: {said}" for name, said in lines if said)

    def _name(self, folder: Path) -> str:
        return folder.name if folder == self.root else folder.relative_to(self.root).as_posix()

    def _read(self, folder: Path) -> Sweep:
        return Sweep.read(folder, self._run)

    def _run(self, folder: Path, *plan: Any, planned: bool) -> Run:
        try:
            written = (folder / RESULT).stat().st_mtime_ns
        except OSError:
            written = 0
        known, run = self._finished.get(folder, (0, None))
        if run is None or known != written:
            run = _read(folder, *plan, planned=planned)
            if run.record:
                self._finished[folder] = written, run
        return run

    def _seen(self, name: str, run: Run) -> Seen:
        config = run.config or read_config(run.folder) or {}
        epochs = config.get("max_epochs")
        monitor: Monitor = "val/acc" if config.get("monitor") == "val/acc" else "val/loss"
        rows = [] if run.status == "damaged" else run.epochs
        return Seen(name, run, rows, epochs if isinstance(epochs, int) else None, monitor)


def names(seen: Sequence[Seen], *, values_only: bool = False) -> list[str]:
    """A short name for each run that tells it from the others.

    It has the typed values in which runs of one folder differ; else it is that of the run's folder,
    which tells when it began. If they are of several folders, these are named, too.

    values_only: without the keys.
    """
    several = len({each.of for each in seen}) > 1
    found = []
    for each in seen:
        beside = [other.run for other in seen if other.of == each.of]
        typed = dict.fromkeys(key for run in beside for key in run.typed if key not in NEUTRAL_KEYS)
        differ = [key for key in typed if len({run.value(key) for run in beside}) > 1]
        values = " ".join(
            f"{'' if values_only else f'{key}='}{_brief(each.run, key, beside)}"
            for key in differ[:_MOST_KEYS]
        )
        alike = [run for run in beside if all(run.value(k) == each.run.value(k) for k in differ)]
        own = re.sub(r"(\d)_(\d\d)-(\d\d)-(\d\d)-\d{6}$", r"\1 \2:\3:\4", each.run.name)
        name = values if differ and len(alike) == 1 else f"{own} {values}".strip()
        found.append(f"{each.of.rpartition('/')[2]} {name}" if several else name)
    return found


def _brief(run: Run, key: str, beside: Sequence[Run]) -> str:
    """The value of a key in as few digits as still tell the runs apart."""
    values = {other.value(key) for other in beside}
    return (brief if len(set(map(brief, values))) == len(values) else str)(run.value(key))


def _read(folder: Path, *plan: Any, planned: bool) -> Run:
    """``Run.read``; a run whose files cannot be read counts as damaged, and so does one whose
    epochs are, which ``Run.read`` looks at only if it is finished."""
    try:
        run = Run.read(folder, *plan, planned=planned)
        _ = run.epochs
        return run
    except FileNotFoundError:
        status, reason = "missing", ""
    except (UserError, OSError) as error:
        status, reason = "damaged", str(told(error))
    return Run(
        folder=folder,
        status=status,
        typed=as_typed((plan and plan[0]) or ()),
        reason=reason,
        planned=planned,
    )


def _with_runs(folder: Path, depth: int) -> Iterator[Path]:
    """The folders at or below ``folder`` that have runs; a run's own folders are not looked
    through."""
    with contextlib.suppress(OSError):
        if is_sweep(folder):
            yield folder
        elif depth and not (folder / CONFIG).is_file():
            for inside in folder.iterdir():
                if inside.is_dir():
                    yield from _with_runs(inside, depth - 1)


def _changed(folder: Path) -> float:
    """When something was last written into a folder of runs, in seconds since 1970."""
    times = [0.0]
    with contextlib.suppress(OSError):
        for path in (folder, *folder.iterdir()):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime)
    return max(times)
