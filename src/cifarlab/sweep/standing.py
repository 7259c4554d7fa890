"""How a sweep stands, in a line: what is done, what is best, how long the rest takes."""

import functools
import math
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.store.record import FAILURE, RESULT, RunRecord, is_over
from cifarlab.store.sweep import read_plan


def standing(sweep: Path, at_once: int = 1) -> str:
    """``3/12 done, 0 failed, best 71.9 % (baseline_0_1a2b3c4d), about 4 min left``.

    The best is by validation accuracy, the time is that of the cells so far, which may be of other
    sizes. Empty for a folder that has no plan.

    at_once: how many cells run at a time.
    """
    cells = [sweep / name for name in read_plan(sweep) or {}]
    if not cells:
        return ""
    over = [cell for cell in cells if is_over(cell)]
    failed = sum((cell / FAILURE).is_file() for cell in cells)
    parts = [f"{len(over)}/{len(cells)} done", f"{failed} failed"]
    records = {cell.name: record for cell in over if (record := _record(cell)) is not None}
    if records:
        name, best = max(records.items(), key=lambda item: item[1].metrics["val"]["acc"])
        parts.append(f"best {best.metrics['val']['acc']:.1%} ({name})".replace("%", " %"))
    left = len(cells) - len(over) - failed
    seconds = [record.time["total_s"] for record in records.values()]
    if left and seconds:
        rest = math.ceil(left / at_once) * sum(seconds) / len(seconds)
        parts.append(f"about {duration(rest)} left")
    return ", ".join(parts)


def _record(cell: Path) -> RunRecord | None:
    """``None`` for a cell that a search has pruned, and for a damaged record."""
    try:
        return _read(cell, (cell / RESULT).stat().st_mtime_ns)
    except (OSError, UserError):
        return None


@functools.cache
def _read(cell: Path, written: int) -> RunRecord:
    """Each record once, however many cells come after it. written: when it was, in ns."""
    return RunRecord.load(cell)


def duration(seconds: float) -> str:
    """``40 s``, ``4 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
