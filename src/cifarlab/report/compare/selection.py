"""The two sides of a comparison: which runs they are, and whether they may be compared."""

import glob
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
    """Runs of one configuration, one for each seed and fold.

    asked: how it was asked for, in one line.
    left_out: folders of older runs with a seed and fold that a newer one has too.
    damaged: what is wrong with runs that cannot be used, one line each.
    """

    name: str
    asked: str
    runs: dict[Replicate, Run]
    left_out: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[RunRecord]:
        return [cell.result for cell in self.runs.values()]


def read_side(name: str, paths: Sequence[str], where: Sequence[str]) -> Side:
    """The runs that ``paths`` (run folders, sweep folders, patterns) hold and ``where`` selects.

    where: ``key:value``, each of which a run must have; what can be typed for ``train.py`` can be
        given, the keys of groups too.

    Raises:
        UserError: nothing is found, nothing is selected, or more than one configuration is.
    """
    asked = " ".join([*paths, *(f"where {item}" for item in where)])
    found = [cell for path in paths for cell in find_runs(name, path)]
    distinct = list({cell.folder: cell for cell in found}.values())
    damaged = [cell.reason for cell in distinct if not cell.record]
    cells = _select(name, [cell for cell in distinct if cell.record], where)
    _check_one_configuration(name, cells)
    runs: dict[Replicate, Run] = {}
    left_out = []
    for cell in sorted(cells, key=lambda cell: cell.written):
        key = cell.replicate
        if key in runs:
            left_out.append(str(runs[key].folder))
        runs[key] = cell
    return Side(name, asked, dict(sorted(runs.items())), left_out, damaged)


def find_runs(name: str, path: str) -> list[Run]:
    """The finished runs, damaged ones too, of a run folder, a sweep folder, or a pattern of these.

    Of a pattern, folders that hold none are passed over. Raises ``UserError`` where one that is
    named by itself is damaged, and where all are. name: of the option, for the ``UserError``
    where nothing is found.
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


def labels(cells: Sequence[Run]) -> list[str]:
    """A name for the configuration of each run, the same for runs that differ in seed and fold.

    The typed values that differ; a number behind where these are the same and others differ. The
    row of a study names a run only where all are of studies.
    """
    typed = dict.fromkeys(key for cell in cells for key in cell.typed if key not in NEUTRAL_KEYS)
    differ = [k for k in typed if k not in REPLICATES and len({c.value(k) for c in cells}) > 1]
    if not all("study.row" in cell.typed for cell in cells):
        differ = [key for key in differ if not key.startswith("study.")]
    names = [" ".join(f"{key}={c.value(key)}" for key in differ) for c in cells]
    names = [name or cell.result.model for name, cell in zip(names, cells, strict=True)]
    known: dict[str, dict[tuple, int]] = {}
    numbers = []
    for name, cell in zip(names, cells, strict=True):
        known.setdefault(name, {})
        numbers.append(known[name].setdefault(_identity(cell), len(known[name]) + 1))
    return [
        f"{name} ({number})" if len(known[name]) > 1 else name
        for name, number in zip(names, numbers, strict=True)
    ]


def check_comparable(a: Side, b: Side) -> None:
    """Raise ``UserError`` unless both were validated and tested on the same images."""
    cells = [*a.runs.values(), *b.runs.values()]
    for key in ("name", "num_test"):
        values = [sorted({str(r.data[key]) for r in side.records}) for side in (a, b)]
        if values[0] != values[1] or len(values[0]) > 1:
            what = "data" if key == "name" else "test images"
            raise UserError(f"a and b: not the same {what}: {'; '.join(map(', '.join, values))}")
    if not same_validation(cells):
        hashes = sorted({cell.result.data["split_hash"] for cell in cells})
        raise UserError(
            f"a and b: not validated on the same images (splits {', '.join(hashes)}); "
            "data.split, data.split_seed, data.val_size and data.folds must be the same"
        )


def same_validation(cells: Sequence[Run]) -> bool:
    """Whether all of one fold were validated on the same images, whatever they trained on.

    The hash of the split tells at once where it is equal; where not, the images validated on do.
    """
    for fold in {cell.value("data.fold") for cell in cells}:
        members = [cell for cell in cells if cell.value("data.fold") == fold]
        hashes = {cell.result.data["split_hash"] for cell in members}
        if len(hashes) > 1 and len({_validated_on(cell) for cell in members}) > 1:
            return False
    return True


def _validated_on(cell: Run) -> str:
    try:
        found = cell.predictions
    except UserError:  # damaged: as if there were none
        found = None
    return found.val_indices.tobytes().hex() if found else cell.result.data["split_hash"]


def _select(name: str, cells: list[Run], where: Sequence[str]) -> list[Run]:
    for item in where:
        key, colon, value = item.partition(":")
        if not colon:
            raise UserError(f"where_{name}={item}: must be key:value, or [key:value,key:value]")
        there = sorted({cell.value(key) for cell in cells} - {ABSENT})
        if not there:
            raise UserError(f"where_{name}={item}: no run has the key {key}")
        cells = [cell for cell in cells if cell.value(key) == as_shown(value)]
        if not cells:
            raise UserError(f"where_{name}={item}: no such run; {key} is {listed(there)}")
    return cells


def _check_one_configuration(name: str, cells: Sequence[Run]) -> None:
    for cell in cells:
        if cell.config is None:
            raise UserError(f"{cell.folder}: its config.yaml is missing or damaged")
    flat = [dict(leaves(cell.config or {})) for cell in cells]
    seeds = [str(cell.result.seed) for cell in cells]
    differ = [
        key
        for key in dict.fromkeys(key for leaf in flat for key in leaf)
        if len({leaf.get(key) for leaf in flat}) > 1
        and key not in _SEEDS
        and [leaf.get(key) for leaf in flat] != seeds  # an interpolation of the seed
    ]
    if not differ:
        return
    typed = dict.fromkeys(key for cell in cells for key in cell.typed)
    swept = [k for k in typed if len({c.value(k) for c in cells}) > 1 and k not in REPLICATES]
    key = (swept or differ)[0]
    values = sorted({cell.value(key) for cell in cells})
    also = [other for other in swept or differ if other != key]
    raise UserError(
        f"{name}: several configurations: {key} is {listed(values)}"
        + (f" (and {listed(also, 3)} differ)" if also else "")
        + f"; choose one with where_{name}={key}:{values[0]}"
    )


def _identity(cell: Run) -> tuple:
    """Everything of the configuration that matters but seed and fold."""
    return tuple((key, value) for key, value in leaves(cell.config or {}) if key not in _SEEDS)
