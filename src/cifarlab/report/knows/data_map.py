"""Which training images a net learnt easily, late or never: a data map."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cifarlab.base.durations import counted
from cifarlab.base.errors import UserError
from cifarlab.figures import data_map as figure
from cifarlab.figures.curves import save
from cifarlab.figures.predictions import contact_sheet
from cifarlab.figures.style import beside_labels
from cifarlab.report.document import Block, Grid, Heading, Picture, Text
from cifarlab.report.facts import provenance
from cifarlab.report.images import images_of
from cifarlab.report.page import write_page
from cifarlab.store.data_map import DATA_MAP, DataMap
from cifarlab.store.run import Run
from cifarlab.store.tables import write_csv


def write_data_map(run: Run, show: int, out: Path) -> str:
    """Write the page of a run's data map into ``out`` and return the text to show.

    The map is of the epochs of the run (Swayamdipta et al., arXiv:2009.10795). Raises ``UserError``
    if the run has none, or one of fewer than two epochs, or of other images.

    show: how many of the hardest and of the most ambiguous images are drawn.
    """
    found, images = DataMap.read(run.folder / DATA_MAP), images_of(run)
    epochs = len(found.probability)
    if epochs < 2:
        raise UserError(
            f"{run.folder / DATA_MAP}: of {counted(epochs, 'epoch')}; variability needs two"
        )
    if found.indices.max(initial=0) >= len(images.train_labels):
        raise UserError(f"{run.folder / DATA_MAP}: of other images than the run's")
    labels = images.train_labels[found.indices]
    confidence, variability = found.confidence, found.variability
    correctness = found.correctness
    out.mkdir(parents=True, exist_ok=True)
    title = f"{len(labels):,} training images over {epochs} epochs"
    save(figure.draw(confidence, variability, correctness, title), out / "figures" / "data_map.png")
    hard = np.argsort(confidence, kind="stable")[:show]
    ambiguous = np.argsort(-variability, kind="stable")[:show]
    for name, chosen, of in (
        ("hard", hard, confidence),
        ("ambiguous", ambiguous, variability),
    ):
        sheet = contact_sheet(
            list(images.train_images[found.indices[chosen]]),
            [(images.classes[labels[i]], float(of[i])) for i in chosen],
            [f"right {correctness[i]:.0%}" for i in chosen],
            f"the {len(chosen)} most {name}"
            if name == "ambiguous"
            else f"the {len(chosen)} hardest",
        )
        save(sheet, out / "figures" / f"{name}.png")
    write_csv(
        out / "data_map.csv",
        [
            {
                "train_index": int(found.indices[i]), "label": images.classes[labels[i]],
                "confidence": round(float(confidence[i]), 4),
                "variability": round(float(variability[i]), 4),
                "correctness": round(float(correctness[i]), 4),
            }
            for i in range(len(labels))
        ],
    )  # fmt: skip
    blocks: list[Block] = [
        Grid.of(_summary(correctness)),
        Text(
            "Confidence is the mean over the epochs of the probability of an image's label, "
            "variability its standard deviation. Images of low confidence and low variability are "
            "never learnt: hard, or wrongly labelled. Those of high variability are learnt in some "
            "epochs and lost in others. The images are seen as they are, without augmentation and "
            "in eval mode; the net has been trained on them."
        ),
        Picture.read(out / "figures" / "data_map.png", out),
        Picture.read(
            out / "figures" / "hard.png", out,
            "Above each image its label and the confidence in it, below how often it was right.",
        ),
        Picture.read(
            out / "figures" / "ambiguous.png", out,
            "Above each image its label and the variability.",
        ),
        Heading("By class"),
        Grid.of(_by_class(labels, images.classes, confidence, variability, correctness)),
        Text("All images: data_map.csv", "small"),
    ]  # fmt: skip
    return write_page(out, f"Data map: {run.result.name}", [*blocks, *provenance([run])])


def _summary(correctness: Float[np.ndarray, " n"]) -> list[list[str]]:
    total = len(correctness)
    never, always = int((correctness == 0).sum()), int((correctness == 1).sum())
    rows = [("after every epoch", always), ("after some", total - never - always), ("never", never)]
    return [
        ["answered rightly", "images", "share"],
        *([name, f"{count:,}", f"{count / total:.2%}"] for name, count in rows),
    ]


def _by_class(
    labels: Int[np.ndarray, " n"],
    classes: tuple[str, ...],
    confidence: Float[np.ndarray, " n"],
    variability: Float[np.ndarray, " n"],
    correctness: Float[np.ndarray, " n"],
) -> list[list[str]]:
    rows = [["", "images", "confidence", "variability", "never right"]]
    for number, name in enumerate(beside_labels(classes)):
        of = labels == number
        if of.any():
            never = float((correctness[of] == 0).mean())
            means = (f"{values[of].mean():.3f}" for values in (confidence, variability))
            rows.append([name, f"{int(of.sum()):,}", *means, f"{never:.2%}"])
    return rows
