"""How alike the layers of two runs are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.figures import similarity as figure
from cifarlab.figures.curves import save
from cifarlab.inspection import calls
from cifarlab.inspection.features import answers_of
from cifarlab.inspection.similarity import cka, gram
from cifarlab.report.document import Block, Grid, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.knows.common import Seen, folders_of, net_of
from cifarlab.report.page import write_page
from cifarlab.report.side_by_side import labels, load
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.tables import write_csv

_FEWEST = 4  # images, for an estimate without bias


def write_similarity(folders: Sequence[Path], images: int, out: Path) -> str:
    """Write the page of the similarity of two runs' layers into ``out`` and return the text to
    show.

    Raises ``UserError`` if the runs were not validated on the same images.

    images: how many validation images at most, all of them at once.
    """
    if images < _FEWEST:
        raise UserError(f"images={images}: what=cka needs at least {_FEWEST}")
    runs = load(folders)
    names = labels(runs)
    seen = Seen.of(runs[0], images)
    grams = []
    for run in runs:
        loaded = net_of(run)
        grams.append(grams_of(loaded, seen))
    first, second = grams
    between = matrix(first, second)
    file, picture = out / "cka.csv", out / "figures" / "cka.png"
    down, across = list(first), list(second)
    panels = [
        (f"{names[0]} (down), {names[1]} (across)", between, down, across),
        (f"{names[0]} with itself", matrix(first, first), down, down),
    ]
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"a": a, "b": b, "cka": float(between[i, j])}
        for i, a in enumerate(down)
        for j, b in enumerate(across)
    ]
    write_csv(file, rows)
    save(figure.draw(panels), picture)
    table = [["layer", "most alike", "CKA"]]
    for i, name in enumerate(down):
        if np.isfinite(between[i]).any():
            best = int(np.nanargmax(between[i]))
            table.append([name, across[best], f"{between[i, best]:.3f}"])
    blocks: list[Block] = [
        folders_of(runs, names),
        Text(
            f"Linear CKA on {len(seen.labels):,} validation images at once, without bias. 1: one "
            "layer is the other, rotated and scaled; 0: nothing in common. Layers are "
            "convolutions and dense layers, before norm and activation."
        ),
        Picture.read(picture, out),
        Grid([names[0], f"most alike in {names[1]}", "CKA"], table[1:], words=(1,)),
        Text(f"All values: {file.name}", "small"),
    ]
    return write_page(
        out, f"Similarity of layers: {', '.join(names)}", [*blocks, *provenance(runs)]
    )


def grams_of(loaded: LoadedNet, seen: Seen) -> dict[str, Tensor]:
    """The Gram matrix of each convolution and dense layer, in the order in which they run."""
    batches = seen.batches(loaded)
    found: dict[str, Tensor] = {}
    for call in calls(loaded.net, seen.pixels.shape[1]):
        if isinstance(call.module, nn.Conv2d | nn.Linear) and call.name not in found:
            # one layer after the other: all outputs of a net at once do not fit into memory
            found[call.name] = gram(answers_of(loaded.net, batches, call.name))
    return found


def matrix(first: dict[str, Tensor], second: dict[str, Tensor]) -> np.ndarray:
    """CKA of each layer of one net (rows) with each of another (columns)."""
    values = [[cka(a, b) for b in second.values()] for a in first.values()]
    return torch.tensor(values, dtype=torch.float64).numpy()
