"""The two sides of a comparison: which runs they are, and whether they may be compared."""

import glob
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.report.sweep.results import REPLICATES
from cifarlab.report.tables import listed
from cifarlab.store.configs import as_shown, leaves
from cifarlab.store.record import NEUTRAL_KEYS, RunRecord, is_finished
from cifarlab.store.run import ABSENT, Run
from cifarlab.store.sweep import Sweep, is_sweep

_SEEDS = ("seed", "data.seed", "data.fold")  # leaves that tell repetitions apart
Replicate = tuple[int, str]  # seed and fold


@dataclass(frozen=True)
class Side:
    """One side of a comparison: runs of one configuration, one for each seed and fold.

    name: ``a`` or ``b``.
    asked: what was typed for it, in one line.
    left_out: the folders of older runs with the seed and the fold of a newer one.
    damaged: why runs cannot be used, one line for each.
    """

    name: str
    asked: str
    runs: dict[Replicate, Run]
    left_out: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[RunRecord]:
        return [run.result for run in self.runs.values()]


def read_side(name: str, paths: Sequence[str], where: Sequence[str]) -> Side:
    """Find the runs of a side.

    name: ``a`` or ``b``.
    paths: folders of runs or sweeps, or patterns of such.
    where: conditions ``key:value``, which a run must all fulfil. Every key that can be typed for
        ``train.py`` is allowed, those of groups, too; ``tag:paper`` asks for a tag.

    Raises ``UserError`` if nothing is found or selected, or runs of several configurations are.
    """
    asked = " ".join([*paths, *(f"where {item}" for item in where)])
    found = [run for path in paths for run in find_runs(name, path)]
    distinct = list({run.folder: run for run in found}.values())
    damaged = [run.reason for run in distinct if not run.record]
    runs = _select(name, [run for run in distinct if run.record], where)
    _check_one_configuration(name, runs)
    newest: dict[Replicate, Run] = {}
    left_out = []
    for run in sorted(runs, key=lambda run: run.written):
        key = run.replicate
        if key in newest:
            left_out.append(str(newest[key].folder))
        newest[key] = run
    return Side(name, asked, dict(sorted(newest.items())), left_out, damaged)


def find_runs(name: str, path: str) -> list[Run]:
    """The finished runs in the folder of a run or a sweep, or in all that match a pattern.

    Damaged runs are among them. Folders that match the pattern but have no run are ignored.

    name: of the option that the path was given for, for the message of the error.

    Raises ``UserError`` if there is no finished run, or if all are damaged.
    """
    is_pattern = glob.has_magic(path) and not Path(path).exists()
    found = sorted(glob.glob(path)) if is_pattern else [path]  # noqa: PTH207  absolute ones too
    folders = [Path(each) for each in found]
    runs: list[Run] = []
    for folder in folders:
        if is_finished(folder):
            runs.append(Run.read(folder))
        elif is_sweep(folder):
            runs += [run for run in Sweep.read(folder).runs if is_finished(run.folder)]
        elif not is_pattern:
            raise UserError(f"{name}={path}: neither a finished run nor a sweep")
    if not any(run.record for run in runs):
        reason = runs[0].reason if runs else "no finished run there"
        raise UserError(f"{name}={path}: {reason}")
    return runs


def finished_runs(name: str, paths: Sequence[str]) -> list[Run]:
    """The undamaged finished runs of several paths, as ``find_runs`` finds them, each once; which
    are left out is said in the log."""
    runs = [run for path in paths for run in find_runs(name, path)]
    runs = list({run.folder: run for run in runs}.values())
    for run in runs:
        if run.record is None:
            logging.getLogger("cifarlab").warning("left out: %s", run.reason)
    return [run for run in runs if run.record]


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run, the same for runs that differ only in seed and fold.

    It is made of the typed values that differ. If other values differ, too, a number is added. The
    row of a study is part of the name only if all runs are of studies.
    """
    typed = dict.fromkeys(key for run in runs for key in run.typed if key not in NEUTRAL_KEYS)
    differ = [k for k in typed if k not in REPLICATES and len({c.value(k) for c in runs}) > 1]
    if not all("study.row" in run.typed for run in runs):
        differ = [key for key in differ if not key.startswith("study.")]
    names = [" ".join(f"{key}={c.value(key)}" for key in differ) for c in runs]
    names = [name or run.result.model for name, run in zip(names, runs, strict=True)]
    known: dict[str, dict[tuple, int]] = {}
    numbers = []
    for name, run in zip(names, runs, strict=True):
        known.setdefault(name, {})
        numbers.append(known[name].setdefault(identity(run), len(known[name]) + 1))
    return [
        f"{name} ({number})" if len(known[name]) > 1 else name
        for name, number in zip(names, numbers, strict=True)
    ]


def check_comparable(a: Side, b: Side) -> None:
    """Raise ``UserError`` unless both were validated and tested on the same images."""
    runs = [*a.runs.values(), *b.runs.values()]
    for key in ("name", "num_test"):
        values = [sorted({str(r.data[key]) for r in side.records}) for side in (a, b)]
        if values[0] != values[1] or len(values[0]) > 1:
            what = "data" if key == "name" else "test images"
            raise UserError(f"a and b: not the same {what}: {'; '.join(map(', '.join, values))}")
    if not same_validation(runs):
        hashes = sorted({run.result.data["split_hash"] for run in runs})
        raise UserError(
            f"a and b: not validated on the same images (splits {', '.join(hashes)}); "
            "data.split, data.split_seed, data.val_size and data.folds must be the same"
        )


def same_validation(runs: Sequence[Run]) -> bool:
    """Whether all runs of the same fold were validated on the same images.

    If their splits have the same hash, they were. If not, the positions of the images are compared:
    the runs may differ only in the images that they trained on.
    """
    for fold in {run.value("data.fold") for run in runs}:
        members = [run for run in runs if run.value("data.fold") == fold]
        hashes = {run.result.data["split_hash"] for run in members}
        if len(hashes) > 1 and len({_validated_on(run) for run in members}) > 1:
            return False
    return True


def _validated_on(run: Run) -> str:
    try:
        found = run.predictions
    except UserError:  # damaged: as if there were none
        found = None
    return found.val_indices.tobytes().hex() if found else run.result.data["split_hash"]


def _select(name: str, runs: list[Run], where: Sequence[str]) -> list[Run]:
    for item in where:
        key, colon, value = item.partition(":")
        if not colon:
            raise UserError(f"where_{name}={item}: must be key:value, or [key:value,key:value]")
        if key == "tag":
            there = sorted({tag for run in runs for tag in run.tags})
            runs = [run for run in runs if value in run.tags]
        else:
            there = sorted({run.value(key) for run in runs} - {ABSENT})
            runs = [run for run in runs if run.value(key) == as_shown(value)]
        if not there:
            what = "a tag" if key == "tag" else f"the key {key}"
            raise UserError(f"where_{name}={item}: no run has {what}")
        if not runs:
            raise UserError(f"where_{name}={item}: no such run; {key} is {listed(there)}")
    return runs


def _check_one_configuration(name: str, runs: Sequence[Run]) -> None:
    for run in runs:
        if run.config is None:
            raise UserError(f"{run.folder}: its config.yaml is missing or damaged")
    flat = [dict(leaves(run.config or {})) for run in runs]
    seeds = [str(run.result.seed) for run in runs]
    differ = [
        key
        for key in dict.fromkeys(key for leaf in flat for key in leaf)
        if len({leaf.get(key) for leaf in flat}) > 1
        and key not in _SEEDS
        and [leaf.get(key) for leaf in flat] != seeds  # an interpolation of the seed
    ]
    if not differ:
        return
    typed = dict.fromkeys(key for run in runs for key in run.typed)
    swept = [k for k in typed if len({c.value(k) for c in runs}) > 1 and k not in REPLICATES]
    key = (swept or differ)[0]
    values = sorted({run.value(key) for run in runs})
    also = [other for other in swept or differ if other != key]
    raise UserError(
        f"{name}: several configurations: {key} is {listed(values)}"
        + (f" (and {listed(also, 3)} differ)" if also else "")
        + f"; choose one with where_{name}={key}:{values[0]}"
    )


def identity(run: Run) -> tuple:
    """All of the configuration that can change a result, without seed and fold."""
    return tuple((key, value) for key, value in leaves(run.config or {}) if key not in _SEEDS)
