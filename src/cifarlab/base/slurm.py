"""Signals that ask a run to stop, and what a job of Slurm then has to do by itself."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

# what Slurm, submitit and users send; Windows has only the first
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)

_PATIENCE = 300.0  # s that a job's further tasks wait for the first


def rank() -> int:
    """Of this process among the tasks of its job; 0 outside Slurm."""
    return int(os.environ.get("SLURM_PROCID", 0))


def tasks() -> int:
    """How many tasks the job has; 1 outside Slurm."""
    return int(os.environ.get("SLURM_NTASKS", 1))


@contextlib.contextmanager
def first_task_first(folder: Path) -> Iterator[None]:
    """What is done within is done by a job's first task before the others go on.

    They share ``folder``; a file there says which job, and which start of it, has done it.
    """
    if tasks() == 1:
        yield
        return
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
    start = ".".join(os.environ.get(name, "0") for name in names)
    path = folder / ".first_task"
    if rank() == 0:
        yield
        path.write_text(start, encoding="utf-8")
        return
    end = time.monotonic() + _PATIENCE
    while not path.is_file() or path.read_text(encoding="utf-8") != start:
        if time.monotonic() > end:
            raise TimeoutError(f"the job's first task has not begun after {_PATIENCE:.0f} s")
        time.sleep(0.1)
    yield


def is_job() -> bool:
    return "SLURM_JOB_ID" in os.environ


def give_way(signum: int) -> None:
    """End this job so that Slurm runs it again; called when the checkpoint is written.

    SIGTERM comes from Slurm itself, which ends the job and, if it was preempted, queues it again; a
    job that ends before it is ended counts as completed (seen with GraceTime > 0), so this waits.
    Any other signal was asked for as a warning (``--signal``): the job is put back into the queue.
    """
    if signum != signal.SIGTERM and rank() == 0:
        array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
        job = os.environ["SLURM_JOB_ID"] if array is None else f"{array}_{task}"
        subprocess.run(["scontrol", "requeue", job], check=False)
    time.sleep(3600)
