"""Train what the studies still lack: ``python scripts/campaign.py hours=2``."""

import sys
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import plain, run_config
from cifarlab.base.errors import UserError

ROOT = Path(__file__).parents[1]


@cli.app(ROOT / "conf", "campaign")
def main(cfg: DictConfig) -> None:
    options = plain(cfg)
    with cli.quick_imports():
        from cifarlab.campaign.campaign import Campaign, check_options
        from cifarlab.studies.schema import read_studies

    check_options(options)
    loader = GlobalHydra.instance().config_loader()
    known = loader.get_group_options("study")
    for name in options["studies"] or ():
        if name not in known:
            raise UserError(f"studies={name}: no such study; {', '.join(known)}")
    sources = HydraConfig.get().runtime.config_sources
    more = [f"--config-dir={s.path}" for s in sources if s.provider == "command-line"]
    campaign = Campaign(
        options,
        list(dict.fromkeys(options["studies"] or known)),
        lambda overrides: run_config(loader, overrides),
        [sys.executable, str(ROOT / "train.py"), *more],
        read_studies(ROOT / "conf" / "study"),
    )
    campaign.run()


if __name__ == "__main__":
    main()
