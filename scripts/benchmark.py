"""How fast cifarlab is: ``python scripts/benchmark.py what=overhead [overrides]``.

What is compared is timed in turns, in one process, so that what else the machine does falls on
both. docs/performance.md says what each measures and what came of it.
"""

import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.compose import plain
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count, Whole
from cifarlab.base.options import CompileMode

log = logging.getLogger("cifarlab")
ROOT = Path(__file__).parents[1]


class BenchmarkConfig(RunConfig):
    """Of ``python scripts/benchmark.py``."""

    what: Literal[
        "pipeline", "overhead", "step", "compile", "data", "evaluation", "scaling", "start",
        "memory", "sweep", "seeds",
    ]  # fmt: skip
    modes: list[Literal[False] | CompileMode]
    rounds: Count
    steps: Count
    warmup: Whole
    workers: Whole
    seeds: Count
    threads: Count | None
    compare: str | None


@cli.app(ROOT / "conf", "benchmark")
def main(cfg: DictConfig) -> None:
    config = plain(cfg)
    recipe = check_config(config, BenchmarkConfig)
    before = _read(config["compare"], config["what"]) if config["compare"] else None
    import torch

    from cifarlab.base import hardware
    from cifarlab.bench import timing

    if config["threads"]:
        torch.set_num_threads(config["threads"])
    folder = Path(HydraConfig.get().runtime.output_dir)
    device = hardware.find_device(config["trainer"]["accelerator"])
    cases = [*_cases(config, recipe, folder)]
    timed = []
    for case in cases:
        timed.append(timing.measure(case, config["rounds"]))
        log.info("%s", timed[-1].row())
    from cifarlab.run.build import precision

    result = {
        "what": config["what"],
        "hardware": hardware.describe(device, 1, precision(config["trainer"]["precision"], device)),
        "versions": hardware.versions(),
        "overrides": config["overrides"],
        "cases": timing.as_data(timed),
    }
    path = folder / "benchmark.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    log.info("%s, %d rounds: %s", result["hardware"]["name"], config["rounds"], path)
    if before is not None:
        kept = timing.from_data(before)
        if not {each.name for each in kept} & {each.name for each in timed}:
            raise UserError(f"compare={config['compare']}: has none of the cases timed here")
        if worse := list(timing.worse(timed, kept)):
            raise UserError(f"slower than in {config['compare']}: {'; '.join(worse)}")
        log.info("no case costs %g times what it did in %s", timing.WORSE, config["compare"])


def _cases(config: dict[str, Any], recipe: RunConfig, folder: Path) -> Iterator[Any]:
    """What ``what`` names."""
    from cifarlab.bench import images, processes, seeds, training

    program, overrides = ROOT / "train.py", list(config["overrides"])
    own = {*BenchmarkConfig.__annotations__} - {*RunConfig.__annotations__}
    typed = [o for o in overrides if o.partition("=")[0].lstrip("+") not in own]
    span = {"steps": config["steps"], "warmup": config["warmup"]}
    one: dict[str, Callable[[], Any]] = {
        "pipeline": partial(training.pipeline, recipe, folder, workers=config["workers"], **span),
        "overhead": partial(training.overhead, recipe, **span),
        "seeds": partial(seeds.seeds, recipe, config["seeds"], **span),
        "step": partial(training.step, recipe, **span),
        "data": partial(images.augmentation, recipe, **span),
        "evaluation": partial(images.evaluation, recipe),
        "memory": partial(processes.memory, program, typed),
        "sweep": partial(processes.sweep, program),
    }
    if config["what"] == "start":
        yield from processes.start(program)
    elif config["what"] == "compile":
        yield from training.compiled(recipe, folder, config["modes"], **span)
    elif config["what"] == "scaling":
        yield from training.scaling(recipe, **span)
    else:
        yield one[config["what"]]()


def _read(file: str, what: str) -> Any:
    """The cases of another benchmark.json. Raises ``UserError`` where there are none, or where
    something else was timed: cases have the same names there."""
    try:
        other = json.loads(Path(file).read_text(encoding="utf-8"))
        cases, timed = other["cases"], other["what"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"compare={file}: is no benchmark.json of this program: {error}") from error
    if timed != what:
        raise UserError(f"compare={file}: is of what={timed}; must be of what={what}")
    return cases


if __name__ == "__main__":
    main()
