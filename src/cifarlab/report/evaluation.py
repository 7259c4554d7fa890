"""The evaluation of a run's net, from the files in its folder: one sheet, and blocks for a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifarlab.base.errors import UserError
from cifarlab.figures import charts, curves, pictures
from cifarlab.figures import classes as per_class
from cifarlab.figures import confusion as confusion_figure
from cifarlab.figures import evaluation as sheet_figure
from cifarlab.figures import reliability as reliability_figure
from cifarlab.figures.confusion import MOST
from cifarlab.figures.curves import Curve
from cifarlab.figures.evaluation import Sheet, Shown
from cifarlab.figures.reliability import Panel
from cifarlab.figures.sheet import bars_by_class
from cifarlab.figures.style import beside_labels, class_labels
from cifarlab.report.document import Block, Grid, Heading, Picture, Text
from cifarlab.report.images import images_of
from cifarlab.report.tables import Table
from cifarlab.stats.answers import Predictions, confusion, precision, recall
from cifarlab.stats.calibration import Reliability, cross_entropy, fit_temperature, reliability
from cifarlab.stats.quantities import BALANCED
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.record import RunRecord
from cifarlab.store.run import Run

SHEET = Path("figures") / "evaluation.png"
_SHOWN = sheet_figure.COLUMNS  # images, of the wrong ones and of the samples


@dataclass(frozen=True)
class Evaluation:
    """What follows from a run's predictions.

    counts: how many test images of each class were answered with each class, see
        ``cifarlab.stats.answers.confusion``.
    precision, recall: of each class, on test images.
    before: the reliability on test images, as the net was trained.
    after: the same at ``temperature``, which was fitted on validation images.
    loss: the test loss at that temperature (nats).
    """

    counts: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    before: Reliability
    after: Reliability
    temperature: float
    loss: float


def evaluate(answers: RunPredictions) -> Evaluation:
    """Evaluate a run's predictions. The temperature is fitted on validation; test is only
    measured."""
    val, test = answers.val, answers.test
    counts, temperature = confusion(test), fit_temperature(val)
    return Evaluation(
        counts,
        precision(counts),
        recall(counts),
        reliability(test),
        reliability(test, temperature),
        temperature,
        cross_entropy(test, temperature),
    )


def write_sheet(run: Run) -> tuple[Evaluation, Sheet]:
    """Write ``figures/evaluation.png`` of a finished run and return what is on it.

    Raises ``UserError`` if a file of the run is missing or damaged.
    """
    evaluation = evaluate(run.answers)
    sheet = make_sheet(run, evaluation)
    curves.save(sheet_figure.draw(sheet), run.folder / SHEET, dpi=100)
    return evaluation, sheet


def make_sheet(run: Run, evaluation: Evaluation) -> Sheet:
    """All that is on the sheet; without images if they are not on this machine."""
    test, names = run.answers.test, run.answers.classes
    wrong = test.confidently_wrong(_SHOWN)
    drawn = np.random.RandomState(0).permutation(len(test.labels))[:_SHOWN]
    try:
        found = images_of(run)
        images, reason, names = found.test_images, "", found.classes
    except UserError as error:
        images, reason = None, f"the images are not here: {error}"
    return Sheet(
        run.result.title,
        _facts(run.result, evaluation),
        Curve(run.columns, run.result.best_epoch) if run.columns else None,
        evaluation.counts,
        evaluation.precision,
        evaluation.recall,
        names,
        [
            _panel("as trained", evaluation.before),
            _panel(f"temperature {evaluation.temperature:.2f}", evaluation.after),
        ],
        _shown(images, wrong, test, names, reason or "no wrong answer"),
        _shown(images, drawn, test, names, reason),
    )


def blocks(run: Run, evaluation: Evaluation, sheet: Sheet) -> list[Block]:
    """What is on the sheet as blocks for a page, each panel by itself; Markdown shows the sheet."""
    before, after = evaluation.before, evaluation.after
    calibration = [
        ("test set", "temperature", "calibration error", "loss"),
        ("as trained", "1", f"{before.ece:.2%}", f"{run.result.metrics['test']['loss']:.4f}"),
        (
            "temperature of validation",
            f"{evaluation.temperature:.3f}",
            f"{after.ece:.2%}",
            f"{evaluation.loss:.4f}",
        ),
    ]
    below = (
        "Loss and accuracy of each epoch. Training is the mean over the epoch's steps, with "
        "augmentation and dropout on."
    )
    drawn = []
    if run.columns:
        curve = Curve(run.columns, run.result.best_epoch)
        drawn = [_picture("curves", curves.draw(curve), below, charts.curves(curve))]
    return [
        Picture(SHEET.stem, file=SHEET.as_posix()),
        Heading("Training"),
        *drawn,
        Heading("Classes"),
        *images_of_each_class(run),
        *_first(len(sheet.classes)),
        Grid.of(
            class_table(sheet.counts, sheet.precision, sheet.recall, sheet.classes), words=(4,)
        ),
        _picture(
            "confusion",
            confusion_figure.draw(sheet.counts, sheet.classes),
            "Test images by true class and answer, shaded by their share of the class."
            if len(sheet.classes) <= MOST
            else "The test images that are most often taken for another class: true class, answer.",
            [charts.confusion(sheet.counts, sheet.classes)],
        ),
        _picture(
            "classes",
            per_class.draw(sheet.precision, sheet.recall, sheet.classes),
            "Recall: the share of a class's images that is found. Precision: the share of the "
            "answers with its name that is right.",
            [charts.classes(sheet.precision, sheet.recall, sheet.classes)],
        ),
        Heading("Calibration"),
        Grid.of(calibration),
        Text(
            "The temperature divides the logits: it changes how sure the answers are, not which "
            "they are. It is fitted on validation images."
        ),
        _picture(
            "reliability",
            reliability_figure.draw(sheet.panels),
            "Test answers in bins of their confidence: on the diagonal it is what it says, below "
            f"it the net is too sure. Faded: fewer than {reliability_figure.FEW} answers.",
            charts.reliability(sheet.panels),
        ),
        Heading("Most confidently wrong"),
        _images("confidently_wrong", sheet.wrong),
        Heading("Drawn at random"),
        _images("samples", sheet.samples),
    ]


def images_of_each_class(run: Run) -> list[Picture]:
    """Of a run whose classes are uneven, how many images each has; else nothing."""
    train, test = run.answers.train_counts, run.answers.test
    if train is None or BALANCED not in run.result.metrics["test"]:
        return []
    counts = np.bincount(test.labels, minlength=len(train))
    bars = bars_by_class({"train": train.tolist(), "test": counts.tolist()}, run.answers.classes)
    below = (
        "Images of each class. They are uneven, so accuracy is mostly that of the large classes; "
        "balanced accuracy is the mean of the classes' recalls."
    )
    return [_picture("images_of_each_class", bars, below)]


def _first(classes: int) -> list[Block]:
    """What the table of the classes leaves out."""
    if classes <= MOST:
        return []
    return [Text(f"The {MOST} of {classes:,} classes with the lowest recall.")]


def class_table(
    counts: np.ndarray, precision: np.ndarray, recall: np.ndarray, classes: Sequence[str]
) -> Table:
    """A table with a row for each class: how many test images, precision, recall, and the class
    that it is most often taken for. Of more than ``MOST`` classes those with the lowest recall."""
    classes = beside_labels(classes)
    order = range(len(classes))
    if len(classes) > MOST:
        order = np.argsort(recall, kind="stable")[:MOST].tolist()
    table = [("class", "images", "precision", "recall", "most often taken for")]
    for i in order:
        name = classes[i]
        mistaken = counts[i].copy()
        mistaken[i] = 0
        worst = int(mistaken.argmax())
        taken = f"{classes[worst]} ({mistaken[worst]})" if mistaken[worst] else ""
        right, found = (f"{value:.2%}" if np.isfinite(value) else "-" for value in (
            precision[i], recall[i]))  # fmt: skip
        table.append((name, str(counts[i].sum()), right, found, taken))
    return table


def _facts(record: RunRecord, evaluation: Evaluation) -> list[str]:
    accuracies = "     ".join(f"{name} {m['acc']:.2%}" for name, m in record.metrics.items())
    trained = f"best epoch {record.best_epoch} of {record.epochs_run}"
    if record.members:
        trained = f"{len(record.members)} members"
    return [
        f"accuracy:  {accuracies}     test loss {record.metrics['test']['loss']:.4f}",
        f"{record.name}, seed {record.seed}, {record.num_params:,} parameters, "
        f"{trained}     "
        f"calibration error {evaluation.before.ece:.2%}, at temperature "
        f"{evaluation.temperature:.2f} {evaluation.after.ece:.2%}",
    ]


def _panel(name: str, reliability: Reliability) -> Panel:
    head = f"{name}: calibration error {reliability.ece:.2%}"
    return Panel(head, reliability.edges, reliability.accuracy, reliability.count)


def _shown(
    images: np.ndarray | None,
    which: np.ndarray,
    test: Predictions,
    classes: Sequence[str],
    reason: str,
) -> Shown:
    captions = [test.caption(i, class_labels(classes)) for i in which]
    return Shown(None if images is None else images[which], captions, reason)


def _images(name: str, shown: Shown) -> Block:
    if shown.images is None or not len(shown.images):
        return Text(shown.reason)
    drawn = pictures.draw(shown.images, shown.captions, columns=5)
    return _picture(name, drawn, "Test images: answer, confidence.")


def _picture(
    name: str, figure: curves.Figure, below: str, shown: Sequence[charts.Chart] = ()
) -> Picture:
    return Picture(name, curves.png(figure), below, charts=shown)
