"""What a training step takes, compiled and as it is: ``python scripts/step_time.py [overrides]``.

The same training, batch for batch, with each value of ``trainer.compile`` in turns, so that what
else the machine does falls on all of them. Of each: seconds of the first step, which compiles
(torch keeps what it compiled on disk, so those of the first round count); milliseconds a step;
milliseconds of this process's CPU time a step, which on a CPU is what the net takes, however busy
the machine is, and on a GPU what it takes to start its work. A GPU is waited for before the clock
is read.
"""

import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count, shown
from cifarlab.base.options import CompileMode

log = logging.getLogger("cifarlab")


class StepTimeConfig(RunConfig):
    """Of ``python scripts/step_time.py``."""

    modes: list[Literal[False] | CompileMode]
    rounds: Count
    steps: Count
    warmup: Count


@cli.app(Path(__file__).parents[1] / "conf", "step_time")
def main(cfg: DictConfig) -> None:
    config = plain(cfg)
    recipe = check_config(config, StepTimeConfig)
    from hydra.core.hydra_config import HydraConfig

    if not config["modes"]:
        raise UserError("modes=[]: nothing to time")
    folder = Path(HydraConfig.get().runtime.output_dir)
    names = [shown(mode) for mode in config["modes"]]
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    hardware: dict[str, Any] = {}
    for number in range(config["rounds"]):
        for mode, name in zip(config["modes"], names, strict=True):
            times, hardware = measure(config, recipe, folder, mode)
            measured[name].append(times)
            log.info("round %d  compile=%-15s  %s", number + 1, name, line(times))
    of = "{choices[model]}, batch {batch_size}, {device} ({name}), {precision}"
    log.info("\n%s: medians", of.format(**config | hardware))
    medians = {name: {key: median(all_, key) for key in all_[0]} for name, all_ in measured.items()}
    for name, times in medians.items():
        pairs = zip(measured[names[0]], measured[name], strict=True)
        ratio = statistics.median(a["cpu_ms"] / b["cpu_ms"] for a, b in pairs)
        speed = medians[names[0]]["ms"] / times["ms"]
        log.info(
            "compile=%-15s  %s  %.2f times as fast as %s, in CPU time %.2f",
            *(name, line(times | {"first_s": measured[name][0]["first_s"]}), speed),
            *(names[0], ratio),
        )
    result = {"times": measured, "hardware": hardware, "config": config}
    (folder / "step_time.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(
    config: dict[str, Any], recipe: RunConfig, folder: Path, mode: Literal[False] | CompileMode
) -> tuple[dict[str, float], dict[str, Any]]:
    """``first_s``, ``ms``, ``cpu_ms`` and ``images_per_s`` of some training, and on what."""
    from lightning.pytorch import Callback

    from cifarlab.base import hardware
    from cifarlab.run.build import build, build_trainer, without_noise

    first, last = config["warmup"], config["warmup"] + config["steps"]

    def clocks(module: Any) -> tuple[float, float]:
        hardware.wait(module.device)
        return time.perf_counter(), time.process_time()

    class Stopwatch(Callback):
        def on_train_batch_start(
            self, trainer: Any, module: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx in (0, first):
                self.began = clocks(module)

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if batch_idx in (0, last - 1):
                wall, cpu = (b - a for a, b in zip(self.began, clocks(module), strict=True))
                if batch_idx == 0:
                    self.first_s = wall
                else:
                    self.seconds, self.cpu_s = wall, cpu

    quick = {"limit_train_batches": last, "limit_val_batches": 0, "max_epochs": 1}
    options = config["trainer"] | {"compile": mode}
    data, module = build(recipe | {"trainer": options})
    if last > (there := len(data.train_indices) // config["batch_size"]):
        raise UserError(
            f"steps={config['steps']}, warmup={config['warmup']}: an epoch has only {there} steps"
        )
    stopwatch = Stopwatch()
    trainer = build_trainer(options | quick, folder, [stopwatch], enable_checkpointing=False)
    with without_noise():
        trainer.fit(module, datamodule=data)
    each = config["steps"] / 1000
    times = {
        "first_s": stopwatch.first_s,
        "ms": stopwatch.seconds / each,
        "cpu_ms": stopwatch.cpu_s / each,
        "images_per_s": config["steps"] * config["batch_size"] / stopwatch.seconds,
    }
    device = trainer.strategy.root_device
    return times, hardware.describe(device, trainer.world_size, str(trainer.precision))


def median(times: list[dict[str, float]], key: str) -> float:
    return statistics.median(each[key] for each in times)


def line(times: dict[str, float]) -> str:
    return (
        "first step {first_s:6.1f} s, then {ms:8.2f} ms ({cpu_ms:8.2f} of CPU), "
        "{images_per_s:8,.0f} images/s"
    ).format(**times)


if __name__ == "__main__":
    main()
