"""What a search's folder has beyond a sweep's: its best cell to confirm, history, importances."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure

from cifarlab.errors import UserError
from cifarlab.figures import search as figures
from cifarlab.record import JOURNAL, PRUNED
from cifarlab.report.cells import Cell
from cifarlab.report.results import Results
from cifarlab.report.tables import Section


def is_search(folder: Path) -> bool:
    return (folder / JOURNAL).is_file()


def confirmation(results: Results) -> Section:
    """How to find out whether the best cell is as good as it looks."""
    best = max(results.kept, key=_accuracy)
    typed = [f"{key}={value}" for key, value in best.typed.items() if key != "search"]
    command = " ".join(["python train.py -m", *map(_quoted, typed), "seed=1,2,3"])
    return Section(
        "To confirm the best",
        text=f"Cell {best.name} is the best of {len(results.kept)} by validation, so it was lucky "
        "too. With seeds that the search has not seen:",
        code=command,
    )


def draw(folder: Path, results: Results) -> Iterator[tuple[str, Figure]]:
    """Name of the file and figure, one at a time, of the study of the newest cell."""
    study = max(results.kept, key=lambda cell: cell.written).name.rpartition("_")[2]
    cells = [cell for cell in results.cells if cell.name.endswith(f"_{study}")]
    begun = [cell for cell in cells if cell.status != "missing"]
    pruned = [cell.status == "pruned" for cell in begun]
    yield "search_history.png", figures.history([_last(folder, c) for c in begun], pruned)
    finished = [cell for cell in cells if cell.record]
    keys = [key for key in results.swept if len({cell.value(key) for cell in finished}) > 1]
    if keys:
        values = {key: [cell.value(key) for cell in finished] for key in keys}
        yield "search_slices.png", figures.slices(values, [_accuracy(c) for c in finished])
    if len(finished) >= 4 and (shares := importances(folder, study)):
        yield "search_importance.png", figures.importance(shares)


def importances(folder: Path, study: str) -> dict[str, float]:
    """Of the searched keys, by PED-ANOVA (arXiv:2304.10255), of the cells that finished; empty if
    these are all alike.

    Raises ``UserError`` where Optuna is not installed.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise UserError("the report of a search: pip install -e '.[optuna]'") from None
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    found = optuna.importance.get_param_importances(
        optuna.load_study(study_name=study, storage=storage)
    )
    return dict(found) if sum(found.values()) > 0 else {}


def _accuracy(cell: Cell) -> float:
    assert cell.record is not None
    return cell.record.metrics["val"]["acc"]


def _last(folder: Path, cell: Cell) -> float:
    """Validation accuracy; of a pruned cell that of its last epoch; else NaN."""
    if cell.status == "pruned":
        return json.loads((folder / cell.name / PRUNED).read_text())["val_acc"]
    return _accuracy(cell) if cell.record else math.nan


def _quoted(override: str) -> str:
    return f'"{override}"' if "[" in override else override
