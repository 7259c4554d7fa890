"""The cells of a sweep, each started in a process of its own and watched from here.

This side imports nothing large, whichever launcher calls it. If a cell is killed, runs out of
memory or crashes its interpreter, the sweep gets a row with the reason and goes on. What became of
a cell is read from its folder and from nowhere else.
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
from cifarlab.sweep.standing import standing

if TYPE_CHECKING:
    from cifarlab.sweep.search import Trial

log = logging.getLogger("cifarlab")

PATIENCE = 60.0  # seconds that a cell has to write its checkpoint when it is asked to stop
_SEEN = "CIFARLAB_SEEN_GPUS"  # environment variable: CUDA_VISIBLE_DEVICES of the sweep, as JSON
_LOOK = 0.2  # s between two looks at how a cell of a search does


@runtime_checkable
class Child(Protocol):
    """The process of a cell: a ``multiprocessing.Process`` or a ``subprocess.Popen``."""

    pid: int

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end and return the exit code, which is negative after a signal.

        ``None`` if the process is still running after ``timeout`` seconds.
        """


def run_cell(config: RunConfig) -> float | None:
    """Train a cell of a sweep, or what is left to train of it, and return its validation accuracy.

    The result is ``None`` if the cell failed (``failure.json``), was asked to stop, or is being
    trained by another sweep. Whatever happens in the cell, nothing is raised here.

    config: plain; in a search, the search replaces its values.
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
            if line := standing(folder.parent, jobs_at_once(job.launcher)):
                log.info("%s", line)
        if trial and code != worker.LOCKED:
            trial.end()
    return RunRecord.load(folder).metrics["val"]["acc"] if is_finished(folder) else None


def configure(config: RunConfig, folder: Path) -> tuple[RunConfig, "Trial | None"]:
    """The configuration of the cell; in a search with values that Optuna chooses now.

    In a search, the trial is returned with it.
    """
    job = HydraConfig.get()
    if not job.sweeper.get("study"):
        log.info("%s", folder.name)
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
    """Wait until a cell of a search ends, and return its exit code.

    The cell is asked to stop if its accuracy is among the bad ones. last_epoch: of the cell.
    """
    while (code := child.wait(_LOOK)) is None:
        if trial.watch(last_epoch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
    trial.watch(last_epoch=0)  # only to report the rest
    return code


def add_to_plan(folder: Path, cells: Mapping[str, list[str]], *, replace: bool) -> None:
    """Add cells with their overrides to a sweep's ``cells.json``.

    folder: of the sweep.
    replace: whether the overrides replace those of cells that are already there.
    """
    with FileLock(folder / f".{CELLS}.lock"):
        known = read_plan(folder) or {}
        new = {cell: values for cell, values in cells.items() if replace or cell not in known}
        write_atomic(folder / CELLS, json.dumps(known | new, indent=1) + "\n", summed=True)


def start(folder: Path, config: RunConfig, jobs: int, logs: Any) -> Child:
    """Start the process of a cell.

    A cell on one device is forked from a server process, which imports torch once for the whole
    sweep. A cell on several devices is started as a command, since Lightning repeats the command
    for the other devices. So is a cell under joblib, whose workers multiprocessing does not know,
    and every cell outside Linux: on a Mac, Apple's own libraries, Metal too, may crash in a process
    that was forked after they were loaded (which is why Python spawns there), Windows has no fork.

    jobs: how many cells run on this machine at a time.
    logs: Hydra's configuration of logging.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    can_fork = sys.platform == "linux" and method in (
        None,
        *multiprocessing.get_all_start_methods(),
    )
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
    """Send signals that ask this process to stop on to the cell, and stop when it has ended.

    The cell has ``PATIENCE`` seconds to write its checkpoint. Under Slurm, the job then goes back
    into the queue: by whoever sent the signal, by submitit, or else by this function. Without Slurm
    the process exits.
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
    except KeyboardInterrupt:
        with contextlib.suppress(ProcessLookupError):  # where the terminal has not told it
            os.kill(child.pid, signal.SIGTERM)
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
    """Log that the cell failed, if it did; write ``failure.json`` if the cell could not do so."""
    if code == worker.LOCKED:
        log.info("%s: another process trains it, left alone", folder.name)
    elif code in (128 + signal.SIGINT, -signal.SIGINT):
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
    """Keep which GPUs this process sees, for the cells that a launcher starts from here."""
    os.environ[_SEEN] = json.dumps(os.environ.get("CUDA_VISIBLE_DEVICES"))


def see_gpus(launcher: Any) -> None:
    """Let this process see the GPUs that the sweep sees, so that its cells can share them.

    Submitit's launcher for one machine hides all GPUs from cells unless it is told how many they
    get.
    """
    if not _is_local(launcher) or launcher.get("gpus_per_node") or _SEEN not in os.environ:
        return
    seen = json.loads(os.environ[_SEEN])
    if seen is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = seen


def _is_local(launcher: Any) -> bool:
    """Whether a launcher is submitit's for one machine, which starts all cells at once."""
    return "cpus_per_task" in launcher and "partition" not in launcher


def jobs_at_once(launcher: Any) -> int:
    """How many cells the launcher runs on this machine at a time."""
    cores = os.cpu_count() or 1
    if _is_local(launcher):
        return max(1, cores // (launcher.get("cpus_per_task") or 1))
    jobs = launcher.get("n_jobs") or 1  # -1, joblib's: as many as there are cores
    return jobs if jobs > 0 else max(1, cores + 1 + jobs)
