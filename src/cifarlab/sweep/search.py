"""A search: a sweep whose cells get their values from Optuna when they begin.

Values are asked for when a cell starts to train, not when the sweep is planned. So every launcher
can run a search, each cell profits from all that ended before it, and no worker waits for another.
The process that watches the cell asks for the values, reports the validation accuracy after every
epoch, and stops a bad cell. The cell itself reads its settings from its folder and knows nothing of
the search.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from hydra.utils import instantiate
from optuna.distributions import (
    BaseDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from cifarlab.base.errors import UserError
from cifarlab.base.seeding import derive
from cifarlab.store.files import write_atomic
from cifarlab.store.journal import open_journal
from cifarlab.store.record import (
    CONFIG,
    EPOCHS,
    FAILURE,
    JOURNAL,
    PRUNED,
    RunRecord,
    is_finished,
    is_over,
    read_metrics,
)
from cifarlab.store.run import stored_config

optuna.logging.set_verbosity(optuna.logging.WARNING)
log = logging.getLogger("cifarlab")

_CELL, _SPACE = "cell", "space"  # attributes of a trial, of a study


def open_study(folder: Path, name: str, **options: Any) -> optuna.Study:
    """Optuna's study ``name`` in a sweep's folder, which is made if it is not there.

    options: of ``optuna.create_study``.
    """
    return optuna.create_study(
        storage=open_journal(folder),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        **options,
    )


def begin_study(
    folder: Path, name: str, space: Mapping[str, BaseDistribution], *, fresh: bool
) -> None:
    """Make Optuna's study or go on with it.

    It is told of cells that ended while nobody watched them. If the journal was lost, it is told of
    all cells that have begun.

    space: the distribution of each key that is searched.
    fresh: whether to forget all trials.
    """
    with _locked(folder):
        study = open_study(folder, name)
        if fresh and study.get_trials(deepcopy=False):
            optuna.delete_study(study_name=name, storage=open_journal(folder))
            study = open_study(folder, name)
        study.set_user_attr(_SPACE, {key: distribution_to_json(d) for key, d in space.items()})
        if not fresh:
            _recover(study, folder, space)
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if cell := trial.user_attrs.get(_CELL):
                _tell(study, trial.number, folder / cell)


class Trial:
    """A cell of a search as Optuna sees it: ``begin`` it, ``watch`` it repeatedly, ``end`` it.

    Args:
        study: Optuna's, to which the trial belongs.
        trial: Optuna's, which is running.
        folder: of the cell.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, folder: Path) -> None:
        self.study, self.trial, self.folder = study, trial, folder
        steps = study.get_trials()[trial.number].intermediate_values
        self.reported = {step + 1: value for step, value in steps.items()}  # epochs count from 1

    @classmethod
    def begin(cls, folder: Path, options: Mapping[str, Any]) -> "Trial":
        """Ask for the values of a cell; a cell that began before keeps those it has.

        options: ``study``, the name of the study; ``sampler`` and ``pruner``, with ``_target_``.
            Each cell makes a sampler, whose seed follows from ``sampler.seed`` and the cell's name.
        """
        sampler = dict(options["sampler"])
        if sampler.get("seed") is not None:
            sampler["seed"] = derive("search", sampler["seed"], folder.name) % 2**32
        study = open_study(
            folder.parent,
            options["study"],
            sampler=instantiate(sampler),
            pruner=instantiate(options["pruner"]),
        )
        with _locked(folder.parent):
            earlier = _trial_of(study, folder.name)
            if earlier is not None and earlier.state == TrialState.RUNNING:
                return cls(study, _resumed(study, earlier.number, folder.parent), folder)
            if earlier is not None:  # failed, or its folder is gone: the same values once more
                study.enqueue_trial(earlier.params)
            space = study.user_attrs[_SPACE]
            trial = study.ask({key: json_to_distribution(text) for key, text in space.items()})
            trial.set_user_attr(_CELL, folder.name)
        return cls(study, trial, folder)

    @property
    def overrides(self) -> list[str]:
        """The values as overrides; numbers have at most twelve digits."""
        values = self.trial.params.items()
        return [f"{k}={v:.12g}" if isinstance(v, float) else f"{k}={v}" for k, v in values]

    def watch(self, last_epoch: int) -> bool:
        """Report the new epochs of the cell's ``metrics.csv``; returns whether it should stop now.

        If so, ``pruned.json`` is written first, and later calls return ``False``.

        last_epoch: of the cell; after it, stopping saves nothing.
        """
        try:
            rows = read_metrics(self.folder / EPOCHS)
        except UserError:  # the cell writes all of it anew after its next epoch
            return False
        for row in rows:
            epoch, accuracy = int(row["epoch"]), row["val_acc"]
            if epoch in self.reported:
                continue
            self.reported[epoch] = accuracy
            self.trial.report(accuracy, step=epoch - 1)
            if epoch < last_epoch and self.trial.should_prune() and not is_over(self.folder):
                message = f"pruned after epoch {epoch}, at {accuracy:.2%} validation accuracy"
                fields = {"message": message, "epoch": epoch, "val_acc": accuracy}
                write_atomic(self.folder / PRUNED, json.dumps(fields, indent=2) + "\n", summed=True)
                log.info("%s: %s", self.folder.name, message)
                return True
        return False

    def end(self) -> None:
        """Tell Optuna how the cell ended; an interrupted cell counts as still running."""
        _tell(self.study, self.trial.number, self.folder)


def _tell(study: optuna.Study, number: int, folder: Path) -> None:
    """Tell Optuna the validation accuracy of an ended cell, or that it failed; of others
    nothing."""
    if is_finished(folder):
        try:
            accuracy = RunRecord.load(folder).metrics["val"]["acc"]
        except UserError:  # damaged: the report says so
            study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            study.tell(number, accuracy, skip_if_finished=True)
    elif (folder / PRUNED).exists():
        study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
    elif (folder / FAILURE).exists():
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def _recover(study: optuna.Study, folder: Path, space: Mapping[str, BaseDistribution]) -> None:
    """Make trials for cells that have begun but are not in the journal."""
    known = {trial.user_attrs.get(_CELL) for trial in study.get_trials(deepcopy=False)}
    for cell in sorted(folder.glob(f"*_{study.study_name}")):
        if cell.name not in known and (cell / CONFIG).is_file():
            try:
                study.add_trial(_begun(cell, space))
            except (ValueError, KeyError) as error:
                log.warning("%s: Optuna is not told of it: %s", cell.name, error)


def _begun(cell: Path, space: Mapping[str, BaseDistribution]) -> FrozenTrial:
    typed = dict(item.partition("=")[::2] for item in stored_config(cell)["overrides"])
    rows = read_metrics(cell / EPOCHS)
    return create_trial(
        state=TrialState.RUNNING,
        params={key: _value(distribution, typed[key]) for key, distribution in space.items()},
        distributions=dict(space),
        user_attrs={_CELL: cell.name},
        intermediate_values={int(row["epoch"]) - 1: row["val_acc"] for row in rows},
    )


def _value(distribution: BaseDistribution, text: str) -> Any:
    """The value of a searched key, from an override to what Optuna takes."""
    if isinstance(distribution, IntDistribution):
        return int(text)
    return float(text) if isinstance(distribution, FloatDistribution) else text


def _trial_of(study: optuna.Study, cell: str) -> FrozenTrial | None:
    """The last trial of a cell."""
    found = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get(_CELL) == cell]
    return found[-1] if found else None


def _resumed(study: optuna.Study, number: int, folder: Path) -> optuna.Trial:
    """A running trial that an earlier process began, to be continued by this one."""
    journal = open_journal(folder)  # numbers in it are the same whenever it is opened
    of = journal.get_study_id_from_name(study.study_name)
    return optuna.Trial(study, journal.get_trial_id_from_study_id_trial_number(of, number))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process at a time may ask Optuna."""
    with FileLock(folder / f".{JOURNAL}.lock"):
        yield
