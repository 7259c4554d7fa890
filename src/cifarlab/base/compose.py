"""The configuration of a run or of a sweep's cell, plain and resolved, from overrides."""

import functools
import re
import shlex
from typing import Any, cast

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cifarlab.base.config import RunConfig


def cell_config(loader: ConfigLoader, master: DictConfig, overrides: list[str]) -> RunConfig:
    """What a cell with these overrides is trained with, without the ``hydra`` part.

    master: the sweep's configuration, or a job's; of it only ``hydra`` counts. Raises what Hydra
    and OmegaConf raise for overrides that do not compose.
    """
    return _plain(loader.load_sweep_config(master, overrides))


class Composer:
    """``cell_config`` for the many cells of a sweep.

    Hydra takes 80 ms for a configuration. So cells that differ only in values of keys, not in
    options of groups, share one: in it their values are set, as Hydra does at the end. Only what
    has a plain value and no part in another override is set so.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self.loader, self.master = loader, master
        self.parse = functools.cache(OverridesParser.create(loader).parse_override)
        self.is_group = functools.cache(lambda key: bool(loader.get_group_options(key)))
        self.shared: dict[tuple[str, ...], tuple[DictConfig, DictConfig]] = {}

    def __call__(self, overrides: list[str]) -> RunConfig:
        """What ``cell_config`` returns and raises."""
        parsed = [self.parse(override) for override in overrides]
        keys = [override.get_key_element() for override in parsed]
        set_last = [key for key in keys if not self.is_group(key)]  # options come before values
        values = {
            key: override.value()
            for key, override in zip(keys, parsed, strict=True)
            if key in set_last and self._is_plain(override) and _stands_alone(key, set_last)
        }
        others = (o for o, key in zip(overrides, keys, strict=True) if key not in values)
        alike = (*others, *values)
        if alike not in self.shared:
            config = self.loader.load_sweep_config(self.master, overrides)
            self.shared[alike] = config, OmegaConf.masked_copy(config, "hydra")
        config, job = self.shared[alike]
        for key, value in values.items():
            OmegaConf.update(config, key, value, merge=True)
        job.hydra.overrides.task = overrides
        return _plain(config, job)

    def _is_plain(self, override: Override) -> bool:
        value, key = override.value(), override.get_key_element()
        items = value if isinstance(value, list) else [value]
        return (
            override.type == OverrideType.CHANGE
            and not key.startswith("hydra.")
            and not any(isinstance(item, list | dict) for item in items)
        )


def _stands_alone(key: str, keys: list[str]) -> bool:
    """Whether no other of the keys is this one, above it or below it."""
    alike = (k for k in keys if k == key or k.startswith(f"{key}.") or key.startswith(f"{k}."))
    return len(list(alike)) == 1


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
    found = _contained(config, missing=missing)
    return {str(key): value for key, value in found.items()}


def _contained(value: Any, *, missing: bool = False) -> Any:
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=not missing)


def _plain(config: DictConfig, job: DictConfig | None = None) -> RunConfig:
    """``config`` without its ``hydra`` part. job: what ``${hydra:...}`` reads, else that part."""
    instance = HydraConfig.instance()
    previous = instance.cfg
    try:
        seen: Any = OmegaConf.masked_copy(config, "hydra") if job is None else job
        instance.cfg = seen
        found = {str(name): config[name] for name in config if name != "hydra"}
        return cast(RunConfig, {name: _contained(value) for name, value in found.items()})
    finally:
        instance.cfg = previous
