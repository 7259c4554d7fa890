"""The queue: it trains open items until the time is up, first those with most worth for their
cost."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from cifarlab.base.slurm import SIGNALS
from cifarlab.campaign.cost import Costs, What, epochs, train_images
from cifarlab.campaign.rows import Item

log = logging.getLogger("cifarlab")

PATIENCE = 90.0  # s that a run has to write its checkpoint when the time is up
_LEAST = 1.0  # s that any run takes, whatever the estimate says
_LOOK = 0.5  # s between two looks at what is running


@dataclass(frozen=True)
class Estimate:
    """An item with its cost: the seconds for all its seeds, one run after another."""

    item: Item
    seconds: float

    @property
    def rate(self) -> float:
        """The worth for each hour."""
        return 3600 * self.item.worth / self.seconds


def estimates(
    items: Sequence[Item], costs: Costs, macs: Callable[[Item], int], images: int
) -> list[Estimate]:
    """The items with their costs, those with the most worth for their cost first.

    macs: returns the multiply-accumulates for one image.
    images: how many there are to train on.
    """
    found = []
    for item in items:
        chosen = item.config["choices"]
        what = What(chosen["model"], item.config["batch_size"], chosen["transfer"], macs(item))
        each = costs.seconds(what, train_images(item.config, images))
        each *= epochs(item.config, item.finished)
        found.append(Estimate(item, max(_LEAST, each) * len(item.seeds)))
    return sorted(found, key=lambda e: (-e.rate, e.item.study, e.item.row))


@dataclass
class _Job:
    item: Item
    process: subprocess.Popen[bytes]
    place: int


class Queue:
    """Trains items in their order, ``jobs`` at a time, until ``seconds`` are over.

    Each item is a sweep in a process of its own, and behaves as any sweep does. What it prints is
    written into ``<logs>/<study>.<row>.log``. When the time is up, or a signal asks for it, the
    current runs write their checkpoints and the queue ends.

    Args:
        command: that trains an item, a sweep of its own.
        gpus: how many the jobs share; 0: they see none.
        nice: priority of the jobs on the CPU, 19 the lowest.
    """

    def __init__(
        self,
        command: Callable[[Item], list[str]],
        logs: Path,
        *,
        jobs: int,
        seconds: float,
        gpus: int = 0,
        nice: int = 19,
    ) -> None:
        self.command, self.logs = command, logs
        self.jobs, self.gpus, self.nice = jobs, gpus, nice
        self.end = time.monotonic() + seconds
        self.stopped: int | None = None  # the signal that ended it
        self.failed: list[Item] = []
        self.ended: list[Item] = []  # by themselves, and well

    def run(
        self, items: Sequence[Item], finished: Callable[[Item, Sequence[Item]], Sequence[Item]]
    ) -> None:
        """finished: called after each item that ended by itself, with those that wait; returns them
        in the order in which they are trained from then on."""
        waiting, running = list(items), list[_Job]()
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._signals(), self._stopping(running):
            while not self._over() and (waiting or running):
                while waiting and len(running) < self.jobs:
                    taken = {job.place for job in running}
                    place = next(i for i in range(self.jobs) if i not in taken)
                    running.append(self._start(waiting.pop(0), place))
                for job in [job for job in running if job.process.poll() is not None]:
                    running.remove(job)
                    if job.process.returncode != 0:
                        self.failed.append(job.item)
                        log.error("%s: failed, see %s", job.item.name, self.log_of(job.item))
                    else:
                        self.ended.append(job.item)
                        same = [
                            replace(job.item, study=s, row=r, twins=()) for s, r in job.item.twins
                        ]
                        waiting = [*same, *waiting]  # taken over, not trained
                    waiting = list(finished(job.item, waiting))
                time.sleep(_LOOK)

    @contextlib.contextmanager
    def _stopping(self, running: Sequence[_Job]) -> Iterator[None]:
        """Whatever ends the queue, nothing that it started is left behind."""
        try:
            yield
        finally:
            self._stop(running)

    def _over(self) -> bool:
        return self.stopped is not None or time.monotonic() >= self.end

    def _start(self, item: Item, place: int) -> _Job:
        visible = str(place % self.gpus) if self.gpus else ""
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": visible}
        environment.setdefault("OMP_NUM_THREADS", str(threads(self.jobs)))
        log.info("%s: seeds %s", item.name, ", ".join(map(str, item.seeds)))
        with self.log_of(item).open("ab") as file:
            process = subprocess.Popen(
                self.command(item),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C comes to us alone
            )
        give_way(process.pid, self.nice)
        return _Job(item, process, place)

    def _stop(self, running: Sequence[_Job]) -> None:
        for job in running:
            log.info("%s: asked to stop, which may take %.0f s", job.item.name, PATIENCE)
            job.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        for job in running:
            try:
                job.process.wait(max(0.0, end - time.monotonic()))
                log.info("%s: interrupted, goes on next time", job.item.name)
            except subprocess.TimeoutExpired:
                log.error("%s: does not stop; killed", job.item.name)
                job.process.kill()
                job.process.wait()

    def log_of(self, item: Item) -> Path:
        """What its processes print."""
        return self.logs / f"{item.study}.{item.row}.log"

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(signum: int, _: FrameType | None) -> None:
            self.stopped = signum

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, *SIGNALS)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def give_way(process: int, nice: int) -> None:
    """Give a process that leads its session a lower priority on the CPU.

    Linux may share the CPU between sessions first and only then, by priority, within each
    (``sched_autogroup``): so the session gets the lower one, too.
    """
    if not hasattr(os, "setpriority") or nice <= os.getpriority(os.PRIO_PROCESS, process):
        return
    with contextlib.suppress(OSError):  # it is over, or this kernel has no such groups
        os.setpriority(os.PRIO_PROCESS, process, nice)
        Path(f"/proc/{process}/autogroup").write_text(str(nice), encoding="utf-8")


def threads(jobs: int) -> int:
    """The number of threads for each of ``jobs`` at once: OMP_NUM_THREADS, else a share of the
    cores."""
    if os.environ.get("OMP_NUM_THREADS", "").isdecimal():
        return int(os.environ["OMP_NUM_THREADS"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // jobs)
