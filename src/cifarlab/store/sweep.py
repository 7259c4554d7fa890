"""What a sweep folder holds: its cells, planned, under way, finished or failed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cifarlab.base.errors import UserError
from cifarlab.store.lock import is_held
from cifarlab.store.record import CELLS, CONFIG, FAILURE, PRUNED, RunRecord, is_finished

FINISHED = ("completed", "early_stopped", "stopped")
UNFINISHED = ("pruned", "failed", "running", "interrupted", "missing")
ABSENT = "-"  # shown for a key that a cell's configuration does not have

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast where libyaml is


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A planned run of a sweep and what became of it, or a run by itself.

    status: one of ``FINISHED`` or ``UNFINISHED``; ``running`` holds the lock of its folder.
    reason: one line, of a failed or pruned one.
    typed: its overrides, without ``hydra.*``.
    record, config, written: of a finished one; ``config`` may be lost, ``written`` is the time of
        its ``result.json`` (s).
    folder: where it is.
    planned: whether the plan, where there is one, lists it.
    """

    name: str
    status: str
    typed: dict[str, str]
    planned: bool = True
    reason: str = ""
    record: RunRecord | None = None
    config: dict[str, Any] | None = None
    written: float = 0.0
    folder: Path = Path()

    def value(self, key: str) -> str:
        """Of a key that was typed for this cell or for others; ``ABSENT`` if there is none."""
        config = self.config or {}
        resolved = select(config, key)
        if resolved is not None and not isinstance(resolved, Mapping):
            return shown(resolved)
        if key in self.typed:
            return self.typed[key]
        if option := select(config, f"choices.{key}"):
            return shown(option)
        return shown(resolved) if has(config, key) and not resolved else ABSENT


def read_cells(folder: Path) -> list[Cell]:
    """The cells of the plan in its order, then those of other folders by name.

    Works while cells are running. Raises ``UserError`` if the plan cannot be read.
    """
    plan = _plan(folder)
    names = dict.fromkeys(plan or {})
    others = [path.name for path in sorted(folder.iterdir()) if _is_cell(path)]
    return [
        _read(folder / name, (plan or {}).get(name), plan is None or name in plan)
        for name in names | dict.fromkeys(others)
    ]


def read_run(folder: Path) -> Cell:
    """A finished run by itself. Raises ``UserError`` if there is none."""
    RunRecord.load(folder)
    return _read(folder, None, True)


def is_sweep(folder: Path) -> bool:
    """Whether ``folder`` has a plan or cells."""
    return folder.is_dir() and (
        (folder / CELLS).is_file() or any(_is_cell(path) for path in folder.iterdir())
    )


def select(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; ``None`` where it is null or there is none."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def has(config: Mapping[str, Any], key: str) -> bool:
    """Whether a dotted key is there."""
    above, _, last = key.rpartition(".")
    node = select(config, above) if above else config
    return isinstance(node, Mapping) and last in node


def shown(value: Any) -> str:
    """A value as it would be typed."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _plan(folder: Path) -> dict[str, list[str]] | None:
    path = folder / CELLS
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path}: not a plan of cells ({error}); delete it") from error


def _is_cell(path: Path) -> bool:
    return (
        path.is_dir()
        and any((path / name).is_file() for name in (CONFIG, FAILURE))
        or (is_finished(path))
    )


def _read(path: Path, overrides: list[str] | None, planned: bool) -> Cell:
    held = is_held(path)  # asked first: who held it then and wrote a result since is finished
    common: dict[str, Any] = {"name": path.name, "planned": planned, "folder": path}
    if is_finished(path):
        try:
            record = RunRecord.load(path)
        except UserError as error:
            return Cell(**common, typed=_typed(overrides or []), status="failed", reason=str(error))
        return Cell(
            **common,
            status=record.status,
            typed=_typed(overrides or record.overrides),
            record=record,
            config=_config(path),
            written=(path / "result.json").stat().st_mtime,
        )
    if overrides is None:
        overrides = (_config(path) or {}).get("overrides") or []
    common |= {"typed": _typed(overrides)}
    if held:
        return Cell(**common, status="running")
    if (path / PRUNED).is_file():
        reason = json.loads((path / PRUNED).read_text())["message"]
        return Cell(**common, status="pruned", reason=reason)
    if (path / FAILURE).is_file():
        return Cell(**common, status="failed", reason=_reason(path))
    return Cell(**common, status="interrupted" if (path / CONFIG).is_file() else "missing")


def _config(path: Path) -> dict[str, Any] | None:
    """The resolved configuration; ``None`` if it is not there or cut short."""
    try:
        config = yaml.load((path / CONFIG).read_text(), _Loader)
    except (FileNotFoundError, yaml.YAMLError):
        return None
    return config if isinstance(config, dict) else None


def _reason(path: Path) -> str:
    """Why a cell failed, in one line."""
    try:
        failure = json.loads((path / FAILURE).read_text())
        kind, message = failure["type"], failure["message"].strip()
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return f"{FAILURE} cannot be read"
    first = message.partition("\n")[0]
    return first if kind == "UserError" else f"{kind}: {first}".removesuffix(": ")


def _typed(overrides: list[str]) -> dict[str, str]:
    """Key to value: ``+`` and ``~`` in front of a key do not tell keys apart."""
    pairs = (item.partition("=")[::2] for item in overrides if not item.startswith("hydra."))
    return {key.lstrip("+~"): "~" if key.startswith("~") else as_shown(v) for key, v in pairs}


def as_shown(text: str) -> str:
    """A typed value without quotes, a number as the configuration would show it."""
    for number in (int, float):
        try:
            return str(number(text))
        except ValueError:
            pass
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text
