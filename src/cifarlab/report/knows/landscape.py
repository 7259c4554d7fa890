"""A slice of the loss around a trained net."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.base.seeding import derive
from cifarlab.figures import landscape as figure
from cifarlab.figures.curves import save
from cifarlab.inspection.landscape import direction, loss_slice
from cifarlab.report.document import Block, Grid, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.knows.common import Seen, net_of
from cifarlab.report.page import write_page
from cifarlab.stats.calibration import cross_entropy
from cifarlab.store.run import Run
from cifarlab.store.tables import write_csv


def write_landscape(run: Run, images: int, steps: int, span: float, seed: int, out: Path) -> str:
    """Write the page of a slice of a run's loss into ``out`` and return the text to show.

    Raises ``UserError`` if ``steps`` is even or below 3.

    images: how many validation images at most.
    steps: points along each direction, odd: the net is the one in the middle.
    span: how far it goes to each side, in lengths of the net's own filters.
    seed: of the directions.
    """
    if steps < 3 or steps % 2 == 0:
        raise UserError(f"steps={steps}: must be an odd number from 3, with the net in the middle")
    loaded, seen = net_of(run), Seen.of(run, images)
    generator = torch.Generator().manual_seed(derive("landscape", seed))
    directions = direction(loaded.net, generator), direction(loaded.net, generator)
    batches = seen.batches(loaded)
    labels = torch.from_numpy(seen.labels)

    def loss(net: nn.Module) -> float:
        logits = torch.cat([net(batch) for batch in batches])
        return float(nn.functional.cross_entropy(logits.cpu().double(), labels))

    places = np.linspace(-span, span, steps).tolist()
    places[steps // 2] = 0.0
    began = time.perf_counter()
    values = loss_slice(loaded.net, loss, directions, places).numpy()
    took = time.perf_counter() - began
    picture = out / "figures" / "landscape.png"
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"first": x, "second": y, "loss": float(values[row, column])}
        for row, y in enumerate(places)
        for column, x in enumerate(places)
    ]
    write_csv(out / "landscape.csv", rows)
    title = f"{run.result.name}: {len(labels):,} validation images"
    save(figure.draw(values, places, title), picture)
    middle = steps // 2
    near = values[middle - 1 : middle + 2, middle - 1 : middle + 2]
    around = np.delete(near.flatten(), 4)
    kept = type(run.answers.val)(
        run.answers.val.logits[: len(labels)], run.answers.val.labels[: len(labels)]
    )
    blocks: list[Block] = [
        Grid.of(
            [
                ["", "cross-entropy (nats)"],
                ["the net", f"{values[middle, middle]:.4f}"],
                ["the net, from the predictions of its run", f"{cross_entropy(kept):.4f}"],
                [f"one step around it ({span / middle:.2g}), mean of 8", f"{around.mean():.4f}"],
                ["lowest of the slice", f"{values.min():.4f}"],
                ["highest of the slice", f"{values.max():.4g}"],
            ]
        ),
        Text(
            f"{steps} x {steps} points on {len(labels):,} validation images in {took:.0f} s. Both "
            "directions are random and as long as the net's own filters (Li et al., 2018); biases "
            "and norms stay as they are. Two of "
            f"{sum(w.numel() for w in loaded.net.parameters()):,} directions: a bowl here says "
            "nothing about the others."
        ),
        Picture.read(picture, out),
        Text("All values: landscape.csv", "small"),
    ]
    return write_page(out, f"Loss slice: {run.result.name}", [*blocks, *provenance([run])])
