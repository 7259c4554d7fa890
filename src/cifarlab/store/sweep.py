"""What a sweep folder holds: its runs, planned, under way, finished or failed."""

import json
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.store.record import CELLS, CONFIG, FAILURE, is_finished
from cifarlab.store.run import Run


def read_sweep(folder: Path) -> list[Run]:
    """The runs of the plan in its order, then those of other folders by name.

    Works while runs are under way. Raises ``UserError`` if the plan cannot be read.
    """
    plan = _plan(folder)
    names = dict.fromkeys(plan or {})
    others = [path.name for path in sorted(folder.iterdir()) if _is_run(path)]
    return [
        Run.read(folder / name, (plan or {}).get(name), planned=plan is None or name in plan)
        for name in names | dict.fromkeys(others)
    ]


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` has a plan or runs."""
    return folder.is_dir() and (
        (folder / CELLS).is_file() or any(_is_run(path) for path in folder.iterdir())
    )


def _plan(folder: Path) -> dict[str, list[str]] | None:
    path = folder / CELLS
    try:
        return json.loads(path.read_text())
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
