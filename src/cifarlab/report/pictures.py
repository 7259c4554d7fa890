"""Figures as they come, with what a page says below them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifarlab.figures.curves import Figure, save
from cifarlab.report.document import Picture


@dataclass(frozen=True)
class Drawn:
    """A figure. name: of its file; charts: the same to point at, see ``Picture``."""

    name: str
    caption: str
    figure: Figure
    charts: Sequence[dict[str, Any]] = ()


def save_all(
    drawn: Iterable[Drawn], folder: Path, dpi: int = 120, below: str = "figures"
) -> list[Picture]:
    """Write the figures into ``folder / below``; return them for a page in ``folder``."""
    found = []
    for one in drawn:
        path = folder / below / one.name
        save(one.figure, path, dpi)
        found.append(Picture.read(path, folder, one.caption, one.charts))
    return found
