"""docs/performance.md, made of the ``benchmark.json`` files that are kept beside it and of
``words.yaml`` there."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cifarlab.bench.timing import Timed, from_data


@dataclass(frozen=True)
class Kept:
    """A ``benchmark.json``."""

    what: str
    hardware: Mapping[str, Any]
    versions: Mapping[str, str]
    overrides: Sequence[str]
    cases: Sequence[Timed]

    @property
    def command(self) -> str:
        hidden = ("output_root=", "data.cache_dir=", "compare=")
        typed = [o for o in self.overrides if not o.startswith(hidden)]
        return " ".join(["python scripts/benchmark.py", *typed])

    @property
    def machine(self) -> str:
        of = "{name}, {threads} of its threads, {precision}".format(**self.hardware)
        return of + ", torch {torch}".format(**self.versions)


def read(folder: Path) -> list[Kept]:
    """By name; of each section the files in the order of their names."""
    found = []
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        cases = from_data(data["cases"])
        found.append(
            Kept(data["what"], data["hardware"], data["versions"], data["overrides"], cases)
        )
    return found


def words(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "words.yaml").read_text(encoding="utf-8"))
    return found


def page(kept: Sequence[Kept], words: Mapping[str, Any]) -> str:
    """The whole page, Markdown."""
    parts = [words["head"]]
    for what, section in words["sections"].items():
        mine = [each for each in kept if each.what == what]
        parts += _section(mine, section) if mine else []
    return "\n".join(parts)


def panels(kept: Sequence[Kept], words: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Title and case to the ratios that are drawn."""
    found: dict[str, dict[str, list[float]]] = {}
    for what, section in words["sections"].items():
        if not section.get("drawn", True):
            continue
        timed = [case for each in kept if each.what == what for case in each.cases]
        cases = {
            t.name: t.ratios[section["beside"]] for t in timed if section["beside"] in t.ratios
        }
        if cases:
            found[f"{section['title']} (ratio to {section['beside']})"] = cases
    return found


def _section(mine: Sequence[Kept], section: Mapping[str, str]) -> Iterator[str]:
    commands = "\n".join(each.command for each in mine)
    machines = dict.fromkeys(each.machine for each in mine)
    cases = [timed for each in mine for timed in each.cases]
    yield f"## {section['title']}\n\n{section['words']}"
    yield f"```bash\n{commands}\n```\n\n{'; '.join(machines)}.\n"
    ways = list(dict.fromkeys(way for timed in cases for way in timed.values))
    others = list(dict.fromkeys(other for timed in cases for other in timed.ratios))
    heads = ["case", "unit", *ways, *(f"ratio to {other}" for other in others), "rounds"]
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
    for timed in cases:
        medians = (_median(timed.values.get(way)) for way in ways)
        ratios = (_ratio(timed.ratios.get(other)) for other in others)
        rounds = str(len(next(iter(timed.values.values()))))
        yield f"| {' | '.join([timed.name, timed.unit, *medians, *ratios, rounds])} |"
    yield ""


def _median(values: Sequence[float] | None) -> str:
    return f"{float(f'{statistics.median(values):.4g}'):g}" if values else ""


def _ratio(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
