"""The net to look at: of a run, or built from a model's configuration."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.errors import UserError, told
from cifarlab.base.options import IMAGENET
from cifarlab.base.seeding import derive
from cifarlab.inspection import calls, first_layer
from cifarlab.store.checkpoint import build_net, load_run, read_initial

_BATCH = 50  # validation images that pass the net at once


@dataclass(frozen=True)
class Subject:
    """A net to look at.

    title: in figures; size: height and width of the photo in pixels; state: what its weights are;
    config: of its run, with the data; ``None`` for a net without a run; before: weight of the
    first layer before training, where it was kept.
    """

    net: nn.Module
    title: str
    classes: Sequence[str]
    size: int
    mean: Sequence[float]
    std: Sequence[float]
    state: str
    folder: Path
    config: Mapping[str, Any] | None = None
    before: Tensor | None = None


def of_run(folder: Path) -> Subject:
    """The best weights of a finished run. Raises ``UserError`` as ``load_run``."""
    run = load_run(folder)
    name = run.config["model"].get("name")
    subject = Subject(
        run.net,
        f"{run.record.model} {name}" if name else run.record.model,
        run.classes,
        _size(run.config["model"], run.image_size),
        run.mean,
        run.std,
        f"best epoch, {run.record.best_epoch}",
        folder / "figures",
        run.config,
    )
    first = first_layer(calls(run.net, subject.size))
    return replace(subject, before=first and read_initial(folder, first.name))


def of_model(model: Mapping[str, Any], choice: str, folder: Path, seed: int = 0) -> Subject:
    """A net without a run: with ImageNet weights where ``model`` asks for them, else untrained, as
    a run of ``seed`` would begin. Its head has ten classes and is untrained in any case.

    Args:
        model: part of a configuration.
        choice: its name in the group.
        folder: of the figures.
    """
    torch.manual_seed(derive("weights", seed))
    net = build_net(model, num_classes=10, image_size=32).eval()
    title = f"{choice} {model['name']}" if "name" in model else choice
    state = "untrained" if model.get("weights") is None else "ImageNet weights"
    classes = [f"output {number}" for number in range(10)]
    return Subject(net, title, classes, _size(model, 32), *IMAGENET, state, folder)


def validation_images(
    config: Mapping[str, Any], count: int
) -> Iterator[Float[Tensor, "batch channels size size"]]:
    """The first ``count`` validation images of a run, normalised, in batches. Raises ``UserError``
    where they cannot be read."""
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


def _size(model: Mapping[str, Any], image_size: int) -> int:
    """Of the photo: what the net resizes its images to, else that of the images."""
    return model.get("resize") or image_size
