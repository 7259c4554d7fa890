"""The images that a run was trained, validated and tested on, as its configuration reads them."""

import torch
from hydra.utils import instantiate
from jaxtyping import Int, UInt8
from torch import Tensor

from cifarlab.base.errors import UserError
from cifarlab.store.checkpoint import LoadedNet


def own_images(
    run: LoadedNet, split: str, count: int | None, device: torch.device
) -> tuple[UInt8[Tensor, "n channels height width"], Int[Tensor, " n"]]:
    """The first ``count`` images (``None``: all) of ``train``, ``val`` or ``test``, not
    augmented, and their labels.

    Raises ``UserError`` if the data are not those any more that the run was trained with.
    """
    data = instantiate(run.config["data"], _convert_="all")
    data.setup()
    folder, known = run.run.folder if run.run else "", run.record.data
    if data.split_hash != known["split_hash"]:
        raise UserError(f"{folder}: its data are others now (split {data.split_hash})")
    if len(data.images.test_labels) != known["num_test"]:
        found = len(data.images.test_labels)
        raise UserError(f"{folder}: its data are others now ({found:,} test images)")
    if split != "test":
        chosen = (data.val_indices if split == "val" else data.train_indices)[:count]
        images, labels = data.images.train_images[chosen], data.images.train_labels[chosen]
    else:
        images, labels = data.images.test_images[:count], data.images.test_labels[:count]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    return pixels.to(device), torch.from_numpy(labels).to(device)
