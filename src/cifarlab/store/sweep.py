"""What a sweep folder holds: its runs, planned, under way, finished or failed."""

import json
from dataclasses import dataclass
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.base.reading import read_text
from cifarlab.store.record import CELLS, CONFIG, FAILURE, JOURNAL, STUDY, is_finished
from cifarlab.store.run import Run


@dataclass(frozen=True)
class Sweep:
    """A folder of runs, read once.

    runs: those of the plan in its order, then those of other folders by name.
    """

    folder: Path
    runs: list[Run]

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """Works while runs are under way. Raises ``UserError`` if the plan cannot be read."""
        plan = _plan(folder)
        names = dict.fromkeys(plan or {})
        others = [path.name for path in sorted(folder.iterdir()) if _is_run(path)]
        runs = [
            Run.read(folder / name, (plan or {}).get(name), planned=plan is None or name in plan)
            for name in names | dict.fromkeys(others)
        ]
        return cls(folder, runs)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.record]

    @property
    def is_search(self) -> bool:
        """Whether Optuna chose its runs."""
        return (self.folder / JOURNAL).is_file()


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` has a plan or runs."""
    return folder.is_dir() and (
        (folder / CELLS).is_file() or any(_is_run(path) for path in folder.iterdir())
    )


def is_study(folder: Path) -> bool:
    """Whether ``folder`` is a sweep over the rows of a study."""
    return (folder / STUDY).is_file()


def _plan(folder: Path) -> dict[str, list[str]] | None:
    path = folder / CELLS
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path}: not a plan of cells ({error}); delete it") from error


def _is_run(path: Path) -> bool:
    return (
        path.is_dir()
        and any((path / name).is_file() for name in (CONFIG, FAILURE))
        or (is_finished(path))
    )
