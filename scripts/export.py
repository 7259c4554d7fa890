"""A run's net as a file of its own: ``python scripts/export.py run=<folder> format=onnx``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_export


@cli.app(Path(__file__).parents[1] / "conf", "export")
def main(cfg: DictConfig) -> None:
    check_export(str(cfg.format))
    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.export import export

    exported = export(load_run(str(cfg.run)), str(cfg.format), Path(cfg.output))
    print(f"{exported.path}  {exported.path.stat().st_size / 1e6:.1f} MB")
    print(exported.description)
    print(
        f"verified: logits differ from the net's by at most {exported.difference:.1e}, "
        f"the largest is {exported.scale:.1f}"
    )


if __name__ == "__main__":
    main()
