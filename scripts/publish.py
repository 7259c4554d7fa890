"""The studies' results into the documentation: ``python scripts/publish.py``."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError
from cifarlab.base.schema import Key

CONF = Path(__file__).parents[1] / "conf"


@cli.app(CONF, "publish")
def main(cfg: DictConfig) -> None:
    from cifarlab.report.study.publish import gather, renew, write_page
    from cifarlab.studies.schema import read_studies

    published, known, sweeps = Path(cfg.out), read_studies(CONF / "study"), Path(cfg.path)
    check(cfg)
    typed = any(item.startswith("path=") for item in HydraConfig.get().overrides.task)
    if typed and not sweeps.is_dir():
        raise UserError(f"path={cfg.path}: no such folder")
    there = {path.name for path in sweeps.iterdir()} if sweeps.is_dir() else set()
    for name in cfg.only or ():
        if name not in there:
            names = ", ".join(sorted(there)) or "empty"
            raise UserError(f"only={name}: not in {cfg.path}; {names}")
    refused = [] if cfg.drawn else ["synthetic"]
    new = gather(sweeps, published, cfg.only, dry_run=cfg.dry_run, refused=refused)
    if cfg.dry_run:
        print(f"{new} runs would be new in {published}; nothing was written")
    else:
        for name in renew(published, CONF / "study"):
            print(f"{published / name}: claims and words as conf/study has them today")
        print(f"{new} new runs in {published}\n{write_page(published, known)}")


def check(cfg: DictConfig) -> None:
    """Raise ``UserError`` for options of the wrong kind."""
    for key in ("dry_run", "drawn"):
        Key(key, cfg[key], bool).check()
    only = cfg.only if cfg.only is None else [*cfg.only]
    Key("only", only, list[str] | None).check()


if __name__ == "__main__":
    main()
