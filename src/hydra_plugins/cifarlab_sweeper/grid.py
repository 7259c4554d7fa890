"""``python train.py -m``: every combination of the swept values, each in a folder of its own."""

import contextlib
import io
import itertools
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from cifarlab.base.checks import check_config, check_name
from cifarlab.base.compose import Composer, as_override
from cifarlab.base.config import RunConfig
from cifarlab.base.durations import duration
from cifarlab.base.errors import UserError, told
from cifarlab.store.files import remove
from cifarlab.store.lock import LOCK, is_held
from cifarlab.store.record import (
    FAILURE,
    NEUTRAL_KEYS,
    STOP,
    RunRecord,
    config_hash,
    is_finished,
    is_over,
    short_name,
)
from cifarlab.store.run import Run, write_config
from cifarlab.store.sweep import is_study
from cifarlab.sweep.launching import add_to_plan, jobs_at_once, remember_gpus
from hydra_plugins.cifarlab_sweeper.study import swept_study, without_study

log = logging.getLogger(__name__)


class GridSweeper(Sweeper):
    """Runs the grid of all comma-separated values; the same command, typed again, goes on with it.

    The name of the sweep's folder is made of the fixed overrides and the swept keys, that of a
    cell's folder of its values and a hash of its resolved configuration. So the same command finds
    its cells again and does not repeat finished ones; a wider grid adds cells to the same folder;
    and whatever changes the result makes a new cell. All cells are composed and checked before the
    first starts.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        if params:
            raise UserError("search=...: needs hydra/sweeper=optuna")
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.composer: Composer | None = None
        self.more: list[str] = []  # overrides of hydra.* for every cell

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        assert self.config is not None
        overrides = self._parse(arguments)
        study, typed = swept_study(self.config, overrides), without_study(overrides)
        runs = [(swept(values, typed), values) for values in grid(typed)]
        if study is None:
            folder = self._settle(sweep_name(typed))
        else:
            folder = self._settle(study.folder(sweep_name(study.named(typed))))
            runs = study.expand(runs, self._compose)
        configs = [self._compose(values) for _, values in runs]
        names = [cell_name(names, cfg) for (names, _), cfg in zip(runs, configs, strict=True)]
        cells = dict(zip(names, (values for _, values in runs), strict=True))
        if self.config.dry_run:
            return self._tell(folder, cells)
        if study is not None:
            study.save(folder, arguments)
        plan(folder, cells, fresh=self.config.fresh)
        if study is not None and not self.config.fresh:
            for name, config in zip(names, configs, strict=True):
                take_over(folder / name, config)
        return self._run(folder, cells)

    def _parse(self, arguments: list[str]) -> dict[str, Override]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = {o.get_key_element(): o for o in parser.parse_overrides(arguments)}
        if "resume" in overrides:
            raise UserError("resume: only for single runs; a sweep goes on when typed again")
        return overrides

    def _settle(self, name: str) -> Path:
        """The sweep's folder, with the given name unless the user has typed another."""
        assert self.config is not None and self.hydra_context is not None
        assert self.task_function is not None
        named = self.config.sweep
        folder = Path(self.config.hydra.sweep.dir) / (
            name if named is None else check_name("sweep", named)
        )
        if "${" in str(folder):  # Hydra would look for a key of that name
            raise UserError(f"{folder}: cannot be a sweep's folder; choose a name without ${{")
        with open_dict(self.config):
            self.config.hydra.sweep.dir = str(folder)
        self.launcher = Plugins.instance().instantiate_launcher(  # which may keep files below it
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        return folder

    def _run(self, folder: Path, cells: dict[str, list[str]]) -> list[JobReturn]:
        """Run the planned cells that are not over, and report on all."""
        todo = [cell for cell in cells if not is_over(folder / cell)]
        log.info("sweep %s: %d cells, %d to run", folder, len(cells), len(todo))
        returns = self._launch(folder, {cell: cells[cell] for cell in todo})
        self._close(folder, cells)
        return returns

    def _tell(self, folder: Path, cells: Mapping[str, list[str]]) -> list[JobReturn]:
        """Say which cells there are, what is done, what would run, and how long that may take."""
        assert self.config is not None
        runs = [Run.read(folder / cell, values) for cell, values in cells.items()]
        todo = [run for run in runs if self.config.fresh or not is_over(run.folder)]
        for run in runs:
            log.info("%-12s %s", "to run" if run.status == "missing" else run.status, run.name)
        log.info("sweep %s: %d cells, %d to run", folder, len(runs), len(todo))
        seconds = [run.record.time["total_s"] for run in runs if run.record]
        if todo and seconds:
            at_once = jobs_at_once(self.config.hydra.launcher)
            whole = -(-len(todo) // at_once) * sum(seconds) / len(seconds)
            log.info("about %s, as the %d finished took", duration(whole), len(seconds))
        elif todo:
            log.info("how long is not known: none of them is finished")
        return []

    def _launch(self, folder: Path, cells: dict[str, list[str]]) -> list[JobReturn]:
        """Run the cells. If the launcher itself breaks down, run those again that it has not done.

        A launcher may lose everything when one of its workers is killed (joblib). The results of
        cells are in their folders, so little is lost. This is tried three times.
        """
        assert self.launcher is not None
        remember_gpus()
        returns: list[JobReturn] = []
        for _ in range(3):
            todo = {cell: values for cell, values in cells.items() if is_open(folder / cell)}
            if not todo or (folder / STOP).exists():
                break
            jobs = [
                [
                    *values,
                    as_override("hydra.sweep.dir", str(folder)),
                    as_override("hydra.sweep.subdir", cell),
                    *self.more,
                ]
                for cell, values in todo.items()
            ]
            try:
                returns += self.launcher.launch(jobs, initial_job_idx=len(returns))
                break
            except Exception as error:
                log.error("the launcher broke down: %s", reason(error))
        for job in returns:
            if job.status == JobStatus.FAILED:  # on the way to its cell: a cell's failure is a file
                log.error("%s: %s", " ".join(job.overrides or []), reason(_raised_by(job)))
        return returns

    def _compose(self, overrides: list[str]) -> RunConfig:
        """The configuration of a cell, checked."""
        assert self.config is not None and self.hydra_context is not None
        if self.composer is None:
            self.composer = Composer(self.hydra_context.config_loader, self.config)
        return check_config(self.composer(overrides))

    def _close(self, folder: Path, cells: Iterable[str]) -> None:
        """Write and show the results of the whole folder.

        Exits with code 1 if any of the cells failed, was interrupted, is missing or is damaged.
        """
        from cifarlab.report.sweep.page import write_all, write_sweep
        from cifarlab.report.sweep.results import collect

        results = collect(folder)
        text = write_all(results) if is_study(folder) else write_sweep(results)
        log.info("\n%s", text)
        ours = set(cells)
        states = {run.status for run in results.sweep.runs if run.folder.name in ours}
        if states & {"failed", "damaged", "interrupted", "missing"}:
            sys.exit(1)


def plan(folder: Path, cells: dict[str, list[str]], *, fresh: bool) -> None:
    """Add the cells to the sweep's ``cells.json``, and remove their failures, to try them again.

    Raises ``UserError`` if a cell should be deleted that another process trains.

    cells: their overrides by name.
    fresh: whether to delete what these cells have so far.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP).unlink(missing_ok=True)
    held = [cell for cell in cells if is_held(folder / cell)]
    if fresh and held:
        raise UserError(f"fresh=true: another process trains {folder / held[0]}")
    for cell in cells:
        if fresh:
            shutil.rmtree(folder / cell, ignore_errors=True)
        remove(folder / cell / FAILURE)
    add_to_plan(folder, cells, replace=fresh)


def take_over(cell: Path, config: RunConfig) -> None:
    """Use the run of another sweep for a study's cell, if it has the same configuration.

    Two reports of the same recipe are one experiment, which is trained once. The copy gets the name
    and the overrides of the cell; the record is otherwise the same. Nothing happens if the cell is
    over or being trained, or if there is no such run.

    cell: the folder of the cell.
    config: of the cell.
    """
    digits = config_hash(config)
    if is_over(cell) or is_held(cell):
        return
    for twin in sorted(cell.parent.parent.glob(f"*/*_{digits[:8]}")):
        if twin.parent == cell.parent or not is_finished(twin) or is_held(twin):
            continue
        try:
            record = RunRecord.load(twin)
        except UserError:  # damaged: as if it were not there
            continue
        if record.config_hash != digits:
            continue
        shutil.rmtree(cell, ignore_errors=True)
        temporary = cell.with_name(f".{cell.name}.{os.getpid()}")
        shutil.copytree(twin, temporary, ignore=shutil.ignore_patterns(LOCK))
        write_config(config, temporary)
        replace(record, name=config["name"], overrides=config["overrides"]).save(temporary)
        temporary.rename(cell)
        log.info("%s: as %s, not trained again", cell.name, twin)
        return


def _raised_by(job: JobReturn) -> Exception:
    """The error that made a job fail. Hydra raises it, after a line of its own, which is hidden."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            _ = job.return_value
    except Exception as error:
        return error
    raise ValueError(f"{job.overrides}: has not failed")


def is_open(folder: Path) -> bool:
    """Whether a cell is neither over nor failed nor being trained."""
    return not (is_over(folder) or (folder / FAILURE).exists() or is_held(folder))


def reason(error: BaseException) -> str:
    """Why a cell failed, in one line."""
    error = told(error)
    if isinstance(error, UserError):
        return str(error)
    return " ".join([f"{type(error).__name__}:", *str(error).splitlines()[:1]])


def grid(overrides: dict[str, Override]) -> list[list[str]]:
    """The overrides of each cell; the first swept key varies slowest."""
    choices = []
    for key, override in overrides.items():
        if not override.is_sweep_override():
            choices.append([f"{key}={override.get_value_element_as_str()}"])
        elif override.is_discrete_sweep():
            choices.append([f"{key}={value}" for value in values_of(override)])
        else:
            raise UserError(
                f"{override.input_line}: a grid needs a list of values, not an interval"
            )
    return [list(values) for values in itertools.product(*choices)]


def values_of(override: Override) -> list[str]:
    """The values of a swept key.

    Raises ``UserError`` if there are none: nothing matches, or a range ends where it begins.
    """
    found = list(override.sweep_string_iterator())
    if not found:
        raise UserError(f"{override.input_line}: has no values, so there is nothing to run")
    return found


def swept(values: list[str], overrides: dict[str, Override]) -> dict[str, str]:
    """The values of the swept keys in one cell."""
    return {
        key: value.partition("=")[2]
        for value, (key, override) in zip(values, overrides.items(), strict=True)
        if override.is_sweep_override()
    }


def cell_name(values: dict[str, str], config: RunConfig) -> str:
    """The name of a cell's folder: its swept values, for people, and a hash that is unique."""
    told, digits = short_name("_".join(map(_clean, values.values()))), config_hash(config)[:8]
    return f"{told}_{digits}" if values else digits


def sweep_name(overrides: dict[str, Override]) -> str:
    """The name of a sweep's folder: fixed overrides with their values, swept keys without."""
    parts: list[Any] = []
    for key, override in overrides.items():
        if key.lstrip("+~") in NEUTRAL_KEYS:
            continue
        swept = override.is_sweep_override()
        parts.append(key if swept else f"{key}-{override.get_value_element_as_str()}")
    return short_name("__".join(map(_clean, parts))) or "all"


def _clean(text: str) -> str:
    """The text with only such characters as need no quotes in a shell or in Hydra's grammar."""
    return re.sub(r"[^\w.+-]+", "-", text).strip("-.")
