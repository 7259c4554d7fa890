"""Pictures of a study's best row: its confusions, and its first-layer filters."""

import logging
from collections.abc import Iterator
from math import inf

import numpy as np
from jaxtyping import Float

from cifarlab.base.durations import counted
from cifarlab.base.errors import UserError
from cifarlab.figures import charts, confusion, filters
from cifarlab.report.pictures import Drawn
from cifarlab.report.study.results import Line, StudyResults
from cifarlab.stats.answers import confusion as confusion_of
from cifarlab.stats.intervals import mean_interval
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.run import Run

log = logging.getLogger("cifarlab")

Weights = Float[np.ndarray, "filters channels height width"]


def best_row(results: StudyResults) -> Line | None:
    """The row with the highest validation accuracy; ``None`` if no row has runs."""
    lines = [line for line in results.measured if not line.row.like]
    return max(lines, key=lambda line: mean(line, "val_acc"), default=None)


def mean(line: Line, name: str) -> float:
    """The mean of a quantity over the runs of a row that have it; minus infinity if none has."""
    values = [value for run in line.runs if (value := run.measure(name)) == value]
    return mean_interval(values)[0] if values else -inf


def pictures(results: StudyResults) -> Iterator[Drawn]:
    """The figures, one after another. They are of the row that validation chooses; what its
    folders do not have is left out."""
    line = best_row(results)
    if line is None:
        return
    found = [found for run in line.runs if (found := _predictions(run))]
    if found:
        counts = np.sum([confusion_of(one.test) for one in found], axis=0)
        caption = f"{line.label}, chosen by validation: test images by class and answer, "
        caption += f"{counted(len(found), 'run')}{' together' if len(found) > 1 else ''}."
        names = found[0].classes
        yield Drawn(
            "confusion.png", caption, confusion.draw(counts, names, results.mark),
            [charts.confusion(counts, names)],
        )  # fmt: skip
    weights = first_layer(line.runs[0])
    if weights is not None:
        caption = f"{line.label}, seed {line.runs[0].result.seed}: filters of the first layer."
        states = dict(zip(("before training", "after training"), weights, strict=True))
        yield Drawn("filters.png", caption, filters.draw(states, title=results.mark))


def _predictions(run: Run) -> RunPredictions | None:
    try:
        return run.predictions
    except UserError as error:
        log.warning("%s", error)
        return None


def first_layer(run: Run) -> tuple[Weights, Weights] | None:
    """The weights of the first layer before and after training.

    ``None`` if one of the two checkpoints is missing, or is damaged, which is logged.
    """
    from cifarlab.inspection import as_pictures
    from cifarlab.store.checkpoint import (  # imports torch
        BEST,
        INITIAL,
        net_weights,
        read_checkpoint,
    )

    if not all((run.folder / path).is_file() for path in (INITIAL, BEST)):
        return None
    try:
        initial, best = (read_checkpoint(run.folder / path) for path in (INITIAL, BEST))
    except UserError as error:
        log.warning("%s", error)
        return None
    name = f"{initial['layer']}.weight"
    before, after = (
        as_pictures(net_weights(checkpoint)[name]).float().numpy() for checkpoint in (initial, best)
    )
    return before, after
