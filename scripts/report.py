"""Tables and a page of a run, a sweep or several runs: ``scripts/report.py path=<folder>``."""

from pathlib import Path

from omegaconf import DictConfig, ListConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError

CONF = Path(__file__).parents[1] / "conf"


@cli.app(CONF, "report")
def main(cfg: DictConfig) -> None:
    several = isinstance(cfg.path, ListConfig)
    folders = [Path(str(path)) for path in (cfg.path if several else [cfg.path])]
    if not folders:
        raise UserError("path=[]: name a run, a sweep or several runs")
    if cfg.out is not None and len(folders) == 1:
        raise UserError(f"out={cfg.out}: goes with several runs; one is reported in its own folder")
    if len(folders) == 1:
        from cifarlab.report.page import write_report
        from cifarlab.studies.schema import read_studies

        print(write_report(folders[0], read_studies(CONF / "study")))
    else:
        from cifarlab.report.side_by_side import write_comparison

        print(write_comparison(folders, cfg.out and Path(cfg.out)))


if __name__ == "__main__":
    main()
