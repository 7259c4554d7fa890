"""A study as its file has it: rows, reported figures, claims, assumptions, slips."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cifarlab.base.errors import UserError
from cifarlab.stats.quantities import Quantity, quantity
from cifarlab.studies.claims import Claim, parse_claims

_PREFIX = re.compile(r"^[a-z]+\d*\.(?=[a-z])")  # sapienza. of sapienza.dropout_0.1
OURS = "ours"  # the source of a study that no report has

_STUDY_KEYS = frozenset(
    {"title", "source", "about", "common", "rows", "axis", "claims", "assumptions", "slips"}
    | {"id", "ladder", "kind", "typed"}
)
_ROW_KEYS = frozenset({"id", "overrides", "reported", "images", "params", "note", "needs", "like"})
_COMMON_KEYS = frozenset({"overrides", "images"})


@dataclass(frozen=True)
class Reported:
    """A figure that a report prints: a number, or a range with ends that may be open (infinite).

    images: how many the report measured it on, if not all; ``None``: all.
    """

    quantity: Quantity
    low: float
    high: float
    images: int | None = None

    @property
    def is_range(self) -> bool:
        return self.low != self.high

    @property
    def shown(self) -> str:
        q = self.quantity
        if self.low == float("-inf"):
            return f"≤ {q.shown(self.high)}"
        if self.high == float("inf"):
            return f"≥ {q.shown(self.low)}"
        return (
            f"{q.shown(self.low)} to {q.shown(self.high)}" if self.is_range else q.shown(self.low)
        )


@dataclass(frozen=True)
class Row:
    """A line of the table.

    overrides: the study's common ones and its own, as typed, later ones first in authority.
    params: of the network, as the report counts them.
    needs: what not every machine has; the reason shown where the row was not measured.
    like: another row, whose runs are this one's too: two reports of one experiment.
    """

    id: str
    overrides: tuple[str, ...]
    reported: tuple[Reported, ...] = ()
    params: int | None = None
    note: str = ""
    needs: str = ""
    like: str = ""


@dataclass(frozen=True)
class Axis:
    """The number that is swept: its name and its value in each row that has one."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """A bar of a waterfall: row ``row`` beside row ``against``, which differs by ``ingredient``.

    removed: the ingredient is what ``row`` lacks.
    """

    row: str
    against: str
    ingredient: str
    removed: bool


@dataclass(frozen=True)
class Study:
    """All of a file. ``steps`` are those of a ladder, else there are none.

    kind: ``study`` or ``ablation``; typed: the last command, beside it, of a folder's copy.
    """

    id: str
    title: str
    source: str
    about: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...]
    assumptions: tuple[str, ...]
    slips: tuple[str, ...]
    axis: Axis | None
    steps: tuple[Step, ...]
    kind: str = "study"
    typed: tuple[str, ...] = ()

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.id == name)

    def short(self, name: str) -> str:
        """Of a row, without the report that it is of where all rows can do without."""
        names = [_PREFIX.sub("", row.id) for row in self.rows]
        return _PREFIX.sub("", name) if len(set(names)) == len(names) else name


def parse_study(plain: Mapping[str, Any]) -> Study:
    """Check and take apart what ``conf/study/<id>.yaml`` or a folder's copy holds.

    Raises ``UserError`` naming the study for whatever is missing, misspelt or refers to nothing.
    """
    where = f"study {plain.get('id')}"
    _known(plain, _STUDY_KEYS, where)
    for key in ("id", "title", "source", "rows"):
        if not plain.get(key):
            raise UserError(f"{where}: {key} is missing")
    common = plain.get("common") or {}
    _known(common, _COMMON_KEYS, f"{where}, common")
    rows = tuple(_row(row, common, where) for row in plain["rows"])
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        raise UserError(f"{where}: two rows are called {max(ids, key=ids.count)}")
    claims = tuple(parse_claims(plain.get("claims") or [], where))
    axis = _axis(plain.get("axis"), where)
    steps = tuple(Step(**step) for step in plain.get("ladder") or [])
    named = [(f"{where}, claim “{c.quote}”", c.rows) for c in claims]
    named += [(f"{where}, axis", set(axis.values))] if axis else []
    named += [(f"{where}, row {row.id}, like", {row.like}) for row in rows if row.like]
    for place, names in named:
        _exist(names, ids, place)
    return Study(
        id=str(plain["id"]),
        title=str(plain["title"]),
        source=str(plain["source"]),
        about=str(plain.get("about") or ""),
        rows=rows,
        claims=claims,
        assumptions=tuple(map(str, plain.get("assumptions") or [])),
        slips=tuple(map(str, plain.get("slips") or [])),
        axis=axis,
        steps=steps,
        kind=str(plain.get("kind", "study")),
        typed=tuple(plain.get("typed") or ()),
    )


def _row(plain: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Row:
    name = str(plain.get("id"))
    where = f"{where}, row {name}"
    _known(plain, _ROW_KEYS, where)
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        raise UserError(f"{where}: an id is of letters, digits, _ . + -; it names folders")
    overrides = (*common.get("overrides", ()), *plain.get("overrides", ()))
    for override in overrides:
        if not isinstance(override, str) or "=" not in override:
            raise UserError(f"{where}: overrides: {override!r} is not <key>=<value>")
    images = {**common.get("images", {}), **plain.get("images", {})}
    return Row(
        id=name,
        overrides=overrides,
        reported=tuple(
            _reported(key, value, images, where)
            for key, value in (plain.get("reported") or {}).items()
        ),
        params=plain.get("params"),
        note=str(plain.get("note") or ""),
        needs=str(plain.get("needs") or ""),
        like=str(plain.get("like") or ""),
    )


def _reported(name: str, value: Any, images: Mapping[str, int], where: str) -> Reported:
    """A number, or ``[low, high]`` with ``null`` for an open end; accuracies in per cent."""
    try:
        q = quantity(name)
    except UserError as error:
        raise UserError(f"{where}: reported.{error}") from None
    ends = value if isinstance(value, list) else [value, value]
    if len(ends) != 2 or ends == [None, None] or not all(_is_number(end) for end in ends):
        raise UserError(f"{where}: reported.{name}={value}: must be a number or [low, high]")
    if q.unit == "%" and any(end is not None and 0 < end < 1 for end in ends):
        raise UserError(f"{where}: reported.{name}={value}: accuracies are in per cent")
    low, high = (
        infinite if end is None else q.from_text(end)
        for end, infinite in zip(ends, (float("-inf"), float("inf")), strict=True)
    )
    return Reported(q, low, high, images.get(name.partition("_")[0]))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _axis(plain: Mapping[str, Any] | None, where: str) -> Axis | None:
    if plain is None:
        return None
    _known(plain, frozenset({"name", "values"}), f"{where}, axis")
    return Axis(str(plain["name"]), {str(row): float(v) for row, v in plain["values"].items()})


def _known(plain: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    if unknown := [str(key) for key in plain if key not in allowed]:
        raise UserError(f"{where}: {', '.join(unknown)}: no such key; {', '.join(sorted(allowed))}")


def _exist(names: Iterable[str], rows: list[str], where: str) -> None:
    if unknown := sorted(set(names) - set(rows)):
        raise UserError(f"{where}: no such row: {', '.join(unknown)}; rows: {', '.join(rows)}")
