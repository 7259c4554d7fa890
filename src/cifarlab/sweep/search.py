"""A search: a sweep whose cells get their values from Optuna when they begin.

A cell asks when it starts to train, not when the sweep is planned. So every launcher runs a search,
each cell knows all that ended before it, and no worker waits for others. The side that watches the
cell asks, reports its validation accuracy after every epoch, and has a bad one stopped; the cell
itself, all of its processes, reads its settings from its folder and knows nothing of all this.
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
    """The study ``name`` of a sweep's folder, made if need be; ``options`` are Optuna's."""
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
    """Make the study or go on with it: told of cells that ended while nobody watched, and of all
    that have begun, where the journal was lost.

    fresh: forget all of its trials.
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
    """The values of one cell, and what becomes of it: ``begin``, ``watch`` repeatedly, ``end``.

    Args:
        study: that the trial belongs to.
        trial: of it, running.
        folder: of the cell.
    """

    def __init__(self, study: optuna.Study, trial: optuna.Trial, folder: Path) -> None:
        self.study, self.trial, self.folder = study, trial, folder
        steps = study.get_trials()[trial.number].intermediate_values
        self.reported = {step + 1: value for step, value in steps.items()}  # epochs count from 1

    @classmethod
    def begin(cls, folder: Path, options: Mapping[str, Any]) -> "Trial":
        """Ask for values; of a cell that began before, take those it has.

        options: ``study``, its name; ``sampler`` and ``pruner``, with ``_target_``. The sampler is
        made anew for each cell, seeded by its own ``seed`` and the cell's name.
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
        """The values, as they would be typed; a number with twelve digits."""
        values = self.trial.params.items()
        return [f"{k}={v:.12g}" if isinstance(v, float) else f"{k}={v}" for k, v in values]

    def watch(self, last_epoch: int) -> bool:
        """Report the epochs that are new in the cell's ``metrics.csv``; whether it is to stop now.

        One that is leaves ``pruned.json`` first, and is not to stop again.

        last_epoch: of the cell; after it there is nothing left to save by stopping.
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
        """Tell the study how the cell ended; an interrupted one is still under way."""
        _tell(self.study, self.trial.number, self.folder)


def _tell(study: optuna.Study, number: int, folder: Path) -> None:
    """Of an ended cell its accuracy on validation or that it has none; else nothing."""
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
    """Begin the trials again of cells that have begun and of which the journal knows nothing."""
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
    """Of a key that was searched, as Optuna has it."""
    if isinstance(distribution, IntDistribution):
        return int(text)
    return float(text) if isinstance(distribution, FloatDistribution) else text


def _trial_of(study: optuna.Study, cell: str) -> FrozenTrial | None:
    """The last one of a cell."""
    found = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get(_CELL) == cell]
    return found[-1] if found else None


def _resumed(study: optuna.Study, number: int, folder: Path) -> optuna.Trial:
    """A trial that an earlier process was given, as that process had it."""
    journal = open_journal(folder)  # numbers in it are the same whenever it is opened
    of = journal.get_study_id_from_name(study.study_name)
    return optuna.Trial(study, journal.get_trial_id_from_study_id_trial_number(of, number))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time asks."""
    with FileLock(folder / f".{JOURNAL}.lock"):
        yield
