"""The configuration of a sweep's cell, plain and resolved, from overrides."""

from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict


def cell_config(loader: ConfigLoader, master: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """What a cell with these overrides is trained with, without the ``hydra`` part.

    master: the sweep's configuration, or a job's; of it only ``hydra`` counts. Raises what Hydra
    and OmegaConf raise for overrides that do not compose.
    """
    config = loader.load_sweep_config(master, overrides)
    previous = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(config)  # which ${hydra:...} reads
        with open_dict(config):
            del config["hydra"]
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    finally:
        HydraConfig.instance().cfg = previous
    assert isinstance(plain, dict)
    return plain
