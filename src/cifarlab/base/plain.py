"""Looking things up in plain, nested configurations by dotted keys."""

from collections.abc import Mapping
from typing import Any


def select(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; ``None`` where it is null or there is none."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def device_count(devices: Any) -> Any:
    """How many ``trainer.devices`` are, where they are listed as where they are counted."""
    return len(devices) if isinstance(devices, list) else devices


def has(config: Mapping[str, Any], key: str) -> bool:
    """Whether a dotted key is there."""
    above, _, last = key.rpartition(".")
    node = select(config, above) if above else config
    return isinstance(node, Mapping) and last in node
