"""One run: build, fit, evaluate, write the record.

A run is a folder. If it has a ``result.json``, the run is finished and is never done again. If not,
the run goes on from ``checkpoints/last.ckpt``, or begins if there is no such file.
"""

import contextlib
import logging
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities import rank_zero_only

from cifarlab.base import slurm
from cifarlab.base.compose import to_type
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.plain import select
from cifarlab.callbacks import Interrupted, undisturbed
from cifarlab.run.session import TEST_READS, Session, short_path
from cifarlab.stats.quantities import BALANCED, METRICS
from cifarlab.store.checkpoint import INITIAL, LAST, read_latest
from cifarlab.store.configs import leaves
from cifarlab.store.files import SUMS, SUMS_LOCK, remove, write_atomic
from cifarlab.store.lock import LOCK, RunLock
from cifarlab.store.record import (
    CELLS,
    CHANGES,
    CONFIG,
    EPOCHS,
    EVENT_PARTS,
    EVENTS,
    FAILURE,
    LOGGER_PARTS,
    LOGGERS,
    PRUNED,
    RESULT,
    ROBUSTNESS,
    RunRecord,
    is_finished,
)
from cifarlab.store.run import Run, stored_config, write_config
from cifarlab.store.trust import check_trusted, targets

log = logging.getLogger("cifarlab")

MAY_CHANGE = ("max_epochs",)  # what may be typed beside resume=, as docs/use.md has it
_WITHOUT_END = frozenset(  # schedules that do not depend on how long the run is
    f"cifarlab.lit.optim.{name}" for name in ("constant", "step", "triangular", "plateau")
)


def run(config: RunConfig, after: Callable[[Run], None] | None = None) -> float | None:
    """Do a run, or what is left of it, and return its validation accuracy.

    A run that fails before its first checkpoint leaves no folder behind. A run that a signal asks
    to stop writes its checkpoint and exits.

    config: plain.
    after: called with the finished run if its configuration asks for an ``evaluation``. It is
        called also if the run was finished before, since a kill may have prevented it then.

    Raises ``UserError`` for what the user can correct, for instance if another process trains in
    the folder.
    """
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    longer = config["resume"] is not None and _is_longer(config, folder, list(job.overrides.task))
    is_new = not (folder / CONFIG).exists()
    if _rank() != 0:
        log.setLevel(logging.ERROR)
    if is_finished(folder) and not longer:
        log.info("already finished: %s", short_path(folder))
        return _evaluate(folder, after)
    try:
        with RunLock(folder) if _rank() == 0 else contextlib.nullcontext():
            config = _configure(config, folder, longer=longer)
            train(config, folder, longer=longer)
    except Interrupted as error:
        log.info("%s; to go on: python train.py %s", error, to_type("resume", short_path(folder)))
        if slurm.is_job() and not error.by_hand:
            slurm.give_way(error.signum)
        sys.exit(128 + error.signum)
    except Exception:
        if is_new and not (folder / LAST).exists() and _rank() == 0:
            _discard(folder)
        raise
    return _evaluate(folder, after) if _rank() == 0 else None


def _evaluate(folder: Path, after: Callable[[Run], None] | None) -> float:
    """Do what comes after a run, and return its validation accuracy."""
    finished = Run.finished(folder)
    if after is not None and _rank() == 0 and (finished.config or {}).get("evaluation"):
        after(finished)
    return finished.measure("val_acc")


def train(
    config: RunConfig, folder: Path, *, brief: bool = False, longer: bool = False
) -> RunRecord | None:
    """Train, measure and record a run, from the folder's last checkpoint if there is one.

    Returns ``None`` in all processes of the run but the first.

    config: plain.
    brief: say of the run nothing but that it goes on, its epochs and, in a line, what came out.
    longer: whether the run goes on for more epochs than its folder says, and may be finished.
    """
    session = Session(config, folder)
    if longer and _rank() == 0:  # nothing is in its way any more
        _reopen(config, folder)
    if not brief:
        session.announce()
    elif session.last is not None:
        log.info("resume %s", short_path(folder))
    session.fit()
    if not session.trainer.is_global_zero:
        return None
    with undisturbed():
        record = session.finish()
    for name in (FAILURE, PRUNED):
        remove(folder / name)
    log.info("%s", in_a_line(record) if brief else summary(record, folder))
    return record


def in_a_line(record: RunRecord) -> str:
    """``val 73.36%, test 72.55%, best epoch 6 of 10, 1058 s``."""
    accuracies = (f"{name} {record.metrics[name]['acc']:.2%}" for name in ("val", "test"))
    epochs = f"best epoch {record.best_epoch} of {record.epochs_run}"
    return f"{', '.join(accuracies)}, {epochs}, {record.time['total_s']:.0f} s"


def summary(record: RunRecord, folder: Path) -> str:
    """The table that is short_path at the end of a run."""
    more = [name for name in record.metrics["test"] if name not in METRICS]
    labels = [*(m.label for m in METRICS.values()), *more]
    rows = [f"{'':10}" + "".join(f"{label:>{max(12, len(label) + 2)}}" for label in labels)]
    measured = {name: record.metrics[name] for name in ("train", "val", "test")}
    if record.tta:
        measured |= {f"{name}*": record.tta[name] for name in ("val", "test")}
    for name, values in measured.items():
        told = [f"{m.short(values[k]):>12}" for k, m in METRICS.items()]
        told += [
            f"{values[k]:>{max(12, len(k) + 2)}{'.2%' if k == BALANCED else '.4f'}}"
            for k in more
            if k in values
        ]
        rows.append(f"{name:10}" + "".join(told))
    if record.tta:
        rows.append(f"* tta={record.tta['views']}: the same weights, logits averaged over views")
    if record.target:
        aim, epoch, seconds = (record.target[k] for k in ("val_acc", "epoch", "fit_s"))
        when = "not reached" if epoch is None else f"after epoch {epoch}, {seconds:.0f} s"
        rows.append(f"target {aim:.2%} on validation: {when}")
    end = record.status.replace("_", " ")
    speed = (
        f"{record.time['total_s']:.0f} s, training at {record.time['images_per_s']:,.0f} images/s"
    )
    rows.append(f"best epoch {record.best_epoch} of {record.epochs_run} ({end}), {speed}")
    return "\n".join(["", *rows, f"run folder {short_path(folder)}"])


def _discard(folder: Path) -> None:
    """Remove what a failed run has written, and its folder unless other things are in it."""
    if (folder / LOGGERS).exists():
        for name in LOGGER_PARTS:
            shutil.rmtree(folder / name, ignore_errors=True)
    files = (CONFIG, CHANGES, LOCK, "run.log", EPOCHS, f"{EVENTS}*", INITIAL.name, LOGGERS)
    parts = [folder / name for name in EVENT_PARTS]
    for pattern in (*files, SUMS, SUMS_LOCK):
        for place in (folder, folder / INITIAL.parent, *parts):
            for path in place.glob(pattern):
                path.unlink()
    for made in (folder / LAST.parent, folder / "figures", *parts, folder):
        with contextlib.suppress(OSError):  # not there, or not empty
            made.rmdir()


def _rank() -> int:
    """The rank of this process, as Lightning knows it before there is a Trainer."""
    return rank_zero_only.rank  # type: ignore[attr-defined]  # set on the function


def _check_unchanged(stored: Mapping[str, Any], folder: Path) -> None:
    """Raise ``UserError`` with a key if ``config.yaml`` is not the configuration the run began
    with.

    A changed one would be obeyed only in part: learning rates and counts are in the checkpoint.
    """
    latest = read_latest(folder)
    if latest is None:
        return
    begun = dict(leaves(latest.checkpoint["cifarlab"]["config"]))
    now = dict(leaves(stored))
    for key in [*begun, *now]:
        if begun.get(key) == now.get(key) or key == "trainer.devices":  # only the speed
            continue
        if key in ("max_epochs", "trainer.max_epochs") and float(begun[key]) < float(now[key]):
            _check_goes_on(stored, folder, stored["max_epochs"])
        else:
            raise UserError(
                f"{folder / CONFIG}: {key}={now.get(key)}, but the run began with "
                f"{begun.get(key)}; a run goes on as it was configured, so start another"
            )


def _is_longer(config: RunConfig, folder: Path, overrides: list[str]) -> bool:
    """Whether ``max_epochs`` was typed beside ``resume=``, and is more than the run had.

    Raises ``UserError`` if anything else was typed, or if the run cannot have more epochs.
    """
    others = [item for item in overrides if not item.startswith("resume=")]
    if refused := [item for item in others if item.partition("=")[0] not in MAY_CHANGE]:
        raise UserError(
            f"resume={config['resume']}: the run goes on as it was configured, but for "
            f"{', '.join(MAY_CHANGE)}; leave out {' '.join(refused)}"
        )
    stored = stored_config(folder)
    before, asked = stored.get("max_epochs"), config["max_epochs"]
    if not others or asked == before:
        return False
    if not isinstance(before, int) or asked < before:
        raise UserError(
            f"max_epochs={asked}: the run has max_epochs={before}; it can go on for longer, not be "
            "made shorter"
        )
    _check_goes_on(stored, folder, asked)
    return True


def _check_goes_on(stored: Mapping[str, Any], folder: Path, epochs: int) -> None:
    """Raise ``UserError`` unless the run, with more ``epochs``, will be the same as one that was
    planned with as many from the beginning."""
    schedule = select(stored, "scheduler._target_")
    if schedule not in _WITHOUT_END:
        raise UserError(
            f"max_epochs: the schedule of {folder}, {schedule}, was drawn for "
            f"max_epochs={stored['max_epochs']} and is over then; start another run"
        )
    for name, part in (stored["callbacks"] or {}).items():
        if part.get("_target_") == "cifarlab.callbacks.Lookahead":
            raise UserError(
                f"max_epochs: callbacks.{name} of {folder} holds back more and more towards its "
                "last step, so more epochs need another run"
            )
    every = stored["trainer"].get("check_val_every_n_epoch") or 1
    if epochs % every:
        raise UserError(
            f"max_epochs={epochs}: the run is validated every {every} epochs, so it must be "
            f"a multiple of {every}"
        )
    if (folder.parent / CELLS).is_file():
        raise UserError(
            f"max_epochs: {folder} is a cell of a sweep, which is named after its configuration; "
            "type the sweep again with other max_epochs"
        )
    if not (folder / LAST).is_file():
        raise UserError(
            f"max_epochs: {folder / LAST} is missing, so there is nothing to go on from"
        )
    if is_finished(folder) and (status := RunRecord.load(folder).status) != "completed":
        raise UserError(
            f"max_epochs: {folder} has {status.replace('_', ' ')} before its "
            f"{stored['max_epochs']} epochs; more of them would change nothing"
        )


def _configure(config: RunConfig, folder: Path, *, longer: bool) -> RunConfig:
    """The configuration of the run: the command's, which is written into the folder; when resuming,
    that of the folder.

    longer: whether the command's ``max_epochs`` replaces the one in the folder, which ``_reopen``
        then does.
    """
    if config["resume"] is not None:
        stored = stored_config(folder)
        check_trusted(stored, folder / CONFIG, targets(config))
        _check_unchanged(stored, folder)
        if not longer:
            return cast(RunConfig, stored)
        epochs = config["max_epochs"]
        typed = [item for item in stored["overrides"] if not item.startswith("max_epochs=")]
        return cast(RunConfig, stored) | {
            "max_epochs": epochs,
            "trainer": stored["trainer"] | {"max_epochs": epochs},
            "overrides": [*typed, f"max_epochs={epochs}"],
        }
    if _rank() == 0:
        write_config(config, folder)
    return config


def _reopen(config: RunConfig, folder: Path) -> None:
    """Make a run, finished or not, one that goes on for more epochs."""
    if is_finished(folder):
        reads = str(RunRecord.load(folder).test_reads)
        write_atomic(folder / TEST_READS, reads, summed=True)
        remove(folder / ROBUSTNESS)  # of weights that may not be the best any more
        remove(folder / RESULT)
    write_config(config, folder)
