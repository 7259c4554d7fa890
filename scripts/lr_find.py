"""A learning rate to begin with: ``python scripts/lr_find.py [overrides]``."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain


@cli.app(Path(__file__).parents[1] / "conf", "lr_find")
def main(cfg: DictConfig) -> None:
    config = check_config(plain(cfg))
    with cli.quick_imports():
        from cifarlab.run.lr_find import find_lr

    find_lr(config, Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
