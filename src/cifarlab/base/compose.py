"""The configuration of a run or of a sweep's cell, plain and resolved, from overrides."""

from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from cifarlab.base.config import RunConfig


def cell_config(loader: ConfigLoader, master: DictConfig, overrides: list[str]) -> RunConfig:
    """What a cell with these overrides is trained with, without the ``hydra`` part.

    master: the sweep's configuration, or a job's; of it only ``hydra`` counts. Raises what Hydra
    and OmegaConf raise for overrides that do not compose.
    """
    return _plain(loader.load_sweep_config(master, overrides))


def run_config(loader: ConfigLoader, overrides: list[str]) -> RunConfig:
    """What ``python train.py <overrides>`` would train, composed by another program of ours."""
    return _plain(loader.load_configuration("train", overrides, run_mode=RunMode.RUN))


def plain(config: DictConfig | dict[str, Any], *, missing: bool = False) -> dict[str, Any]:
    """A configuration in plain dictionaries and lists, interpolations resolved.

    missing: leave ``???`` where a value is mandatory; else raises ``MissingMandatoryValue``.
    """
    found = OmegaConf.to_container(config, resolve=True, throw_on_missing=not missing)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _plain(config: DictConfig) -> RunConfig:
    previous = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)  # which ${hydra:...} reads
        with open_dict(config):
            del config["hydra"]
        return cast(RunConfig, plain(config))
    finally:
        HydraConfig.instance().cfg = previous
