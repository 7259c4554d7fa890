"""What it costs to make a net smaller: tables of quantisation, and the files of pruning."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cifarlab.base.durations import times
from cifarlab.report.compare.sentences import interval, p_value, points
from cifarlab.report.document import Block, Grid, Picture, Text, markdown, to_markdown
from cifarlab.report.tables import Table, markdown_table
from cifarlab.stats.images import single, wilson
from cifarlab.stats.intervals import Estimate
from cifarlab.store.files import write_atomic
from cifarlab.store.tables import write_csv

_DIFFERENCE = ("difference (points)", "95 %", "p")
OVER_IMAGES = (
    "Differences in points, with the bootstrap interval over images and the p of McNemar's test: "
    "of this net, not of nets of other seeds."
)
Right = Mapping[str, np.ndarray]


def quantization_table(
    size: Mapping[str, int], right: Mapping[str, Right], ms: Mapping[str, float], reads: int
) -> str:
    """The two models of ``cifarlab.use.quantize.Quantized`` side by side, as text.

    size: bytes. right: by split and model, whether each answer is right. ms: of CPU time an image.
    reads: of the test set. In each the model in 32 bits comes first.
    """
    names = list(size)
    table: list[Sequence[str]] = [
        ("", *names, *_DIFFERENCE),
        ("MB", *(f"{size[name] / 1e6:.2f}" for name in names), "", "", ""),
        ("CPU ms an image, one thread", *(f"{ms[name]:.3f}" for name in names), "", "", ""),
    ]
    for split, by in right.items():
        accuracies = (f"{by[name].mean():.2%}" for name in names)
        table.append((f"{split} acc", *accuracies, *_cost(by[names[0]], by[names[1]])))
    return f"{markdown_table(table)}\n\n{OVER_IMAGES} The test set was read {times(reads)}."


def write_pruning(
    title: str,
    rows: Sequence[tuple[float, int, int, np.ndarray]],
    test: tuple[float, np.ndarray, np.ndarray, int] | None,
    folder: Path,
) -> str:
    """Write ``pruning.md``, ``.png`` and ``.csv``, and return the table.

    rows: of each amount, the first of which is 0: the amount, how many weights are 0, of how many,
        and whether each validation answer is right.
    test: of the chosen amount, if there is one: which, whether each test answer is right as trained
        and pruned, and how often the test set has been read by now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unpruned = rows[0][3]
    table: list[Sequence[str]] = [("weights that are 0", "of", "val acc", *_DIFFERENCE)]
    kept = []
    for amount, zeros, weights, right in rows:
        cost = _cost(unpruned, right) if amount else ("", "", "")
        share = f"{zeros / weights:.1%}"
        table.append((share, f"{weights:,}", f"{right.mean():.2%}", *cost))
        kept.append({"amount": amount, "zeros": zeros, "weights": weights, "val_acc": right.mean()})
    blocks: list[Block] = [Grid.of(table)]
    if test is not None:
        amount, before, after, reads = test
        cost = _cost(before, after)
        tested: Table = [
            ("test, chosen", "as trained", "pruned", *_DIFFERENCE),
            (f"{amount:.0%}", f"{before.mean():.2%}", f"{after.mean():.2%}", *cost),
        ]
        blocks += [Grid.of(tested), Text(f"The test set was read {times(reads)}.", "small")]
    blocks.append(Text(OVER_IMAGES, "small"))
    picture = folder / "pruning.png"
    _draw(title, rows, picture)
    write_csv(folder / "pruning.csv", kept)
    page = folder / "pruning.md"
    write_atomic(page, to_markdown(f"Pruning: {title}", [*blocks, Picture.read(picture, folder)]))
    return f"{markdown(blocks)}\n{page}"


def _cost(before: np.ndarray, after: np.ndarray) -> tuple[str, str, str]:
    found: Estimate = single(after, before)
    return points(found.value), interval(found), p_value(found.p)


def _draw(title: str, rows: Sequence[tuple[float, int, int, np.ndarray]], picture: Path) -> None:
    from cifarlab.figures import curves, pruning  # matplotlib takes a second to import

    accuracies = [float(right.mean()) for *_, right in rows]
    ends = [wilson(int(right.sum()), len(right)) for *_, right in rows]
    shares = [zeros / weights for _, zeros, weights, _ in rows]
    curves.save(pruning.draw(shares, accuracies, ends, title), picture)
