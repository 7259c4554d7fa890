"""``study=<id>`` and ``ablation=<name>``: each combination of the typed values times the rows."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from cifarlab.base.compose import plain as to_plain
from cifarlab.base.errors import UserError
from cifarlab.store.files import write_atomic
from cifarlab.store.record import STUDY
from cifarlab.studies.ladder import expand
from cifarlab.studies.rows import key_of, merged, replaced, scaled, selected
from cifarlab.studies.schema import Study, parse_study

log = logging.getLogger(__name__)

Planned = tuple[dict[str, str], list[str]]  # a run: what names its folder, its overrides
_GROUPS = ("study", "ablation")
_UNNAMED = ("seed", "data.root")
_SETTINGS = ("scale", "only", "id", "row")  # of cfg.study, whatever the study


@dataclass(frozen=True)
class Chosen:
    """The study of a sweep.

    plain: as its file has it, a ladder written out; seed: where none is swept.
    """

    study: Study
    plain: Mapping[str, Any]
    kind: str
    scale: float
    only: Sequence[str] | None
    seed: int

    def named(self, typed: Mapping[str, Override]) -> dict[str, Override]:
        """What was typed that the folder's name shows: not the seeds, nor where the data are."""
        return {key: override for key, override in typed.items() if key not in _UNNAMED}

    def folder(self, rest: str) -> str:
        """Name of the sweep's folder. rest: of what else was typed, ``all`` where nothing was."""
        name = self.study.id if self.kind == "study" else f"{self.kind}-{self.study.id}"
        parts = [name, *([f"scale-{self.scale:g}"] if self.scale != 1 else [])]
        return "__".join([*parts, *([rest] if rest != "all" else [])])

    def expand(
        self, runs: Iterable[Planned], compose: Callable[[list[str]], Mapping[str, Any]]
    ) -> list[Planned]:
        """The rows of each run, so that a whole table is there as soon as one seed is.

        What was typed takes the place of what a row sets; see ``merged``.
        """
        rows = selected(self.study, self.only)
        expanded: list[Planned] = []
        lost: dict[str, None] = {}
        for names, typed in runs:
            for row in rows:
                lost |= dict.fromkeys(replaced(row, typed))
                overrides = merged(row.overrides, typed)
                if self.scale != 1:
                    short = scaled(compose(overrides), self.scale, typed)
                    keys = {key_of(override) for override in short}
                    overrides = [o for o in overrides if key_of(o) not in keys] + short
                marks = [f"study.id={self.study.id}", f"study.row={row.id}"]
                marks += [f"study.scale={self.scale:g}"] if self.scale != 1 else []
                others = {key: value for key, value in names.items() if key != "seed"}
                seed = names.get("seed", str(self.seed))  # told even where there is only one yet
                expanded.append(({"row": row.id} | others | {"seed": seed}, overrides + marks))
        if lost:
            log.info("typed, so not as the study has it: %s", ", ".join(lost))
        return expanded

    def save(self, folder: Path, typed: Sequence[str]) -> None:
        """Leave the study with its runs: reports are made from folders alone."""
        content = dict(self.plain) | {"kind": self.kind, "typed": list(typed)}
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        write_atomic(folder / STUDY, text, summed=True)


def chosen(config: DictConfig, overrides: Mapping[str, Override]) -> Chosen | None:
    """What ``study=`` or ``ablation=`` picked; ``None`` in an ordinary sweep.

    Raises ``UserError`` for several at once, a scale outside (0, 1] and whatever is wrong with the
    study itself.
    """
    for key in overrides:
        if _is_ours(key) and overrides[key].is_sweep_override():
            raise UserError(f"{overrides[key].input_line}: one a sweep; start one for each")
    choices = config.hydra.runtime.choices
    names = {group: choices[group] for group in _GROUPS if choices.get(group)}
    if len(names) > 1:
        raise UserError(f"study={names['study']} ablation={names['ablation']}: choose one of them")
    settings = to_plain(config.study, missing=True)
    if not names:
        if given := [key for key in overrides if _is_ours(key) and "." in key]:
            raise UserError(f"{given[0]}: goes with study=<id> or ablation=<name>")
        return None
    ((kind, name),) = names.items()
    scale, only = settings["scale"], settings["only"]
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise UserError(f"study.scale={scale}: must be a number in (0, 1]")
    if only is not None and not isinstance(only, list):
        raise UserError(f"study.only={only}: must be a list of rows, study.only=[{only}]")
    if kind == "ablation":
        plain = expand(name, to_plain(config.ablation, missing=True))
    else:
        plain = {"id": name} | {k: v for k, v in settings.items() if k not in _SETTINGS}
    return Chosen(parse_study(plain), plain, kind, float(scale), only, config.seed)


def without_study(overrides: Mapping[str, Override]) -> dict[str, Override]:
    """What the cells' configurations are made of."""
    return {key: override for key, override in overrides.items() if not _is_ours(key)}


def _is_ours(key: str) -> bool:
    return key.lstrip("+~").partition(".")[0] in _GROUPS
