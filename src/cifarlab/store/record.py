"""The record of a run, ``result.json``, and the names of the files in a run's and a sweep's folder.

Accuracies are fractions in [0, 1], losses are mean cross-entropies in nats, times are seconds,
epochs are counted from 1. ``metrics`` are measured with the weights of the best validation epoch,
in eval mode, on images without augmentation, also the training images. This module imports nothing
large.
"""

import csv
import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from cifarlab.base.errors import UserError
from cifarlab.base.options import BETTER, Monitor
from cifarlab.base.plain import device_count
from cifarlab.store.files import read_checked, write_atomic

SCHEMA = 1
_LONGEST_NAME = 100  # characters of a folder name
_MOST_BYTES = 200  # of one; file systems allow 255, and a cell's name has a hash more
RESULT = "result.json"
FAILURE = "failure.json"
PRUNED = "pruned.json"  # a cell of a search that was stopped because others do better
CONFIG = "config.yaml"
EPOCHS = "metrics.csv"  # one row an epoch
CHANGES = "changes.patch"  # what the code had that its commit had not
EVENTS = "events.out.tfevents."  # how the names of TensorBoard's files begin
EVENT_PARTS = ("train", "val", "final")  # folders of a run with more of them
LOGGERS = "loggers.json"  # what loggers know a run by, and how many of its epochs they have
LOGGER_PARTS = ("csv", "wandb")  # folders of a run that the loggers of these names write
PREDICTIONS = "predictions.npz"  # logits and labels of validation and test
ROBUSTNESS = "robustness.json"  # accuracy on corrupted test images, by scripts/robustness.py
CELLS = "cells.json"  # in a sweep's folder: {cell: its overrides as typed}, all ever planned
STUDY = "study.yaml"  # in a sweep's folder: the study whose rows its cells are
JOURNAL = "optuna.journal"  # there, of a search: what Optuna was told
STOP = ".stop"  # there: fail_fast says that no further cell starts

# Keys of the configuration that say where and how a run is kept, not what comes out of it.
NEUTRAL_KEYS = frozenset(
    {
        "name",
        "output_root",
        "sweep",
        "study",
        "fresh",
        "fail_fast",
        "dry_run",
        "tags",
        "notes",
        "jobs_per_gpu",
        "resume",
        "logger",
        "choices",
        "overrides",
    }
    | {"data.cache_dir", "trainer.log_every_n_steps"}
    | {"data.url", "data.source.url"}  # the md5 decides what is read
    | {"evaluation"}  # a picture of the result
    | {"lr_find"}  # never true in a run that comes to a result
    | {"loss.label_smoothing"}  # follows label_smoothing
    | {"code.places"}  # code.hashes says what the code is
)

# Keys that configurations of earlier versions have not, and the value that means what these did:
# with it a key counts as if it were not there, so that the same words go on meaning the same run.
LATER_KEYS: dict[str, Any] = {
    "trainer.compile": False,
    "callbacks.hard_examples.skips": 1,
    "optimizer.adamw_bias_lr": None,
    "optimizer.normalize": False,
    "target": None,
    "monitor": "val/loss",
    "loss._target_": "cifarlab.lit.losses.CrossEntropy",
    "loss.class_weights": None,
    "metrics": {},
    "init_from": None,
    "data.classes": None,
    "data.sampling": None,
    "data.drop_last": True,
    "data.validation": "own",  # of sets with a part to validate on, which there were not
    "data.channels": 3,
    **{
        f"data.{of}{key}": value
        for of in ("", "source.")
        for key, value in (("resize", "squash"), ("test_size", 0.2), ("test_seed", 0))
    },
    "callbacks.early_stopping.from_epoch": 1,
}
_LATER_GROUPS = frozenset({"loss"})  # as if not there, where nothing in them counts

Status = Literal["completed", "early_stopped", "stopped"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What ``result.json`` holds, field by field.

    status: ``completed`` ran all epochs, ``early_stopped`` was ended by early stopping, ``stopped``
        by another limit (``trainer.max_time``, ``trainer.max_steps``).
    num_params: the number of parameters of the net, trainable and frozen ones.
    macs: multiply-accumulates for one image.
    metrics: loss and accuracy of each split, ``{"train": {"loss": ..., "acc": ...}, ...}``;
        behind them those of ``metrics=``.
    tta: the same with test-time augmentation, which decides nothing: ``{"views": ..., "val":
        {"loss": ..., "acc": ...}, "test": {...}}``; ``None`` if it was not asked for.
    code: the user's own code that the run used, as ``cifarlab.base.labs.code_of`` has it.
    energy: joules from the first step to the last answer, ``gpu_j`` and ``cpu_j``, of all that the
        devices did meanwhile, see ``cifarlab.base.energy``; ``None`` where no counter can be read,
        and of a run that was resumed or had several machines.
    teacher: of ``loss=distillation``, the run that was learned from: ``{"run": its folder as typed,
        "model": ..., "config_hash": ..., "val_acc": ..., "weights_sha256": ...}``.
    members: of an ensemble, the runs that it is of: ``{"run": ..., "model": ..., "seed": ...,
        "config_hash": ..., "val_acc": ..., "test_acc": ..., "test_reads": ...,
        "weights_sha256": ...}``. It has no epochs (0 of 0) and no ``metrics`` of training images;
        its times are theirs together, ``test_reads`` the most of theirs: it is a function of their
        answers.
    finished: when, as ``2026-11-28T15:14:07+00:00``; records of earlier versions have none.
    target: when the validation accuracy of an epoch first reached what was aimed at:
        ``{"val_acc": ..., "epoch": ..., "fit_s": ...}``, the last two ``None`` if it never
        did; ``None`` if there was no target.
    test_reads: how often the test set has been read for this run.
    time: ``fit_s`` is the sum of the epochs (validation and checkpoints included) of all sessions
        of the run; ``total_s`` adds the start and the final evaluation of the session that finished
        it; ``images_per_s`` is the speed of training without validation.
    """

    schema: int = SCHEMA
    name: str
    status: Status
    model: str
    num_params: int
    macs: int
    seed: int
    data: dict[str, Any]
    epochs_run: int
    best_epoch: int
    metrics: dict[str, dict[str, float]]
    test_reads: int
    time: dict[str, float]
    hardware: dict[str, Any]
    versions: dict[str, str]
    git: dict[str, Any]
    overrides: list[str]
    config_hash: str
    tta: dict[str, Any] | None = None
    target: dict[str, Any] | None = None
    code: dict[str, dict[str, str]] | None = None
    energy: dict[str, float] | None = None
    teacher: dict[str, Any] | None = None
    members: list[dict[str, Any]] | None = None
    finished: str | None = None

    @property
    def title(self) -> str:
        """The model and the data, as a title for pages and figures."""
        return f"{self.model} on {self.data['name']}"

    @classmethod
    def load(cls, folder: str | Path) -> "RunRecord":
        """Read ``folder/result.json``.

        Raises ``UserError`` if the file is missing or is not a record.
        """
        path = Path(folder) / RESULT
        try:
            return _parse(read_checked(path), path)
        except FileNotFoundError:
            raise UserError(f"{path.parent}: no finished run here ({RESULT} is missing)") from None

    def save(self, folder: str | Path) -> None:
        """Write ``folder/result.json`` in one step: it is there complete or not at all.

        Raises ``UserError``, and writes nothing, if ``load`` could not read it.
        """
        path = Path(folder) / RESULT
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        _parse(text, path)
        write_atomic(path, text, summed=True)


def _parse(content: str | bytes, path: Path) -> RunRecord:
    try:
        fields = json.loads(content)
        if fields["schema"] != SCHEMA:
            raise UserError(f"{path}: schema {fields['schema']}, this version reads {SCHEMA}")
        record = RunRecord(**fields)
        _check(record)
        return record
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path}: not a run record ({why})") from error


def _check(record: RunRecord) -> None:
    """Raise ``ValueError`` or ``KeyError`` for values that no run can have."""
    if record.finished is not None:
        _ = datetime.fromisoformat(record.finished)
    if record.status not in get_args(Status):
        raise ValueError(f"status={record.status}")
    for split in ("val", "test") if record.members else ("train", "val", "test"):
        for name in ("acc", "loss"):
            value = record.metrics[split][name]
            if not math.isfinite(value) or value < 0 or (name == "acc" and value > 1):
                raise ValueError(f"metrics.{split}.{name}={value}")
    if not record.members and not 1 <= record.best_epoch <= record.epochs_run:
        raise ValueError(f"best_epoch={record.best_epoch} of epochs_run={record.epochs_run}")


def now() -> str:
    """This moment, for ``RunRecord.finished``."""
    return datetime.now(UTC).isoformat()


def is_finished(folder: str | Path) -> bool:
    """Whether the folder has a ``result.json``: such a run is finished and is never done again."""
    return (Path(folder) / RESULT).is_file()


def is_over(folder: str | Path) -> bool:
    """Whether nothing is left to train: the run is finished, or a search has pruned it."""
    return is_finished(folder) or (Path(folder) / PRUNED).is_file()


def write_failure(folder: str | Path, error: BaseException, traceback: str) -> None:
    """Write ``failure.json`` instead of a result; the next call of the sweep tries the cell
    again."""
    message = {"type": type(error).__name__, "message": str(error), "traceback": traceback}
    write_atomic(Path(folder) / FAILURE, json.dumps(message, indent=2) + "\n", summed=True)


def read_pruned(folder: str | Path) -> tuple[str, float]:
    """Why a search stopped a cell, and the validation accuracy that it had then.

    Raises ``UserError`` if ``pruned.json`` is damaged.
    """
    path = Path(folder) / PRUNED
    try:
        fields = json.loads(read_checked(path))
        return str(fields["message"]), float(fields["val_acc"])
    except UserError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def best_row(rows: Sequence[Mapping[str, float]], monitor: Monitor) -> Mapping[str, float] | None:
    """Of the rows of a ``metrics.csv`` that of the best epoch, the first of equals; ``None`` where
    there are none.

    monitor: what is compared, see ``monitor`` of a configuration.
    """
    best = {"min": min, "max": max}[BETTER[monitor]]
    return best(rows, key=lambda row: row[monitor.replace("/", "_")], default=None)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The rows of a ``metrics.csv``, one for each epoch that was validated: all of them, or each
    n-th; none if the file is missing.

    A last row without an end, as killed runs of earlier versions have left it, is ignored. Raises
    ``UserError`` for any other damage: a value that is no number, or a missing epoch.
    """
    if not path.is_file():
        return []
    try:
        text = read_checked(path).decode()
        rows = list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))
        found = [
            {name: int(v) if name in ("epoch", "step") else float(v) for name, v in row.items()}
            for row in rows
        ]
        epochs = [row["epoch"] for row in found]
        if epochs != [i * max(epochs[0], 1) for i in range(1, len(epochs) + 1)]:
            raise ValueError(f"the epochs are {', '.join(map(str, epochs))}")
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise UserError(f"{path}: damaged ({error})") from error
    return found


def is_neutral(path: str, value: Any) -> bool:
    """Whether a key of the configuration, with this value, cannot change the result of a run."""
    return path in NEUTRAL_KEYS or (path in LATER_KEYS and value == LATER_KEYS[path])


def config_hash(config: Mapping[str, Any]) -> str:
    """A hash, 16 hexadecimal digits, of all in a plain configuration that can change the result."""
    text = json.dumps(_without_neutral(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def weighed(path: str, value: Any) -> Any:
    """The part of a value that can change the result: of devices their number, not which they
    are."""
    return device_count(value) if path == "trainer.devices" else value


def short_name(name: str) -> str:
    """A name that a folder can have: a long one is cut off and gets a hash that tells it from
    others."""
    if len(name) <= _LONGEST_NAME and len(name.encode()) <= _MOST_BYTES:
        return name
    start = name[: _LONGEST_NAME - 9].encode()[: _MOST_BYTES - 9].decode(errors="ignore")
    return f"{start}_{config_hash({'text': name})[:8]}"


def _without_neutral(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {
        key: _without_neutral(value, f"{prefix}{key}.")
        if isinstance(value, Mapping)
        else weighed(f"{prefix}{key}", value)
        for key, value in config.items()
        if not is_neutral(f"{prefix}{key}", value)
    }
    return {k: v for k, v in found.items() if v or f"{prefix}{k}" not in _LATER_GROUPS}
