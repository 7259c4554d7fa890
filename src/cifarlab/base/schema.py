"""Which key of a configuration has which kind of value."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints, is_typeddict

from cifarlab.base.arguments import SCHEMAS
from cifarlab.base.config import Options, RunConfig
from cifarlab.base.errors import UserError, nearest
from cifarlab.base.kinds import rule, shown


@dataclass(frozen=True)
class Key:
    """A key of a configuration that has a kind, with its value there."""

    path: str
    value: Any
    kind: Any

    def check(self) -> None:
        """Raise ``UserError`` unless the value is of the key's kind."""
        from pydantic import ValidationError

        try:
            _adapter(self.kind).validate_python(self.value)
        except ValidationError:
            raise UserError(f"{self.path}={shown(self.value)}: must be {rule(self.kind)}") from None


def keys(
    config: Mapping[str, Any], schema: Any = RunConfig, *, strict: bool = True
) -> Iterator[Key]:
    """All keys of ``config``, depth first, also below what a ``_target_`` of ours names, but not
    below one that is not ours.

    strict: raise ``UserError`` for a key that there is not, and one that is missing; else a key
    that there is not has the kind ``Any``.
    """
    yield from _Walk(strict).group(config, schema, "")


@dataclass(frozen=True)
class _Walk:
    strict: bool

    def group(self, node: Mapping[str, Any], schema: Any, prefix: str) -> Iterator[Key]:
        kinds = kinds_of(schema)
        missing = [key for key in sorted(schema.__required_keys__ - node.keys()) if key[0] != "_"]
        if self.strict and missing:
            raise UserError(f"{prefix}{missing[0]}: missing from the configuration")
        for key, value in node.items():
            if key.startswith("_"):  # Hydra's own: _target_, _partial_
                continue
            if self.strict and key not in kinds:
                known = [name for name in kinds if not name.startswith("_")]
                raise UserError(f"{prefix}{key}: no such key; {nearest(key, known, prefix)}")
            yield from self.key(f"{prefix}{key}", value, kinds.get(key, Any))

    def key(self, path: str, value: Any, kind: Any) -> Iterator[Key]:
        item = next((each for each in get_args(kind) if is_typeddict(each)), None)
        if is_typeddict(kind):
            yield Key(path, value, Options)
            if isinstance(value, Mapping):
                yield from self.group(value, kind, f"{path}.")
        elif item is not None:  # of a list
            yield Key(path, value, list[Options])
            for number, each in enumerate(value if isinstance(value, list) else []):
                yield from self.key(f"{path}.{number}", each, item)
        else:
            yield Key(path, value, kind)
            if isinstance(value, Mapping) and kind == dict[str, Options]:
                for name, each in value.items():
                    yield from self.key(f"{path}.{name}", each, Options)
            elif isinstance(value, Mapping) and value.get("_target_") in SCHEMAS:
                yield from self.group(value, SCHEMAS[value["_target_"]], f"{path}.")


def check_arguments(of: Any, /, **given: Any) -> None:
    """Raise ``UserError`` unless each argument given to a class or function of ours is of the kind
    that the configuration's key of that name has."""
    kinds = kinds_of(SCHEMAS[f"{of.__module__}.{of.__qualname__}"])
    for name, value in given.items():
        plain = [*value] if isinstance(value, tuple) else value
        Key(f"{of.__qualname__}.{name}", plain, kinds[name]).check()


@functools.cache
def kinds_of(schema: Any) -> dict[str, Any]:
    """The kind of each key of a ``TypedDict``."""
    hints = get_type_hints(schema, include_extras=True)
    return {
        key: get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
        for key, hint in hints.items()
    }


@functools.cache
def _adapter(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter  # 0.06 s

    return TypeAdapter(kind, config=ConfigDict(strict=True))
