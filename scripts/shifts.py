"""How sensitive nets are to small shifts: ``python scripts/shifts.py run=<runs>``."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError


@cli.app(Path(__file__).parents[1] / "conf", "shifts")
def main(cfg: DictConfig) -> None:
    if cfg.images is not None and (not isinstance(cfg.images, int) or cfg.images < 1):
        raise UserError(f"images={cfg.images}: must be a whole number, 1 or more, or null")
    from cifarlab.report.compare.selection import find_runs, labels

    paths = cfg.run if isinstance(cfg.run, ListConfig) else [cfg.run]
    cells = [cell for path in paths for cell in find_runs("run", str(path))]
    cells = list({cell.folder: cell for cell in cells}.values())
    for cell in cells:
        if cell.record is None:
            logging.getLogger("cifarlab").warning("left out: %s", cell.reason)
    cells = [cell for cell in cells if cell.record]
    with cli.quick_imports():
        from cifarlab.report.shifts import write_shifts
    rows = []
    for cell, label in zip(cells, labels(cells), strict=True):
        assert cell.record is not None
        found, images = measured(cell.folder, cfg)
        common = {"label": label, "run": str(cell.folder), "seed": cell.record.seed}
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
