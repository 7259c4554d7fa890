"""Kinds of values that a key of the configuration may have: type, range and the words for both.

A kind is a type, annotated as the ``annotated-types`` package has it, which pydantic checks,
hypothesis draws from and ``rule`` puts into words. ``doc`` has words for what bounds do not say.
"""

import dataclasses
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import DocInfo, Ge, Interval, Len, Predicate, doc

_LARGEST = 1e30  # 32 bits end at 3.4e38, and products are taken


def _is_name(value: Any) -> bool:
    text = "" if value is None else str(value)  # a name may be a number, 0 among them
    path = Path(text)
    return (
        bool(text.strip()) and not path.is_absolute() and ".." not in path.parts and path != Path()
    )


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_time(value: Any) -> bool:
    is_time = isinstance(value, str) and re.fullmatch(r"\d+:[0-2]\d:[0-5]\d:[0-5]\d", value)
    return bool(is_time) and value.strip("0:") != ""


def _rises(value: list[float]) -> bool:
    return value[0] <= value[1]


def _begin_and_rise(value: list[int]) -> bool:
    return value[0] == 1 and all(a < b for a, b in zip(value, value[1:], strict=False))


def _is_six_n_plus_four(value: int) -> bool:
    return value >= 10 and value % 6 == 4


def _is_odd(value: int) -> bool:
    return value % 2 == 1


def differ(value: list[Any]) -> bool:
    """Whether no value comes twice."""
    return len(set(value)) == len(value)


Whole = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(1)]
Seed = Annotated[int, Interval(ge=0, lt=2**32)]  # as far as NumPy's goes
Positive = Annotated[float, Interval(gt=0, le=_LARGEST)]
NotNegative = Annotated[float, Interval(ge=0, le=_LARGEST)]
Decay = Annotated[float, Interval(ge=0, le=1000)]
Probability = Annotated[float, Interval(ge=0, le=1), doc("a probability in [0, 1]")]
Share = Annotated[float, Interval(gt=0, le=1)]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]
Inside = Annotated[float, Interval(gt=0, lt=1)]
Betas = Annotated[list[BelowOne], Len(2, 2)]
Ends = Annotated[list[Positive], Len(2, 2), Predicate(_rises), doc("[low, high], 0 < low <= high")]
Shares = Annotated[
    list[Share], Len(2, 2), Predicate(_rises), doc("[low, high], 0 < low <= high <= 1")
]
Odd = Annotated[int, Interval(ge=1, le=511), Predicate(_is_odd), doc("an odd number of pixels")]
SixNPlusFour = Annotated[
    int, Predicate(_is_six_n_plus_four), doc("6 n + 4: 10, 16, 22, 28, 34, 40, ...")
]
Phases = Annotated[
    list[Count],
    Len(1),
    Predicate(_begin_and_rise),
    doc("a list of epochs, the first 1 and each above the one before"),
]
Name = Annotated[
    Any, Predicate(_is_name), doc("a name; / may part it, but it has no ..")
]  # may be a number
Folder = Annotated[Any, Predicate(_is_path), doc("a folder")]
Time = Annotated[
    Any, Predicate(_is_time), doc("days:hours:minutes:seconds above 0, as 00:01:30:00")
]
Devices = Annotated[list[Whole], Len(1), Predicate(differ), doc("a list of different devices")]


def rule(kind: Any) -> str:
    """What a value of this kind must be, in words: ``a number in (0, 1]; or null``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return _either(arguments)
    if origin is Literal:
        return f"one of {', '.join(map(shown, arguments))}"
    if origin is list:
        return f"a list, each {rule(arguments[0])}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Any: ""}
    return words.get(kind, "a group of keys")


def shown(value: Any) -> str:
    """A value as it is typed: ``null``, ``true``, ``[1,2]``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{shown(item)}' for key, item in value.items())}}}"
    return str(value)


def _either(kinds: tuple[Any, ...]) -> str:
    choices: list[Any] = []
    others: list[str] = []
    for kind in kinds:
        if get_origin(kind) is Literal:
            choices += get_args(kind)
        elif kind is bool:
            choices += [True, False]
        elif kind is type(None):
            choices.append(None)
        else:
            others.append(rule(kind))
    if not others:
        return f"one of {', '.join(map(shown, choices))}"
    return "; or ".join([*others, *map(shown, choices)])


def _bounded(kind: Any, limits: tuple[Any, ...]) -> str:
    bounds: dict[str, Any] = {}
    for limit in limits:
        if isinstance(limit, DocInfo):
            return limit.documentation
        if isinstance(limit, Ge | Interval | Len):
            bounds |= dataclasses.asdict(limit)
    low, high = bounds.get("ge"), bounds.get("lt")
    if get_origin(kind) is list:
        least, most = bounds["min_length"], bounds["max_length"]
        number = f"{least}" if least == most else f"{least} or more"
        return f"a list of {number}, each {rule(get_args(kind)[0])}"
    if kind is int:
        last = bounds.get("le") if high is None else high - 1
        return f"a whole number{f', {low} or more' if last is None else f' from {low} to {last}'}"
    left = f"({bounds['gt']:g}" if low is None else f"[{low:g}"
    right = f"{bounds['le']:g}]" if high is None else f"{high:g})"
    return f"a number in {left}, {right}"
