"""The folder of a sweep with its runs, which may be planned, under way, finished or failed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.store.files import read_checked
from cifarlab.store.record import CELLS, CONFIG, FAILURE, JOURNAL, STUDY, is_finished
from cifarlab.store.run import Run


@dataclass(frozen=True)
class Sweep:
    """The folder of a sweep, read once.

    runs: first those of the plan, in its order; then others that are in the folder, by name.
    """

    folder: Path
    runs: list[Run]

    @classmethod
    def read(cls, folder: Path, read: Callable[..., Run] = Run.read) -> "Sweep":
        """Read the folder; runs may be under way meanwhile.

        Raises ``UserError`` if the plan cannot be read.

        read: reads a run, as ``Run.read`` does.
        """
        plan = read_plan(folder)
        names = dict.fromkeys(plan or {})
        others = [path.name for path in sorted(folder.iterdir()) if _is_run(path)]
        runs = [
            read(folder / name, (plan or {}).get(name), planned=plan is None or name in plan)
            for name in names | dict.fromkeys(others)
        ]
        return cls(folder, runs)

    @property
    def finished(self) -> list[Run]:
        """The runs that are finished and undamaged."""
        return [run for run in self.runs if run.record]

    @property
    def is_search(self) -> bool:
        """Whether Optuna chose the values of its runs."""
        return (self.folder / JOURNAL).is_file()


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` has a plan of cells, or runs."""
    return folder.is_dir() and (
        (folder / CELLS).is_file() or any(_is_run(path) for path in folder.iterdir())
    )


def is_study(folder: Path) -> bool:
    """Whether ``folder`` is a sweep over the rows of a study."""
    return (folder / STUDY).is_file()


def read_plan(folder: Path) -> dict[str, list[str]] | None:
    """The overrides of each planned cell, from ``cells.json``; ``None`` if there is no such file.

    Raises ``UserError`` if it is damaged.
    """
    path = folder / CELLS
    try:
        plan = json.loads(read_checked(path))
        if not isinstance(plan, dict):
            raise ValueError("no object")
        for cell, overrides in plan.items():
            texts = isinstance(overrides, list) and all(isinstance(o, str) for o in overrides)
            if not texts or cell != Path(cell).name:
                raise ValueError(f"{cell}: {overrides}")
        return plan
    except FileNotFoundError:
        return None
    except ValueError as error:
        said = error if isinstance(error, UserError) else f"{path}: not a plan of cells ({error})"
        raise UserError(
            f"{said}; or delete the file: cells are found by their folders, and the sweep typed "
            "again plans them anew"
        ) from error


def _is_run(path: Path) -> bool:
    return (
        path.is_dir()
        and any((path / name).is_file() for name in (CONFIG, FAILURE))
        or (is_finished(path))
    )
