"""How long a run will take, estimated from finished runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from cifarlab.store.record import RunRecord

DEFAULT = 1e-3  # s an image and epoch where nothing has been measured: only relative costs count


_BATCH = 64  # the defaults of the configuration
_TRANSFER = "scratch"


class What(NamedTuple):
    """What is trained, as far as its speed depends on it.

    transfer: the cell of that group; how much of a net is trained, and of what it is fed.
    macs: multiply-accumulates for one image, which tell apart options of one model.
    """

    model: str
    batch: int
    transfer: str
    macs: int


@dataclass(frozen=True)
class Machine:
    """What the speed of a run depends on besides the run itself, from ``hardware`` of its
    record."""

    device: str
    name: str
    precision: str
    threads: int

    @classmethod
    def of(cls, record: RunRecord) -> "Machine":
        hardware = record.hardware
        threads = 0 if hardware["device"] == "cuda" else int(hardware.get("threads", 0))
        return cls(hardware["device"], hardware["name"], hardware["precision"], threads)


@dataclass(frozen=True)
class Speed:
    """The speed of a finished run.

    seconds: for one image in one epoch, validation included.
    """

    machine: Machine
    what: What
    seconds: float

    @classmethod
    def of(cls, record: RunRecord) -> "Speed | None":
        """``None`` if the record does not say it: that of an ensemble, or one without a time."""
        try:
            seconds = record.time["fit_s"] / (record.epochs_run * record.data["num_train"])
            typed = record.overrides
            what = What(record.model, batch_size(typed), transfer(typed), record.macs)
            return cls(Machine.of(record), what, seconds) if seconds > 0 else None
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None


class Costs:
    """Estimates for a machine, from records of runs on it and on others.

    What was measured on this machine takes its median time. Else its time on another machine
    counts, multiplied by the median ratio of the two machines; the machine that has most in common
    with this one is taken first. Else the time of the same model with other options counts,
    multiplied by the ratio of their multiply-accumulates. Else a line through the times over the
    multiply-accumulates is used.
    """

    def __init__(self, records: Iterable[RunRecord], machine: Machine) -> None:
        by: dict[Machine, dict[What, list[float]]] = {}
        for speed in filter(None, map(Speed.of, records)):
            by.setdefault(speed.machine, {}).setdefault(speed.what, []).append(speed.seconds)
        tables = {
            where: {what: median(found) for what, found in measured.items()}
            for where, measured in by.items()
        }
        here = tables.pop(machine, {})
        self.is_measured = bool(here)
        for table in sorted(tables.values(), key=lambda t: (-len(t.keys() & here.keys()), -len(t))):
            shared = table.keys() & here.keys()
            factor = median(here[what] / table[what] for what in shared) if shared else 1.0
            here = {what: factor * seconds for what, seconds in table.items()} | here
        self._seconds = here
        self._line = _line([what.macs for what in here], list(here.values()))

    def seconds(self, what: What, images: int) -> float:
        """The seconds of an epoch of ``images`` training images."""
        if what in self._seconds:
            return images * self._seconds[what]
        alike = [known for known in self._seconds if known[:3] == what[:3] and known.macs]
        if alike:
            nearest = min(alike, key=lambda known: abs(log(known.macs / max(what.macs, 1))))
            return images * self._seconds[nearest] * what.macs / nearest.macs
        fixed, each = self._line
        return images * (fixed + each * what.macs)


def batch_size(overrides: Iterable[str]) -> int:
    """The batch size among the overrides, else the default."""
    return int(_last(overrides, "batch_size", str(_BATCH)))


def transfer(overrides: Iterable[str]) -> str:
    """The cell of the group ``transfer`` among the overrides, else the default."""
    return _last(overrides, "transfer", _TRANSFER)


def _last(overrides: Iterable[str], key: str, default: str) -> str:
    typed = [item.partition("=")[2] for item in overrides if item.startswith(f"{key}=")]
    return typed[-1] if typed else default


def epochs(config: Mapping[str, Any], finished: Sequence[RunRecord]) -> float:
    """How many epochs a run will have: the mean of finished runs of its row, else the most it
    can."""
    if finished:
        return sum(record.epochs_run for record in finished) / len(finished)
    return float(config["max_epochs"])


def train_images(config: Mapping[str, Any], available: int) -> int:
    """How many of ``available`` images a configuration trains on."""
    data = config["data"]
    if data.get("folds"):
        left = available * (1 - 1 / data["folds"])
    else:
        size = data["val_size"]
        left = available - (size if size >= 1 else size * available)
    return round(left * data["fraction"])


def _line(macs: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """The line ``fixed + each * macs`` through the seconds; neither number is below zero."""
    if not macs:
        return DEFAULT, 0.0
    from scipy.optimize import nnls

    unit = max(macs)  # so that both columns are of one size
    columns = np.column_stack([np.ones(len(macs)), np.array(macs) / unit])
    weights = 1 / np.array(seconds)  # relative errors count
    (fixed, each), _ = nnls(columns * weights[:, None], np.ones(len(macs)))
    return float(fixed), float(each) / unit
