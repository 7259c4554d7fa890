"""Filters, activations and Grad-CAM of a net: ``python scripts/visualize.py run=<run folder>``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import plain
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count, Whole
from cifarlab.base.schema import Key

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "photo.png"


@cli.app(ROOT / "conf", "visualize")
def main(cfg: DictConfig) -> None:
    config = plain(cfg, missing=True)
    for key in ("run", "filters", "maps"):  # one value stands for a list of one
        if config[key] is not None and not isinstance(config[key], list):
            config[key] = [config[key]]
    for key in ("image", "layer", "out"):  # names, even where they are numbers
        config[key] = None if config[key] is None else str(config[key])
    config["run"] = [str(run) for run in config["run"] or ()]
    check(config)
    from cifarlab.data.pictures import decode
    from cifarlab.use.visualize import Options, visualize

    given = config["image"] or SAMPLE
    image = decode(Path(given).expanduser(), f"image={given}")
    chosen = {key: config[key] for key in ("filters", "maps", "layer", "val_images", "size")}
    for net, folder in nets(config):
        for line in visualize(net, image, Options(**chosen, label=config["class"]), folder):
            print(line, flush=True)


def check(config: Mapping[str, Any]) -> None:
    """Raise ``UserError`` for what can be told without loading anything."""
    runs, model, out = config["run"], config.get("model"), config["out"]
    if not runs and not model:
        raise UserError("run: has no default; add run=<run folder>, or model=<model> without a run")
    if runs and model:
        raise UserError(f"run={runs[0]}: brings its model; leave out model=... or run=...")
    for run in runs:
        if not Path(run).is_dir():
            known = (ROOT / "conf" / "model" / f"{run}.yaml").is_file()
            hint = f"; for a net without a run: model={run}" if known else ""
            raise UserError(f"run={run}: no such folder{hint}")
    if out is not None and len({Path(run).name for run in runs}) < len(runs):
        raise UserError(f"out={out}: runs with the same name would overwrite each other's figures")
    if config["weights"] is not None and "weights" not in (model or {}):
        raise UserError(f"weights={config['weights']}: goes with a model that has ImageNet weights")
    if config["size"] is not None:
        Key("size", config["size"], Count).check()
    for key in ("val_images", "seed"):
        Key(key, config[key], Whole).check()


def nets(config: Mapping[str, Any]) -> Iterator[tuple[Any, Path]]:
    """The nets to look at, one at a time, and the folder for the figures of each."""
    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.visualize import of_model

    out = None if config["out"] is None else Path(config["out"])
    if config.get("model"):
        choice = HydraConfig.get().runtime.choices["model"]
        name = "-".join(filter(None, [choice, config["model"].get("name")]))
        net = of_model(config["model"], choice, config["seed"])
        yield net, out or Path("outputs") / "figures" / name
    for run in map(Path, config["run"]):
        several = len(config["run"]) > 1
        yield load_run(run), (out / run.name if several else out) if out else run / "figures"


if __name__ == "__main__":
    main()
