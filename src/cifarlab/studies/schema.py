"""What is in the file of a study: rows, reported figures, claims, assumptions, slips."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cifarlab.base.errors import UserError
from cifarlab.stats.quantities import Quantity, quantity
from cifarlab.studies.claims import Claim, parse_claims

_PREFIX = re.compile(r"^[a-z]+\d*\.(?=[a-z])")  # sapienza. of sapienza.dropout_0.1
OURS = "ours"  # the source of a study that no report has
SETTINGS = ("scale", "only", "id", "row")  # in a configuration beside what the study's file has

_STUDY_KEYS = frozenset(
    {"title", "source", "about", "common", "rows", "axis", "claims", "assumptions", "slips"}
    | {"assumed"}
    | {"id", "ladder", "kind", "typed"}
)
_ROW_KEYS = frozenset(
    {"id", "overrides", "reported", "images", "params", "note", "needs", "like"} | {"assumed"}
)
_COMMON_KEYS = frozenset({"overrides", "images"})


@dataclass(frozen=True)
class Reported:
    """A figure that a report prints: a number, or a range, whose ends may be infinite.

    low, high: the ends, equal for a number; accuracies are fractions.
    images: on how many images the report measured it; ``None``: on all.
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
    """A row of the report's table.

    overrides: the common ones of the study and then its own; for the same key, the later one
        counts.
    reported: the figures that the report prints.
    params: how many parameters the network has according to the report.
    note: a remark for the tables.
    needs: what not every machine has; it is shown if the row was not measured.
    like: the id of another row with the same experiment, whose runs are used for this one, too.
    assumed: what of its recipe is ours, since the report does not say it.
    """

    id: str
    overrides: tuple[str, ...]
    reported: tuple[Reported, ...] = ()
    params: int | None = None
    note: str = ""
    needs: str = ""
    like: str = ""
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Axis:
    """The number that a study varies: its name, and its value in each row that has one."""

    name: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """A step of a ladder: the rows ``row`` and ``against`` differ by one ingredient.

    removed: whether ``row`` is the one without the ingredient.
    """

    row: str
    against: str
    ingredient: str
    removed: bool


@dataclass(frozen=True)
class Study:
    """What the file of a study says.

    steps: of a ladder; other studies have none.
    kind: ``study`` or ``ablation``.
    typed: the overrides of the last command, in the copy that a sweep's folder has.
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
        """A short name for a row: without its report, if the names stay different."""
        names = [_PREFIX.sub("", row.id) for row in self.rows]
        return _PREFIX.sub("", name) if len(set(names)) == len(names) else name


def of_config(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The study ``name`` as its file has it, from the ``study`` part of a configuration."""
    return {"id": name} | {key: value for key, value in settings.items() if key not in SETTINGS}


def read_studies(folder: Path) -> list[Study]:
    """The studies whose files are in a folder, ``conf/study``, by name; empty if there is none.

    Raises ``UserError``, with the name of the study or of its file, for a mistake in one.
    """
    studies = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
        if not isinstance(plain, dict):
            raise UserError(f"{path}: not a study; it holds no keys")
        studies.append(parse_study(of_config(path.stem, plain)))
    return studies


def parse_study(plain: Mapping[str, Any]) -> Study:
    """Read and check what ``conf/study/<id>.yaml``, or the copy in a sweep's folder, holds.

    Raises ``UserError``, with the name of the study, for what is missing, unknown or wrong.
    """
    where = f"study {plain.get('id')}"
    _known(plain, _STUDY_KEYS, where)
    for key in ("id", "title", "source", "rows"):
        if not plain.get(key):
            raise UserError(f"{where}: {key} is missing")
    common = plain.get("common") or {}
    _known(common, _COMMON_KEYS, f"{where}, common")
    assumed = plain.get("assumed") or []
    rows = tuple(_row(row, common, assumed, where) for row in plain["rows"])
    ids = [row.id for row in rows]
    if len(set(ids)) < len(ids):
        raise UserError(f"{where}: two rows are called {max(ids, key=ids.count)}")
    claims = tuple(parse_claims(plain.get("claims") or [], where))
    axis = _axis(plain.get("axis"), where)
    steps = tuple(Step(**step) for step in plain.get("ladder") or [])
    named = [(f"{where}, claim “{c.says}”", c.rows) for c in claims]
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


def _row(
    plain: Mapping[str, Any], common: Mapping[str, Any], assumed: Sequence[Any], where: str
) -> Row:
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
        assumed=tuple(map(str, [*assumed, *(plain.get("assumed") or [])])),
    )


def _reported(name: str, value: Any, images: Mapping[str, int], where: str) -> Reported:
    """Read a reported figure: a number, or ``[low, high]`` with ``null`` for an open end.

    Accuracies are in per cent.
    """
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
