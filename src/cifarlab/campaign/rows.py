"""What is still to be trained: rows of studies and their seeds, each with its worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cifarlab.base.config import RunConfig
from cifarlab.report.study.results import ROW
from cifarlab.store.configs import leaves
from cifarlab.store.record import RunRecord, config_hash
from cifarlab.store.run import Run
from cifarlab.studies.rows import merged
from cifarlab.studies.schema import OURS, Row, Study

OWN = 0.5  # worth of what is asked by ourselves, where what a report says is worth 1
Compose = Callable[[list[str]], RunConfig]


@dataclass(frozen=True)
class Item:
    """A row's open seeds.

    config: with one seed or another. worth: reported figures and claims that the row's runs decide,
    in all studies. finished: records of its other seeds. twins: studies and their rows that are the
    same experiment, which its runs fill too.
    """

    study: str
    row: str
    seeds: tuple[int, ...]
    config: Mapping[str, Any]
    worth: float
    finished: tuple[RunRecord, ...]
    twins: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.study}/{self.row}"


@dataclass(frozen=True)
class Waiting:
    """A row that cannot be trained here, and why."""

    study: str
    row: str
    reason: str


def open_items(
    studies: Sequence[Study],
    runs: Callable[[Study], Sequence[Run]],
    seeds: Sequence[int],
    typed: Sequence[str],
    compose: Compose,
) -> tuple[list[Item], list[Waiting]]:
    """All rows that lack a seed, and those that wait for something.

    A seed is there if its run has the row's configuration, in every key that both have: keys that
    the code has got since do not make a run another one.

    Args:
        runs: of a study, those that there are.
        typed: overrides of every run.
        compose: overrides to a plain configuration.
    """
    items: dict[str, Item] = {}
    waiting = []
    for study in studies:
        cells = runs(study)
        for row in study.rows:
            if row.like:
                continue
            if row.needs:
                waiting.append(Waiting(study.id, row.id, row.needs))
                continue
            marks = [f"study.id={study.id}", f"study.row={row.id}", f"seed={seeds[0]}"]
            config = compose([*merged(row.overrides, typed), *marks])
            done = {
                cell.record.seed: cell.record
                for cell in cells
                if cell.record and cell.config and cell.value(ROW) == row.id
                if agrees(cell.config, config)
            }
            missing = tuple(seed for seed in seeds if seed not in done)
            if not missing:
                continue
            value = worth(study, row)
            key = f"{config_hash(config)} {missing}"
            if key in items:
                first = items[key]
                twins = (*first.twins, (study.id, row.id))
                items[key] = replace(first, worth=first.worth + value, twins=twins)
            else:
                records = tuple(done.values())
                items[key] = Item(study.id, row.id, missing, config, value, records)
    return list(items.values()), waiting


def worth(study: Study, row: Row) -> float:
    """Figures printed for the row or for one like it, and claims that speak of it; at least 1."""
    same = {row.id} | {other.id for other in study.rows if other.like == row.id}
    figures = sum(len(other.reported) for other in study.rows if other.id in same)
    claims = sum(bool(claim.rows & same) for claim in study.claims)
    return max(1, figures + claims) * (OWN if study.source == OURS else 1.0)


def agrees(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations are the same but for the seed, in every key that both have,
    neutral ones left out. What is the seed in both, under whatever key, is no difference."""
    left, right = dict(leaves(one)), dict(leaves(other))

    def same(key: str) -> bool:
        is_seed = left[key] == left["seed"] and right[key] == right["seed"]
        return left[key] == right[key] or is_seed

    return all(same(key) for key in left.keys() & right.keys())
