"""Configurations compared: in which keys they differ, and which of these nobody typed.

The folder of a cell is named by a hash of its whole configuration. If a change of the code adds a
key or changes a default, the same overrides make new cells, and old and new ones lie side by side.
They differ in a key that nobody typed.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifarlab.store.record import is_neutral, weighed

# Groups whose options set keys anywhere (``# @package _global_``)
GLOBAL_GROUPS = frozenset({"experiment", "transfer", "loss", "debug"})

Flat = Mapping[str, str]  # leaf to its value as JSON


def shown(value: Any) -> str:
    """A value of a configuration as one would type it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def as_shown(text: str) -> str:
    """A typed value as ``shown`` would return it: without quotes, numbers in their shortest
    form."""
    for number in (int, float):
        try:
            return str(number(text))
        except ValueError:
            pass
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def untyped(
    typed: Sequence[str], values: Sequence[Mapping[str, str]], configs: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The leaves of the configuration that differ although that does not follow from what was
    typed.

    A leaf is a key whose value is no mapping. It follows from what was typed if it is a function of
    the typed keys that reach it: those at or above it (``model=`` reaches ``model.depth``) and the
    groups that set keys anywhere. It also follows if it repeats a leaf that does, as interpolations
    do (``model.dropout: ${dropout}``). So a leaf never follows if it differs between two cells with
    the same overrides. A leaf that only some cells have counts as different.

    Args:
        typed: the keys that were typed with different values.
        values: the values of these keys, for each cell.
        configs: the resolved configuration of each cell.
    """
    cells = [dict(leaves(config)) for config in configs]
    branches = {above for cell in cells for leaf in cell for above in _above(leaf)}
    found = [leaf for leaf in dict.fromkeys(k for c in cells for k in c) if leaf not in branches]

    def classes(leaf: str) -> list[list[Flat]]:
        """The cells in groups, in each of which all that reaches ``leaf`` was typed alike."""
        reaching = [k for k in typed if k in GLOBAL_GROUPS or k == leaf or k in _above(leaf)]
        groups: dict[tuple, list[Flat]] = defaultdict(list)
        for cell, given in zip(cells, values, strict=True):
            groups[tuple(given[key] for key in reaching)].append(cell)
        return list(groups.values())

    varying = [leaf for leaf in found if not _constant(leaf, cells)]
    determined = {leaf for leaf in varying if all(_constant(leaf, c) for c in classes(leaf))}
    return [
        leaf
        for leaf in varying
        if leaf not in determined
        and not all(
            _constant(leaf, members)
            or any(_repeats(leaf, source, members) for source in determined)
            for members in classes(leaf)
        )
    ]


def together(keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The keys in groups: those of one group differ between the same rows."""
    groups: dict[tuple, list[str]] = defaultdict(list)
    for key in keys:
        column = [row[key] for row in rows]
        groups[tuple(column.index(value) for value in column)].append(key)
    return list(groups.values())


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The path and the value, as JSON, of each key whose value is no mapping, or an empty one.

    Keys that change no result are left out; see ``weighed`` for what counts of a value.
    """
    for key, value in config.items():
        path = f"{prefix}{key}"
        if is_neutral(path, value):
            continue
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path, json.dumps(weighed(path, value), sort_keys=True)


def _constant(leaf: str, cells: Sequence[Flat]) -> bool:
    return len({cell.get(leaf) for cell in cells}) == 1


def _repeats(leaf: str, source: str, cells: Sequence[Flat]) -> bool:
    return all(cell.get(leaf) == cell.get(source) for cell in cells)


def _above(leaf: str) -> set[str]:
    """The keys above a leaf: ``a`` and ``a.b`` for ``a.b.c``."""
    parts = leaf.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}
