"""Builds the objects of a run from its plain configuration: data, net, trainer."""

import contextlib
import copy
import itertools
import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import (
    AdvancedProfiler,
    PassThroughProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from cifarlab.base import hardware, labs, seams
from cifarlab.base.checks import check_loggers, loggers_of
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import shown
from cifarlab.base.seeding import derive
from cifarlab.base.weights import digest
from cifarlab.callbacks import HardExamples, ProgressiveResize, Tracker, WholeBatch
from cifarlab.lit import Compiled, ImageClassifier, WholeStep
from cifarlab.lit.convolutions import mend_strided, widen_depthwise
from cifarlab.lit.distillation import Distillation, Teacher
from cifarlab.lit.losses import CrossEntropy
from cifarlab.lit.optim import fused
from cifarlab.stats.quantities import METRICS
from cifarlab.store.checkpoint import (
    AtomicCheckpointIO,
    LoadedNet,
    begin_from,
    build_net,
    load_run,
)

for _name in ("lightning.pytorch", "lightning.fabric"):  # we announce in our own lines
    logging.getLogger(_name).setLevel(logging.WARNING)
# a machine that has Slurm may well train without it
warnings.filterwarnings("ignore", message="The `srun` command is available")


log = logging.getLogger("cifarlab")
_PREPARING = 5000  # training images that a net may look at before it is trained
PROFILE = "profile"  # in the names of what a profiler writes, behind the stage: fit-profile.txt


class Unprofiled(PassThroughProfiler):
    """A profiler that does nothing. Unlike Lightning's, it does not even call a function around
    each of the 80 parts of a step."""

    _nothing = contextlib.nullcontext("")

    def profile(self, action_name: str) -> contextlib.AbstractContextManager[str]:  # type: ignore[override]
        return self._nothing


class TorchProfiler(PyTorchProfiler):
    """Lightning's (2.6), which complains on its end where a run has ended before the first step."""

    def __del__(self) -> None:
        with contextlib.suppress(AssertionError):  # torch's: nothing was recorded
            super().__del__()


PROFILERS: dict[str, Callable[..., Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": TorchProfiler,
}


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Without Lightning's warnings about what cifarlab does on purpose."""
    with warnings.catch_warnings():
        for message in (
            ".*LeafSpec.* is deprecated",  # torch 2.15 and Lightning 2.6: inside Lightning
            "Checkpoint directory .* exists and is not",  # config.yaml is there already
            "Found .* in eval mode at the start of tr",  # frozen parts
            "The number of training batches",  # of a small data set
            "TensorFloat32 tensor cores",  # the compiler's: 32-true means 32 bits
            "You requested to overfit",  # our loader keeps its order then
        ):
            warnings.filterwarnings("ignore", message=message)
        yield


@contextlib.contextmanager
def interruptible(trainer: Trainer) -> Iterator[None]:
    """Around ``trainer.fit``: Ctrl-C ends it with ``KeyboardInterrupt`` as everything else, where
    Lightning (2.6) would exit with 1; and the next one is heard again, which before and after the
    training Lightning would leave ignored.

    Raises ``UserError`` for options that Lightning refuses once the data are there.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:  # a signal's has another code
        if end.code != 1 or trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from None
    except MisconfigurationException as error:
        raise UserError(str(error)) from error


def build(config: RunConfig, *, pretrained: bool = True) -> tuple[Any, ImageClassifier]:
    """The data, read and split, and a module with new weights; ``config["seed"]`` decides about
    both.

    The data are a ``LightningDataModule`` of the class that ``data._target_`` names. Raises
    ``UserError`` for options that data or model refuse.

    pretrained: see ``build_net``.
    """
    labs.check_calls(config)
    seed_everything(config["seed"], verbose=False)
    data = instantiate(config["data"], _convert_="all")
    data.setup()
    # after the data, whose reading must not decide which weights a seed means
    torch.manual_seed(derive("weights", config["seed"]))
    net = build_net(
        config["model"],
        len(data.classes),
        data.image_size,
        pretrained=pretrained,
        channels=getattr(data, "channels", 3),  # a module of the user's own may have none
    )
    prepare: Callable[[torch.Tensor], None] | None = getattr(net, "prepare", None)
    if prepare is not None:
        prepare(data.examples(_PREPARING))
    widen_depthwise(net)
    mend_strided(net)
    if pretrained and (source := config.get("init_from")):
        log.info("begin  %s", begin_from(net, Path(source)))
    loss = build_loss(config, data)
    identity = {
        "config": dict(config),
        "classes": list(data.classes),
        "image_size": data.image_size,
        "mean": list(data.mean),
        "std": list(data.std),
    }
    if isinstance(loss, Distillation):
        identity["teacher"] = give_teacher(loss, data)
    optimizer = instantiate(config["optimizer"], _convert_="all")
    if not config["trainer"].get("gradient_clip_val"):  # Lightning clips for no fused optimizer
        optimizer = fused(optimizer)
    module = instantiate(config["transfer"], _convert_="all")(
        net.to(memory_format=torch.channels_last),
        num_classes=len(data.classes),
        optimizer=optimizer,
        scheduler=instantiate(config["scheduler"], _convert_="all"),
        loss=loss,
        decay_all=config["decay_all"],
        identity=identity,
    )
    mode = config["trainer"].get("compile", False)
    if mode == "whole-step":
        module.whole_step = WholeStep()
    elif mode:
        module.compiled = Compiled(mode)
    if getattr(module, "cache_features", False):
        data.keep_features(module.encode)
    seams.skip_idle_hooks([module])
    return data, module


def build_loss(config: RunConfig, data: Any) -> torch.nn.Module:
    """What the run minimises. data: the data module, set up."""
    options = config.get("loss")
    if options is None:  # a run of before there was a choice
        return CrossEntropy(config["label_smoothing"])
    loss = instantiate(options, _convert_="all")
    if (prepare := getattr(loss, "prepare", None)) is not None:
        labels = torch.from_numpy(data.images.train_labels[data.train_indices])
        prepare(torch.bincount(labels, minlength=len(data.classes)))
    return loss


def build_metrics(config: RunConfig) -> dict[str, Callable[[np.ndarray, np.ndarray], Any]]:
    """What ``metrics=`` names, by name. Raises ``UserError`` for a name that is taken."""
    made = {}
    for name, part in (config.get("metrics") or {}).items():
        if name in METRICS:
            raise UserError(f"metrics.{name}: a name that is taken; must be a new one")
        made[name] = instantiate(part, _convert_="all")
    return made


def give_teacher(loss: Distillation, data: Any) -> dict[str, Any]:
    """Load the run that ``loss`` names, as its teacher, and return what the record says of it.

    Raises ``UserError`` if there is none, or if it knows other classes or images of another size.

    data: the data module of the student, set up.
    """
    told = f"loss.teacher={loss.source}"
    try:
        loaded = load_run(loss.source)
    except UserError as error:
        raise UserError(f"{told}: {error}") from error
    if (loaded.classes, loaded.image_size) != (data.classes, data.image_size):
        its, ours = (
            f"{len(x.classes)} classes, {x.classes[0]} ..., at {x.image_size} px"
            for x in (loaded, data)
        )
        raise UserError(f"{told}: knows {its}; the student's data have {ours}")
    _warn_of_other_split(loaded, data, told)
    record = loaded.record
    teacher = {
        "run": loss.source,
        "model": record.model,
        "config_hash": record.config_hash,
        "val_acc": record.metrics["val"]["acc"],
        "weights_sha256": digest(loaded.net.state_dict()),
    }
    loss.teacher = Teacher(loaded.net, (data.mean, data.std), (loaded.mean, loaded.std))
    return teacher


def _warn_of_other_split(loaded: LoadedNet, data: Any, told: str) -> None:
    """Say so if the teacher has learned from images that the student is validated on."""
    assert loaded.run is not None
    answers = loaded.run.predictions
    if answers is None or loaded.record.data["name"] != data.name:
        return
    if learned := len(set(data.val_indices.tolist()) - set(answers.val_indices.tolist())):
        log.warning(
            "%s: was not validated on %s of the student's validation images and may have learned "
            "from them, so that the student's validation accuracy is too high",
            told,
            f"{learned:,}",
        )


def check_batch(
    config: RunConfig,
    data: Any,
    module: ImageClassifier,
    callbacks: Mapping[str, Callback] | None = None,
    devices: int = 1,
    *,
    together: bool = False,
) -> None:
    """Raise ``UserError`` if a device gets only one image in some step of the run and the net then
    has batch norm over it.

    The mean of one value says nothing, and torch refuses it.

    callbacks: of the configuration, by their names there.
    devices: how many share a batch.
    together: whether batch norm is over the images of all of them, see ``syncs_batchnorm``.
    """
    chosen = callbacks or {}
    least = 2 if together else 2 * devices
    found = [key for key, images in _smallest(config, data, chosen, devices) if images < least]
    if not found:
        return
    resized = [each.sizes for each in chosen.values() if isinstance(each, ProgressiveResize)]
    tried = copy.deepcopy(module)  # the pass below moves running statistics
    tried.train_parts(config["max_epochs"])  # those that train late, too
    tried.train()
    for size in {data.image_size, *itertools.chain(*resized)}:
        try:
            with torch.no_grad():
                tried.net(torch.zeros(1, 3, size, size))
        except RuntimeError:
            continue  # it takes no images of this size, which ProgressiveResize tells
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                f"{found[0]}: leaves one image a step on a device, over which batch norm cannot "
                "normalise; change that, or take a model without batch norm in its head "
                "(model.head_batchnorm=false)"
            ) from error


def _smallest(
    config: RunConfig, data: Any, callbacks: Mapping[str, Callback], devices: int
) -> Iterator[tuple[str, int]]:
    """How few images a step of the run has, on all devices together, with what makes them so few.

    Arguments: see ``check_batch``.
    """
    images, size = len(data.train_indices), config["batch_size"]
    least = min(images, size)
    of = f" of {images} training images" if images < size else ""
    yield f"batch_size={size}{of}", least
    last = images % size
    if images > size and last >= devices and not config["data"].get("drop_last", True):
        least = last or least
        yield f"data.drop_last=false batch_size={size}", least
    for name, each in callbacks.items():
        if isinstance(each, HardExamples) and each.first <= config["max_epochs"]:
            yield f"callbacks.{name}.share={each.share}", each.kept(least)


def build_loggers(
    config: Mapping[str, Any], folder: Path
) -> tuple[list[Logger], dict[str, Tracker]]:
    """The loggers that Lightning's Trainer is given, and those that ``Tracking`` tells of the run.

    Raises ``UserError`` for one of which a package is missing.

    config: of the run.
    folder: of the run; what has ``_partial_`` is called with it.
    """
    check_loggers(config)
    loggers, trackers = [], {}
    for name, part in loggers_of(config).items():
        made = instantiate(part, _convert_="all")
        made = made(folder.as_posix()) if part.get("_partial_") else made
        if isinstance(made, Tracker):
            trackers[name] = made
        elif isinstance(made, Logger):
            loggers.append(made)
        else:
            raise UserError(f"logger.{name}={part['_target_']}: makes no logger of Lightning's")
    return loggers, trackers


def build_trainer(
    options: Mapping[str, Any],
    folder: Path,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger] = (),
    **more: Any,
) -> Trainer:
    """Make the Trainer, which writes only below ``folder``.

    Raises ``UserError`` for an accelerator or a number of devices that this machine does not have.

    options: the ``trainer`` part of a configuration. Its ``compile`` is left out, see ``build``.
    callbacks: of the run; ``WholeBatch`` is added.
    more: further arguments of ``Trainer``.
    """
    device = hardware.find_device(options["accelerator"])
    if device.type == "cpu":
        hardware.keep_freed_memory()
    bars = any(isinstance(callback, ProgressBar) for callback in callbacks)
    try:
        trainer = instantiate(
            {key: value for key, value in options.items() if key != "compile"}
            | {
                "precision": precision(options["precision"], device),
                "sync_batchnorm": syncs_batchnorm(options, device),
            },
            profiler=profiler(options.get("profiler"), folder),
            benchmark=not options["deterministic"],  # cuDNN tries its algorithms once: one shape
            logger=[*loggers],
            callbacks=[*callbacks, WholeBatch()],
            plugins=[AtomicCheckpointIO()],
            default_root_dir=folder.as_posix(),
            enable_progress_bar=bars,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # our loader shares out the images itself
            _convert_="all",
            **more,
        )
    except Exception as error:
        if "more than one stateful callback" in str(error.__cause__):
            raise UserError(
                "callbacks: two of one class and with the same settings, whose states checkpoints "
                "cannot tell apart; a ModelCheckpoint needs another monitor, mode or "
                "every_n_epochs than those that keep best.ckpt (monitor) and last.ckpt (none)"
            ) from error
        if isinstance(error.__cause__, TypeError) and isinstance(options["devices"], list):
            raise UserError(
                f"trainer.devices={shown(options['devices'])}: says which GPUs, and there are none "
                f"here; trainer.devices={len(options['devices'])} says how many"
            ) from error
        if isinstance(error.__cause__, MisconfigurationException):
            asked = ", ".join(f"trainer.{k}={options[k]}" for k in ("accelerator", "devices"))
            raise UserError(f"{asked}: {error.__cause__}") from error
        raise
    seams.skip_idle_hooks(trainer.callbacks)
    seams.go_on_by_epochs(trainer)
    return trainer


def syncs_batchnorm(options: Mapping[str, Any], device: torch.device) -> bool:
    """Whether batch norm normalises over the images of a step on all devices.

    torch (2.15) can do that on GPUs only; there it is so unless ``trainer.sync_batchnorm=false``.

    options: the ``trainer`` part of a configuration.
    device: that the run trains on.
    """
    return device.type == "cuda" and options.get("sync_batchnorm", True)


def profiler(name: str | None, folder: Path) -> Profiler:
    """The profiler of the name in ``+trainer.profiler``, which writes into ``folder``; see
    ``PROFILE``."""
    if name is None:
        return Unprofiled()
    return PROFILERS[name](dirpath=folder, filename=PROFILE)


def precision(asked: str, device: torch.device) -> str:
    """The precision to train in: what was asked for, where ``auto`` is bf16-mixed if the device is
    fast in bf16, else 32-true.

    asked: ``trainer.precision``.
    """
    if asked != "auto":
        return asked
    return "bf16-mixed" if hardware.has_fast_bf16(device) else "32-true"
