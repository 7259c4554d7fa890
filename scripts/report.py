"""Tables and a page of a run or a sweep: ``python scripts/report.py path=<folder>``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab import cli


@cli.app(Path(__file__).parents[1] / "conf", "report")
def main(cfg: DictConfig) -> None:
    from cifarlab.report.page import write_report

    print(write_report(Path(cfg.path)))


if __name__ == "__main__":
    main()
