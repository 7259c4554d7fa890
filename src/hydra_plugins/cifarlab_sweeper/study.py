"""``study=<id>`` and ``ablation=<name>``: every row with every combination of the typed values."""

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
from cifarlab.base.kinds import Share
from cifarlab.base.schema import Key
from cifarlab.store.files import write_atomic
from cifarlab.store.record import STUDY
from cifarlab.studies.ladder import expand
from cifarlab.studies.rows import key_of, merged, replaced, scaled, selected
from cifarlab.studies.schema import Study, of_config, parse_study

log = logging.getLogger(__name__)

Planned = tuple[dict[str, str], list[str]]  # a run: what names its folder, its overrides
_GROUPS = ("study", "ablation")
_UNNAMED = ("seed", "data.root")


@dataclass(frozen=True)
class SweptStudy:
    """The study that a sweep runs.

    plain: as its file has it; a ladder is expanded into rows.
    kind: ``study`` or ``ablation``.
    scale: the share of the epochs that runs are shortened to, in (0, 1].
    only: the ids of the rows to run; ``None``: all.
    seed: of the runs, if no seeds are swept.
    """

    study: Study
    plain: Mapping[str, Any]
    kind: str
    scale: float
    only: Sequence[str] | None
    seed: int

    def named(self, typed: Mapping[str, Override]) -> dict[str, Override]:
        """The typed overrides that are part of the folder's name: not seeds and the place of
        data."""
        return {key: override for key, override in typed.items() if key not in _UNNAMED}

    def folder(self, rest: str) -> str:
        """The name of the sweep's folder.

        rest: the name for what was typed besides; ``all`` if nothing was.
        """
        name = self.study.id if self.kind == "study" else f"{self.kind}-{self.study.id}"
        parts = [name, *([f"scale-{self.scale:g}"] if self.scale != 1 else [])]
        return "__".join([*parts, *([rest] if rest != "all" else [])])

    def expand(
        self, runs: Iterable[Planned], compose: Callable[[list[str]], Mapping[str, Any]]
    ) -> list[Planned]:
        """All rows for the first of ``runs``, then for the next: a table is complete after one
        seed.

        What was typed replaces what a row sets; see ``merged``.

        runs: the combinations of typed values.
        compose: makes a configuration of overrides.
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
        """Write a copy of the study into the sweep's folder, since reports are made from folders
        only.

        typed: the overrides of the command.
        """
        content = dict(self.plain) | {"kind": self.kind, "typed": list(typed)}
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        write_atomic(folder / STUDY, text, summed=True)


def swept_study(config: DictConfig, overrides: Mapping[str, Override]) -> SweptStudy | None:
    """The study that ``study=`` or ``ablation=`` chooses; ``None`` in an ordinary sweep.

    Raises ``UserError`` if several are chosen, for a scale outside (0, 1], and for mistakes in the
    study's file.
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
    Key("study.scale", scale, Share).check()
    if only is not None and not isinstance(only, list):
        raise UserError(f"study.only={only}: must be a list of rows, study.only=[{only}]")
    if kind == "ablation":
        plain = expand(name, to_plain(config.ablation, missing=True))
    else:
        plain = of_config(name, settings)
    return SweptStudy(parse_study(plain), plain, kind, float(scale), only, config.seed)


def without_study(overrides: Mapping[str, Override]) -> dict[str, Override]:
    """The overrides without those that choose the study: from these, cells are composed."""
    return {key: override for key, override in overrides.items() if not _is_ours(key)}


def _is_ours(key: str) -> bool:
    return key.lstrip("+~").partition(".")[0] in _GROUPS
