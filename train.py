"""Train a network: ``python train.py``; a grid: ``python train.py -m``; more: ``--help``."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cifarlab import cli
from cifarlab.checks import check_config


@cli.app(Path(__file__).parent / "conf", "train")
def main(cfg: DictConfig) -> float:
    check_config(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    with cli.quick_imports():
        from cifarlab.runner import run
    return run(cfg)


if __name__ == "__main__":
    main()
