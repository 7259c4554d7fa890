"""Runs on a GPU: precisions, repetitions, resuming, places, speed, no waiting within an epoch."""

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from cifarlab.base.checks import check_config
from cifarlab.run.session import Session
from cifarlab.store.checkpoint import LAST, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord
from tests.conftest import plain
from tests.gpu.conftest import ON_CPU

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

NET = ["model=tbmi26_resnet", "aug=crop_flip", "dropout=0.1", "logger=none"]
COMPILED = ["true", "reduce-overhead", *([] if ON_CPU else ["whole-step"])]
PRECISIONS = ["32-true", "bf16-mixed", *([] if ON_CPU else ["16-mixed"])]


def session(folder: Path, *overrides: str) -> Session:
    return Session(check_config(plain(*overrides)), folder)


def weights(folder: Path) -> dict[str, Tensor]:
    return net_weights(read_checkpoint(folder / LAST))


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_steps_in_each_precision(
    precision: str, small: list[str], device: torch.device, tmp_path: Path
) -> None:
    steps = ["max_epochs=1", "+trainer.limit_train_batches=2", f"trainer.precision={precision}"]
    trained = session(tmp_path, *small, *NET, *steps)
    trained.fit()
    record = trained.finish()
    assert trained.trainer.global_step == 2
    assert record.hardware["precision"] == precision
    assert record.hardware["device"] == device.type
    assert 0 < record.metrics["test"]["loss"] < 5


@pytest.mark.parametrize("mode", COMPILED)
def test_compiled(
    mode: str, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same training but for rounding, from one compilation, with CUDA graphs where asked."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    counters = torch._dynamo.utils.counters
    counters.clear()
    losses = []
    for compiled in (mode, "false"):
        options = ["model=tbmi26_cnn", "model.batchnorm=true", "dropout=0", "aug=crop_flip"]
        options += ["trainer.precision=32-true", "optimizer.lr=0.001", "logger=none"]
        folder = tmp_path / compiled
        trained = session(folder, *small, *options, f"trainer.compile={compiled}")
        trained.fit()
        losses.append([row["train_loss"] for row in trained.recorder.rows])
        assert trained.finish().epochs_run == 2
    assert counters["stats"]["unique_graphs"] == (0 if mode == "whole-step" else 1)
    assert ON_CPU or counters["inductor"]["cudagraph_skips"] == 0
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.fixture(scope="module")
def exact(small: list[str]) -> list[str]:
    return [*small, *NET, "trainer.deterministic=true", "max_epochs=3"]


@pytest.mark.parametrize("mode", ["false", *([] if ON_CPU else ["whole-step"])])
def test_repeated_and_resumed_to_the_last_bit(
    mode: str, train: Callable[..., Any], exact: list[str], tmp_path: Path
) -> None:
    exact = [*exact, f"trainer.compile={mode}"]

    def run(name: str, *overrides: str) -> Path:
        done = train(*overrides, *([] if "resume" in overrides[0] else [f"hydra.run.dir={name}"]))
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    whole = run("whole", *exact)
    assert same(whole, run("again", *exact))
    run("parts", *exact, "max_epochs=2")
    assert same(whole, run("parts", "resume=parts", "max_epochs=3"))


def test_two_cells_share_a_gpu(
    train: Callable[..., Any], small: list[str], launcher: list[str], tmp_path: Path
) -> None:
    sweep = ["-m", *small, *NET, *launcher, "jobs_per_gpu=2", "sweep=shared", "seed=0,1"]
    done = train(*sweep)
    assert done.returncode == 0, done.stderr
    records = [RunRecord.load(path.parent) for path in tmp_path.rglob("result.json")]
    assert {record.seed for record in records} == {0, 1}
    assert {record.hardware["device"] for record in records} == {"cpu" if ON_CPU else "cuda"}


@pytest.mark.parametrize("visible", ["", "last"])
def test_it_trains_on_what_is_visible(
    visible: str,
    train: Callable[..., Any],
    small: list[str],
    device: torch.device,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``CUDA_VISIBLE_DEVICES`` with the last GPU alone, or with none."""
    last = str(max(0, torch.cuda.device_count() - 1))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", last if visible else "")
    auto = [item for item in small if item != "trainer=gpu"]
    done = train(*auto, *NET, "max_epochs=1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    hardware = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))[
        "hardware"
    ]
    assert hardware["device"] == (device.type if visible else "cpu")
    if not visible and not ON_CPU:
        done = train(*small, *NET)
        assert done.returncode == 2 and "trainer.accelerator=gpu" in done.stderr


class Stopwatch(Callback):
    """Times the training part of each epoch, from one moment at which the device has nothing to do
    to another."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.wait, self.rates, self.images = wait, [], 0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.wait()
        self.began, self.images = time.perf_counter(), 0

    def on_train_batch_end(self, trainer: Any, module: Any, out: Any, batch: Any, i: int) -> None:
        self.images += len(batch[1])
        if trainer.is_last_batch:
            self.wait()
            self.rates.append(self.images / (time.perf_counter() - self.began))


def test_images_per_s_is_true(small: list[str], wait: Callable[[], None], tmp_path: Path) -> None:
    """A GPU takes its work later than it is given: who does not wait reads the clock too early.

    The epoch's own number is a little lower: making its row is in it.
    """
    size = "data.num_train=600" if ON_CPU else "data.num_train=12000"
    trained = session(tmp_path, *small, "model=sapienza_convnet", "logger=none", size)
    stopwatch = Stopwatch(wait)
    trained.trainer.callbacks.append(stopwatch)
    trained.fit()
    with (tmp_path / "metrics.csv").open(encoding="utf-8") as file:
        told = [float(row["images_per_s"]) for row in csv.DictReader(file)]
    assert 0.7 * stopwatch.rates[-1] < told[-1] < 1.02 * stopwatch.rates[-1]


class NoWaiting(Callback):
    """An error for whatever waits for the GPU, from the third step of an epoch to the last."""

    def __init__(self, watch: Callable[[str], None]) -> None:
        self.watch = watch

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 2:
            self.watch("error")

    def on_train_batch_end(self, trainer: Any, module: Any, out: Any, batch: Any, i: int) -> None:
        if trainer.is_last_batch:
            self.watch("default")


@pytest.mark.parametrize("more", [[], ["callbacks=[default,ema]"], ["optimizer=adamw"]], ids=str)
def test_nothing_waits_for_the_gpu_within_an_epoch(
    more: list[str], small: list[str], device: torch.device, tmp_path: Path
) -> None:
    """The next batch, its augmentation, the step, the metrics: all is only handed over."""
    trained = session(tmp_path, *small, *NET, *more, "data.num_train=900")
    modes: list[str] = []
    is_gpu = device.type == "cuda"
    trained.trainer.callbacks.append(
        NoWaiting(torch.cuda.set_sync_debug_mode if is_gpu else modes.append)
    )
    try:
        trained.fit()
    finally:
        if is_gpu:
            torch.cuda.set_sync_debug_mode("default")
    assert trained.trainer.global_step > 20
    assert is_gpu or modes == ["error", "default"] * 2
