"""The cells of a sweep, each in a process of its own and watched from here.

Whichever launcher calls it, this side imports nothing large and holds nothing: a cell that is
killed, runs out of memory or takes the interpreter with it leaves a line, not a broken sweep. How a
cell went is read from its folder and from nowhere else.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from filelock import FileLock
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import slurm
from cifarlab.base.compose import cell_config, plain
from cifarlab.base.config import RunConfig
from cifarlab.store.files import write_atomic
from cifarlab.store.record import (
    CELLS,
    FAILURE,
    STOP,
    RunRecord,
    is_finished,
    is_over,
    write_failure,
)
from cifarlab.store.run import Run, stored_config, write_config
from cifarlab.store.sweep import read_plan
from cifarlab.sweep import worker

if TYPE_CHECKING:
    from cifarlab.sweep.search import Trial

log = logging.getLogger("cifarlab")

PATIENCE = 60.0  # seconds that a cell has to write its checkpoint when it is asked to stop
_SEEN = "CIFARLAB_SEEN_GPUS"  # environment variable: CUDA_VISIBLE_DEVICES of the sweep, as JSON
_LOOK = 0.2  # s between two looks at how a cell of a search does


@runtime_checkable
class Child(Protocol):
    """What ``multiprocessing.Process`` and ``subprocess.Popen`` have in common here."""

    pid: int

    def wait(self, timeout: float | None = None) -> int | None:
        """Exit code, negative: a signal; ``None`` if it is still running after ``timeout`` s."""


def run_cell(config: RunConfig) -> float | None:
    """Train one cell of a sweep, or what is left of it, and return its validation accuracy.

    config: plain; in a search its values are replaced by those that the search gives.

    ``None`` if there is none: the cell failed (``failure.json``), was asked to stop, or is being
    trained by another sweep. Never raises for what happens in the cell.
    """
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    if not is_over(folder):
        if config["fail_fast"] and (folder.parent / STOP).exists():
            return None
        trial = None
        with slurm.first_task_first(folder):
            if slurm.rank() == 0:
                config, trial = configure(config, folder)
                write_config(config, folder)
        config = cast(RunConfig, stored_config(folder))
        logs = plain(job.job_logging, missing=True)
        see_gpus(job.launcher)
        child = start(folder, config, jobs_at_once(job.launcher), logs)
        with stopping(child):
            code = watch(child, trial, config["max_epochs"]) if trial else child.wait()
        if slurm.rank() == 0:  # the others are done before the record is written
            _close(folder, code, fail_fast=config["fail_fast"])
        if trial and code != worker.LOCKED:
            trial.end()
    return RunRecord.load(folder).metrics["val"]["acc"] if is_finished(folder) else None


def configure(config: RunConfig, folder: Path) -> tuple[RunConfig, "Trial | None"]:
    """The cell's configuration; in a search with the values that it is given now."""
    job = HydraConfig.get()
    if not job.sweeper.get("study"):
        return config, None
    from cifarlab.sweep.search import Trial

    options = plain(job.sweeper, missing=True)
    trial = Trial.begin(folder, options)
    overrides = [*job.overrides.task, *trial.overrides]
    add_to_plan(folder.parent, {folder.name: overrides}, replace=True)
    log.info("%s: %s", folder.name, " ".join(trial.overrides))
    loader = GlobalHydra.instance().config_loader()
    master = HydraConfig.instance().cfg
    assert isinstance(master, DictConfig)
    return cell_config(loader, master, overrides), trial


def watch(child: Child, trial: "Trial", last_epoch: int) -> int | None:
    """Wait for the end of a search's cell; ask it to stop if it is among the bad ones.

    Returns its exit code.
    """
    while (code := child.wait(_LOOK)) is None:
        if trial.watch(last_epoch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
    trial.watch(last_epoch=0)  # only to report the rest
    return code


def add_to_plan(folder: Path, cells: Mapping[str, list[str]], *, replace: bool) -> None:
    """Note cells and their overrides in a sweep's ``cells.json``, below those it has; what it says
    of a cell already stays unless ``replace``."""
    with FileLock(folder / f".{CELLS}.lock"):
        known = read_plan(folder) or {}
        new = {cell: values for cell, values in cells.items() if replace or cell not in known}
        write_atomic(folder / CELLS, json.dumps(known | new, indent=1) + "\n", summed=True)


def start(folder: Path, config: RunConfig, jobs: int, logs: Any) -> Child:
    """Start the cell's process.

    One device: forked from a server that has imported torch, once a sweep. Several: a command of
    its own, which is what Lightning repeats for the other ranks; joblib's workers, which
    multiprocessing does not know, need it too.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    can_fork = os.name == "posix" and method in (None, *multiprocessing.get_all_start_methods())
    if config["trainer"]["devices"] == 1 and can_fork:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["cifarlab.sweep.preload"])
        process = context.Process(target=worker.main, args=(str(folder), jobs, logs))
        process.start()
        return _Forked(process)
    environment = os.environ | {worker.LOGGING: json.dumps(logs)}
    command = [sys.executable, "-m", "cifarlab.sweep.worker", str(folder), str(jobs)]
    return _Started(subprocess.Popen(command, env=environment))


class _Forked:
    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        assert process.pid is not None
        self.process, self.pid = process, process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode


class _Started:
    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.pid = process, process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        # Not Popen.wait: it holds a lock, for which the same in a signal's handler would wait
        end = time.monotonic() + timeout if timeout is not None else float("inf")
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        return self.process.returncode


@contextlib.contextmanager
def stopping(child: Child) -> Iterator[None]:
    """Hand on what asks this process to stop, let the cell write its checkpoint, then stop.

    Under Slurm whoever sent the signal, or submitit's handler, puts the job back in the queue;
    where no one would, this does. Else the process ends as the signal wants it.
    """
    before: dict[int, Any] = {}

    def stop(signum: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signum)
        child.wait(PATIENCE)
        _after_stop(signum, frame, before[signum])

    try:
        if threading.current_thread() is threading.main_thread():
            for signum in slurm.SIGNALS:
                before[signum] = signal.signal(signum, stop)
        yield
    except KeyboardInterrupt:  # the terminal sent it to the cell too
        child.wait(PATIENCE)
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _after_stop(
    signum: int, frame: FrameType | None, before: Callable[[int, Any], Any] | int | None
) -> None:
    if callable(before) and signum != signal.SIGTERM:
        before(signum, frame)  # submitit's: back into the queue, then exit
    elif slurm.is_job():
        slurm.give_way(signum)
    else:
        sys.exit(128 + signum)


def _close(folder: Path, code: int | None, *, fail_fast: bool) -> None:
    """Leave a reason where the cell could not, and tell."""
    if code == worker.LOCKED:
        log.info("%s: another process trains it, left alone", folder.name)
    elif code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    elif code == worker.INTERRUPTED or is_finished(folder):
        return
    elif code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", perhaps for memory" if -code == signal.SIGKILL else ""
        write_failure(folder, RuntimeError(f"killed by {name}{hint}"), "")
    elif not (folder / FAILURE).exists():
        write_failure(folder, RuntimeError(f"ended with exit code {code}, see run.log"), "")
    if (folder / FAILURE).exists():
        log.error("failed: %s: %s", folder.name, Run.read(folder).reason)
        if fail_fast:
            (folder.parent / STOP).touch()


def remember_gpus() -> None:
    """Note which GPUs this process sees, for the cells that a launcher starts from here."""
    os.environ[_SEEN] = json.dumps(os.environ.get("CUDA_VISIBLE_DEVICES"))


def see_gpus(launcher: Any) -> None:
    """See what the sweep sees, so that its cells share the GPUs out among them: submitit's launcher
    on one machine hides all GPUs from cells unless it is told how many they get."""
    if not _is_local(launcher) or launcher.get("gpus_per_node") or _SEEN not in os.environ:
        return
    seen = json.loads(os.environ[_SEEN])
    if seen is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = seen


def _is_local(launcher: Any) -> bool:
    """Whether it is submitit's, but not Slurm's: all cells at once, each on some cores."""
    return "cpus_per_task" in launcher and "partition" not in launcher


def jobs_at_once(launcher: Any) -> int:
    """How many cells the launcher runs on this machine at a time."""
    cores = os.cpu_count() or 1
    if _is_local(launcher):
        return max(1, cores // (launcher.get("cpus_per_task") or 1))
    jobs = launcher.get("n_jobs") or 1  # -1, joblib's: as many as there are cores
    return jobs if jobs > 0 else max(1, cores + 1 + jobs)
