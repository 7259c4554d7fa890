"""Predictions for many image files, which are decoded in threads and batched."""

import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from cifarlab.base.errors import UserError
from cifarlab.base.options import Resize
from cifarlab.data.pictures import contents, decode, fit
from cifarlab.store import tables
from cifarlab.use.predictor import Prediction, Predictor

_TOP = 3  # classes a row
_File = tuple[str, Path | io.BytesIO | UserError]


@dataclass(frozen=True)
class Predicted:
    """An image with its prediction.

    path: of the file, or ``<archive>/<member>``.
    pixels: of the image, as the net saw it.
    """

    path: str
    pixels: UInt8[np.ndarray, "size size 3"]
    prediction: Prediction


def predict_files(
    model: Predictor,
    paths: Sequence[Path],
    batch_size: int,
    skip: Callable[[UserError], None],
) -> Iterator[Predicted]:
    """Predict every image of ``paths``, in that order; archives are read member by member.

    paths: of images and archives.
    skip: called for each file that cannot be read, with the reason; the file is left out.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes and resizes without the GIL
        tried = _decoded(pool, _contents(paths), model.image_size, model.resize)
        while chunk := list(itertools.islice(tried, batch_size)):
            read: list[tuple[str, np.ndarray]] = []
            for name, pixels in chunk:
                if isinstance(pixels, UserError):
                    skip(pixels)
                else:
                    read.append((name, pixels))
            if read:
                batch = np.stack([pixels for _, pixels in read])
                predictions = model.ranked(model.probabilities(batch))
                for (name, pixels), prediction in zip(read, predictions, strict=True):
                    yield Predicted(name, pixels, prediction)


def write_csv(path: Path, predicted: Iterable[tuple[str, Prediction]], num_classes: int) -> None:
    """Write a row for each image: ``path``, ``label``, ``probability``, and, for the next two
    classes, ``label_2``, ``probability_2``, ``label_3`` and ``probability_3``, if there are so
    many."""
    ranks = ["", *(f"_{rank}" for rank in range(2, min(_TOP, num_classes) + 1))]
    rows = []
    for name, prediction in predicted:
        row = {"path": name}
        for rank, (label, share) in zip(ranks, prediction.top(_TOP), strict=True):
            row |= {f"label{rank}": label, f"probability{rank}": f"{share:.6f}"}
        rows.append(row)
    tables.write_csv(path, rows)


def _contents(paths: Sequence[Path]) -> Iterator[_File]:
    for path in paths:
        try:
            yield from contents(path)
        except UserError as error:  # a damaged archive
            yield str(path), error


def _decoded(
    pool: ThreadPoolExecutor, files: Iterator[_File], size: int, resize: Resize
) -> Iterator[tuple[str, np.ndarray | UserError]]:
    """The pixels of the files, in order. No more files are unpacked ahead than there are
    threads."""
    waiting: deque[tuple[str, Future]] = deque()
    for file in files:
        waiting.append((file[0], pool.submit(_pixels, file, size, resize)))
        if len(waiting) > (os.cpu_count() or 1):
            name, pixels = waiting.popleft()
            yield name, pixels.result()
    for name, pixels in waiting:
        yield name, pixels.result()


def _pixels(file: _File, size: int, resize: Resize) -> UInt8[np.ndarray, "size size 3"] | UserError:
    name, content = file
    if isinstance(content, UserError):
        return content
    try:
        return fit(decode(content, name), size, resize)
    except UserError as error:
        return error
