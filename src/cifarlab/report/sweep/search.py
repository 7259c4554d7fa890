"""What the report of a search has besides: importances of keys, and where a cell that was stopped
stood."""

import logging
import math
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.store.record import read_pruned
from cifarlab.store.run import Run

log = logging.getLogger("cifarlab")


def importances(folder: Path, study: str) -> dict[str, float]:
    """How important each searched key is for the finished cells, by PED-ANOVA (arXiv:2304.10255).

    Empty if all these cells are equal, if the journal no longer has them, or if it is damaged,
    which is logged. Raises ``UserError`` if Optuna is not installed.

    folder: of the search.
    study: the name of the study, which is Optuna's word for one search.
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
    """The validation accuracy of a finished cell, of a pruned one that of its last epoch; else
    NaN."""
    if cell.status == "pruned":
        return read_pruned(cell.folder)[1]
    return cell.measure("val_acc") if cell.record else math.nan
