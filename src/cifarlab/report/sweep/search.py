"""What a search's folder has beyond a sweep's: its best cell to confirm, history, importances."""

import logging
import math
import shlex
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.report.document import Block, Code, Heading, Text
from cifarlab.report.sweep.results import Results
from cifarlab.store.record import read_pruned
from cifarlab.store.run import Run

log = logging.getLogger("cifarlab")


def confirmation(results: Results) -> list[Block]:
    """How to find out whether the best cell is as good as it looks."""
    best = max(results.kept, key=lambda cell: cell.measure("val_acc"))
    typed = [f"{key}={value}" for key, value in best.typed.items() if key != "search"]
    command = " ".join(["python train.py -m", *map(shlex.quote, typed), "seed=1,2,3"])
    return [
        Heading("To confirm the best"),
        Text(
            f"Cell {best.name} is the best of {len(results.kept)} by validation, so it was lucky "
            "too. With seeds that the search has not seen:"
        ),
        Code([command]),
    ]


def importances(folder: Path, study: str) -> dict[str, float]:
    """Of the searched keys, by PED-ANOVA (arXiv:2304.10255), of the cells that finished; empty if
    these are all alike, or if the journal has lost them or is damaged, which is logged.

    Raises ``UserError`` where Optuna is not installed.
    """
    try:
        import optuna

        from cifarlab.store.journal import open_journal
    except ImportError:
        raise UserError("the report of a search: pip install -e '.[optuna]'") from None
    try:
        told = optuna.load_study(study_name=study, storage=open_journal(folder))
    except KeyError:  # of another study, or of none any more
        return {}
    except UserError as error:
        log.warning("%s", error)
        return {}
    if len(told.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])) < 2:
        return {}
    found = optuna.importance.get_param_importances(told)
    return dict(found) if sum(found.values()) > 0 else {}


def last_accuracy(cell: Run) -> float:
    """Validation accuracy; of a pruned cell that of its last epoch; else NaN."""
    if cell.status == "pruned":
        return read_pruned(cell.folder)[1]
    return cell.measure("val_acc") if cell.record else math.nan
