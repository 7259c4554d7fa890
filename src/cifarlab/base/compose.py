"""The configuration of a run or of a sweep's cell, plain and resolved, from overrides."""

import re
import shlex
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
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


def as_override(key: str, value: str) -> str:
    """``key=value`` as Hydra reads it, whatever signs the value has."""
    return f"{key}={QuotedString(text=value, quote=Quote.single).with_quotes()}"


def to_type(key: str, value: str) -> str:
    """``key=value`` for a shell's command line, in quotes only where the value needs them."""
    if re.fullmatch(r"[A-Za-z0-9_./+-]+", value):
        return f"{key}={value}"
    return shlex.quote(as_override(key, value))


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
