"""Cells in processes of their own: killed, stopped, failing, locked, on several devices."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from cifarlab.base import hardware
from cifarlab.store.checkpoint import LAST
from cifarlab.store.lock import RunLock
from cifarlab.store.record import FAILURE, RunRecord, is_finished
from cifarlab.sweep import launching as cells
from hydra_plugins.cifarlab_sweeper.grid import GridSweeper, plan
from tests import programs
from tests.conftest import ROOT, TINY

QUICK = [*TINY, "logger=none", "sweep=x"]
# some seconds of training, so that it can be hit
SLOW = ["model=baseline", "data.num_train=1500", "max_epochs=4", "callbacks=none"]
BOMB = "+callbacks.bomb._target_"  # os.abort stands for whatever takes the interpreter with it


@pytest.fixture
def sweep(train, cache, tmp_path):
    def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
        return train("-m", *QUICK, f"data.cache_dir={cache}", *arguments)

    return launch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "sweeps" / "x"


def begin(cache: Path, tmp_path: Path, *arguments: str) -> programs.Program:
    """A sweep under way: returns when its first cell has a checkpoint."""
    typed = ["-m", *QUICK, f"data.cache_dir={cache}", *arguments]
    process = programs.start(ROOT / "train.py", *typed, cwd=tmp_path, together=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(f"outputs/sweeps/x/*/{LAST}")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.02)
    return process


def by_seed(folder: Path) -> dict[int, RunRecord]:
    found = [RunRecord.load(path.parent) for path in folder.glob("*/result.json")]
    return {record.seed: record for record in found}


def rows(path: Path) -> list[list[str]]:
    """Of a ``metrics.csv``, without the times."""
    with path.open() as file:
        return [row[:7] for row in csv.reader(file)]


def test_a_cell_that_dies_leaves_a_line_and_the_others_go_on(sweep, folder) -> None:
    done = sweep(f"{BOMB}=os.abort,lightning.pytorch.Callback", "seed=0,1")
    assert done.returncode == 1
    assert "failed: os.abort_0" in done.stdout and "killed by SIGABRT" in done.stdout
    assert set(by_seed(folder)) == {0, 1} and len(list(folder.glob("*/result.json"))) == 2
    with (folder / "results.csv").open() as file:
        results = list(csv.DictReader(file))
    assert [row["status"] for row in results[2:]] == ["failed", "failed"]
    assert "killed by SIGABRT" in results[3]["reason"]
    again = sweep(f"{BOMB}=os.abort,lightning.pytorch.Callback", "seed=0,1")
    assert again.returncode == 1 and "4 cells, 2 to run" in again.stdout, "failed ones are retried"


def test_fail_fast(sweep, folder) -> None:
    done = sweep(f"{BOMB}=os.abort,lightning.pytorch.Callback", "seed=0,1", "fail_fast=true")
    assert done.returncode == 1
    assert len(list(folder.glob(f"*/{FAILURE}"))) == 1 and not by_seed(folder)
    without = sweep(f"{BOMB}=lightning.pytorch.Callback", "seed=0,1", "fail_fast=true")
    assert without.returncode == 0 and set(by_seed(folder)) == {0, 1}, "nothing is left of the stop"


def stop(process: programs.Program, folder: Path, signum: int) -> None:
    """The cell writes its checkpoint, and did not fail."""
    process.send_signal(signum)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signum, output
    assert "SIGTERM, to be continued" in output and "broke down" not in output
    assert not list(folder.glob("*/result.json")) and not list(folder.glob(f"*/{FAILURE}"))


def test_a_sweep_interrupted_by_the_keyboard(folder, cache, tmp_path) -> None:
    stop(begin(cache, tmp_path, *SLOW, "seed=0,1"), folder, signal.SIGINT)


def test_a_stopped_sweep_goes_on_to_the_same_end(sweep, folder, cache, tmp_path) -> None:
    """SIGTERM in the middle: the command typed again ends alike."""
    stop(begin(cache, tmp_path, *SLOW, "seed=0,1"), folder, signal.SIGTERM)
    done = sweep(*SLOW, "seed=0,1")
    assert done.returncode == 0, done.stdout
    whole = sweep(*SLOW, "seed=0", "sweep=whole")
    assert whole.returncode == 0, whole.stderr
    (undisturbed,) = (tmp_path / "outputs" / "sweeps" / "whole").glob("*/result.json")
    (stopped,) = folder.glob("0_*")
    assert rows(stopped / "metrics.csv") == rows(undisturbed.parent / "metrics.csv")
    record = RunRecord.load(undisturbed.parent)
    assert by_seed(folder)[0].metrics == record.metrics
    assert by_seed(folder)[0].test_reads == 1


def test_two_shells_share_a_sweep(sweep, folder, cache, tmp_path) -> None:
    first = begin(cache, tmp_path, *SLOW, "seed=0,1")
    second = sweep(*SLOW, "seed=0,1")
    output = first.communicate(timeout=120)[0]
    assert first.returncode == 0 and second.returncode == 0, output + second.stdout
    said = output + second.stdout  # by whichever comes second to a cell: either may, where
    assert "another process trains it, left alone" in said  # the second shell starts slowly
    assert set(by_seed(folder)) == {0, 1}
    lines = said.splitlines()
    assert sum(line.startswith("epoch 1/4") for line in lines) == 2, "each cell was trained once"


def test_a_killed_sweep_takes_its_cell_along(folder, cache, tmp_path) -> None:
    """SIGKILL to the sweep itself: nothing trains on unseen, no lock stays."""
    process = begin(cache, tmp_path, *SLOW, "seed=0")
    process.kill()
    process.communicate()
    (cell,) = (path.parent for path in folder.glob("*/config.yaml"))
    deadline = time.monotonic() + 20
    while not (free := RunLock(cell)).acquire() and time.monotonic() < deadline:
        time.sleep(0.1)
    before = (cell / "metrics.csv").read_text()
    time.sleep(2)
    assert (cell / "metrics.csv").read_text() == before and not is_finished(cell)
    free.release()


@pytest.mark.slow  # test_ddp has runs on several devices, test_sweep sweeps
def test_several_devices_in_a_sweep(sweep, folder) -> None:
    """Two processes (gloo) train each cell, with the same settings, as one process does."""
    options = ["optimizer.lr=0.01,0.05", "data.num_train=350", "trainer.strategy=ddp"]
    two = sweep(*options, "trainer.devices=2")
    assert two.returncode == 0, two.stdout + two.stderr
    assert len(list(folder.glob("*/result.json"))) == 2
    one = sweep(*options, "trainer.devices=1", "sweep=one")
    assert one.returncode == 0, one.stderr
    for path in folder.glob("*/result.json"):
        record = RunRecord.load(path.parent)
        assert record.hardware["devices"] == 2
        lr = path.parent.name.partition("_")[0]
        (alone,) = (folder.parent / "one").glob(f"{lr}_*")
        other = RunRecord.load(alone)
        for split in ("train", "val", "test"):
            loss = other.metrics[split]["loss"]
            assert record.metrics[split]["loss"] == pytest.approx(loss, abs=2e-4)


def test_one_task_of_slurm_is_not_two_devices(train, cache) -> None:
    """Lightning takes the world from the job: one process, where two were asked for."""
    environment = {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "0"}
    environment |= {"SLURM_JOB_ID": "1", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    environment |= {"SLURM_JOB_NODELIST": "localhost", "SLURM_NTASKS_PER_NODE": "2"}
    typed = [*TINY, f"data.cache_dir={cache}", "trainer.devices=2"]
    done = programs.run(ROOT / "train.py", *typed, cwd=cache, environment=environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "ask for as many tasks as devices" in done.stderr


def test_a_single_run_stops_on_a_signal(cache, tmp_path) -> None:
    folder = tmp_path / "run"
    typed = [*TINY, *SLOW, "logger=none", f"data.cache_dir={cache}", f"hydra.run.dir={folder}"]
    process = programs.start(ROOT / "train.py", *typed, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (folder / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGUSR1
    assert "SIGUSR1; to go on: python train.py resume=run" in output


class Breaking:
    """A launcher that loses its workers, and everything they had not finished, the first times."""

    def __init__(self, folder: Path, times: int) -> None:
        self.folder, self.times, self.calls = folder, times, []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.calls.append([job[0] for job in jobs])
        cell = self.folder / jobs[0][-1].partition("=")[2].strip("'")
        cell.mkdir(parents=True, exist_ok=True)
        (cell / "result.json").write_text("{}")
        if len(self.calls) <= self.times:
            raise RuntimeError("TerminatedWorkerError")
        return [JobReturn(status=JobStatus.COMPLETED)]


def test_a_launcher_that_breaks_down_is_asked_again(tmp_path) -> None:
    sweeper = GridSweeper()
    sweeper.launcher = Breaking(tmp_path, times=2)
    sweeper._launch(tmp_path, {name: [f"seed={name}"] for name in "abcd"})
    assert sweeper.launcher.calls == [
        ["seed=a", "seed=b", "seed=c", "seed=d"], ["seed=b", "seed=c", "seed=d"],
        ["seed=c", "seed=d"],
    ]  # fmt: skip
    hopeless = GridSweeper()
    hopeless.launcher = Breaking(tmp_path / "other", times=99)
    hopeless._launch(tmp_path / "other", {name: [f"seed={name}"] for name in "abcdef"})
    assert len(hopeless.launcher.calls) == 3


def test_the_plan_grows_and_forgets_failures(tmp_path) -> None:
    plan(tmp_path, {"a": ["seed=0"]}, fresh=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / FAILURE).write_text("{}")
    plan(tmp_path, {"a": ["seed=0"], "b": ["seed=1"]}, fresh=False)
    assert not (tmp_path / "a" / FAILURE).exists()
    plan(tmp_path, {"c": ["seed=2"]}, fresh=True)
    assert json.loads((tmp_path / "cells.json").read_text()) == {
        "a": ["seed=0"], "b": ["seed=1"], "c": ["seed=2"],
    }  # fmt: skip
    assert (tmp_path / "a").exists(), "only its own cells are done afresh"


def test_cells_share_the_cores(monkeypatch, tmp_path) -> None:
    import torch

    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(hardware, "_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    config = {"trainer": {"accelerator": "cpu", "devices": 1}, "jobs_per_gpu": 1}
    for jobs in (1, 3, 8, 20):
        with hardware.share(config, jobs, tmp_path) as own:
            assert own == config
    assert chosen == [2, 1, 1], "alone, a cell has torch's own default"


def test_cells_spread_over_gpus(monkeypatch, tmp_path) -> None:
    import torch

    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = {"trainer": {"accelerator": "auto", "devices": 1}, "jobs_per_gpu": 2}
    held, found = [], []
    for _ in range(4):
        held.append(hardware.share(config, 4, tmp_path))
        found.append(held[-1].__enter__()["trainer"]["devices"])
    assert found == [[0], [1], [0], [1]]
    held[1].__exit__(None, None, None)
    with hardware.share(config, 4, tmp_path) as own:
        assert own["trainer"]["devices"] == [1], "a place that became free"
    with hardware.share(config, 1, tmp_path) as own:
        assert own == config, "alone, Lightning chooses"
    for place in (0, 2, 3):
        held[place].__exit__(None, None, None)


def on_gpus(monkeypatch, number: int) -> None:
    import torch

    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_cells_of_several_devices_get_gpus_side_by_side(monkeypatch, tmp_path) -> None:
    on_gpus(monkeypatch, 5)

    def cell(devices: int | list[int], jobs_per_gpu: int = 1, jobs: int = 9):
        config = {"trainer": {"accelerator": "gpu", "devices": devices}}
        return hardware.share(config | {"jobs_per_gpu": jobs_per_gpu}, jobs, tmp_path)

    with cell(2) as first, cell(2) as second:
        assert first["trainer"]["devices"] == [0, 1] and second["trainer"]["devices"] == [2, 3]
        with cell(1) as third:
            assert third["trainer"]["devices"] == [4], "what is left"
        with cell(2, jobs_per_gpu=2) as third:
            assert third["trainer"]["devices"] == [0, 1], "the second place"
    with cell(1), cell(2) as second:
        assert second["trainer"]["devices"] == [2, 3], "not the one beside a busy one"
    for devices, jobs in (([3], 9), (6, 9), (2, 1)):
        with cell(devices, jobs=jobs) as own:
            assert own["trainer"]["devices"] == devices, "as asked for: Lightning decides"


def test_a_third_cell_of_two_devices_waits_for_two_of_four(monkeypatch, tmp_path) -> None:
    on_gpus(monkeypatch, 4)
    config = {"trainer": {"accelerator": "auto", "devices": 2}, "jobs_per_gpu": 1}
    first, second, third = (hardware.share(config, 3, tmp_path) for _ in range(3))
    first.__enter__(), second.__enter__()
    monkeypatch.setattr(hardware.time, "sleep", lambda _: second.__exit__(None, None, None))
    assert third.__enter__()["trainer"]["devices"] == [2, 3]
    for held in (first, third):
        held.__exit__(None, None, None)


def test_all_processes_of_a_cell_have_its_gpus(monkeypatch, tmp_path) -> None:
    """Those that Lightning starts inherit the environment and ask again."""
    on_gpus(monkeypatch, 4)
    config = {"trainer": {"accelerator": "gpu", "devices": 2}, "jobs_per_gpu": 1}
    with hardware.share(config, 2, tmp_path), monkeypatch.context() as child:
        child.setenv("LOCAL_RANK", "1")
        with hardware.share(config, 2, tmp_path) as inherited:
            assert inherited["trainer"]["devices"] == [0, 1]
    with hardware.share(config, 2, tmp_path) as later:
        assert later["trainer"]["devices"] == [0, 1], "nothing is left behind"


def test_processes_of_a_cell_share_its_cores(monkeypatch, tmp_path) -> None:
    import torch

    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(hardware, "_cores", lambda: 12)
    monkeypatch.setenv("OMP_NUM_THREADS", "x")  # so that what is set here is undone
    monkeypatch.delenv("OMP_NUM_THREADS")
    config = {"trainer": {"accelerator": "cpu", "devices": 2}, "jobs_per_gpu": 1}
    with hardware.share(config, 3, tmp_path) as own:
        assert own == config
    assert chosen == [2] and os.environ["OMP_NUM_THREADS"] == "2"


def test_a_cell_of_several_devices_knows_of_the_cells_beside_it(monkeypatch, tmp_path) -> None:
    started = []

    class Process(subprocess.Popen):
        def __init__(self, command: list[str], env: dict[str, str]) -> None:
            started.append(command)
            self.pid = 1

    monkeypatch.setattr(cells.subprocess, "Popen", Process)
    cells.start(tmp_path, {"trainer": {"devices": 2}}, 3, {})
    assert started[0][-3:] == ["cifarlab.sweep.worker", str(tmp_path), "3"]


@pytest.mark.parametrize("seen", [None, "2,3"])
def test_cells_on_one_machine_see_the_gpus_of_the_sweep(monkeypatch, seen: str | None) -> None:
    """submitit gives a cell the empty list, or that of the number it is told."""
    name = "CUDA_VISIBLE_DEVICES"
    monkeypatch.setenv("CIFARLAB_SEEN_GPUS", "x")
    monkeypatch.setenv(name, seen or "")
    if seen is None:
        monkeypatch.delenv(name)
    cells.remember_gpus()
    local = {"cpus_per_task": 1, "gpus_per_node": None}
    for launcher, told, expected in (
        (local, "", seen),
        (local | {"gpus_per_node": 1}, "0", "0"),
        (local | {"partition": None}, "5", "5"),
        ({"n_jobs": 2}, "5", "5"),
    ):
        monkeypatch.setenv(name, told)
        cells.see_gpus(launcher)
        assert os.environ.get(name) == expected


def test_jobs_at_once(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    asked = {None: 1, 1: 1, 3: 3, -1: 8, -2: 7}
    for jobs, expected in asked.items():
        assert cells.jobs_at_once({"n_jobs": jobs}) == expected
    assert cells.jobs_at_once({}) == 1
    local = {"cpus_per_task": None}
    assert cells.jobs_at_once(local) == 8
    assert cells.jobs_at_once(local | {"cpus_per_task": 3}) == 2
    assert cells.jobs_at_once(local | {"cpus_per_task": 3, "partition": None}) == 1, "Slurm's"
