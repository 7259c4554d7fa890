"""The language of claims: what a report says about its rows, as statements that runs can support.

A check is translated into comparisons. A comparison says that a quantity of one row, or its
difference between two rows, lies in an interval. A claim holds if all its comparisons do.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from cifarlab.base.errors import UserError
from cifarlab.stats.quantities import Quantity, quantity

if TYPE_CHECKING:
    from cifarlab.stats.intervals import Estimate  # brings numpy and scipy

_INFINITE = math.inf


@dataclass(frozen=True)
class Comparison:
    """``quantity`` of row ``a``, minus that of ``b`` if there is one, lies in [low, high].

    Bounds are in the quantity's own unit, accuracies as fractions.

    is_ratio: whether it is divided by that of ``b`` instead.
    """

    a: str
    b: str | None
    quantity: Quantity
    low: float
    high: float
    is_ratio: bool = False

    def shown(self, found: "Estimate") -> str:
        """What was found, as text for a table."""
        if not self.is_ratio:
            return self.quantity.estimated(found, sign=self.b is not None)
        has_interval = found.has_interval and not self.quantity.is_exact
        interval = f" [{found.low:.2f}, {found.high:.2f}]" if has_interval else ""
        return f"{found.value:.2f}{interval}"

    def says(self, name: Callable[[str], str] = str) -> str:
        """The comparison as text for a table, without the quantity.

        name: returns a shorter name for a row.
        """
        if self.is_ratio:
            return f"{name(self.a)} / {name(str(self.b))} in [{self.low:.2f}, {self.high:.2f}]"
        q, is_difference = self.quantity, self.b is not None
        of = name(self.a) + (f" − {name(self.b)}" if self.b is not None else "")
        if math.isinf(self.high):
            bound = f"≥ {q.shown(self.low, sign=is_difference)}"
        elif math.isinf(self.low):
            bound = f"≤ {q.shown(self.high, sign=is_difference)}"
        else:
            bound = (
                f"in [{q.shown(self.low, sign=is_difference)}, "
                f"{q.shown(self.high, sign=is_difference)}]"
            )
        if is_difference and (self.low, self.high) == (0.0, _INFINITE):
            bound = "> 0"
        suffix = q.suffix_of_difference if is_difference else q.suffix
        return f"{of} {bound}{suffix if bound != '> 0' else ''}"


@dataclass(frozen=True)
class Claim:
    """A claim: the words of a report, or what a study of ours asks.

    says: the words.
    comparisons: what the check in the study's file means.
    is_quote: whether they are a report's.
    """

    says: str
    comparisons: tuple[Comparison, ...]
    note: str = ""
    is_quote: bool = True

    @property
    def rows(self) -> set[str]:
        return {row for c in self.comparisons for row in (c.a, c.b) if row is not None}


def parse_claim(plain: Mapping[str, Any], where: str) -> Claim:
    """Read a claim of a study's file: ``{quote, check, note}``, ``check`` being a statement or
    several. What is no report's words has ``asked`` instead of ``quote``.

    Raises ``UserError`` beginning with ``where`` for whatever is not the language.
    """
    words = [str(plain[key]) for key in ("quote", "asked") if plain.get(key)]
    unknown = set(plain) - {"quote", "asked", "check", "note"}
    if unknown or len(words) != 1 or not plain.get("check"):
        text = "needs quote (or asked, if it is ours) and check, may have note"
        raise UserError(f"{where}: {text}; got {sorted(plain)}")
    checks = plain["check"] if isinstance(plain["check"], list) else [plain["check"]]
    comparisons: list[Comparison] = []
    for check in checks:
        kind = check.get("kind") if isinstance(check, Mapping) else None
        if kind not in KINDS:
            raise UserError(f"{where}: kind={kind}: must be one of {', '.join(KINDS)}")
        fields = _Fields({k: v for k, v in check.items() if k != "kind"}, f"{where}, {kind}")
        comparisons += KINDS[kind](fields)
        fields.close()
    note = str(plain.get("note", ""))
    return Claim(words[0], tuple(comparisons), note, is_quote=bool(plain.get("quote")))


class _Fields:
    """The keys of one check. Each is taken once, and none may be left over."""

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        self.fields, self.where = dict(fields), where

    def rows(self, key: str) -> list[str]:
        value = self.take(key)
        return [str(row) for row in value] if isinstance(value, list) else [str(value)]

    def row(self, key: str, *, optional: bool = False) -> str | None:
        value = self.take(key, optional=optional)
        return None if value is None else str(value)

    def number(self, key: str, q: Quantity | None, default: float | None = None) -> float:
        """A number, in the unit of ``q``; without it as it is."""
        value = self.take(key, optional=default is not None)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UserError(f"{self.where}: {key}={value}: must be a number")
        return q.from_text(value) if q is not None else float(value)

    def quantity(self) -> Quantity:
        try:
            return quantity(str(self.take("metric")))
        except UserError as error:
            raise UserError(f"{self.where}: {error}") from None

    def take(self, key: str, *, optional: bool = False) -> Any:
        if key not in self.fields and not optional:
            raise UserError(f"{self.where}: {key} is missing")
        return self.fields.pop(key, None)

    def close(self) -> None:
        if self.fields:
            raise UserError(f"{self.where}: {', '.join(self.fields)}: not a key of this kind")


def _greater(f: _Fields) -> Iterator[Comparison]:
    """Each row of ``a`` is above each of ``b`` by ``by`` or more; ``by`` may be negative."""
    q = f.quantity()
    pairs, by = list(product(f.rows("a"), f.rows("b"))), f.number("by", q, 0.0)
    yield from (Comparison(a, b, q, by, _INFINITE) for a, b in pairs)


def _about(f: _Fields) -> Iterator[Comparison]:
    """``a``, or ``a`` minus ``b``, differs from ``value`` (default 0) by at most ``within``."""
    q = f.quantity()
    a, b = f.rows("a"), f.row("b", optional=True)
    value = f.number("value", q, None if b is None else 0.0)
    within = f.number("within", q)
    yield from (Comparison(row, b, q, value - within, value + within) for row in a)


def _ratio(f: _Fields) -> Iterator[Comparison]:
    """``a`` over ``b`` differs from ``value`` by at most ``within``: 1.5 is half as much again."""
    q = f.quantity()
    a, b = f.row("a"), f.row("b")
    value, within = f.number("value", None), f.number("within", None)
    yield Comparison(a or "", b, q, value - within, value + within, is_ratio=True)


def _at_least(f: _Fields) -> Iterator[Comparison]:
    q = f.quantity()
    rows, value = f.rows("a"), f.number("value", q)
    yield from (Comparison(row, None, q, value, _INFINITE) for row in rows)


def _at_most(f: _Fields) -> Iterator[Comparison]:
    q = f.quantity()
    rows, value = f.rows("a"), f.number("value", q)
    yield from (Comparison(row, None, q, -_INFINITE, value) for row in rows)


def _ordered(f: _Fields) -> Iterator[Comparison]:
    """Each row of ``rows`` is above the next one."""
    q = f.quantity()
    rows = f.rows("rows")
    if len(rows) < 2:
        raise UserError(f"{f.where}: rows: needs two or more")
    yield from (Comparison(a, b, q, 0.0, _INFINITE) for a, b in pairwise(rows))


def _overfits(f: _Fields) -> Iterator[Comparison]:
    """From its lowest value to the last epoch, the validation loss rises by ``rise`` (nats) or
    more."""
    q = quantity("val_loss_rise")
    rows, rise = f.rows("a"), f.number("rise", q, 0.05)
    yield from (Comparison(row, None, q, rise, _INFINITE) for row in rows)


def _underfits(f: _Fields) -> Iterator[Comparison]:
    """``a`` has a lower training accuracy than ``than``, at most ``gap`` points above its
    validation accuracy."""
    train, gap = quantity("train_acc"), quantity("val_gap")
    a, than = f.row("a"), f.row("than")
    assert a is not None
    yield Comparison(than or "", a, train, 0.0, _INFINITE)
    yield Comparison(a, None, gap, -_INFINITE, f.number("gap", gap, 5.0))


KINDS: dict[str, Callable[[_Fields], Iterator[Comparison]]] = {
    "greater": _greater,
    "about": _about,
    "ratio": _ratio,
    "at_least": _at_least,
    "at_most": _at_most,
    "ordered": _ordered,
    "overfits": _overfits,
    "underfits": _underfits,
}


def parse_claims(plain: Sequence[Any], where: str) -> list[Claim]:
    return [parse_claim(claim, f"{where}, claim {i}") for i, claim in enumerate(plain, start=1)]
