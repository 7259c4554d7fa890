"""A run's net as a file of its own: ``python scripts/export.py run=<folder> format=onnx``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_export, check_quantize
from cifarlab.base.kinds import Count
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "export")
def main(cfg: DictConfig) -> None:
    check_export(str(cfg.format))
    check_quantize(cfg.quantize, str(cfg.format))
    Key("calibrate", cfg.calibrate, Count).check()
    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.export import export

    run = load_run(str(cfg.run))
    exported = export(run, str(cfg.format), Path(cfg.output))
    print(f"{exported.path}  {exported.path.stat().st_size / 1e6:.1f} MB")
    print(exported.description)
    print(
        f"verified: logits differ from the net's by at most {exported.difference:.1e}, "
        f"the largest is {exported.scale:.1f}"
    )
    if cfg.quantize is not None:
        from cifarlab.report.smaller import quantization_table
        from cifarlab.use.quantize import quantize

        made = quantize(run, exported, int(cfg.calibrate))
        print(f"\n{made.path}\n{made.description}")
        print(f"quantised to int8, calibrated on {made.images:,} training images\n")
        print(quantization_table(made.size, made.right, made.ms, made.test_reads))


if __name__ == "__main__":
    main()
