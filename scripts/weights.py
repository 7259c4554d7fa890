"""ImageNet weights of a Python package as a file: ``python scripts/weights.py``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli


@cli.app(Path(__file__).parents[1] / "conf", "weights")
def main(cfg: DictConfig) -> None:
    with cli.quick_imports():
        from cifarlab.use.packaged import PACKAGED, write_weights

    path = write_weights(str(cfg.name), Path(str(cfg.out)))
    known = PACKAGED[str(cfg.name)]
    print(f"{path}  of {known.package} ({known.licence}): model=timm model.name={known.model}")


if __name__ == "__main__":
    main()
