"""A finished run once more: ``python scripts/reproduce.py run=<folder>`` or ``row=<row>``."""

import shlex
import sys
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import run_config
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.schema import Key

ROOT = Path(__file__).parents[1]


@cli.app(ROOT / "conf", "reproduce")
def main(cfg: DictConfig) -> None:
    if (cfg.run is None) == (cfg.row is None):
        raise UserError("run=<folder> or row=<row of a study>: one of the two")
    Key("dry_run", cfg.dry_run, bool).check()
    Key("seed", cfg.seed, int).check()
    with cli.quick_imports():
        from cifarlab.campaign.reproduce import (
            circumstances,
            command_of,
            compare,
            recorded_row,
            train,
        )
        from cifarlab.report.tables import markdown_table
        from cifarlab.store.run import Run

    loader = GlobalHydra.instance().config_loader()
    seeds: list[Run] = []
    if cfg.row is not None:
        recorded, seeds = recorded_row(Path(cfg.published), str(cfg.row), cfg.seed)
    else:
        recorded = Run.finished(Path(str(cfg.run)))

    def compose(typed: list[str]) -> RunConfig:
        return check_config(run_config(loader, typed))  # as train.py has it, own classes too

    overrides = command_of(recorded, compose, Path(cfg.out))
    print(f"{recorded.folder}\npython train.py {' '.join(map(shlex.quote, overrides))}\n")
    other = circumstances(recorded)
    if len(other) > 1:
        print(markdown_table(other), "\n", sep="")
    else:
        print("commit, versions and processor are those of the record\n")
    if cfg.dry_run:
        return
    threads = recorded.result.hardware["threads"]
    again = train([sys.executable, str(ROOT / "train.py")], overrides, Path(cfg.out), threads)
    found = compare(recorded, again, seeds)
    print(f"\n{markdown_table(found.table)}\n\n{found.says}\n{again.folder}")


if __name__ == "__main__":
    main()
