"""Checkpoints: written whole, read without running what is in them, and a net rebuilt from one.

Every checkpoint has an entry ``cifarlab``, its identity: the plain configuration of the run and
what the net needs to know of the data (classes, image size, mean, standard deviation). So a
checkpoint can be used without anything else.
"""

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_method, instantiate
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.base.labs import changed
from cifarlab.base.options import Resize
from cifarlab.base.weights import fitted, in_short, misfits, read_state, read_weights
from cifarlab.store.files import copy_whole, open_checked, written_whole
from cifarlab.store.record import RunRecord
from cifarlab.store.run import Run
from cifarlab.store.trust import check_trusted

log = logging.getLogger("cifarlab")

BEST = Path("checkpoints") / "best.ckpt"
LAST = Path("checkpoints") / "last.ckpt"
INITIAL = Path("checkpoints") / "initial.ckpt"  # the first layer alone, before training
_ANEW = "delete the run's folder to start it anew"
_PREFIX = "net."  # of the net's entries in the LightningModule's state


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a kill leaves the old one, not half a new one.

    Lightning's own class writes to the system's temporary folder and moves the file. If that folder
    is on another disk, moving is copying, and can be cut off. This one renames the file in its own
    folder, and reads by ``read_checkpoint``.

    An epoch that is the best so far is kept twice, as ``best.ckpt`` and then as ``last.ckpt``. The
    second is a copy of the first, not a link, so that a run can go on if one of them is damaged.
    """

    def __init__(self) -> None:
        super().__init__()
        self._saved: tuple[Path, Any] | None = None  # the latest file, and of what

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # the keys: a callback of the user's may keep weights alone, under the same names elsewhere
        of = checkpoint.get("epoch"), checkpoint.get("global_step"), *sorted(checkpoint)
        if target.name == LAST.name and self._saved == (target.with_name(BEST.name), of):
            copy_whole(target.with_name(BEST.name), target)
        else:
            with written_whole(target, summed=True) as file:
                torch.save(checkpoint, file)
        self._saved = target, of

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read by ``read_checkpoint``: on the CPU, and without running anything that is in it,
        whatever the other arguments say."""
        return read_checkpoint(Path(path))


@dataclass(frozen=True)
class LoadedNet:
    """A net that is ready to answer: in eval mode, on the CPU, with what is needed to use it.

    title: the name of the model, for figures.
    classes: the names of the classes, in the order of the logits.
    image_size: height and width of the images in pixels.
    mean, std: of each channel, by which images in [0, 1] are normalised.
    weights: which weights the net has, in words.
    run: the finished run that the weights are from; ``None`` for a net without a run.
    config: the configuration of the run; empty for a net without a run.
    """

    net: nn.Module
    title: str
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str
    run: Run | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def resize(self) -> Resize:
        """What becomes of images that are not square: what became of those it was trained on."""
        data = self.config.get("data", {})
        if data.get("image_size") is None:  # it had squares of one size
            return "crop"
        return data.get("resize", "squash")  # of before there was a choice

    @property
    def record(self) -> RunRecord:
        """The record of the run, for a net that is known to have one."""
        assert self.run is not None, f"{self.title} is not of a run"
        return self.run.result


def build_net(
    model: Mapping[str, Any],
    num_classes: int,
    image_size: int,
    *,
    pretrained: bool = True,
    channels: int = 3,
) -> nn.Module:
    """Build the net that the ``model`` part of a configuration describes, with new weights.

    It takes RGB images whatever ``channels`` is.

    pretrained: ``False`` ignores ``model.weights``, if a checkpoint is loaded afterwards anyway.
    channels: 1: the net itself has one, and gets images in shades of grey, see ``one_channel``.
        Raises ``UserError`` for a model without ``in_channels``.
    """
    options = dict(model)
    if channels != 3:
        target = options["_target_"]
        taken = inspect.signature(get_method(target)).parameters.values()
        if not any(p.name == "in_channels" or p.kind is p.VAR_KEYWORD for p in taken):
            raise UserError(
                f"data.channels={channels}: {target} takes images of 3 channels; data.channels=3 "
                "gives it grey images as such"
            )
        options["in_channels"] = channels
    if not pretrained and "weights" in options:
        options["weights"] = None
    net = instantiate(options, num_classes=num_classes, image_size=image_size, _convert_="all")
    if channels != 3:
        net.register_forward_pre_hook(one_channel)
    return net


def one_channel(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Before a net of one channel: RGB images ``(batch, 3, height, width)`` in shades of grey,
    ``(batch, 1, height, width)`` (ITU-R 601-2).

    So all that makes, shows or changes images has them in RGB, also what was trained in grey. It is
    a hook so that the net has the same layers and names as any. Mean and standard deviation are
    alike in all channels (``CIFAR10DataModule``): grey before normalising is grey after it.
    """
    (images,) = inputs
    red, green, blue = (images[:, i : i + 1] for i in range(3))
    return (0.299 * red + 0.587 * green + 0.114 * blue,)


def load_run(folder: str | Path) -> LoadedNet:
    """Rebuild the net of a finished run with its best weights.

    Raises ``UserError`` if the folder holds no finished run, if its checkpoint does not fit its
    configuration, or if that names what no run may name, see ``cifarlab.store.trust``.
    """
    run = Run.finished(Path(folder))
    path = run.folder / BEST
    checkpoint = read_checkpoint(path)
    identity = checkpoint["cifarlab"]
    config, classes = identity["config"], tuple(identity["classes"])
    check_trusted(config, path)
    for line in changed(run.result.code):
        log.warning("%s: %s", run.folder, line)
    net = build_net(
        config["model"],
        len(classes),
        identity["image_size"],
        pretrained=False,
        channels=config["data"].get("channels", 3),
    )
    load_weights(net, checkpoint, path)
    return LoadedNet(
        net.eval(),
        " ".join(filter(None, [run.result.model, config["model"].get("name")])),
        classes,
        identity["image_size"],
        tuple(identity["mean"]),
        tuple(identity["std"]),
        "of the members" if run.result.members else f"best epoch, {run.result.best_epoch}",
        run,
        config,
    )


def save_initial(net: nn.Module, layer: str, identity: Mapping[str, Any], folder: Path) -> None:
    """Keep the weights of one layer in the run's folder, as ``initial.ckpt``.

    Of the whole net this would be as large as the other checkpoints, in each run of a sweep.

    layer: the name of a module of ``net``.
    identity: as in every checkpoint.
    """
    state = net.get_submodule(layer).state_dict(prefix=f"{_PREFIX}{layer}.")
    checkpoint = {"cifarlab": dict(identity), "layer": layer, "state_dict": state}
    AtomicCheckpointIO().save_checkpoint(checkpoint, folder / INITIAL)


def read_initial(folder: Path, layer: str) -> torch.Tensor | None:
    """The weight of ``layer`` before training; ``None`` if the run did not keep it.

    Raises ``UserError`` if the file is damaged.
    """
    if not (folder / INITIAL).is_file():
        return None
    return net_weights(read_checkpoint(folder / INITIAL)).get(f"{layer}.weight")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of cifarlab, onto the CPU.

    Raises ``UserError`` if the file is missing, damaged or not a checkpoint of cifarlab.
    """
    try:
        checkpoint = read_weights(path, f"{path}: the checkpoint is damaged", open_checked)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    if not isinstance(checkpoint, dict) or not {"cifarlab", "state_dict"} <= checkpoint.keys():
        raise UserError(f"{path}: not a checkpoint of cifarlab")
    return checkpoint


@dataclass(frozen=True)
class Latest:
    """The checkpoint that a run goes on from.

    remark: why it is not the last one, in one line; empty if it is.
    """

    path: Path
    checkpoint: dict[str, Any]
    remark: str = ""


def read_latest(folder: Path) -> Latest | None:
    """A run's last checkpoint, or its best one if the last is damaged; ``None`` if there is none
    yet.

    Raises ``UserError`` if the best one is damaged, since the run will be measured with its
    weights, and if the last one is damaged and there is no best one.
    """
    last, best = folder / LAST, folder / BEST
    if not last.exists():
        return None
    try:
        latest = Latest(last, read_checkpoint(last))
    except UserError as error:
        if not best.exists():
            raise UserError(f"{error}; there is no other to go on from: {_ANEW}") from error
        checkpoint = _read_best(best)
        remark = f"{error}; going on from {best}, epoch {checkpoint['epoch'] + 1}"
        return Latest(best, checkpoint, remark)
    if best.exists():
        _read_best(best)
    return latest


def _read_best(path: Path) -> dict[str, Any]:
    try:
        return read_checkpoint(path)
    except UserError as error:
        raise UserError(f"{error}; it has the weights that count: {_ANEW}") from error


def load_weights(net: nn.Module, checkpoint: Mapping[str, Any], path: Path) -> None:
    """Put the weights of a checkpoint into ``net``.

    Raises ``UserError`` if they are those of another net. path: of the checkpoint, for the message.
    """
    weights = net_weights(checkpoint)
    check_fits(net, weights, path)
    net.load_state_dict(weights)


def begin_from(net: nn.Module, source: Path) -> str:
    """Put the best weights of a run, or those of a file, into ``net``, and say in a line what was
    taken. Its last layer stays new where theirs is another.

    Raises ``UserError`` if there are none, or if they lack others of the net's, or have other
    shapes.
    """
    told = f"init_from={source}"
    if source.is_dir():
        weights = net_weights(read_checkpoint(Run.finished(source).folder / BEST))
    elif source.is_file():
        weights = read_state(source, f"{told}: not a file of weights")
    else:
        raise UserError(f"{told}: neither a run's folder nor a file of weights")
    expected = net.state_dict()
    weights = fitted(weights, set(expected))
    last = [name for name, module in net.named_modules() if list(module.parameters(False))][-1]
    body = {name: ours for name, ours in expected.items() if name.rpartition(".")[0] != last}
    if wrong := misfits(weights, body):
        raise UserError(f"{told}: not weights of this {type(net).__name__}: {in_short(wrong)}")
    head = {name: ours for name, ours in expected.items() if name not in body}
    new = misfits(weights, head)
    taken = {n: v for n, v in weights.items() if n in (expected if not new else body)}
    net.load_state_dict(taken, strict=False)
    spare = [name for name in weights if name not in expected]
    parts = [f"{len(taken)} of {len(expected)} tensors of {source}"]
    parts += [f"new: {in_short(new)}"] if new else []
    parts += [f"not used: {in_short(spare)}"] if spare else []
    return "; ".join(parts)


def net_weights(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights of the net in a checkpoint, which has the state of the whole LightningModule."""
    state = checkpoint["state_dict"].items()
    return {name.removeprefix(_PREFIX): value for name, value in state if name.startswith(_PREFIX)}


def check_fits(net: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise ``UserError``, with the first difference, unless names and shapes of ``weights`` are
    those of ``net``. path: of the checkpoint, for the message."""
    expected = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in [*expected, *found]:
        ours, theirs = expected.get(name), found.get(name)
        if ours != theirs:
            raise UserError(
                f"{path}: a checkpoint of another model: {name} is "
                f"{'missing' if theirs is None else theirs} there and "
                f"{'missing' if ours is None else ours} in {type(net).__name__}"
            )
