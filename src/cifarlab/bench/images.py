"""Augmentation and evaluation, images a second of one thread."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torchvision.transforms import v2

from cifarlab.base import hardware
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.bench import batched, textbook
from cifarlab.bench.timing import Case, Clock
from cifarlab.bench.training import autocast
from cifarlab.lit import evaluate
from cifarlab.run.build import build


def augmentation(config: RunConfig, steps: int, warmup: int) -> Case:
    """From stored pixels to a normalised batch.

    Ours: the batch at once, drawn for each image apart. ``one by one``: PIL images through
    torchvision's transforms, as a worker of a ``DataLoader`` does. ``v2 batch``: torchvision's
    transforms on the batch, which draw once for all its images, so that it is another augmentation.
    ``kornia``: its modules on the batch, drawn for each image apart, but the operations of its
    RandAugment and TrivialAugment once for all. Those are left out that have no counterpart, and
    kornia's where it is not installed (the extra ``bench``).
    """
    device = hardware.find_device(config["trainer"]["accelerator"])
    clock = Clock(device)
    data, _ = build(config)
    size = data.batch_size

    def ours() -> float:
        batches = _endless(data.train_loader(device))
        return _an_image(clock, lambda: next(batches), size, steps, warmup)

    ways = {"ours": ours}
    kornia = batched.policy(data.augment, data.mean, data.std)

    def by_kornia() -> float:
        pixels = torch.from_numpy(data.images.train_images).permute(0, 3, 1, 2).to(device)

        def batch() -> torch.Tensor:
            chosen = pixels[torch.randint(len(pixels), (size,), device=device)]
            return kornia(chosen.float() / 255)

        return _an_image(clock, batch, size, steps, warmup)

    if kornia is not None:
        ways["kornia"] = by_kornia
    try:
        theirs = textbook.transforms(data.augment)
    except UserError:
        return Case(_aug(config), "us an image", ways)

    def one_by_one() -> float:
        images = textbook.Images(data, data.train_indices, theirs)
        order = _endless(range(len(images)))

        def batch() -> torch.Tensor:
            return torch.stack([images[next(order)][0] for _ in range(size)])

        return _an_image(clock, batch, size, min(steps, 10), 1)

    def v2_batch() -> float:
        pixels = torch.from_numpy(data.images.train_images).permute(0, 3, 1, 2).to(device)
        to_float = v2.ToDtype(torch.float32, scale=True)
        whole = v2.Compose([*theirs, to_float, v2.Normalize(data.mean, data.std)])

        def batch() -> torch.Tensor:
            return whole(pixels[torch.randint(len(pixels), (size,), device=device)])

        return _an_image(clock, batch, size, steps, warmup)

    ways |= {"one by one": one_by_one, "v2 batch": v2_batch}
    return Case(_aug(config), "us an image", ways)


def evaluation(config: RunConfig) -> Case:
    """The validation images through a net. Textbook: a ``DataLoader``, 32 bits, contiguous."""
    device = hardware.find_device(config["trainer"]["accelerator"])
    clock = Clock(device)
    data, module = build(config)
    module.to(device)

    def timed(plainly: bool) -> float:
        layout = torch.contiguous_format if plainly else torch.channels_last
        net: Any = module.net.to(memory_format=layout)
        loader: Any = _on(textbook.val_loader(data), device) if plainly else None
        cast = contextlib.nullcontext() if plainly else autocast(config, device)
        began = clock()
        evaluate(net, loader or data.eval_loader("val", device), cast)
        return 1e6 * (clock() - began) / len(data.val_indices)

    ways = {"ours": lambda: timed(False), "textbook": lambda: timed(True)}
    return Case(config["choices"]["model"], "us an image", ways)


def _an_image(
    clock: Callable[[], float], batch: Callable[[], Any], size: int, steps: int, warmup: int
) -> float:
    """Microseconds, the mean over batches: what is drawn for a whole one makes them differ."""
    for _ in range(warmup):
        batch()
    began = clock()
    for _ in range(steps):
        batch()
    return 1e6 * (clock() - began) / (steps * size)


def _endless(items: Iterable[Any]) -> Iterator[Any]:
    """Over and over."""
    while True:
        yield from items


def _on(loader: Any, device: torch.device) -> Any:
    return ((images.to(device), labels.to(device)) for images, labels in loader)


def _aug(config: RunConfig) -> str:
    return config["choices"]["aug"] or "-".join(config["aug"]) or "none"
