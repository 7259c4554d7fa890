"""Looking things up in plain, nested configurations by dotted keys."""

from collections.abc import Iterator, Mapping
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


def targets(config: Any) -> set[str]:
    """The values of all keys ``_target_`` in a configuration."""
    return {str(value) for key, value in leaves_of(config) if key.rpartition(".")[2] == "_target_"}


def leaves_of(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the value of all that is no mapping and no list, and of each
    ``_target_``."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            below = f"{path}.{key}" if path else str(key)
            if str(key) == "_target_":  # whatever it is, it is not looked into
                yield below, value
            else:
                yield from leaves_of(value, below)
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from leaves_of(value, f"{path}.{number}")
    else:
        yield path, node
