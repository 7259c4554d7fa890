"""A sweep on a real Slurm, of one node, and what Slurm does to its jobs.

    scripts/slurm_local.sh up && CIFARLAB_EXPECT=slurm pytest tests/launchers/test_slurm.py

Skipped where that Slurm does not answer, unless CIFARLAB_EXPECT=slurm says that it should. Never
run on any other Slurm: these tests preempt.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifarlab.store.record import RunRecord
from tests.conftest import ROOT, TINY

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]  # one after another
SCRIPT = ROOT / "scripts" / "slurm_local.sh"
LAST = "checkpoints/last.ckpt"

# Slow enough to be hit in the middle: some seconds of training
SLOW = [*TINY[:1], "data.num_train=2000", "data.num_test=200", *TINY[5:], "max_epochs=6"]
SLOW += ["logger=none", "dropout=0.2", "optimizer.momentum=0.9", "optimizer.lr=0.01"]


def shell(command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        shell=True,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def _slurm() -> None:
    try:
        answers = "= cifarlab\n" in shell("scontrol show config")
    except AssertionError:
        answers = False
    if not answers:
        pytest.skip("needs a Slurm: scripts/slurm_local.sh up")


class Sweep:
    """A sweep on Slurm, mostly of one cell, started as a user does."""

    def __init__(self, place: Path, *overrides: str) -> None:
        self.name = f"{place.parent.name}-{place.name}"
        self.folder = place / "outputs" / "sweeps" / "sweep"
        self.log = place / "sweep.log"
        command = [sys.executable, str(ROOT / "train.py"), "-m", *overrides, "sweep=sweep"]
        command += ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, f"hydra.launcher.name={self.name}"],
                cwd=place,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def reach_the_middle(self) -> int:
        """The id of the job, some steps after its first checkpoint."""
        deadline = time.monotonic() + 90
        while not [*self.folder.glob(f"*/{LAST}")]:
            assert self.process.poll() is None and time.monotonic() < deadline, self.story()
            time.sleep(0.05)
        time.sleep(0.5)
        assert not [*self.folder.glob("*/result.json")], "over before it could be disturbed"
        return int(shell(f"squeue --noheader --name={self.name} --format=%A"))

    def end(self, seconds: float = 120) -> None:
        """Wait for it; fails as soon as a job has gone without a result."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            queued = shell(f"squeue --noheader --name={self.name}")
            assert queued or [*self.folder.glob("*/result.json")], self.story()
            assert time.monotonic() < deadline, self.story()
            time.sleep(0.5)
        assert self.process.returncode == 0, self.story()

    def story(self) -> str:
        """What the sweep and its jobs said, for the message of a failed test."""
        logs = [self.log, *self.folder.parent.rglob("*_log.*")]
        texts = [f"--- {path.name}\n{path.read_text()[-3000:]}" for path in logs]
        return "\n".join([*texts, shell("squeue")])

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shell(f"scancel --name={self.name}")


@pytest.fixture
def start(cache, tmp_path) -> Iterator[Callable[..., Sweep]]:
    started = []

    def sweep(*overrides: str) -> Sweep:
        started.append(Sweep(tmp_path, *overrides, f"data.cache_dir={cache}"))
        return started[-1]

    yield sweep
    for one in started:
        one.stop()


@pytest.fixture(scope="module")
def undisturbed(cache, tmp_path_factory) -> Path:
    return alone(tmp_path_factory.mktemp("undisturbed"), cache)


def alone(folder: Path, cache: Path, *overrides: str) -> Path:
    """What the sweeps run, without Slurm, into ``folder``."""
    place = [f"data.cache_dir={cache}", f"hydra.run.dir={folder}"]
    subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *SLOW, *place, *overrides],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    return folder


@pytest.fixture
def grace() -> Iterator[Callable[[int], object]]:
    """``grace(seconds)`` between a preempted job's SIGTERM and its end, until the test ends."""
    yield lambda seconds: shell(f"{SCRIPT} up", GRACE_TIME=str(seconds))
    shell(f"{SCRIPT} up", GRACE_TIME="0")


def facts(folder: Path) -> tuple:
    """Of a run, all that must not depend on what happened to it."""
    record = RunRecord.load(folder)
    rows = (folder / "metrics.csv").read_text().splitlines()
    without_times = [row.split(",")[:7] for row in rows]
    return record.metrics, record.status, record.best_epoch, record.test_reads, without_times


def went_on(sweep: Sweep, job: int, undisturbed: Path) -> None:
    """The job was requeued, resumed from a checkpoint, and nobody can see it in the result."""
    restarts = re.search(r"Restarts=(\d+)", shell(f"scontrol show job {job}"))
    assert restarts and int(restarts[1]) >= 1, sweep.story()
    (cell,) = (path.parent for path in sweep.folder.glob("*/result.json"))
    assert re.search(r"\bresume\b", (cell / "run.log").read_text()), "began from scratch"
    assert facts(cell) == facts(undisturbed)


def test_a_sweep_is_an_array(start) -> None:
    sweep = start(*TINY, "logger=none", "seed=0,1")
    sweep.process.wait(120)
    assert sweep.process.returncode == 0, sweep.story()
    records = [json.loads(path.read_text()) for path in sweep.folder.glob("*/result.json")]
    assert {record["seed"] for record in records} == {0, 1}
    assert list(sweep.folder.parent.rglob("*_1_0_log.out")), "two jobs of an array"
    assert "report.html" in sweep.log.read_text()


@pytest.mark.parametrize("seconds", [pytest.param(0, marks=pytest.mark.slow), 5])
def test_preempted(start, grace, undisturbed, seconds: int) -> None:
    """Killed at once, or after a SIGTERM and some grace, by a job that needs all cores."""
    grace(seconds)
    sweep = start(*SLOW)
    job = sweep.reach_the_middle()
    shell("sbatch --partition=urgent --exclusive --output=/dev/null --wrap true")
    sweep.end()
    went_on(sweep, job, undisturbed)


def requeue(job: int) -> None:
    """Once it runs: on a busy machine Slurm itself may just have put it back."""
    deadline = time.monotonic() + 60
    while not shell(f"squeue --noheader --states=RUNNING --jobs={job}"):
        assert time.monotonic() < deadline, shell("squeue")
        time.sleep(0.5)
    shell(f"scontrol requeue {job}")


def test_requeued_by_hand(start, undisturbed) -> None:
    sweep = start(*SLOW)
    job = sweep.reach_the_middle()
    requeue(job)
    sweep.end()
    went_on(sweep, job, undisturbed)


def test_two_tasks_train_together(start, cache, tmp_path) -> None:
    """DDP, a task of the job for each device: both write a checkpoint, go on, and end alike."""
    ddp = ["trainer.devices=2", "trainer.strategy=ddp"]
    sweep = start(*SLOW, *ddp)
    job = sweep.reach_the_middle()
    assert "NumTasks=2" in shell(f"scontrol show job {job}")
    requeue(job)
    sweep.end()
    went_on(sweep, job, alone(tmp_path / "alone", cache, *ddp))
    (cell,) = (path.parent for path in sweep.folder.glob("*/result.json"))
    assert RunRecord.load(cell).hardware["devices"] == 2


def test_out_of_time(start, undisturbed) -> None:
    """The signal that Slurm sends before the time limit, now; submitit takes a limit of up to ten
    minutes for reached."""
    sweep = start(*SLOW, "hydra.launcher.timeout_min=10")
    job = sweep.reach_the_middle()
    shell(f"scancel --signal=USR2 {job}")
    sweep.end()
    went_on(sweep, job, undisturbed)
    assert "timed-out" in sweep.story()
