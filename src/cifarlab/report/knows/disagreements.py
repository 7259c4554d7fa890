"""What two runs look at where they disagree: Grad-CAM and occlusion side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from cifarlab.base.errors import UserError
from cifarlab.figures import explained as figure
from cifarlab.figures.curves import save
from cifarlab.inspection import calls, grad_cam, last_maps
from cifarlab.inspection.occlusion import occlusion
from cifarlab.report.document import Block, Grid, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.knows.common import Seen, folders_of, net_of
from cifarlab.report.page import write_page
from cifarlab.report.side_by_side import labels, load
from cifarlab.stats.answers import Predictions
from cifarlab.store.checkpoint import LoadedNet


def write_disagreements(
    folders: Sequence[Path], images: int, show: int, patch: int, stride: int, out: Path
) -> str:
    """Write the page of two runs' disagreements into ``out`` and return the text to show.

    Raises ``UserError`` if the runs were not validated on the same images, if they nowhere
    disagree, if a net has no convolution, or if the square is larger than the images.

    images: how many validation images at most.
    show: how many of those that they disagree on, the surest answers first.
    patch, stride: of the occlusion, in pixels.
    """
    runs = load(folders)
    names = labels(runs)
    seen = Seen.of(runs[0], images)
    if patch > seen.pixels.shape[1]:
        raise UserError(f"patch={patch}: images have {seen.pixels.shape[1]} pixels a side")
    nets = [net_of(run) for run in runs]
    asked = [_ask(net, seen) for net in nets]
    which = np.flatnonzero(asked[0].answers != asked[1].answers)
    if not len(which):
        raise UserError(f"{names[0]} and {names[1]} agree on all {len(seen.labels):,} images")
    sure = np.mean([net.confidence[which] for net in asked], axis=0)
    chosen = which[np.argsort(-sure, kind="stable")][:show].tolist()
    rows: list[figure.Row] = [
        figure.Row(
            seen.pixels[i],
            f"is {seen.classes[seen.labels[i]]}",
            [
                _explain(net, ask, seen, i, patch, stride)
                for net, ask in zip(nets, asked, strict=True)
            ],
        )
        for i in chosen
    ]
    picture = out / "figures" / "disagreements.png"
    save(figure.draw(rows, names, patch, stride), picture)
    right = [int(net.is_right[which].sum()) for net in asked]
    table = [["", "right where they disagree", "mean confidence there", "methods agree"]]
    for number, name in enumerate(names):
        explained = [row.nets[number] for row in rows]
        table.append(
            [
                name,
                f"{right[number]} of {len(which)}",
                f"{asked[number].confidence[which].mean():.1%}",
                _agreement(explained, seen.pixels.shape[1], patch, stride),
            ]
        )
    blocks: list[Block] = [
        folders_of(runs, names),
        Grid.of(table),
        Text(
            f"They disagree on {len(which):,} of {len(seen.labels):,} validation images; shown are "
            f"the {len(rows)} with the surest answers. Each net explains its own answer. Grad-CAM: "
            "which places of the last maps speak for it. Occlusion: how far its probability falls "
            f"when a square of {patch} x {patch} pixels is covered by the mean colour. Methods "
            "agree: Spearman's rank correlation of the two maps on those images, mean and range. "
            "Where they do not agree, believe neither without another look."
        ),
        Picture.read(picture, out),
    ]
    return write_page(out, f"Disagreements: {', '.join(names)}", [*blocks, *provenance(runs)])


@torch.no_grad()
def _ask(loaded: LoadedNet, seen: Seen) -> Predictions:
    logits = torch.cat([loaded.net(batch) for batch in seen.batches(loaded)])
    return Predictions(logits.cpu().double().numpy(), seen.labels)


def _explain(
    loaded: LoadedNet, asked: Predictions, seen: Seen, i: int, patch: int, stride: int
) -> figure.Explained:
    one = Seen(seen.pixels[i : i + 1], seen.labels[i : i + 1], seen.classes)
    image: Tensor = one.batches(loaded)[0][0]
    layer = last_maps(calls(loaded.net, image.shape[-1]))
    if layer is None:
        raise UserError(f"{loaded.title}: has no convolutions, whose maps Grad-CAM explains")
    label = int(asked.answers[i])
    return figure.Explained(
        f"{seen.classes[label]} {asked.confidence[i]:.0%}",
        grad_cam(loaded.net, image, layer.name, label).cpu().numpy(),
        occlusion(loaded.net, image, label, patch, stride).cpu().numpy(),
    )


def _agreement(explained: Sequence[figure.Explained], size: int, patch: int, stride: int) -> str:
    """Of the two methods; images on which one of them says nothing do not count."""
    found = [correlation(each.cam, each.fall, size, patch, stride) for each in explained]
    known = [value for value in found if np.isfinite(value)]
    if not known:
        return "-"
    return f"{np.mean(known):.2f} ({min(known):.2f} to {max(known):.2f})"


def correlation(cam: np.ndarray, fall: np.ndarray, size: int, patch: int, stride: int) -> float:
    """Spearman's rank correlation of the fall under a square with the mean of a class activation
    map, stretched over the image, in that square; NaN where one of them is the same everywhere.

    size: of the image; patch, stride: of the squares, all in pixels.
    """
    small = torch.from_numpy(cam)[None, None].float()
    whole = interpolate(small, (size, size), mode="bilinear", align_corners=False)
    one, other = avg_pool2d(whole, patch, stride).flatten().numpy(), fall.flatten()
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)
