"""Which rows of studies, with which seeds, are still to be trained, and what they are worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
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
    """The open seeds of a row.

    config: of the row, with any of the seeds.
    worth: how many reported figures and claims the runs of the row decide, in all studies.
    finished: the records of the row's other seeds.
    twins: rows, with their studies, that are the same experiment and will use the same runs.
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
    """The rows that lack seeds, and the rows that cannot be trained here.

    A seed is there if a run has the configuration of the row in every key that both have: a key
    that was added to the code later does not make it another run.

    Args:
        runs: returns the runs of a study.
        seeds: that each row should have.
        typed: overrides of every run.
        compose: makes a plain configuration from overrides.
    """
    items: dict[str, Item] = {}
    waiting = []
    for study in studies:
        cells = runs(study)
        for row in study.rows:
            if row.like:
                continue
            if row.needs and not _has_weights(row):
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


def _has_weights(row: Row) -> bool:
    """Whether the row starts from a file of weights, and it is there."""
    files = [item.removeprefix("weights=") for item in row.overrides if item.startswith("weights=")]
    return bool(files) and Path(files[-1]).is_file()


def worth(study: Study, row: Row) -> float:
    """How many figures are reported for the row or for one like it, and how many claims are about
    it; at least 1."""
    same = {row.id} | {other.id for other in study.rows if other.like == row.id}
    figures = sum(len(other.reported) for other in study.rows if other.id in same)
    claims = sum(bool(claim.rows & same) for claim in study.claims)
    return max(1, figures + claims) * (OWN if study.source == OURS else 1.0)


def agrees(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two configurations are the same in every key that both have, without seeds.

    Keys that change no result do not count, and neither does a key that has the value of the seed
    in both.
    """
    left, right = dict(leaves(one)), dict(leaves(other))

    def same(key: str) -> bool:
        is_seed = left[key] == left["seed"] and right[key] == right["seed"]
        return left[key] == right[key] or is_seed

    return all(same(key) for key in left.keys() & right.keys())
