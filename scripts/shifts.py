"""How sensitive nets are to small shifts: ``python scripts/shifts.py run=<runs>``."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count
from cifarlab.base.progress import followed
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "shifts")
def main(cfg: DictConfig) -> None:
    Key("images", cfg.images, Count | None).check()
    from cifarlab.report.compare.selection import find_runs, labels

    paths = cfg.run if isinstance(cfg.run, ListConfig) else [cfg.run]
    runs = [run for path in paths for run in find_runs("run", str(path))]
    runs = list({run.folder: run for run in runs}.values())
    for run in runs:
        if run.record is None:
            logging.getLogger("cifarlab").warning("left out: %s", run.reason)
    runs = [run for run in runs if run.record]
    with cli.quick_imports():
        from cifarlab.report.shifts import write_shifts
    rows = []
    for run, label in followed([*zip(runs, labels(runs), strict=True)], "runs"):
        assert run.record is not None
        found, images = measured(run.folder, cfg)
        common = {"label": label, "run": str(run.folder), "seed": run.record.seed}
        rows += [common | {"images": images} | dataclasses.asdict(each) for each in found]
    print(write_shifts(rows, Path(cfg.out), cfg.padding))


def measured(folder: Path, cfg: DictConfig) -> tuple[list[Any], int]:
    """Of one run, on so many validation images of its own split."""
    import torch
    from hydra.utils import instantiate

    from cifarlab.data.loader import Normalize
    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.shifts import measure

    run = load_run(folder)
    data = instantiate(run.config["data"], _convert_="all")
    data.setup()
    if data.split_hash != run.record.data["split_hash"]:
        raise UserError(f"{folder}: its data are others now (split {data.split_hash})")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.from_numpy(data.val_indices[: cfg.images])
    images = torch.from_numpy(data.images.train_images)[chosen].permute(0, 3, 1, 2).to(device)
    labels = torch.from_numpy(data.images.train_labels)[chosen].to(device)
    net = run.net.to(device).to(memory_format=torch.channels_last)
    normalize = Normalize(run.mean, run.std, device)
    return measure(net, images, labels, normalize, cfg.most, cfg.padding), len(labels)


if __name__ == "__main__":
    main()
