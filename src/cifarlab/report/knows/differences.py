"""How the calibration and the confusion of two runs differ."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cifarlab.figures import differences as figure
from cifarlab.figures import reliability as diagrams
from cifarlab.figures.curves import save
from cifarlab.report.document import Block, Grid, Heading, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.knows.common import folders_of
from cifarlab.report.page import write_page
from cifarlab.report.side_by_side import labels, load
from cifarlab.stats.answers import Predictions, confusion
from cifarlab.stats.calibration import cross_entropy, fit_temperature, reliability
from cifarlab.stats.images import mcnemar
from cifarlab.stats.intervals import holm
from cifarlab.store.run import Run

_ALPHA = 0.05  # of all places of the matrix together
_LISTED = 12  # places in the table


def write_differences(folders: Sequence[Path], out: Path) -> str:
    """Write the page of two runs into ``out`` and return the text to show; from their predictions
    alone.

    Raises ``UserError`` if they are not finished or were not tested on the same images.
    """
    runs = load(folders)
    names = labels(runs)
    a, b = (run.answers.test for run in runs)
    classes = runs[0].answers.classes
    more = confusion(b) - confusion(a)
    p = by_place(a, b)
    sure = p < _ALPHA
    panels = []
    rows = [["", "accuracy", "loss", "ECE", "temperature", "loss with it", "ECE with it"]]
    for name, run in zip(names, runs, strict=True):
        panel, row = _calibration(name, run)
        panels.append(panel)
        rows.append(row)
    reliable, matrix = (out / "figures" / f"{name}.png" for name in ("reliability", "confusion"))
    save(diagrams.draw(panels), reliable)
    title = f"images more (red) or fewer (blue) in {names[1]} than in {names[0]}"
    save(figure.draw(more, sure, classes, title), matrix)
    blocks: list[Block] = [
        folders_of(runs, names),
        Heading("Calibration"),
        Grid.of(rows),
        Text(
            "On the test images. The temperature is fitted on the validation images of each run. "
            "ECE: the distance between confidence and accuracy, averaged over 15 bins.",
            "small",
        ),
        Picture.read(reliable, out),
        Heading("Confusion"),
        Text(
            f"{int(sure.sum())} of the {sure.size} places differ by more than chance: McNemar's "
            f"test on the same test images, p below {_ALPHA} after Holm's correction over all "
            "places; they are framed. It is about these two nets: another seed is another net."
        ),
        Grid.of(_places(more, p, classes, names), words=(0, 1)),
        Picture.read(matrix, out),
    ]
    return write_page(out, f"Differences: {', '.join(names)}", [*blocks, *provenance(runs)])


def by_place(a: Predictions, b: Predictions) -> Float[np.ndarray, "classes classes"]:
    """For each place of the confusion matrix, the p value that both nets put as many images there,
    after Holm's correction over all places; NaN for classes without images.

    Images are the same, so only those that one net puts there and the other does not count.
    """
    count = a.logits.shape[1]
    p = np.full((count, count), np.nan)
    for true in range(count):
        chosen = a.labels == true
        if not chosen.any():
            continue
        p[true] = 1.0  # neither net puts an image there
        for answer in np.union1d(a.answers[chosen], b.answers[chosen]):
            there = (net.answers[chosen] == answer for net in (a, b))
            p[true, answer] = mcnemar(*there).p
    return np.array(holm(p.flatten().tolist())).reshape(count, count)


def _calibration(name: str, run: Run) -> tuple[diagrams.Panel, list[str]]:
    test, temperature = run.answers.test, fit_temperature(run.answers.val)
    plain, scaled = reliability(test), reliability(test, temperature)
    panel = diagrams.Panel(f"{name}: ECE {plain.ece:.1%}", plain.edges, plain.accuracy, plain.count)
    return panel, [
        name,
        f"{test.is_right.mean():.2%}",
        f"{cross_entropy(test):.4f}",
        f"{plain.ece:.2%}",
        f"{temperature:.2f}",
        f"{cross_entropy(test, temperature):.4f}",
        f"{scaled.ece:.2%}",
    ]


def _places(
    more: Int[np.ndarray, "classes classes"],
    p: Float[np.ndarray, "classes classes"],
    classes: Sequence[str],
    names: Sequence[str],
) -> list[list[str]]:
    """The places with the largest differences."""
    rows = [["true class", "answer", f"{names[1]} minus {names[0]}", "p (Holm)"]]
    for place in np.argsort(-np.abs(more), axis=None, kind="stable")[:_LISTED]:
        true, answer = divmod(int(place), len(classes))
        rows.append(
            [classes[true], classes[answer], f"{more[true, answer]:+d}", f"{p[true, answer]:.2g}"]
        )
    return rows
