"""How nets answer to shifted images: ``shifts.csv``, ``.md``, ``.html`` and ``.png``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.report.document import Block, Grid, Picture, Text, markdown, write_document
from cifarlab.report.facts import provenance
from cifarlab.stats.intervals import LEAST, NAN, mean_interval
from cifarlab.store.run import Run
from cifarlab.store.tables import write_csv

MEASURES = ("acc", "same", "features", "logits")
_SHOWN = (0, 1, 2, 4, 8)  # pixels; shifts.csv has all


CAPTION = (
    "Means over seeds and the four directions: validation accuracy, how often the answer is that "
    "to the unmoved image, and how far the features move."
)


def write_shifts(
    rows: Sequence[Mapping[str, Any]], folder: Path, padding: str, runs: Sequence[Run] = ()
) -> str:
    """Write all three files and return the table, in which runs of one label are averaged.

    rows: one for each run and shift, with ``label``, ``run``, ``seed``, ``images``, ``shift``
        (pixels) and ``MEASURES`` (fractions).
    padding: what comes in at the edges, for the text.
    runs: those that were measured; the page says where they come from.
    """
    by: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by[row["label"], row["shift"]].append(row)
    shifts = sorted({row["shift"] for row in rows})
    labels = list(dict.fromkeys(row["label"] for row in rows))
    images = " or ".join(f"{n:,}" for n in sorted({row["images"] for row in rows}))
    table = [["", "shift (px)", "n", "accuracy", "same answer", "features", "logits"]]
    for label in labels:
        for shift in [shift for shift in shifts if shift in _SHOWN]:
            found = by[label, shift]
            shown = [_shown([row[measure] for row in found]) for measure in MEASURES]
            table.append([label, str(shift), str(len(found)), *shown])
    text = (
        f"{images} validation images moved right, left, down and up, edges filled: {padding}. "
        "features, logits: length of the change relative to no shift (features go into the last "
        "dense layer). ± is the 95 % interval over n seeds (Student's t), from "
        f"{LEAST} on."
    )
    blocks: list[Block] = [Grid.of(table), Text(text)]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "shifts.csv", rows)
    picture, title = folder / "shifts.png", f"{images} validation images, edges: {padding}"
    _draw(by, labels, shifts, picture, title)
    drawn: list[Block] = [*blocks, Picture.read(picture, folder, CAPTION), *provenance(runs)]
    page = write_document(folder, "Shifts", drawn, "shifts")
    return f"{markdown(blocks)}\n{page}"


def _draw(
    by: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]],
    labels: Sequence[str],
    shifts: Sequence[int],
    path: Path,
    title: str,
) -> None:
    from cifarlab.figures import shifts as figure  # matplotlib takes a second to import
    from cifarlab.figures.axis import Point
    from cifarlab.figures.curves import save

    def point(label: str, shift: int, measure: str) -> Point:
        values = [row[measure] for row in by[label, shift]]
        mean, _, half = mean_interval(values)
        return Point(mean, half if len(values) >= LEAST else NAN, values)

    series = {
        label: {key: [point(label, shift, key) for shift in shifts] for key in figure.PANELS}
        for label in labels
    }
    several = any(len(found) >= LEAST for found in by.values())
    title += "; bands: 95 % intervals over seeds" if several else ""
    save(figure.draw(shifts, series, title), path)


def _shown(values: Sequence[float]) -> str:
    if len(values) < LEAST:
        return ", ".join(f"{value:.2%}" for value in values)
    mean, _, half = mean_interval(values)
    return f"{mean:.2%} ± {half:.2%}"
