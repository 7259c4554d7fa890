"""Figures of what a net has learnt, and of what it computes from a photo."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from cifarlab.base.errors import UserError, told
from cifarlab.base.options import IMAGENET
from cifarlab.base.seeding import derive
from cifarlab.data.loader import Normalize
from cifarlab.data.pictures import fit
from cifarlab.inspection import (
    Call,
    DeadFilters,
    as_pictures,
    calls,
    capture,
    evaluating,
    first_layer,
    grad_cam,
    last_maps,
    maps_of,
)
from cifarlab.store.checkpoint import LoadedNet, build_net, read_initial
from cifarlab.store.record import short_name

_BATCH = 50  # validation images that pass the net at once


@dataclass(frozen=True)
class Options:
    """What to look at.

    filters: the numbers of filters of the first layer, from 0; ``None``: five of them.
    maps: the numbers of maps of ``layer``, from 0; ``None``: the first ten.
    layer: the name of a module; ``None``: the last one with maps, before they are pooled.
    label: the name or number of the class that Grad-CAM explains; ``None``: the predicted one.
    val_images: how many validation images, besides the photo, dead filters are sought on.
    size: the height and width of the photo in pixels; ``None``: those of the training images.
    """

    filters: Sequence[int] | None = None
    maps: Sequence[int] | None = None
    layer: str | None = None
    label: str | int | None = None
    val_images: int = 1000
    size: int | None = None


def visualize(net: LoadedNet, image: Image.Image, options: Options, folder: Path) -> Iterator[str]:
    """Write the figures of a net into ``folder``; yields lines for the user meanwhile.

    They are ``first_layer.png``, ``filters.png``, ``feature_maps.png`` (or
    ``feature_maps_<layer>.png``) and ``gradcam.png`` (or ``gradcam_<class>.png``). If the net has
    no convolutions, some are left out, and a line says so. Raises ``UserError`` for options that do
    not fit the net.
    """
    look = Look(net, image, options, folder)
    yield look.prediction
    yield from look.count_dead()
    yield from look.first_layer()
    yield from look.feature_maps()
    yield from look.explanation()


def of_model(model: Mapping[str, Any], choice: str, seed: int = 0) -> LoadedNet:
    """A net without a run: with ImageNet weights if ``model`` asks for them, else untrained.

    An untrained net has the weights with which a run of ``seed`` would begin. The head has ten
    classes and is always untrained.

    Args:
        model: that part of a configuration.
        choice: the name of the option that was chosen for it.
        seed: of the weights.
    """
    torch.manual_seed(derive("weights", seed))
    net = build_net(model, num_classes=10, image_size=32).eval()
    title = " ".join(filter(None, [choice, model.get("name")]))
    classes = tuple(f"output {number}" for number in range(10))
    weights = "untrained" if model.get("weights") is None else "ImageNet weights"
    size = model.get("resize") or 32
    return LoadedNet(net, title, classes, size, *IMAGENET, weights)


class Look:
    """A net, a photo, and the figures of what the net computes from it."""

    def __init__(
        self, loaded: LoadedNet, image: Image.Image, options: Options, folder: Path
    ) -> None:
        self.loaded, self.options, self.folder = loaded, options, folder
        self.net = loaded.net
        model = loaded.config.get("model", {})
        size = options.size or model.get("resize") or loaded.image_size
        self.photo: UInt8[np.ndarray, "size size 3"] = fit(image, size, loaded.resize)
        pixels = torch.tensor(self.photo).permute(2, 0, 1)[None]
        normalize = Normalize(loaded.mean, loaded.std, torch.device("cpu"))
        self.image: Float[Tensor, "3 size size"] = normalize(pixels)[0]
        made = calls(self.net, size)
        first = first_layer(made)
        if first is None:
            raise UserError(f"{loaded.title}: has neither a convolution nor a dense layer to show")
        self.first = first
        self.before = read_initial(loaded.run.folder, first.name) if loaded.run else None
        self.last = last_maps(made)
        self.layer = self.last if options.layer is None else maps_of(made, options.layer)
        self.filters = _chosen("filters", options.filters, self.first, 5)
        if self.layer is not None:
            self.maps = _chosen("maps", options.maps, self.layer, 10, first=True)
        with evaluating(self.net), torch.no_grad():
            self.shares = self.net(self.image[None])[0].softmax(dim=0)
        self.label = self._label()
        watched = self.layer.name if self.layer is not None and self.layer.is_maps else None
        self.dead = DeadFilters(self.net, watched)

    @property
    def prediction(self) -> str:
        best = self.shares.topk(min(3, len(self.shares)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        found = ", ".join(f"{self.loaded.classes[i]} {share:.1%}" for share, i in pairs)
        return f"{self.loaded.title}, {self.loaded.weights}: {found}"

    def count_dead(self) -> Iterator[str]:
        """Count the filters that are dead on the photo and the validation images."""
        self.dead.see(self.image[None])
        if self.loaded.config and self.options.val_images > 0:
            for images in _validation_images(self.loaded.config, self.options.val_images):
                self.dead.see(images)
        if not self.dead.filters:
            yield "dead filters: none to be found, no activation follows a convolution"
            return
        more = self.dead.images - 1
        seen = f"the photo and {more:,} validation images" if more else "the photo alone"
        found = {name: numbers for name, numbers in self.dead.by_layer.items() if numbers}
        count = sum(map(len, found.values()))
        yield f"dead filters on {seen}: {count:,} of {self.dead.filters:,}"
        for name, numbers in found.items():
            yield f"  {name}: {_listed(numbers)}"

    def first_layer(self) -> Iterator[str]:
        """Draw the first layer's weights before and after training, and some filters with their
        activations."""
        from cifarlab.figures import activations, filters

        weight = self.first.module.weight
        assert isinstance(weight, Tensor)
        weights = as_pictures(weight.detach())
        states = {self.loaded.weights: weights.numpy()}
        if self.before is not None:
            states = {"before training": as_pictures(self.before).numpy()} | states
        elif self.loaded.run is not None:
            yield "the run kept no initial weights: first_layer.png has those after training only"
        dead = self.dead.by_layer.get(self.first.name, [])
        title = f"{self.loaded.title}: {self.first.name}"
        yield self._save(filters.draw(states, dead, title), "first_layer")
        if not self.first.is_maps:
            yield f"no filters.png: {self.first.name} is a dense layer, without maps"
            return
        answers = capture(self.net, self.image, self.first.name)
        chosen = list(self.filters)
        figure = activations.pairs(
            self.photo, weights[chosen].numpy(), answers[chosen].numpy(), chosen, dead, title
        )
        yield self._save(figure, "filters")

    def feature_maps(self) -> Iterator[str]:
        """Draw the maps of a layer, or the outputs of its units if it is a dense layer."""
        from cifarlab.figures import activations

        if self.layer is None:
            yield "no feature_maps.png: the net has no convolutions; layer=<name> shows its units"
            return
        answers = capture(self.net, self.image, self.layer.name).numpy()
        title = f"{self.loaded.title}: {self.layer.name}"
        if not self.layer.is_maps:
            figure = activations.units(self.photo, answers, title)
        else:
            chosen = list(self.maps)
            title += f" ({answers.shape[0]} maps of {answers.shape[1]}x{answers.shape[2]})"
            dead = self.dead.of_layer
            figure = activations.maps(self.photo, answers[chosen], chosen, dead, title)
        named = "" if self.options.layer is None else f"_{self.layer.name}"
        yield self._save(figure, f"feature_maps{named}")

    def explanation(self) -> Iterator[str]:
        """Draw Grad-CAM (Selvaraju et al., arXiv:1610.02391)."""
        from cifarlab.figures import activations
        from cifarlab.figures.style import class_labels

        layer = self.layer if self.layer is not None and self.layer.is_maps else self.last
        if layer is None:
            yield "no gradcam.png: the net has no convolutions"
            return
        heat = grad_cam(self.net, self.image, layer.name, self.label)
        name, share = self.loaded.classes[self.label], float(self.shares[self.label])
        shown = class_labels(self.loaded.classes)[self.label]
        title = f"{self.loaded.title}: {layer.name} for \u201c{shown}\u201d ({share:.1%})"
        figure = activations.cam(self.photo, heat.numpy(), title)
        word = re.sub(r"[^\w.-]+", "-", name)
        yield self._save(
            figure, "gradcam" if self.options.label is None else short_name(f"gradcam_{word}")
        )

    def _label(self) -> int:
        given, classes = self.options.label, list(self.loaded.classes)
        if given is None:
            return int(self.shares.argmax())
        if str(given) in classes:
            return classes.index(str(given))
        if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(classes):
            return given
        known = ", ".join(classes)
        raise UserError(f"class={given}: must be one of {known}, or 0 to {len(classes) - 1}")

    def _save(self, figure: Any, name: str) -> str:
        from cifarlab.figures.curves import save

        path = self.folder / f"{name}.png"
        save(figure, path)
        return str(path)


def _validation_images(
    config: Mapping[str, Any], count: int
) -> Iterator[Float[Tensor, "batch channels size size"]]:
    """The first ``count`` validation images of a run, normalised, in batches.

    Raises ``UserError`` if they cannot be read.
    """
    options = {"eval_batch_size": _BATCH, "augment": None}
    try:
        data = instantiate(dict(config["data"]) | options, _convert_="all")
        data.setup()
    except Exception as error:
        if isinstance(mistake := told(error), UserError):
            raise UserError(
                f"validation images of the run: {mistake}; val_images=0 does without them"
            ) from error
        raise
    for images, _ in data.eval_loader("val", torch.device("cpu")):
        if count <= 0:
            return
        yield images[:count]
        count -= len(images)


def _chosen(
    key: str, given: Sequence[int] | None, layer: Call, count: int, *, first: bool = False
) -> Sequence[int]:
    """The numbers of channels to show: those that were given, else ``count`` of them.

    These are the first ones, or spread evenly. Raises ``UserError`` for numbers that do not exist.
    """
    total = layer.shape[1]
    if given is None:
        count = min(count, total)
        return range(count) if first else [number * total // count for number in range(count)]
    for number in given:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < total:
            raise UserError(f"{key}={number}: {layer.name} has {total}, numbered 0 to {total - 1}")
    if not given:
        raise UserError(f"{key}=[]: needs a number at least")
    return given


def _listed(numbers: Sequence[int], most: int = 10) -> str:
    text = ", ".join(map(str, numbers[:most]))
    return f"{text} and {len(numbers) - most} more" if len(numbers) > most else text
