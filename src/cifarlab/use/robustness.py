"""How right a net is on corrupted images: our own, made by ``cifarlab.data.corruptions``, or those
of CIFAR-10-C and CIFAR-10.1 where their files are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from cifarlab.base.arrays import DAMAGE, read_array
from cifarlab.base.errors import UserError, nearest
from cifarlab.base.hardware import find_device
from cifarlab.data.cifar import CIFAR10
from cifarlab.data.corruptions import CORRUPTIONS, GROUPS, SEVERITIES, corrupt
from cifarlab.data.loader import Normalize
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.robustness import Robustness
from cifarlab.use.own_images import own_images

Pixels = UInt8[Tensor, "n channels height width"]
Labels = Int[Tensor, " n"]
Answer = Callable[[Tensor], Tensor]
Cell = tuple[str, int]  # corruption and severity
_BATCH = 250


@dataclass(frozen=True)
class OwnImages:
    """Images, of which each corruption and severity is made when it is asked for.

    seed: of what is drawn.
    """

    images: Pixels
    labels: Labels
    seed: int = 0

    def batches(self, name: str, severity: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels; severity 0 is the images as they are."""
        indices = torch.arange(len(self.images), device=self.images.device)
        parts = zip(
            self.images.split(_BATCH), self.labels.split(_BATCH), indices.split(_BATCH), strict=True
        )
        for images, labels, which in parts:
            changed = corrupt(images, name, severity, which, self.seed) if severity else images
            yield changed, labels


class PublishedImages:
    """The folder of CIFAR-10-C: ``labels.npy`` and an array of each corruption, with all severities
    one after the other. An array is read when it is asked for.

    Raises ``UserError`` unless its images are those with ``labels``, in this order, or begin with
    them.
    """

    def __init__(self, folder: Path, labels: Labels) -> None:
        self.folder, self.labels = folder, labels
        theirs = _labels(folder / "labels.npy")
        self.total, self.per_severity = len(theirs), len(theirs) // len(SEVERITIES)
        if not torch.equal(theirs[: self.per_severity][: len(labels)], labels.cpu()):
            raise UserError(f"{folder}: not the test images of the run (labels.npy has others)")
        self._read: tuple[str, Pixels] | None = None

    def batches(self, name: str, severity: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels of one severity, from 1 to 5."""
        if self._read is None or self._read[0] != name:
            self._read = name, _images(self.folder / f"{name}.npy", self.total)
        start = (severity - 1) * self.per_severity
        images = self._read[1][start : start + len(self.labels)].to(self.labels.device)
        yield from zip(images.split(_BATCH), self.labels.split(_BATCH), strict=True)


def chosen(
    corruptions: Sequence[str] | None, severities: Sequence[str] | None
) -> tuple[list[str], list[int]]:
    """The names of the corruptions, where groups are replaced by theirs, and the severities;
    ``None``: all. Raises ``UserError`` for one that there is not."""
    if corruptions is None:
        names = [*CORRUPTIONS]
    else:
        known = {name: [name] for name in CORRUPTIONS}
        known |= {group: [each.__name__ for each in made] for group, made in GROUPS.items()}
        for name in corruptions:
            if name not in known:
                raise UserError(f"corruptions={name}: no such corruption; {nearest(name, known)}")
        asked = {name for item in corruptions for name in known[item]}
        names = [name for name in CORRUPTIONS if name in asked]
    wanted = [*map(str, SEVERITIES)] if severities is None else severities
    if wrong := [each for each in wanted if each not in map(str, SEVERITIES)]:
        raise UserError(f"severities={wrong[0]}: must be whole numbers from 1 to 5")
    return names, sorted(set(map(int, wanted)))


def is_complete(names: Sequence[str], severities: Sequence[int]) -> bool:
    """Whether these are all corruptions at all severities, over which the mean corruption error
    is."""
    return (*names,) == (*CORRUPTIONS,) and (*severities,) == SEVERITIES


def measure(
    run: LoadedNet,
    names: Sequence[str],
    severities: Sequence[int],
    count: int | None = None,
    seed: int = 0,
    source: Path | None = None,
    progress: Callable[[Iterable[Cell]], Iterable[Cell]] = iter,
) -> Robustness:
    """The accuracies of a run's net on its own test images, as they are and corrupted.

    Raises ``UserError`` if the run's data are others now, or the source does not fit them.

    count: only the first so many images; ``None``: all.
    source: the folder of CIFAR-10-C, whose images are taken; ``None``: they are made.
    progress: given corruptions and severities one by one, hands them on.
    """
    answer, device = _answer(run)
    images, labels = own_images(run, "test", count, device)
    own = OwnImages(images, labels, seed)
    corrupted = PublishedImages(source, labels) if source else own
    clean = accuracy(answer, own.batches("", 0))
    acc: dict[str, list[float]] = {name: [] for name in names}
    for name, severity in progress([(n, s) for n in names for s in severities]):
        acc[name].append(accuracy(answer, corrupted.batches(name, severity)))
    return Robustness(acc, [*severities], clean, len(labels), seed)


def on_new_test(run: LoadedNet, path: Path) -> tuple[float, int]:
    """The accuracy on CIFAR-10.1 (Recht et al., 2018), and of how many images.

    path: of ``cifar10.1_v6_data.npy``, with ``cifar10.1_v6_labels.npy`` beside it.

    Raises ``UserError`` if one is missing or no such array, or the run has other classes.
    """
    beside = path.with_name(path.name.replace("_data", "_labels"))
    if beside == path:
        raise UserError(f"source={path}: must be a ..._data.npy with its ..._labels.npy beside it")
    if run.classes != CIFAR10.classes:
        raise UserError(f"source={path}: has CIFAR-10's classes, and the net others")
    answer, device = _answer(run)
    labels = _labels(beside)
    images = _images(path, len(labels))
    return accuracy(answer, OwnImages(images.to(device), labels.to(device)).batches("", 0)), len(
        labels
    )


def accuracy(answer: Answer, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The share of right answers. answer: from uint8 images to logits."""
    with torch.inference_mode():
        right = [answer(images).argmax(1) == labels for images, labels in batches]
    return float(torch.cat(right).double().mean())


def _answer(run: LoadedNet) -> tuple[Answer, torch.device]:
    device = find_device("cuda")
    net = run.net.to(device).to(memory_format=torch.channels_last)
    normalize = Normalize(run.mean, run.std, device)
    return lambda images: net(normalize(images)), device


def _images(path: Path, count: int) -> Pixels:
    """Raises ``UserError`` unless they are so many images of CIFAR's size."""
    found = _read(path)
    if found.dtype != np.uint8 or found.shape != (count, 32, 32, 3):
        shape = "x".join(map(str, found.shape))
        raise UserError(f"{path}: {found.dtype} {shape}, must be uint8 {count}x32x32x3")
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def _labels(path: Path) -> Labels:
    found = _read(path)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise UserError(f"{path}: no labels, which are whole numbers in a row")
    return torch.from_numpy(found.astype(np.int64))


def _read(path: Path) -> np.ndarray:
    try:
        return read_array(path)
    except FileNotFoundError:
        raise UserError(f"{path}: missing") from None
    except (UserError, PermissionError):
        raise
    except DAMAGE as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error
