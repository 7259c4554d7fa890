"""Where a net puts images: its last features on a plane, and for TensorBoard's projector."""

import contextlib
import io
import shutil
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from cifarlab.base.errors import UserError
from cifarlab.base.seeding import derive
from cifarlab.figures import embedding as figure
from cifarlab.figures.curves import save
from cifarlab.inspection.features import penultimate
from cifarlab.report.document import Block, Code, Grid, Heading, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.knows.common import Seen, net_of
from cifarlab.report.page import write_page
from cifarlab.store.run import Run

METHODS = ("pca", "tsne")
_NEIGHBOURS = 10
_FEWEST = 3 * 30 + 1  # images, for the perplexity of t-SNE, which is scikit-learn's default


def write_embeddings(run: Run, method: str, images: int, seed: int, out: Path) -> str:
    """Write the page of a run's embeddings into ``out`` and return the text to show.

    Raises ``UserError`` for a method that is unknown or not installed, for too few images, and for
    a net without a dense layer.

    method: one of ``METHODS``; ``tsne`` needs scikit-learn.
    images: how many validation images at most.
    seed: of t-SNE.
    """
    if method not in METHODS:
        raise UserError(f"method={method}: must be one of {', '.join(METHODS)}")
    loaded, seen = net_of(run), Seen.of(run, images)
    fewest = _FEWEST if method == "tsne" else _NEIGHBOURS + 1
    if len(seen.labels) < fewest:
        there = len(seen.labels)
        raise UserError(f"method={method}: needs {fewest} validation images or more, not {there}")
    found, logits = penultimate(loaded.net, seen.batches(loaded))
    features = found.cpu().numpy().astype(np.float64)
    answers = logits.argmax(dim=1).cpu().numpy()
    places, axes, words = (
        pca(features) if method == "pca" else (tsne(features, seed), ("", ""), "t-SNE")
    )
    wrong = answers != seen.labels
    picture = out / "figures" / f"embedding_{method}.png"
    title = f"{run.result.name}: {len(places):,} validation images, {features.shape[1]} features"
    save(figure.draw(places, seen.labels, wrong, seen.classes, axes, f"{title}, {words}"), picture)
    projector = out / "projector"
    write_projector(features, seen, answers, projector)
    both = ((f"all {features.shape[1]} features", features), (f"plane ({words})", places))
    rows = [[name, f"{neighbours(at, seen.labels):.2%}"] for name, at in both]
    blocks: list[Block] = [
        Grid.of([["", f"label of {_NEIGHBOURS} nearest"], *rows]),
        Text(
            f"{len(places):,} validation images, of which the net answers {1 - wrong.mean():.2%} "
            "right. Features are what goes into the last dense layer. Label of the nearest: how "
            f"often the most frequent label among the {_NEIGHBOURS} nearest other images is the "
            "image's own. What the plane loses of it is what its picture does not show: distances "
            "between clusters and their sizes mean little."
        ),
        Picture.read(picture, out),
        Heading("In TensorBoard"),
        Code([f"tensorboard --logdir {projector}"]),
        Text("Its tab PROJECTOR has all features with image, label and answer.", "small"),
    ]
    return write_page(out, f"Embeddings: {run.result.name}", [*blocks, *provenance([run])])


def pca(
    features: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "n 2"], tuple[str, str], str]:
    """The two directions of the largest variance: the places, names of the axes with the share of
    the variance in each, and the method in words.

    The sign of a direction is that in which its largest loading is positive.
    """
    centred = features - features.mean(axis=0)
    left, scale, right = np.linalg.svd(centred, full_matrices=False)
    total = float((scale**2).sum()) or 1.0
    sign = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    shares = scale[:2] ** 2 / total
    names = [f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)]
    words = f"PCA: {shares.sum():.0%} of the variance"
    return left[:, :2] * scale[:2] * sign, (names[0], names[1]), words


def tsne(features: Float[np.ndarray, "n d"], seed: int) -> Float[np.ndarray, "n 2"]:
    """t-SNE of scikit-learn (van der Maaten and Hinton, 2008), begun with PCA."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError(
            "method=tsne: needs scikit-learn: pip install -e '.[knows]', or method=pca"
        ) from None
    state = derive("tsne", seed) % 2**32
    return TSNE(init="pca", random_state=state).fit_transform(features).astype(np.float64)


def neighbours(
    places: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], count: int = _NEIGHBOURS
) -> float:
    """How often the most frequent label among the ``count`` nearest other images is the image's
    own; of several that are as frequent, the lowest number counts."""
    points = torch.from_numpy(places)
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    nearest = labels[distances.topk(count, largest=False).indices.numpy()]
    votes = np.stack([(nearest == label).sum(axis=1) for label in range(labels.max() + 1)], axis=1)
    return float((votes.argmax(axis=1) == labels).mean())


def write_projector(
    features: Float[np.ndarray, "n d"], seen: Seen, answers: Int[np.ndarray, " n"], folder: Path
) -> None:
    """Write what TensorBoard's projector reads, in place of what was there."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    named = [
        [seen.classes[label], seen.classes[answer], "right" if label == answer else "wrong"]
        for label, answer in zip(seen.labels, answers, strict=True)
    ]
    pictures = torch.from_numpy(seen.pixels).permute(0, 3, 1, 2) / 255
    said = io.StringIO()  # it tells that a folder is there, which it made
    with contextlib.redirect_stdout(said), SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            torch.from_numpy(features).float(),
            named,
            pictures,
            tag="features",
            metadata_header=["label", "answer", "is"],
        )
