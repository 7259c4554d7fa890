"""Our pipeline beside the textbook one: ``python scripts/benchmark.py [overrides]``.

Both train the same net with the same LightningModule, optimizer and batch size. Ours: images
resident as uint8, batched augmentation, channels_last, the precision of ``trainer.precision``.
Textbook: PIL images, torchvision transforms one image at a time, a ``DataLoader`` with worker
processes, 32 bits, contiguous memory, never compiled. The two are timed in turns, so that what else
the machine does falls on both.
"""

import json
import logging
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count, Whole

log = logging.getLogger("cifarlab")


class BenchmarkConfig(RunConfig):
    """Of ``python scripts/benchmark.py``."""

    rounds: Count
    steps: Count
    warmup: Whole
    workers: Whole


@cli.app(Path(__file__).parents[1] / "conf", "benchmark")
def main(cfg: DictConfig) -> None:
    config = plain(cfg)
    recipe = check_config(config, BenchmarkConfig)
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    rates: dict[str, list[float]] = {"ours": [], "textbook": []}
    images = 0
    for number in range(config["rounds"]):
        for pipeline, measured in rates.items():
            rate, images, precision = measure(config, recipe, folder, pipeline)
            measured.append(rate)
            log.info("round %d  %-8s  %8.0f images/s  (%s)", number + 1, pipeline, rate, precision)
    ratios = [a / b for a, b in zip(rates["ours"], rates["textbook"], strict=True)]
    seconds = {name: images / statistics.median(values) for name, values in rates.items()}
    log.info(
        "\n%s %s batch %d: ours %.1f s an epoch of %s images, textbook %.1f s; "
        "ratio %.2f (%.2f to %.2f over %d rounds)",
        config["choices"]["model"],
        config["choices"]["aug"] or "-".join(config["aug"]),
        config["batch_size"],
        seconds["ours"],
        f"{images:,}",
        seconds["textbook"],
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        config["rounds"],
    )
    result = {"images_per_s": rates, "ratios": ratios, "epoch_s": seconds, "config": config}
    (folder / "benchmark.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(
    config: dict[str, Any], recipe: RunConfig, folder: Path, pipeline: str
) -> tuple[float, int, str]:
    """Images a second of a stretch of training, images an epoch, and the precision."""
    import torch
    from lightning.pytorch import Callback

    from cifarlab.run.build import build, build_trainer

    first, last = config["warmup"], config["warmup"] + config["steps"]

    class Stopwatch(Callback):
        images = 0

        def on_train_batch_start(
            self, trainer: Any, module: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx == first:
                self.began = time.perf_counter()

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx >= first:
                self.images += len(batch[1])
            if batch_idx == last - 1:
                if module.device.type == "cuda":
                    torch.cuda.synchronize()
                self.seconds = time.perf_counter() - self.began

    textbook = {"precision": "32-true", "compile": False} if pipeline == "textbook" else {}
    quick = {"limit_train_batches": last, "limit_val_batches": 0, "max_epochs": 1}
    stopwatch = Stopwatch()
    options = config["trainer"] | quick | textbook
    data, module = build(recipe | {"trainer": options})
    images = len(data.train_indices)
    if last > images // config["batch_size"]:
        raise UserError(
            f"steps={config['steps']}, warmup={config['warmup']}: an epoch has only "
            f"{images // config['batch_size']} steps"
        )
    trainer = build_trainer(options, folder, [stopwatch], enable_checkpointing=False)
    if pipeline == "textbook":
        module.net.to(memory_format=torch.contiguous_format)
        with warnings.catch_warnings():
            # only training is timed
            warnings.filterwarnings("ignore", message="You defined a `validation_step`")
            trainer.fit(module, train_dataloaders=textbook_loader(data, config["workers"]))
    else:
        trainer.fit(module, datamodule=data)
    return stopwatch.images / stopwatch.seconds, images, str(trainer.precision)


def textbook_loader(data: Any, workers: int) -> Any:
    """What every tutorial builds."""
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from cifarlab.data import augment

    steps: list[Any] = []
    for operation in data.augment:
        if isinstance(operation, augment.HFlip):
            steps.append(transforms.RandomHorizontalFlip(operation.p))
        elif isinstance(operation, augment.RandomCrop):
            steps.append(transforms.RandomCrop(data.image_size, padding=operation.padding))
        else:
            raise UserError(f"aug: {type(operation).__name__} has no textbook counterpart here")
    steps += [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
    transform = transforms.Compose(steps)

    class Images(Dataset):
        def __len__(self) -> int:
            return len(data.train_indices)

        def __getitem__(self, position: int) -> tuple[Any, int]:
            index = data.train_indices[position]
            image = Image.fromarray(data.images.train_images[index])
            return transform(image), int(data.images.train_labels[index])

    return DataLoader(
        Images(), batch_size=data.batch_size, shuffle=True, num_workers=workers, drop_last=True
    )


if __name__ == "__main__":
    main()
