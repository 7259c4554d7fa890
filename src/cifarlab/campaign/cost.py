"""How long a run will take, estimated from finished runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from cifarlab.store.record import RunRecord

DEFAULT = 1e-3  # s an image and epoch where nothing has been measured: only relative costs count


What = tuple[str, int]
_BATCH = 64  # the default of the configuration


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

    what: the model and the batch size.
    macs: multiply-accumulates for one image.
    seconds: for one image in one epoch, validation included.
    """

    machine: Machine
    what: What
    macs: int
    seconds: float

    @classmethod
    def of(cls, record: RunRecord) -> "Speed":
        images = record.epochs_run * record.data["num_train"]
        seconds = record.time["fit_s"] / images
        what = record.model, batch_size(record.overrides)
        return cls(Machine.of(record), what, record.macs, seconds)


class Costs:
    """Estimates for a machine, from records of runs on it and on others.

    If a model was measured on this machine with this batch size, its median time counts. Else its
    time on another machine counts, multiplied by the median ratio of the two machines; the machine
    that has most models in common with this one is taken first. Else a line through the times over
    the multiply-accumulates is used.
    """

    def __init__(self, records: Iterable[RunRecord], machine: Machine) -> None:
        by: dict[Machine, dict[What, list[Speed]]] = {}
        for speed in map(Speed.of, records):
            by.setdefault(speed.machine, {}).setdefault(speed.what, []).append(speed)
        tables = {
            where: {what: median(s.seconds for s in found) for what, found in measured.items()}
            for where, measured in by.items()
        }
        macs = {what: found[0].macs for measured in by.values() for what, found in measured.items()}
        here = tables.pop(machine, {})
        self.is_measured = bool(here)
        for table in sorted(tables.values(), key=lambda t: (-len(t.keys() & here.keys()), -len(t))):
            shared = table.keys() & here.keys()
            factor = median(here[what] / table[what] for what in shared) if shared else 1.0
            here = {what: factor * seconds for what, seconds in table.items()} | here
        self._seconds = here
        self._line = _line([macs[what] for what in here], list(here.values()))

    def knows(self, model: str, batch: int) -> bool:
        return (model, batch) in self._seconds

    def seconds(self, model: str, batch: int, macs: int, images: int) -> float:
        """The seconds of an epoch of ``images`` training images.

        macs: for one image; used if the model was not measured with this batch size.
        """
        if (model, batch) in self._seconds:
            return images * self._seconds[model, batch]
        fixed, each = self._line
        return images * (fixed + each * macs)


def batch_size(overrides: Iterable[str]) -> int:
    """The batch size among the overrides, else the default."""
    typed = [item.partition("=")[2] for item in overrides if item.startswith("batch_size=")]
    return int(typed[-1]) if typed else _BATCH


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
