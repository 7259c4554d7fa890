"""Train a network: ``python train.py``; a grid: ``python train.py -m``; more: ``--help``."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.errors import UserError

if TYPE_CHECKING:
    from cifarlab.store.run import Run

_OF_SWEEPS = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweeper", "hydra.sweep.")


@cli.app(Path(__file__).parent / "conf", "train")
def main(cfg: DictConfig) -> float | None:
    config = check_config(plain(cfg))
    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        from cifarlab.sweep.launching import run_cell

        return run_cell(config)
    for item in job.overrides.hydra:
        if item.startswith(_OF_SWEEPS):
            raise UserError(f"{item}: is for sweeps and searches, add -m")
    if config["dry_run"]:
        raise UserError("dry_run=true: tells what a sweep would run, add -m")
    if config["sweep"] is not None:
        raise UserError(f"sweep={config['sweep']}: names a sweep's folder, add -m; a run has name=")
    if job.sweeper.get("params"):
        raise UserError("search=...: needs python train.py -m hydra/sweeper=optuna")
    for group in ("study", "ablation"):
        if name := job.runtime.choices.get(group):
            raise UserError(
                f"{group}={name}: is many runs, add -m; one row of it: -m {group}={name} "
                "study.only=[<row>]"
            )
    with cli.quick_imports():
        from cifarlab.run.runner import run
    return run(config, draw_evaluation)


def draw_evaluation(finished: "Run") -> None:
    """``figures/evaluation.png``; of single runs, since nobody looks at each cell of a sweep."""
    from cifarlab.report.evaluation import SHEET, write_sheet  # matplotlib
    from cifarlab.run.session import short_path

    sheet = finished.folder / SHEET
    if sheet.is_file() and sheet.stat().st_mtime >= finished.written:  # else the run went on
        return
    write_sheet(finished)
    logging.getLogger("cifarlab").info("evaluation %s", short_path(finished.folder / SHEET))


if __name__ == "__main__":
    main()
