"""Which labels may be wrong, by nets that were not trained on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from cifarlab.base.errors import UserError
from cifarlab.figures.curves import save
from cifarlab.figures.predictions import contact_sheet
from cifarlab.report.document import Block, Grid, Heading, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.images import images_of
from cifarlab.report.page import write_page
from cifarlab.stats.labels import Suspects, find_suspects
from cifarlab.store.run import Run
from cifarlab.store.tables import write_csv

_PAIRS = 10  # in the table


def write_audit(runs: Sequence[Run], show: int, out: Path) -> str:
    """Write the page of suspect training labels into ``out`` and return the text to show.

    Each run speaks about its validation images, which it was not trained on; with a run for each of
    ``data.folds`` that is every training image. Raises ``UserError`` if the runs are of different
    data sets.

    show: how many suspects are drawn, the surest first.
    """
    images = images_of(runs[0])
    total, classes = len(images.train_labels), images.classes
    for run in runs:
        answers = run.answers
        known = images.train_labels[answers.val_indices % total]
        is_other = answers.has_names and answers.classes != classes
        if is_other or not np.array_equal(known, answers.val.labels):
            raise UserError(f"{run.folder}: of another data set than {runs[0].folder}")
    places, probabilities, votes = out_of_fold(runs)
    labels = images.train_labels[places]
    found = find_suspects(probabilities, labels)
    out.mkdir(parents=True, exist_ok=True)
    sheet = out / "figures" / "suspects.png"
    sheet.unlink(missing_ok=True)
    blocks: list[Block] = [
        Grid.of(_summary(found, probabilities, labels, total, len(runs), int(votes.min()))),
        Text(
            "Confident learning (Northcutt et al., 2021): a label is suspect where another class "
            "has a probability above that class's own mean, and is the likeliest such. The better "
            "the nets, the fewer suspects are hard images with right labels: look at them before "
            "you believe the number."
        ),
    ]
    if len(found.which):
        write_csv(out / "suspects.csv", _rows(found, places, probabilities, classes))
        shown = found.which[:show]
        save(
            contact_sheet(
                list(images.train_images[places[shown]]),
                [
                    (classes[c], float(probabilities[i, c]))
                    for i, c in zip(shown, found.found, strict=False)
                ],
                [f"labelled {classes[labels[i]]}" for i in shown],
                f"the {len(shown)} surest of {len(found.which):,} suspect labels",
            ),
            sheet,
        )
        blocks += [
            Picture.read(sheet, out, "Above each image what the nets say, below its label."),
            Heading("Pairs"),
            Grid.of(_pairs(found, classes), words=(0, 1)),
            Text("All suspects: suspects.csv", "small"),
        ]
    return write_page(
        out, f"Label audit: {runs[0].result.data['name']}", [*blocks, *provenance(runs)]
    )


def out_of_fold(
    runs: Sequence[Run],
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n classes"], Int[np.ndarray, " n"]]:
    """The positions, ascending, of the training images that are validation images of a run; their
    probabilities, averaged over those runs; and how many runs these are."""
    where = np.concatenate([run.answers.val_indices for run in runs])
    shares = np.concatenate([softmax(run.answers.val.logits, axis=1) for run in runs])
    places, back, votes = np.unique(where, return_inverse=True, return_counts=True)
    sums = np.zeros((len(places), shares.shape[1]))
    np.add.at(sums, back, shares)
    return places, sums / votes[:, None], votes


def _summary(
    found: Suspects,
    probabilities: np.ndarray,
    labels: np.ndarray,
    total: int,
    runs: int,
    votes: int,
) -> list[list[str]]:
    right = float((probabilities.argmax(axis=1) == labels).mean())
    return [
        ["", ""],
        ["training images judged", f"{len(labels):,} of {total:,}"],
        ["runs", f"{runs}, at least {votes} an image"],
        ["accuracy there", f"{right:.2%}"],
        ["suspect labels", f"{len(found.which):,} ({len(found.which) / len(labels):.2%})"],
        ["estimated share of wrong labels", f"{found.noise:.2%}"],
    ]


def _pairs(found: Suspects, classes: Sequence[str]) -> list[list[str]]:
    """The pairs of label and class with the most suspects."""
    apart = found.joint - np.diag(np.diag(found.joint))
    rows = [["label", "nets say", "suspects", "of the label's images"]]
    for place in np.argsort(-apart, axis=None, kind="stable")[:_PAIRS]:
        label, other = divmod(int(place), len(classes))
        if apart[label, other]:
            share = apart[label, other] / found.images[label]
            rows.append(
                [classes[label], classes[other], f"{apart[label, other]:,}", f"{share:.1%}"]
            )
    return rows


def _rows(
    found: Suspects, places: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> list[dict[str, object]]:
    return [
        {
            "train_index": int(places[i]),
            "label": classes[given],
            "nets_say": classes[other],
            "probability_of_label": round(float(probabilities[i, given]), 4),
            "probability": round(float(probabilities[i, other]), 4),
        }
        for i, given, other in zip(found.which, found.given, found.found, strict=True)
    ]
