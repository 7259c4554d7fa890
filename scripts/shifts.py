"""How sensitive nets are to small shifts: ``python scripts/shifts.py run=<runs>``."""

import dataclasses
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.kinds import Count
from cifarlab.base.progress import followed
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "shifts")
def main(cfg: DictConfig) -> None:
    Key("images", cfg.images, Count | None).check()
    from cifarlab.report.compare.selection import finished_runs, labels

    runs = finished_runs("run", cli.several(cfg.run))
    with cli.quick_imports():
        from cifarlab.report.shifts import write_shifts
    rows = []
    for run, label in followed([*zip(runs, labels(runs), strict=True)], "runs"):
        assert run.record is not None
        found, images = measured(run.folder, cfg)
        common = {"label": label, "run": str(run.folder), "seed": run.record.seed}
        rows += [common | {"images": images} | dataclasses.asdict(each) for each in found]
    print(write_shifts(rows, Path(cfg.out), cfg.padding, runs))


def measured(folder: Path, cfg: DictConfig) -> tuple[list[Any], int]:
    """Of one run, on so many validation images of its own split."""
    import torch

    from cifarlab.base.hardware import find_device
    from cifarlab.data.loader import Normalize
    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.own_images import own_images
    from cifarlab.use.shifts import measure

    run = load_run(folder)
    device = find_device("cuda")
    images, labels = own_images(run, "val", cfg.images, device)
    net = run.net.to(device).to(memory_format=torch.channels_last)
    normalize = Normalize(run.mean, run.std, device)
    return measure(net, images, labels, normalize, cfg.most, cfg.padding), len(labels)


if __name__ == "__main__":
    main()
