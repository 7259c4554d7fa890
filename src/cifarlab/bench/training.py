"""Training steps: through the Trainer and in a bare loop, our pipeline and the textbook's."""

import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base import hardware
from cifarlab.base.config import RunConfig
from cifarlab.base.durations import counted
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import shown
from cifarlab.bench import textbook
from cifarlab.bench.timing import Case, Clock, in_stretches
from cifarlab.lit import Compiled
from cifarlab.lit.convolutions import mend_strided, widen_depthwise
from cifarlab.lit.optim import fused
from cifarlab.run.build import (
    build,
    build_trainer,
    interruptible,
    precision,
    without_noise,
)
from cifarlab.run.session import Session
from cifarlab.store.checkpoint import build_net

STRETCH = 25  # steps between two looks at the clock
BATCHES = (16, 32, 128, 256, 512)
WIDTHS = (0.25, 0.5, 2.0)
FRACTIONS = (0.02, 0.1, 0.3)  # of the training images


class Stopwatch(Callback):
    """Reads a clock every ``STRETCH`` steps, from the step ``first`` on."""

    def __init__(self, clock: Callable[[], float], first: int) -> None:
        self.clock, self.first, self.moments = clock, first, list[float]()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.look(batch_idx)

    def look(self, step: int) -> None:
        if step >= self.first and (step - self.first) % STRETCH == 0:
            self.moments.append(self.clock())


class Epochs(Callback):
    """Reads a clock when an epoch begins, and when the last one has ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.moments = clock, list[float]()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.moments.append(self.clock())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.moments.append(self.clock())


class FirstStep(Callback):
    """Seconds on the wall that the first step takes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            hardware.wait(self.device)
            self.seconds = time.perf_counter() - self.began


def overhead(config: RunConfig, steps: int, warmup: int) -> Case:
    """A whole run as ``python train.py`` makes it, with all its callbacks, within an epoch; and the
    same loader, net, optimizer and schedule in a loop of ten lines."""
    clock = Clock(hardware.find_device(config["trainer"]["accelerator"]))
    limits = {"limit_train_batches": warmup + steps + 1, "limit_val_batches": 1}
    limited: Any = config | {"max_epochs": 1, "evaluation": False}
    limited |= {"trainer": config["trainer"] | limits | {"max_epochs": 1}}

    def through_the_trainer() -> float:
        watch = Stopwatch(clock, warmup)
        with tempfile.TemporaryDirectory() as folder:
            session = Session(limited, Path(folder))
            cast(Any, session.trainer).callbacks.append(watch)
            session.fit()
        return 1e3 * in_stretches(watch.moments, STRETCH)

    def in_a_loop() -> float:
        data, module = build(config)
        _check_length(data, config, steps, warmup)
        device = clock.device
        module.to(device).train()
        loader = data.train_loader(device)
        optimizer = module.build_optimizer()
        schedule = module.scheduler(
            optimizer=optimizer, total_steps=len(loader), steps_per_epoch=len(loader)
        )
        watch = Stopwatch(clock, warmup)
        for number, (images, labels) in enumerate(loader):
            watch.look(number)
            if number == warmup + steps:
                break
            optimizer.zero_grad()
            with autocast(config, device):
                if module.look is not None:
                    module.look(images)
                loss = module.compute_loss(module(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
        return 1e3 * in_stretches(watch.moments, STRETCH)

    ways = {"Trainer": through_the_trainer, "bare loop": in_a_loop}
    return Case(config["choices"]["model"], "ms a step", ways)


def pipeline(config: RunConfig, folder: Path, steps: int, warmup: int, workers: int) -> Case:
    """Seconds on the wall of an epoch, since the textbook's images are made by other processes.

    Ours: images resident as uint8, batched augmentation, channels last, ``trainer.precision``.
    Textbook: PIL images, torchvision's transforms one image at a time, a ``DataLoader`` with
    ``workers`` processes, 32 bits, contiguous memory.
    """

    def train(plainly: bool) -> float:
        watch = Stopwatch(time.perf_counter, warmup)
        limits = {"limit_train_batches": warmup + steps + 1, "limit_val_batches": 0}
        plain = {"precision": "32-true", "compile": False} if plainly else {}
        options: Any = config["trainer"] | limits | {"max_epochs": 1} | plain
        data, module = build(cast(RunConfig, config | {"trainer": options}))
        _check_length(data, config, steps, warmup)
        trainer = build_trainer(options, folder, [watch], enable_checkpointing=False)
        with without_noise(), interruptible(trainer):
            # only training is timed
            warnings.filterwarnings("ignore", message="You defined a `validation_step`")
            if plainly:
                module.net.to(memory_format=torch.contiguous_format)
                trainer.fit(module, train_dataloaders=textbook.train_loader(data, workers))
            else:
                trainer.fit(module, datamodule=data)
        epoch = len(data.train_indices) // config["batch_size"]
        return epoch * in_stretches(watch.moments, STRETCH)

    name = f"{config['choices']['model']} {config['choices']['aug'] or '-'.join(config['aug'])}"
    ways = {"ours": lambda: train(False), "textbook": lambda: train(True)}
    return Case(f"{name}, {counted(workers, 'worker')}", "s an epoch", ways)


def step(config: RunConfig, steps: int, warmup: int) -> Case:
    """A net's step on one batch: forward, loss, backward, optimizer. Ours: channels last, the
    precision of ``trainer.precision``, ``trainer.compile``, depthwise convolutions in 32 bits where
    those are quicker, Adam in one kernel. Textbook: contiguous memory, 32 bits."""
    device = hardware.find_device(config["trainer"]["accelerator"])
    clock = Clock(device)

    def timed(plainly: bool) -> float:
        torch.manual_seed(0)
        net = build_net(config["model"], 10, 32).to(device).train()
        layout = torch.contiguous_format if plainly else torch.channels_last
        net = net.to(memory_format=layout)
        if not plainly:
            widen_depthwise(net)
            mend_strided(net)
        mode = config["trainer"]["compile"]
        answer = net if plainly or not mode else partial(Compiled(mode), net)
        images = torch.randn(config["batch_size"], 3, 32, 32, device=device)
        images = images.contiguous(memory_format=layout)
        labels = torch.randint(10, (config["batch_size"],), device=device)
        chosen = instantiate(config["optimizer"])
        optimizer = (chosen if plainly else fused(chosen))(net.parameters())
        cast = contextlib.nullcontext() if plainly else autocast(config, device)
        moments = []
        for number in range(warmup + steps + 1):
            if number >= warmup:
                moments.append(clock())
            optimizer.zero_grad()
            with cast:
                loss = F.cross_entropy(answer(images).float(), labels)
            loss.backward()
            optimizer.step()
        return 1e3 * in_stretches(moments, 1)

    ways = {"ours": lambda: timed(False), "textbook": lambda: timed(True)}
    model = config["model"].get("name") or config["choices"]["model"]
    optimizer = config["choices"]["optimizer"]
    return Case(model if optimizer == "sgd" else f"{model} {optimizer}", "ms a step", ways)


def compiled(
    config: RunConfig, folder: Path, modes: Sequence[Any], steps: int, warmup: int
) -> list[Case]:
    """The same training, batch for batch, with each value of ``trainer.compile``, and its first
    step, which compiles; torch keeps what it compiled on disk, so that of the first round counts.
    """
    clock = Clock(hardware.find_device(config["trainer"]["accelerator"]))
    limits = {"limit_train_batches": warmup + steps + 1, "limit_val_batches": 0, "max_epochs": 1}
    first: dict[str, list[float]] = {shown(mode): [] for mode in modes}

    def train(mode: Any) -> float:
        options: Any = config["trainer"] | limits | {"compile": mode}
        data, module = build(cast(RunConfig, config | {"trainer": options}))
        _check_length(data, config, steps, warmup)
        watch, wall = Stopwatch(clock, warmup), FirstStep(clock.device)
        trainer = build_trainer(options, folder, [watch, wall], enable_checkpointing=False)
        with without_noise(), interruptible(trainer):
            trainer.fit(module, datamodule=data)
        first[shown(mode)].append(wall.seconds)
        return 1e3 * in_stretches(watch.moments, STRETCH)

    name = config["choices"]["model"]
    return [
        Case(name, "ms a step", {shown(mode): partial(train, mode) for mode in modes}),
        Case(f"{name} first step", "s", {k: partial(v.pop, 0) for k, v in first.items()}),
    ]


def scaling(config: RunConfig, steps: int, warmup: int) -> Iterator[Case]:
    """What an image costs in batches of other sizes, in a net of other widths, and in an epoch of
    fewer images, its beginning and validation included; each beside the same as typed.

    Widths are those of a net that has ``model.widths``; of others there is no such case.
    """
    name, size = config["choices"]["model"], config["batch_size"]
    widths: Sequence[int] = config["model"].get("widths") or ()

    def an_image(**changed: Any) -> float:
        case = step(cast(RunConfig, config | changed), steps, warmup)
        return 1e3 * case.ways["ours"]() / changed.get("batch_size", size)

    def case(of: str, so: Callable[[], float], typed: Callable[[], float]) -> Case:
        return Case(f"{name} {of}", "us an image", {"so": so, "as typed": typed})

    for batch in BATCHES:
        yield case(f"batch {batch}", partial(an_image, batch_size=batch), an_image)
    for factor in WIDTHS if widths else ():
        wider = config["model"] | {"widths": [max(1, round(factor * width)) for width in widths]}
        yield case(f"widths x {factor:g}", partial(an_image, model=wider), an_image)
    images = len(build(config)[0].train_indices)
    for fraction in FRACTIONS:
        so, whole = (partial(an_epoch, config, part) for part in (fraction, 1.0))
        yield case(f"{fraction * images:,.0f} of {images:,} images", so, whole)


def an_epoch(config: RunConfig, fraction: float) -> float:
    """Microseconds an image of an epoch of a part of the images typed, after one to warm up:
    from the first batch to the end of validation, with all callbacks and checkpoints. Images that
    ``data.drop_last`` leaves out of the epoch count, too."""
    clock = Clock(hardware.find_device(config["trainer"]["accelerator"]))
    limited: Any = config | {"max_epochs": 2, "evaluation": False}
    limited |= {"trainer": config["trainer"] | {"max_epochs": 2}}
    limited |= {"data": config["data"] | {"fraction": fraction * config["data"]["fraction"]}}
    watch = Epochs(clock)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(limited, Path(folder))
        cast(Any, session.trainer).callbacks.append(watch)
        session.fit()
        images = session.sizes["num_train"]
    return 1e6 * (watch.moments[-1] - watch.moments[-2]) / images


def autocast(config: RunConfig, device: torch.device) -> contextlib.AbstractContextManager:
    """The context of ``trainer.precision`` on a device."""
    name = precision(config["trainer"]["precision"], device)
    kind = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(name)
    return torch.autocast(device.type, kind) if kind else contextlib.nullcontext()


def _check_length(data: Any, config: RunConfig, steps: int, warmup: int) -> None:
    there = len(data.train_indices) // config["batch_size"]
    if steps < STRETCH:
        raise UserError(f"steps={steps}: the clock is read every {STRETCH}, so at least as many")
    if steps + warmup >= there:
        raise UserError(
            f"steps + warmup = {steps + warmup}: must be below the {there} steps of an epoch "
            f"(batch_size={config['batch_size']})"
        )
