"""The studies' results into the documentation: ``python scripts/publish.py``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli


@cli.app(Path(__file__).parents[1] / "conf", "publish")
def main(cfg: DictConfig) -> None:
    from cifarlab.report.study.publish import gather, write_page

    published = Path(cfg.out)
    new = gather(Path(cfg.path), published)
    print(f"{new} new runs in {published}\n{write_page(published)}")


if __name__ == "__main__":
    main()
