"""Train a network: ``python train.py``, or ``python train.py -m`` for a grid. ``--help`` says more."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab import cli


@cli.app(Path(__file__).parent / "conf", "train")
def main(cfg: DictConfig) -> float:
    with cli.quick_imports():
        from cifarlab.runner import run
    return run(cfg)


if __name__ == "__main__":
    main()
