"""Plain configurations: looking a key up, and what tells several apart.

Which keys of the configuration tell cells of a sweep apart although nobody typed them.

A cell's folder is named by a hash of its whole configuration. After a change of the code that adds
a key, or of a default, the same overrides make new cells, and old and new lie side by side.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifarlab.store.record import is_neutral, weighed

# Groups whose options set keys anywhere (``# @package _global_``)
GLOBAL_GROUPS = frozenset({"experiment", "transfer"})

Flat = Mapping[str, str]  # leaf to its value as JSON


def shown(value: Any) -> str:
    """A value as it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def as_shown(text: str) -> str:
    """A typed value without quotes, a number as the configuration would show it."""
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
    """Leaves of the configuration that differ without following from what was typed.

    A leaf follows if it is a function of the typed keys that reach it: those at or above it
    (``model=`` reaches ``model.depth``) and the groups that set keys anywhere. Where it is not, it
    follows if it repeats another leaf that is: an interpolation, ``model.dropout: ${dropout}`` or
    ``data.augment: ${aug}``. So a leaf that differs between two cells of the same overrides never
    follows. A leaf that only some cells have differs.

    Args:
        typed: keys that were typed with different values.
        values: of the typed keys, cell by cell.
        configs: resolved configurations, cell by cell.
    """
    cells = [dict(leaves(config)) for config in configs]
    branches = {above for cell in cells for leaf in cell for above in _above(leaf)}
    found = [leaf for leaf in dict.fromkeys(k for c in cells for k in c) if leaf not in branches]

    def classes(leaf: str) -> list[list[Flat]]:
        """The cells, those together in which everything that reaches ``leaf`` was typed alike."""
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
    """Keys that part the rows alike, in groups: each says the same about which rows differ."""
    groups: dict[tuple, list[str]] = defaultdict(list)
    for key in keys:
        column = [row[key] for row in rows]
        groups[tuple(column.index(value) for value in column)].append(key)
    return list(groups.values())


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of all that is not a mapping with something in it, neutral keys left out and
    values as far as they can change the result."""
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
    """``a.b.c``: ``a`` and ``a.b``."""
    parts = leaf.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}
