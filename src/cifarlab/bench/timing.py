"""Ways of doing one thing, timed in turns, and what came of it as a table and as a file."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cifarlab.base import hardware

WORSE = 1.1  # a ratio this many times the one of before is told as worse


@dataclass(frozen=True)
class Case:
    """Ways of doing one thing.

    ways: by name, what does it once and returns what it took, in ``unit``. The first is ours; the
        second, where there is one, what it is compared with.
    """

    name: str
    unit: str
    ways: Mapping[str, Callable[[], float]]


@dataclass(frozen=True)
class Timed:
    """A case's figures, one a round and way; ways that were timed in turns are paired by round."""

    name: str
    unit: str
    values: Mapping[str, Sequence[float]]

    @property
    def ratios(self) -> dict[str, list[float]]:
        """What the first way took in units of what each other took, by round."""
        first, *others = self.values
        return {
            other: [a / b for a, b in zip(self.values[first], self.values[other], strict=True)]
            for other in others
        }

    def cost(self, beside: Iterable[str]) -> float:
        """What to compare with another day's: the median of the ratios by the first way that is
        among ``beside``, or where there is none, of the figures of the first way."""
        shared = [ratios for other, ratios in self.ratios.items() if other in beside]
        return statistics.median(shared[0] if shared else next(iter(self.values.values())))

    def row(self) -> str:
        parts = [f"{way} {statistics.median(each):.4g}" for way, each in self.values.items()]
        parts[-1] += f" {self.unit}"
        for other, each in self.ratios.items():
            spread = f"{statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f})"
            parts.append(f"by {other}: {spread}")
        return f"{self.name:20}  {'  '.join(parts)}"


def measure(case: Case, rounds: int) -> Timed:
    """All ways once a round, so that what else the machine does falls on all of them."""
    values: dict[str, list[float]] = {way: [] for way in case.ways}
    for _ in range(rounds):
        for way, once in case.ways.items():
            values[way].append(once())
    return Timed(case.name, case.unit, values)


class Clock:
    """Seconds of work: on a CPU those that this process computed, which other processes do not
    lengthen as they do seconds on the wall; on a GPU those until all it was asked for is done."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.name = "CPU time" if device.type == "cpu" else "wall clock"

    def __call__(self) -> float:
        hardware.wait(self.device)
        return time.process_time() if self.device.type == "cpu" else time.perf_counter()


def in_stretches(moments: Sequence[float], steps: int) -> float:
    """Seconds a step: the median over stretches of ``steps`` steps, between whose ends the clock
    was read."""
    pairs = zip(moments, moments[1:], strict=False)
    return statistics.median((after - before) / steps for before, after in pairs)


def as_data(timed: Sequence[Timed]) -> list[dict[str, Any]]:
    return [{"case": t.name, "unit": t.unit, "values": dict(t.values)} for t in timed]


def from_data(rows: Sequence[Mapping[str, Any]]) -> list[Timed]:
    return [Timed(row["case"], row["unit"], row["values"]) for row in rows]


def worse(now: Sequence[Timed], before: Sequence[Timed]) -> Iterator[str]:
    """A line for each case that costs ``WORSE`` times what it did, or more, beside a way that both
    were timed with."""
    then = {timed.name: timed for timed in before}
    for timed in now:
        if (old := then.get(timed.name)) is None:
            continue
        cost, was = timed.cost(old.values), old.cost(timed.values)
        if cost >= WORSE * was:
            yield f"{timed.name}: {cost:.4g}, before {was:.4g}"
