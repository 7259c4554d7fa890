"""A trained net in use: ``model = cifarlab.load(run)``, then ``model.predict("cat.png")``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from cifarlab.base import hardware
from cifarlab.base.errors import UserError
from cifarlab.data.loader import scale_and_shift
from cifarlab.data.pictures import decode, fit, to_rgb
from cifarlab.store.checkpoint import LoadedNet, load_run

ImageLike = str | Path | Image.Image | np.ndarray
_BATCH = 256  # images that pass the net at once


class PixelsToLogits(nn.Module):
    """A net with its preprocessing: it normalises uint8 RGB pixels and computes logits.

    Args:
        net: takes normalised images.
        mean, std: of each channel, by which images in [0, 1] are normalised.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        scale, shift = scale_and_shift(mean, std)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def normalize(
        self, pixels: UInt8[Tensor, "batch 3 size size"]
    ) -> Float[Tensor, "batch 3 size size"]:
        """Normalised images, which the net itself takes."""
        return pixels.float() * self.scale + self.shift

    def forward(self, pixels: UInt8[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch classes"]:
        return self.net(self.normalize(pixels))


@dataclass(frozen=True, repr=False)
class Prediction:
    """The prediction for an image. probabilities: of each class by name, the likeliest first."""

    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """The probability of ``label``."""
        return self.probabilities[self.label]

    def top(self, count: int = 3) -> list[tuple[str, float]]:
        """The ``count`` likeliest classes with their probabilities; all classes if there are
        fewer."""
        return list(self.probabilities.items())[:count]

    def __str__(self) -> str:
        return ", ".join(f"{label} {share:.1%}" for label, share in self.top())

    def __repr__(self) -> str:
        return f"Prediction({self})"


class Predictor:
    """A trained net with its preprocessing, or several whose probabilities are averaged.

    It computes in 32 bits, whatever precision the run was trained in.

    Attributes:
        classes: their names, in the order of the probabilities.
        image_size: height and width of the images that the nets take, in pixels.
        resize: what becomes of images that are not square, see ``cifarlab.data.pictures.fit``.
        runs: the nets as they were loaded, each with the record and the configuration of its run.
        modules: the nets with their preprocessing, in eval mode, on ``device``.

    Args:
        runs: the nets, which must have the same classes and image size.
        device: ``auto`` (what training would choose), ``cpu``, ``gpu``, ``cuda`` or ``mps``.

    Raises:
        UserError: the nets have different classes or image sizes, or this machine does not have the
            device.
    """

    def __init__(self, runs: Sequence[LoadedNet], device: str = "auto") -> None:
        first = runs[0]
        for other in runs[1:]:
            if (other.classes, other.image_size, other.resize) != (
                *(first.classes, first.image_size, first.resize),
            ):
                raise UserError(
                    f"runs of other classes or image sizes cannot be averaged: {_kind(first)}; "
                    f"{_kind(other)}"
                )
        self.runs = list(runs)
        self.classes, self.image_size = first.classes, first.image_size
        self.resize = first.resize
        self.device = hardware.find_device(device)
        if device != "auto" and (device == "cpu") != (self.device.type == "cpu"):
            raise UserError(f"device={device}: not on this machine; auto or cpu are")
        modules = (PixelsToLogits(run.net, run.mean, run.std) for run in runs)
        self.modules = [
            module.eval().to(self.device).to(memory_format=torch.channels_last)
            for module in modules
        ]

    def predict(self, images: ImageLike | Sequence[ImageLike]) -> Prediction | list[Prediction]:
        """The prediction for an image, or a list of predictions for several.

        images: as in ``__call__``, which says what is raised, too.
        """
        predictions = self.ranked(self(images))
        return predictions[0] if _is_one(images) else predictions

    def __call__(self, images: ImageLike | Sequence[ImageLike]) -> Float[np.ndarray, "n classes"]:
        """The probabilities of the classes, one row for each image.

        Raises ``UserError`` for a file that is no image, and for pixels of another type or shape.

        images: the path of a file, a PIL image, uint8 pixels ``(height, width)`` or ``(height,
            width, channels)`` with 1, 3 or 4 channels; or several of these, in a list or as an
            array ``(n, height, width, channels)``. They may have any size: they are resized, and
            cropped or squashed as those were that the net was trained on.
        """
        several: Any = [images] if _is_one(images) else images
        chunks = [several[i : i + _BATCH] for i in range(0, len(several), _BATCH)]
        rows = [self.probabilities(np.stack([self.pixels(i) for i in chunk])) for chunk in chunks]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.classes)), np.float32)

    def pixels(self, image: ImageLike) -> UInt8[np.ndarray, "size size 3"]:
        """An image as the nets see it, before normalisation."""
        if isinstance(image, str | Path):
            picture = decode(Path(image).expanduser(), str(image))
        else:
            picture = to_rgb(_from_pixels(image) if isinstance(image, np.ndarray) else image)
        return fit(picture, self.image_size, self.resize)

    def probabilities(
        self, pixels: UInt8[np.ndarray, "batch size size 3"]
    ) -> Float[np.ndarray, "batch classes"]:
        """The probabilities of the classes for images of the right size, computed in one batch."""
        batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            shares = [module(batch).float().softmax(dim=1) for module in self.modules]
        return torch.stack(shares).mean(dim=0).cpu().numpy()

    def ranked(self, probabilities: Float[np.ndarray, "n classes"]) -> list[Prediction]:
        """A prediction for each row of probabilities."""
        orders = np.argsort(-probabilities, axis=1, kind="stable")
        return [
            Prediction({self.classes[i]: float(row[i]) for i in order})
            for row, order in zip(probabilities, orders, strict=True)
        ]

    def __repr__(self) -> str:
        names = ", ".join(run.record.model for run in self.runs)
        return (
            f"Predictor({names}; {len(self.classes)} classes, {self.image_size}x{self.image_size} "
            f"pixels, on {self.device})"
        )


def load(*runs: str | Path, device: str = "auto") -> Predictor:
    """The net of a finished run with its best weights, ready to predict.

    Raises ``UserError`` as ``Predictor`` and ``cifarlab.store.checkpoint.load_run`` do.

    runs: the folder of a run; of several, the probabilities are averaged.
    device: as for ``Predictor``.
    """
    if not runs:
        raise UserError("load: needs a run folder")
    return Predictor([load_run(run) for run in runs], device)


def _is_one(images: ImageLike | Sequence[ImageLike]) -> bool:
    several = isinstance(images, Sequence) and not isinstance(images, str)
    return not (several or (isinstance(images, np.ndarray) and images.ndim == 4))


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise UserError(
            f"an image of {pixels.dtype} values of shape {pixels.shape}: must be uint8, (height, "
            "width) or (height, width, channels) with 1, 3 or 4 channels"
        )
    return Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and channels == 1 else pixels)


def _kind(loaded: LoadedNet) -> str:
    size = f"{loaded.image_size}x{loaded.image_size}"
    count, first = len(loaded.classes), loaded.classes[0]
    return f"{loaded.record.name} has {count} classes, {first} ..., at {size} px, {loaded.resize}"
