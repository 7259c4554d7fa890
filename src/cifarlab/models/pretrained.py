"""Networks in two parts, a backbone that may carry ImageNet weights and a head for our classes.

What transfer learning needs of a net (``cifarlab.lit.transfer``) is ``TwoParts``: torchvision's
classifiers, timm's (an optional package), and the VGGs of ``cifarlab.models.vgg``.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models

from cifarlab.base.errors import UserError
from cifarlab.base.weights import fitted, in_short, misfits, read_state, read_weights
from cifarlab.models.blocks import dropout_layer


class Resize(nn.Module):
    """Images of another size, bilinear, on their device; ``None`` leaves them as they are."""

    def __init__(self, size: int | None) -> None:
        super().__init__()
        if size is not None and size < 1:
            raise UserError(f"model.resize={size}: must be a number of pixels, or null")
        self.size = size

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height_out width_out"]:
        if self.size is None or images.shape[-1] == self.size:
            return images
        return F.interpolate(
            images, self.size, mode="bilinear", antialias=images.shape[-1] > self.size
        )


class TwoParts(nn.Module):
    """``head(backbone(resize(images)))``.

    Args:
        backbone: images to features ``(batch, d)`` or ``(batch, d, 1, 1)``.
        head: those to logits, from randomly drawn weights; flattens first.
        last_block: where in the backbone its last block begins: names of children, from outside in.
        resize: height and width in pixels that the images get; ``None``: as they are.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        last_block: Sequence[str],
        resize: int | None = None,
    ) -> None:
        super().__init__()
        self.resize = Resize(resize)
        self.backbone = backbone
        self.head = head
        self._last_block = last_block

    def features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features *ones"]:
        return self.backbone(self.resize(images))

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.head(self.features(images))

    def last_block(self) -> list[nn.Module]:
        """The backbone's last block and all modules behind it, disjoint."""
        return _from(self.backbone, self._last_block)


class Torchvision(TwoParts):
    """Any of torchvision's ImageNet classifiers that ends in a dense layer, which becomes the head.

    Args:
        name: as in ``torchvision.models.list_models()``.
        weights: ``None`` for random ones; ``imagenet`` for torchvision's best, or the name of a set
            (``IMAGENET1K_V1``), downloaded once and checked by hash; or a file of such a set.
        resize: height and width in pixels that the images get; ``None``: as they are.
        num_classes: length of the output.
        image_size: of the images before resizing; any will do.
        dropout: probability in [0, 1) of every dropout layer that the architecture has, else
            before the dense layer; ``None`` leaves all as torchvision has it.

    Raises:
        UserError: a name that torchvision does not have, weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        resize: int | None = 224,
        num_classes: int = 10,
        image_size: int = 32,
        dropout: float | None = None,
    ) -> None:
        net = torchvision_net(name, weights)
        path, dense = list(_children_to_the_end(net))[-1]
        if not isinstance(dense, nn.Linear):
            raise UserError(f"model.name={name}: does not end in a dense layer")
        owner, _, last = path.rpartition(".")
        setattr(net.get_submodule(owner), last, nn.Identity())
        has_dropout = _set_dropout(net, dropout)
        head = nn.Sequential(nn.Flatten())
        head.add_module("drop", dropout_layer(None if has_dropout else dropout))
        head.add_module("fc", nn.Linear(dense.in_features, num_classes))
        super().__init__(net, head, last_block_of(net), resize)


class Timm(TwoParts):
    """Any of timm's image classifiers (``pip install timm``).

    Args:
        name: as in ``timm.list_models()``.
        weights: ``None``, ``imagenet`` (what timm ships under the name) or a file.
        resize, num_classes, image_size: as ``Torchvision``'s.
        dropout: probability in [0, 1) before the dense layer; ``None`` is 0.

    Raises:
        UserError: timm is not installed, or does not know the name, or cannot have the weights.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        resize: int | None = 224,
        num_classes: int = 10,
        image_size: int = 32,
        dropout: float | None = None,
    ) -> None:
        try:
            import timm
        except ModuleNotFoundError:
            raise UserError("model=timm: timm is not installed: pip install timm") from None
        if not timm.is_model(name):
            raise UserError(_unknown(name, timm.list_models(), "timm"))
        options: dict[str, Any] = {}
        if weights not in (None, "imagenet"):
            options["pretrained_cfg_overlay"] = {"file": _existing(weights)}
            if not weights.endswith(".safetensors"):  # timm reads the others by torch.load
                read_weights(Path(weights), f"model.weights={weights}: not a file of weights")
        try:
            net: Any = timm.create_model(name, weights is not None, num_classes=0, **options)
        except (OSError, RuntimeError) as error:
            raise UserError(f"model.weights={weights}: {str(error).splitlines()[0]}") from error
        head = nn.Sequential(nn.Flatten())
        head.add_module("drop", dropout_layer(dropout))
        width = getattr(net, "head_hidden_size", None) or net.num_features
        head.add_module("fc", nn.Linear(width, num_classes))
        super().__init__(net, head, last_block_of(net), resize)


def torchvision_net(name: str, weights: str | None) -> nn.Module:
    """A classifier of torchvision with its own 1000 outputs; arguments as ``Torchvision``'s."""
    known = models.list_models(module=models)
    if name not in known:
        raise UserError(_unknown(name, known, "torchvision"))
    has_aux = name in ("googlenet", "inception_v3")  # classifiers half-way, for training only
    if weights is None:
        options = {"aux_logits": False, "init_weights": True} if has_aux else {}
        return models.get_model(name, **options)
    sets = models.get_model_weights(name)
    if weights != "imagenet" and weights not in sets.__members__:
        net = torchvision_net(name, None)
        _load(net, name, Path(_existing(weights, sets.__members__)))
    else:
        net = _with_weights(name, sets.DEFAULT if weights == "imagenet" else sets[weights])
    if has_aux:
        changes = {"aux_logits": False, "AuxLogits": None, "transform_input": True}
        for attribute, value in changes.items():
            setattr(net, attribute, value)
    return net


def _with_weights(name: str, chosen: models.WeightsEnum) -> nn.Module:
    file = chosen.url.rpartition("/")[2]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if (folder / file).exists():
        read_weights(folder / file, f"ImageNet weights of {name}: {folder / file} is damaged")
    try:
        return models.get_model(name, weights=chosen)
    except (URLError, RuntimeError, OSError) as error:
        raise UserError(
            f"ImageNet weights of {name}: {file} could not be had ({error}); put it into {folder}, "
            f"or give its place: model.weights=<folder>/{file}"
        ) from error


def _load(net: nn.Module, name: str, path: Path) -> None:
    """Weights of a file into ``net``, but for its last dense layer, which is not kept anyway."""
    state = read_state(path, f"model.weights={path}: not a file of weights")
    if name.startswith("densenet"):  # torchvision's files have norm.1, its modules norm1
        state = {
            re.sub(r"(norm|relu|conv)\.([12])\.", r"\1\2.", key): v for key, v in state.items()
        }
    last = list(_children_to_the_end(net))[-1][0]
    ours = {key: value for key, value in net.state_dict().items() if key.rpartition(".")[0] != last}
    state = fitted(state, set(ours))
    if wrong := misfits(state, ours):
        raise UserError(f"model.weights={path}: not weights of {name}: {in_short(wrong)}")
    net.load_state_dict({key: state[key] for key in ours if key in state}, strict=False)


def last_block_of(net: nn.Module) -> list[str]:
    """Path of the last block: ResNet's ``layer4``, the last convolutions between two poolings of a
    VGG, else the last stage with weights of the net's longest chain of stages.

    Raises ``UserError`` for a net in which none is found.
    """
    for chain in ("features", "stages", "blocks", "encoder.layers", "layers", "trunk_output"):
        owner, _, name = chain.rpartition(".")
        parent = dict(net.named_modules()).get(owner)
        if parent is None or not hasattr(parent, name):
            continue
        stages = list(getattr(parent, name).named_children())
        pools = [i for i, (_, stage) in enumerate(stages) if isinstance(stage, nn.MaxPool2d)]
        if len(pools) >= 2 and pools[-1] == len(stages) - 1:
            return [*chain.split("."), stages[pools[-2] + 1][0]]
        deep = [n for n, stage in stages if any(p.ndim >= 2 for p in stage.parameters())]
        if deep:
            return [*chain.split("."), deep[-1]]
    stages = [n for n, child in net.named_children() if re.fullmatch(r"(layer|stage)_?\d+", n)]
    if stages:
        return [stages[-1]]
    children = [
        n for n, child in net.named_children() if any(p.ndim >= 2 for p in child.parameters())
    ]
    if not children:
        raise UserError(f"{type(net).__name__} has no block to train by itself")
    return [children[-1]]


def _from(owner: nn.Module, path: Sequence[str]) -> list[nn.Module]:
    """The module at ``path`` and all that follow it, in the order of registration."""
    names = [name for name, _ in owner.named_children()]
    place = names.index(path[0])
    here = owner.get_submodule(path[0])
    inner = _from(here, path[1:]) if len(path) > 1 else [here]
    return inner + [owner.get_submodule(name) for name in names[place + 1 :]]


def _children_to_the_end(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules with weights of their own, by path, in order."""
    return [(name, m) for name, m in net.named_modules() if list(m.parameters(recurse=False))]


def _set_dropout(net: nn.Module, p: float | None) -> bool:
    """Give every dropout layer the probability ``p`` unless it is ``None``; is there one at all?"""
    places = [name for name, module in net.named_modules() if isinstance(module, nn.Dropout)]
    if p is not None:
        for place in places:
            owner, _, name = place.rpartition(".")
            setattr(net.get_submodule(owner), name, dropout_layer(p))
    return bool(places)


def _existing(file: str, names: Sequence[str] | Mapping[str, Any] = ()) -> str:
    if not Path(file).is_file():
        known = ", ".join(["imagenet", *names])
        raise UserError(f"model.weights={file}: no such file; null, {known} or a file of weights")
    return file


def _unknown(name: str, known: Sequence[str], package: str) -> str:
    near = get_close_matches(name, known, n=3)
    hint = f"; near it: {', '.join(near)}" if near else ""
    return f"model.name={name}: {package} has no such classifier{hint}"
