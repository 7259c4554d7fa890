"""The overrides of a row: together with what was typed, and for a shorter run."""

from collections.abc import Mapping, Sequence
from typing import Any

from cifarlab.base.errors import UserError
from cifarlab.base.plain import select
from cifarlab.studies.schema import Row, Study

_SHARED = ("data", "trainer")  # groups whose options have the same keys
# Whatever counts epochs. The data, and so what an epoch is, stay as they are.
EPOCH_KEYS = (
    "max_epochs",
    "callbacks.early_stopping.patience",
    "callbacks.early_stopping.from_epoch",
    "callbacks.swa.start_epoch",
    "callbacks.top_k.every_n_epochs",
    "callbacks.progressive.from_epochs",
    "callbacks.hard_examples.from_epoch",
    "callbacks.freeze.from_epoch",
    "scheduler.every",
    "scheduler.half_cycle",
    "scheduler.warmup_epochs",
    "scheduler.patience",
    "transfer.last_block_from",
    "transfer.backbone_from",
)

_EVERY = "trainer.check_val_every_n_epoch"  # max_epochs is a multiple of it


def merged(overrides: Sequence[str], typed: Sequence[str] = ()) -> list[str]:
    """The overrides of a row in their order, and then those that were typed; for each key the last.

    If an option is chosen later (``optimizer=adam``), what was set below it before
    (``optimizer.lr=0.05``) is dropped, too: it was meant for another option. This is not so for
    data and trainer, since all their options have the same keys (``data.split``).
    """
    kept: dict[str, str] = {}
    for layer in (*([override] for override in overrides), typed):
        keys = [key_of(override) for override in layer]
        for key in keys:
            below = () if key in _SHARED else (f"{key}.",)
            kept = {k: v for k, v in kept.items() if k != key and not k.startswith(below)}
        kept |= dict(zip(keys, layer, strict=True))
    return list(kept.values())


def replaced(row: Row, typed: Sequence[str]) -> list[str]:
    """The overrides of a row that are replaced by what was typed."""
    still = set(merged(row.overrides, typed))
    return [override for override in merged(row.overrides) if override not in still]


def scaled(config: Mapping[str, Any], scale: float, typed: Sequence[str]) -> list[str]:
    """The overrides that shorten a run, with its patience and its schedules, to a share of its
    epochs.

    Whole numbers stay whole and are at least 1; of a list of first epochs, each stays later than
    the one before; the last epoch stays one that is validated. Keys that were typed do not change.

    Args:
        config: of the run at full length, resolved.
        scale: the share, in (0, 1].
        typed: the overrides that were typed.
    """
    if scale == 1:
        return []
    fixed = {key_of(override) for override in typed}
    changes = []
    for key in EPOCH_KEYS:
        value = select(config, key)
        if value is None or isinstance(value, bool) or key in fixed:
            continue
        if isinstance(value, list):
            firsts = _closer(value, scale)
            changes += [f"{key}={firsts}".replace(" ", "")] if firsts != value else []
            continue
        short = max(1, round(scale * value)) if isinstance(value, int) else scale * value
        changes += [f"{key}={short:g}"] if short != value else []
    every = select(config, _EVERY)
    if every and _EVERY not in fixed:
        epochs = config["max_epochs"]
        epochs = epochs if "max_epochs" in fixed else max(1, round(scale * epochs))
        fits = [n for n in range(1, max(1, round(scale * every)) + 1) if epochs % n == 0]
        changes += [f"++{_EVERY}={fits[-1]}"] if fits[-1] != every else []
    return changes


def _closer(firsts: Sequence[int], scale: float) -> list[int]:
    """The epochs that phases begin with, counted from 1, when each phase is shortened."""
    found: list[int] = []
    for first in firsts:
        begin = 1 + round(scale * (first - 1))
        found.append(max(begin, found[-1] + 1) if found else begin)
    return found


def selected(study: Study, only: Sequence[str] | None) -> list[Row]:
    """The rows to train: all, or those with the ids in ``only``.

    For a row that is ``like`` another, it is that other row. Raises ``UserError`` for an unknown
    id.
    """
    if only is None:
        return [row for row in study.rows if not row.like]
    known = [row.id for row in study.rows]
    if unknown := [name for name in only if name not in known]:
        raise UserError(f"study.only={unknown[0]}: no such row; rows: {', '.join(known)}")
    wanted = {study.row(name).like or name for name in only}
    return [row for row in study.rows if row.id in wanted]


def key_of(override: str) -> str:
    """The key of an override, without a ``+`` or ``~`` in front."""
    return override.partition("=")[0].lstrip("+~")
