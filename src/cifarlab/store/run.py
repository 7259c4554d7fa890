"""A run's folder, in whatever state it is. It is read here, once, and handed down as ``Run``.

The state, the record and the overrides are read at once; configuration, epochs and predictions when
they are asked for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cifarlab.base.errors import UserError
from cifarlab.base.plain import has, select
from cifarlab.stats.quantities import METRICS, threshold
from cifarlab.store.configs import as_shown, shown
from cifarlab.store.files import open_checked, read_checked, write_atomic
from cifarlab.store.lock import is_held
from cifarlab.store.record import (
    CONFIG,
    EPOCHS,
    FAILURE,
    PREDICTIONS,
    PRUNED,
    RESULT,
    RunRecord,
    is_finished,
    read_metrics,
    read_pruned,
)

if TYPE_CHECKING:
    from cifarlab.store.predictions import RunPredictions
    from cifarlab.store.robustness import Robustness

FINISHED = ("completed", "early_stopped", "stopped")
UNFINISHED = ("pruned", "failed", "damaged", "running", "interrupted", "missing")
ABSENT = "-"  # shown for a key that a run's configuration does not have
Epochs = Sequence[Mapping[str, float]]
_NONE = float("nan")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast where libyaml is
MAX_ENTRIES = 100_000  # of a configuration; ours have a few hundred


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: by itself or a cell of a sweep; planned, under way, finished, failed or damaged.

    folder: where it is, or will be.
    status: one of ``FINISHED`` or ``UNFINISHED``; a ``running`` one holds the lock of its folder.
    typed: its overrides, key to value, without ``hydra.*``.
    reason: in one line, why it failed, was pruned or counts as damaged.
    record: its record; ``None`` unless it is finished and undamaged.
    planned: whether its sweep has planned it; ``True`` where there is no plan.
    """

    folder: Path
    status: str
    typed: Mapping[str, str]
    reason: str = ""
    record: RunRecord | None = None
    planned: bool = True

    @classmethod
    def read(
        cls, folder: Path, overrides: Sequence[str] | None = None, *, planned: bool = True
    ) -> "Run":
        """The run of a folder, in whatever state it is.

        overrides: those of the plan, where the folder itself may not have them yet.
        """
        held = is_held(folder)  # asked first: who held it and wrote a result since is finished
        status, reason, record = "missing", "", None
        try:
            if is_finished(folder):
                record = RunRecord.load(folder)
                status = record.status
            elif held:
                status = "running"
            elif (folder / PRUNED).is_file():
                status, reason = "pruned", read_pruned(folder)[0]
            elif (folder / FAILURE).is_file():
                status, reason = "failed", _reason(folder)
            elif (folder / CONFIG).is_file():
                status = "interrupted"
        except UserError as error:
            status, reason = "damaged", str(error)
        if not overrides:
            found = record.overrides if record else (read_config(folder) or {}).get("overrides")
            overrides = found or []
        run = cls(
            folder=folder,
            status=status,
            typed=as_typed(overrides),
            reason=reason,
            record=record,
            planned=planned,
        )
        try:
            run.check()
        except UserError as error:
            return replace(run, status="damaged", reason=str(error), record=None)
        return run

    @classmethod
    def finished(cls, folder: Path) -> "Run":
        """The run in ``folder``. Raises ``UserError`` if it is not finished."""
        record = RunRecord.load(folder)
        typed = as_typed(record.overrides)
        return cls(folder=folder, status=record.status, typed=typed, record=record)

    def check(self) -> None:
        """Raise ``UserError`` if a file is damaged that tables and figures of a finished run
        need."""
        if self.record is None:
            return
        for name in (CONFIG, PREDICTIONS):
            if (self.folder / name).exists():
                open_checked(self.folder / name).close()
        _ = self.epochs

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def result(self) -> RunRecord:
        """The record of a run that is known to be finished."""
        assert self.record is not None, f"{self.folder} is not finished"
        return self.record

    @cached_property
    def config(self) -> dict[str, Any] | None:
        """The resolved configuration of a finished run; ``None`` if it is missing or damaged."""
        return read_config(self.folder) if self.record else None

    @cached_property
    def epochs(self) -> Epochs:
        """The rows of ``metrics.csv``, one for each epoch; empty if the file is missing.

        Raises ``UserError`` if it is damaged.
        """
        return read_metrics(self.folder / EPOCHS)

    @property
    def columns(self) -> dict[str, list[float]]:
        """The columns of ``metrics.csv`` by their names."""
        names = self.epochs[0] if self.epochs else ()
        return {name: [row[name] for row in self.epochs] for name in names}

    @cached_property
    def predictions(self) -> "RunPredictions | None":
        """What the net answered to validation and test images; ``None`` if the file is missing.

        Raises ``UserError`` if it is damaged.
        """
        from cifarlab.store import predictions  # numpy

        there = (self.folder / PREDICTIONS).exists()
        return predictions.load(self.folder) if there else None

    @property
    def answers(self) -> "RunPredictions":
        """The same, but raises ``UserError`` if the file is missing, too."""
        from cifarlab.store import predictions

        return self.predictions or predictions.load(self.folder)

    @cached_property
    def robustness(self) -> "Robustness | None":
        """What corruptions of the test images do to the net; ``None`` if it was not measured.

        Raises ``UserError`` if the file is damaged.
        """
        from cifarlab.store import robustness

        return robustness.load(self.folder)

    @property
    def written(self) -> float:
        """When the run was finished, in seconds since 1970; 0 if it is not. Of a record of earlier
        versions it is the time of the file, which may be that of a copy."""
        if self.record is None:
            return 0.0
        if said := self.record.finished:
            return datetime.fromisoformat(said).timestamp()
        return (self.folder / RESULT).stat().st_mtime

    @property
    def replicate(self) -> tuple[int, str]:
        """Seed and fold of a finished run. Runs of different settings with the same are a pair."""
        return self.result.seed, self.value("data.fold")

    @property
    def tags(self) -> list[str]:
        """Its tags, see ``scripts/runs.py``."""
        return [str(tag) for tag in (self.config or {}).get("tags") or []]

    @property
    def notes(self) -> str:
        """The remark that is kept with it; may be empty."""
        return str((self.config or {}).get("notes") or "")

    @property
    def own_metrics(self) -> list[str]:
        """What ``metrics=`` has measured of a finished run beside what all have, as ``measure``
        takes it: ``val_f1``, ``test_f1``, ``train_f1``."""
        by_split = self.record.metrics if self.record else {}
        names = [name for name in by_split.get("val", {}) if name not in METRICS]
        return [f"{split}_{name}" for name in names for split in ("val", "test", "train")]

    def value(self, key: str) -> str:
        """The value of a key that was typed, for this run or for others it is compared with.

        It is the one in the configuration, else what was typed, else the option that was chosen for
        a group; ``ABSENT`` if there is none.
        """
        config = self.config or {}
        resolved = select(config, key)
        if resolved is not None and not isinstance(resolved, Mapping):
            return shown(resolved)
        if key in self.typed:
            return self.typed[key]
        if option := select(config, f"choices.{key}"):
            return shown(option)
        return shown(resolved) if has(config, key) and not resolved else ABSENT

    def measure(self, name: str) -> float:
        """A quantity of a finished run, see ``cifarlab.stats.quantities``.

        Accuracies are fractions. NaN if the run does not have the quantity.
        """
        record = self.result
        split, _, kind = name.partition("_")
        if split in record.metrics and kind in METRICS:
            return record.metrics[split].get(kind, _NONE)  # a record may be older than it
        if name in ("mce", "corrupt_acc"):
            return getattr(self.robustness, name) if self.robustness else _NONE
        acc = {"train": _NONE} | {part: values["acc"] for part, values in record.metrics.items()}
        direct = {
            "gap": acc["train"] - acc["test"],
            "val_gap": acc["train"] - acc["val"],
            "val_minus_test": acc["val"] - acc["test"],
            "best_epoch": float(record.best_epoch),
            "epochs_run": float(record.epochs_run),
            "images_per_s": record.time["images_per_s"],
            "params": float(record.num_params),
        }
        if name in self.own_metrics and name not in direct:
            return record.metrics[split].get(kind, _NONE)
        if name == "peak_val_minus_test":
            return of_epochs(self.epochs, "peak_val_acc") - acc["test"]
        return direct[name] if name in direct else of_epochs(self.epochs, name)

    def reaches(self, name: str) -> bool:
        """Whether the run reaches the accuracy that ``epochs_to_60`` names; true of other names."""
        level = threshold(name)
        return level is None or any(row["val_acc"] >= level for row in self.epochs)


def read_config(folder: Path) -> dict[str, Any] | None:
    """The resolved configuration in a run's folder; ``None`` if it is missing or damaged."""
    try:
        return stored_config(folder)
    except UserError:
        return None


def stored_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration in a run's folder.

    Raises ``UserError`` if it is missing or damaged.
    """
    try:
        config = yaml.load(read_checked(folder / CONFIG), _Loader)
    except (FileNotFoundError, UnicodeDecodeError, yaml.YAMLError):
        config = None
    if not isinstance(config, dict) or _is_endless(config):
        raise UserError(f"{folder / CONFIG}: missing or damaged; a run's folder has it")
    return config


def _is_endless(config: Any) -> bool:
    """Whether it has more than ``MAX_ENTRIES`` values: with YAML's aliases, a few lines can stand
    for more than fits into any memory."""
    nodes, count = [config], 0
    while nodes and count <= MAX_ENTRIES:
        node = nodes.pop()
        count += 1
        if isinstance(node, dict | list):
            nodes += node.values() if isinstance(node, dict) else node
    return count > MAX_ENTRIES


def write_config(config: Mapping[str, Any], folder: Path) -> None:
    """Write ``config.yaml`` into a run's folder. config: plain and resolved."""
    write_atomic(folder / CONFIG, yaml.safe_dump(config, sort_keys=False), summed=True)


def of_epochs(epochs: Epochs, name: str) -> float:
    """A quantity of the learning curve; NaN if there are no epochs, or for a name that is none of
    theirs, such as that of a metric which other runs have.

    A level that is never reached counts as reached in the epoch after the last.
    """
    if not epochs:
        return _NONE
    acc, loss = ([row[key] for row in epochs] for key in ("val_acc", "val_loss"))
    level = threshold(name)
    if level is not None:
        reached = (row["epoch"] for row in epochs if row["val_acc"] >= level)
        return next(reached, epochs[-1]["epoch"] + 1)
    peak = max(range(len(acc)), key=lambda i: acc[i])
    late = acc[len(acc) // 2 :]
    changes = [abs(b - a) for a, b in zip(late, late[1:], strict=False)]
    return {
        "peak_val_acc": acc[peak],
        "peak_val_loss": loss[peak],
        "peak_epoch": epochs[peak]["epoch"],
        "epochs_after_peak": epochs[-1]["epoch"] - epochs[peak]["epoch"],
        "first_val_acc": acc[0],
        "last_val_acc": acc[-1],
        "last_train_acc": epochs[-1].get("train_acc", _NONE),
        "val_loss_rise": loss[-1] - min(loss),
        "val_acc_swing": sum(changes) / len(changes) if changes else _NONE,
    }.get(name, _NONE)


def _reason(path: Path) -> str:
    """Why a cell failed, in one line."""
    try:
        failure = json.loads(read_checked(path / FAILURE))
        kind, message = failure["type"], failure["message"].strip()
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return f"{FAILURE} cannot be read"
    first = message.partition("\n")[0]
    return first if kind == "UserError" else f"{kind}: {first}".removesuffix(": ")


def as_typed(overrides: Sequence[str]) -> dict[str, str]:
    """The values of overrides by their keys, which lose a ``+`` or ``~`` in front; without
    ``hydra.*``."""
    pairs = (item.partition("=")[::2] for item in overrides if not item.startswith("hydra."))
    return {key.lstrip("+~"): "~" if key.startswith("~") else as_shown(v) for key, v in pairs}
