"""Conformal sets of a run: what they cover and how large they are."""

from pathlib import Path

import numpy as np

from cifarlab.figures import conformal as figure
from cifarlab.figures.curves import save
from cifarlab.figures.style import beside_labels
from cifarlab.report.document import Block, Grid, Heading, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.page import write_page
from cifarlab.stats.conformal import SCORES, Sets, conformal_sets
from cifarlab.store.run import Run


def write_conformal(run: Run, alpha: float, out: Path) -> str:
    """Write the page of a run's conformal sets into ``out`` and return the text to show.

    They are calibrated on the validation images and evaluated on the test images, both from the
    run's predictions: no net is asked, and the test set is not read again.
    """
    answers = run.answers
    kinds = {name: conformal_sets(answers.val, answers.test, name, alpha) for name in SCORES}
    labels, classes = answers.test.labels, answers.classes
    any_sets = next(iter(kinds.values()))
    low, high = any_sets.expected
    table = [["", "coverage", "mean size", "one class", "empty", "threshold"]]
    table += [[name, *_shown(sets)] for name, sets in kinds.items()]
    by_class = [
        ["", *(f"{name} {what}" for name in kinds for what in ("coverage", "mean size"))],
        *(
            [name, *(part for sets in kinds.values() for part in _of_class(sets, labels == number))]
            for number, name in enumerate(beside_labels(classes))
        ),
    ]
    picture = out / "figures" / "conformal.png"
    shares = {
        name: figure.Series(
            [_mean(sets.covered[labels == number]) for number in range(len(classes))],
            sets.sizes.tolist(),
        )
        for name, sets in kinds.items()
    }
    save(figure.draw(shares, classes, 1 - alpha, any_sets.expected), picture)
    blocks: list[Block] = [
        Grid.of(table),
        Text(
            f"Promised: {1 - alpha:.4g} of the sets have the true class, on average. With "
            f"{len(answers.val.labels):,} images to calibrate and {len(labels):,} to evaluate, "
            f"95 % of all splits would see {low:.2%} to {high:.2%} (beta-binomial)."
        ),
        Text(
            "LAC keeps every class of a probability that is high enough: the smallest sets. APS "
            "adds up the likeliest classes, with a random share of the last: larger sets, which "
            "tell hard images from easy ones. The promise is for all classes together; the "
            "validation images also chose the epoch, which the theory does not allow for, and "
            "which with thousands of images and few epochs matters little.",
            "small",
        ),
        Heading("By class"),
        Grid.of(by_class),
        Picture.read(picture, out),
    ]
    return write_page(out, f"Conformal sets: {run.result.name}", [*blocks, *provenance([run])])


def _shown(sets: Sets) -> list[str]:
    sizes = sets.sizes
    return [
        f"{sets.covered.mean():.2%}",
        f"{sizes.mean():.2f}",
        f"{(sizes == 1).mean():.1%}",
        f"{(sizes == 0).mean():.1%}",
        f"{sets.threshold:.4f}",
    ]


def _of_class(sets: Sets, chosen: np.ndarray) -> list[str]:
    if not chosen.any():
        return ["", ""]
    return [f"{sets.covered[chosen].mean():.1%}", f"{sets.sizes[chosen].mean():.2f}"]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
