"""The numbers of a sweep: a row for each cell, and a summary of the finished ones over seeds."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifarlab.stats.intervals import mean_interval
from cifarlab.stats.quantities import METRICS
from cifarlab.store.configs import together, untyped
from cifarlab.store.record import NEUTRAL_KEYS
from cifarlab.store.run import UNFINISHED, Run
from cifarlab.store.sweep import Sweep

Row = dict[str, Any]

# Keys whose values repeat an experiment. Folds are no independent repetitions: their training
# images overlap, so an interval over folds is narrower than one over fresh images would be.
REPLICATES = ("seed", "data.fold")
MEASURED = tuple(f"{split}_{kind}" for kind in METRICS for split in ("val", "test", "train"))


@dataclass(frozen=True)
class Results:
    """A sweep, and which of its cells are compared by which keys.

    sweep: with all its runs, finished or not.
    swept: the keys that were typed with several values.
    untyped: the keys that nobody typed and that nevertheless differ between finished cells, in
        groups: those of a group differ between the same cells.
    kept: the finished cells that count in means.
    doubles: the finished cells that do not count, since another one has the same values, seed and
        fold, and is in the plan or is newer.
    """

    sweep: Sweep
    swept: list[str]
    untyped: list[list[str]]
    kept: list[Run]
    doubles: list[Run]

    @property
    def own_metrics(self) -> list[str]:
        """What ``metrics=`` has measured of any of the cells that count, beside ``MEASURED``."""
        return list(dict.fromkeys(name for cell in self.kept for name in cell.own_metrics))

    @property
    def extra(self) -> list[str]:
        """The keys of ``untyped`` in one list."""
        return [key for keys in self.untyped for key in keys]

    @property
    def factors(self) -> list[str]:
        """The keys whose values make groups of repetitions: all that differ but seed and fold."""
        return [key for key in self.swept if key not in REPLICATES] + self.extra

    def group(self, cell: Run) -> tuple[str, ...]:
        """The values of ``factors``, which all repetitions of a cell have."""
        return tuple(cell.value(key) for key in self.factors)


def collect(folder: Path) -> Results:
    """Read the folder of a sweep, in whatever state it is."""
    sweep = Sweep.read(folder)
    cells = sweep.runs
    keys = dict.fromkeys(key for cell in cells for key in cell.typed if key not in NEUTRAL_KEYS)
    swept = [key for key in keys if len({cell.value(key) for cell in cells}) > 1]
    done = [cell for cell in cells if cell.config]
    values = [{key: cell.value(key) for key in swept} for cell in done]
    extra = untyped(swept, values, [cell.config or {} for cell in done])
    groups = together(extra, [{key: cell.value(key) for key in extra} for cell in done])
    factors = [key for key in swept if key not in REPLICATES] + extra
    kept: dict[tuple, Run] = {}
    finished = sweep.finished
    for cell in sorted(finished, key=lambda cell: (cell.planned, cell.written)):
        kept[tuple(cell.value(key) for key in factors), cell.replicate] = cell
    chosen = {cell.name for cell in kept.values()}
    return Results(
        sweep,
        swept,
        groups,
        [cell for cell in finished if cell.name in chosen],
        [cell for cell in finished if cell.name not in chosen],
    )


def result_rows(results: Results) -> list[Row]:
    """The rows of ``results.csv``: the finished cells, best validation first, then the others.

    Every swept key is a column. ``tta_*`` and ``planned`` are columns only if some cell needs them.
    """
    with_views = any(cell.record and cell.record.tta for cell in results.sweep.runs)
    with_plan = not all(cell.planned for cell in results.sweep.runs)
    rows = [
        {key: cell.value(key) for key in (*results.swept, *results.extra)}
        | _measured(cell, with_views, results.own_metrics)
        | {"status": cell.status, "reason": cell.reason, "cell": cell.name}
        | ({"planned": cell.planned} if with_plan else {})
        for cell in results.sweep.runs
    ]
    return sorted(rows, key=_rank)


def summarize(results: Results) -> list[Row]:
    """The rows of ``summary.csv``: one for cells that differ only in seed and fold, best validation
    first.

    Columns are the factors, ``n``, for each metric the mean, the sample standard deviation and half
    the width of the 95 % interval, ``fit_s_mean`` (s), ``num_params``, and, only if any are not in
    the plan, ``unplanned``: how many of the n are not.
    """
    groups: dict[tuple, list[Run]] = defaultdict(list)
    for cell in results.kept:
        groups[results.group(cell)].append(cell)
    with_plan = not all(cell.planned for cell in results.kept)
    summary = []
    for values, members in groups.items():
        measured = [_measured(cell, False, results.own_metrics) for cell in members]
        line: Row = dict(zip(results.factors, values, strict=True)) | {"n": len(members)}
        for metric in (*MEASURED, *results.own_metrics):
            mean, std, half = mean_interval([row[metric] for row in measured])
            line |= {f"{metric}_mean": mean, f"{metric}_std": std, f"{metric}_ci95": half}
        line["fit_s_mean"] = mean_interval([row["fit_s"] for row in measured])[0]
        line["num_params"] = measured[0]["num_params"]
        if with_plan:
            line["unplanned"] = sum(not cell.planned for cell in members)
        summary.append(line)
    return sorted(summary, key=lambda line: best_first(line["val_acc_mean"]))


def brief(value: str) -> str:
    """A value as it is shown: a number of many digits with four. results.csv has all of them."""
    try:
        return f"{float(value):.4g}" if len(value) > 9 else value
    except ValueError:
        return value


def best_first(accuracy: float) -> tuple[bool, float]:
    """A key to sort accuracies by: the best is first, NaN is last."""
    return math.isnan(accuracy), -accuracy


def _measured(run: Run, with_views: bool, own: Sequence[str]) -> Row:
    """The results of a finished run; of any other run the same keys with empty values."""
    record = run.record
    tta = (record and record.tta) or {"val": {"acc": ""}, "test": {"acc": ""}}
    views = {f"tta_{split}_acc": tta[split]["acc"] for split in ("val", "test")}
    if record is None:
        names = (*MEASURED, *own, *(views if with_views else ()))
        return dict.fromkeys((*names, "best_epoch", "epochs_run", "num_params", "fit_s"), "")
    return {
        **{metric: run.measure(metric) for metric in (*MEASURED, *own)},
        **(views if with_views else {}),
        "best_epoch": record.best_epoch,
        "epochs_run": record.epochs_run,
        "num_params": record.num_params,
        "fit_s": round(record.time["fit_s"], 3),
    }


def _rank(row: Row) -> tuple[Any, ...]:
    if row["status"] in UNFINISHED:
        return 1, UNFINISHED.index(row["status"])
    return 0, *best_first(row["val_acc"])
