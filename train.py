"""Train a network: ``python train.py``; a grid: ``python train.py -m``; more: ``--help``."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cifarlab import cli
from cifarlab.checks import check_config


@cli.app(Path(__file__).parent / "conf", "train")
def main(cfg: DictConfig) -> float | None:
    check_config(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        from cifarlab.cells import run_cell

        return run_cell(cfg)
    with cli.quick_imports():
        from cifarlab.runner import run
    return run(cfg)


if __name__ == "__main__":
    main()
