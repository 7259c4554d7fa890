"""Signals that ask a run to stop, and what a job of Slurm then has to do by itself."""

import os
import signal
import subprocess
import time

# what Slurm, submitit and users send; Windows has only the first
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)


def rank() -> int:
    """Of this process among the tasks of its job; 0 outside Slurm."""
    return int(os.environ.get("SLURM_PROCID", 0))


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
