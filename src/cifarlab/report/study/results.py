"""A sweep's folder as a study: its rows with their runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from cifarlab.base.errors import UserError
from cifarlab.base.plain import select
from cifarlab.report.sweep.results import REPLICATES, Results
from cifarlab.store.configs import as_shown
from cifarlab.store.files import read_checked
from cifarlab.store.record import NEUTRAL_KEYS, STUDY
from cifarlab.store.run import Run
from cifarlab.studies.rows import EPOCH_KEYS, key_of, merged
from cifarlab.studies.schema import OURS, Row, Study, parse_study

ROW = "study.row"
_DATA = "cifar10"  # of every report, and of a row of ours that names no other
# Where the runs are made and of which files, not what is trained
_PLACES = {
    "data",
    "data.root",
    "data.cache_dir",
    "data.image_size",
    "data.num_train",
    "data.fraction",
}
_PLACES |= {"data.num_test", "trainer", "trainer.precision", "trainer.devices"}


@dataclass(frozen=True)
class Line:
    """A line of the tables: a row of the study at one setting of what else was swept.

    label: its name in tables and figures.
    setting: ``optimizer.lr=0.1``; empty if nothing else was swept.
    runs: one for each seed or fold.
    absent: why there are no runs; empty if there are.
    caveats: why its numbers cannot be compared with those of the report.
    """

    row: Row
    label: str
    setting: str
    runs: tuple[Run, ...]
    absent: str
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class StudyResults:
    """A study with the results of its runs.

    lines: of the tables.
    scales: to which share of their epochs the runs were shortened; 1 for whole ones.
    """

    study: Study
    results: Results
    lines: tuple[Line, ...]
    scales: tuple[float, ...]

    @property
    def settings(self) -> list[str]:
        return list(dict.fromkeys(line.setting for line in self.lines))

    def of(self, setting: str) -> dict[str, tuple[Run, ...]]:
        """The runs of each row, at one setting."""
        return {line.row.id: line.runs for line in self.lines if line.setting == setting}

    @property
    def measured(self) -> list[Line]:
        return [line for line in self.lines if line.runs]

    @property
    def seeds(self) -> list[int]:
        return sorted({run.result.seed for line in self.lines for run in line.runs})

    @property
    def caveats(self) -> list[str]:
        """The caveats of all lines, each once."""
        return list(dict.fromkeys(caveat for line in self.measured for caveat in line.caveats))

    def caveats_of(self, rows: Collection[str]) -> list[str]:
        """The caveats of the lines of these rows, each once."""
        lines = [line for line in self.measured if line.row.id in rows]
        return list(dict.fromkeys(caveat for line in lines for caveat in line.caveats))

    @property
    def folder(self) -> Path:
        return self.results.sweep.folder

    @property
    def mark(self) -> str:
        """Why the runs are not the report's experiment, to be shown with figures and tables."""
        return "; ".join(self.caveats)


def read_study(results: Results) -> StudyResults:
    """The results of a sweep as those of the study whose copy is in its folder.

    Raises ``UserError`` if the copy cannot be read.
    """
    path = results.sweep.folder / STUDY
    try:
        plain = yaml.safe_load(read_checked(path))
        if not isinstance(plain, dict):
            raise UserError("it holds no keys")
        study = parse_study(plain)
    except (yaml.YAMLError, UserError) as error:
        raise UserError(f"{path}: not a study ({error}); type its sweep again") from error
    lines = tuple(line for row in study.rows for line in _lines(row, study, results))
    scales = {_scale(cell) for cell in results.kept}
    return StudyResults(study, results, lines, tuple(sorted(scales)))


def _lines(row: Row, study: Study, results: Results) -> list[Line]:
    name, label = row.like or row.id, study.short(row.id)
    swept = _swept(results)
    by: dict[str, list[Run]] = {}
    for cell in results.kept:
        if cell.value(ROW) == name:
            setting = " ".join(f"{key}={cell.value(key)}" for key in swept)
            by.setdefault(setting, []).append(cell)
    if not by:
        cells = [cell for cell in results.sweep.runs if cell.value(ROW) == name]
        return [Line(row, label, "", (), _absent(row, cells), ())]
    return [
        Line(
            row,
            f"{label} {setting}".strip(),
            setting,
            tuple(sorted(cells, key=lambda cell: cell.result.seed)),
            "",
            tuple(dict.fromkeys(text for cell in cells for text in _caveats(study, name, cell))),
        )
        for setting, cells in by.items()
    ]


def _swept(results: Results) -> list[str]:
    """The keys that have several values within a row, without seed and fold."""
    values: dict[tuple[str, str], set[str]] = {}
    for cell in results.kept:
        for key in results.factors:
            values.setdefault((cell.value(ROW), key), set()).add(cell.value(key))
    found = dict.fromkeys(key for (_, key), seen in values.items() if len(seen) > 1)
    return [key for key in found if key not in REPLICATES]


def _absent(row: Row, cells: Sequence[Run]) -> str:
    if failed := next((cell for cell in cells if cell.status in ("failed", "damaged")), None):
        return failed.reason
    if cells:
        return f"{cells[0].status} so far"
    return f"not run; needs {row.needs}" if row.needs else "not run"


def _caveats(study: Study, row: str, cell: Run) -> list[str]:
    """Why a run is not the experiment of the report, or that of our own study."""
    found, config = [], cell.config or {}
    if (scale := _scale(cell)) != 1:
        found.append(f"shortened to {scale:.0%} of the epochs")
    of_row = {key_of(o): o.partition("=")[2] for o in merged(study.row(row).overrides)}
    meant = of_row.get("data", _DATA) if study.source == OURS else _DATA
    if cell.record and (name := cell.record.data["name"]) != meant:
        found.append(f"data={name}")
    whole = float(of_row.get("data.fraction", 1)) if study.source == OURS else 1.0
    if (fraction := select(config, "data.fraction")) not in (None, whole):
        found.append(f"{float(fraction):.0%} of the training images")
    unsaid = _PLACES | NEUTRAL_KEYS | set(REPLICATES) | {"study.id", ROW, "study.scale"}
    for key, value in cell.typed.items():
        if key in unsaid or (scale != 1 and key in EPOCH_KEYS):
            continue
        if key not in of_row or value not in (of_row[key], as_shown(of_row[key])):
            found.append(f"{key}={value} typed")
    return found


def _scale(cell: Run) -> float:
    scale = select(cell.config or {}, "study.scale")
    return 1.0 if scale is None else float(scale)
