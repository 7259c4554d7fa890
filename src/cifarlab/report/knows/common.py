"""What the pages share: the validation images of runs, nets on a device, folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from cifarlab.base.hardware import find_device
from cifarlab.data.loader import Normalize, channels_first
from cifarlab.report.document import Grid
from cifarlab.report.images import images_of
from cifarlab.store.checkpoint import LoadedNet, load_run
from cifarlab.store.run import Run

_BATCH = 250  # images that pass a net at once


@dataclass(frozen=True)
class Seen:
    """The first validation images of a run, which it was not trained on.

    pixels: as they are stored; labels: positions in ``classes``.
    """

    pixels: UInt8[np.ndarray, "n height width 3"]
    labels: Int[np.ndarray, " n"]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, run: Run, count: int) -> "Seen":
        """At most ``count`` images. Raises ``UserError`` if they cannot be had any more."""
        images, chosen = images_of(run), run.answers.val_indices[:count]
        return cls(images.train_images[chosen], images.train_labels[chosen], images.classes)

    def batches(self, loaded: LoadedNet) -> list[Float[Tensor, "batch 3 height width"]]:
        """The images as the net of a run wants them, where it is."""
        device = next(loaded.net.parameters()).device
        normalize = Normalize(loaded.mean, loaded.std, device)
        pixels = channels_first(torch.from_numpy(self.pixels).to(device))
        return [normalize(batch) for batch in pixels.split(_BATCH)]


def net_of(run: Run) -> LoadedNet:
    """The net of a run with its best weights, on the device that training would choose."""
    loaded = load_run(run.folder)
    loaded.net.to(find_device("auto")).to(memory_format=torch.channels_last)
    return loaded


def folders_of(runs: Sequence[Run], names: Sequence[str]) -> Grid:
    """Which run is which."""
    found = [[name, str(run.folder)] for name, run in zip(names, runs, strict=True)]
    return Grid(["", "run folder"], found, words=(1,))


def default_folder(what: str, folders: Sequence[Path]) -> Path:
    """Where a page goes that was given no folder: the same runs always get the same one."""
    from cifarlab.report.side_by_side import default_name

    return Path("outputs") / "knows" / what / default_name(folders)
