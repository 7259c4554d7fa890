"""A finished run once more, from its record, and how near it comes."""

import math
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.base import hardware
from cifarlab.base.energy import driver
from cifarlab.base.errors import UserError, nearest
from cifarlab.report.study.files import studies_in
from cifarlab.report.study.results import StudyResults, read_study
from cifarlab.report.study.verdicts import LEAST, prediction
from cifarlab.report.sweep.results import collect
from cifarlab.report.tables import Table
from cifarlab.stats.quantities import quantity
from cifarlab.store.configs import leaves
from cifarlab.store.record import NEUTRAL_KEYS, config_hash
from cifarlab.store.run import Run
from cifarlab.studies.rows import key_of

SAME, COMPATIBLE, DIFFERENT, OPEN = "same", "compatible", "different", "no interval"
MEASURED = ("val_acc", "test_acc", "val_loss", "test_loss", "best_epoch", "epochs_run")


@dataclass(frozen=True)
class Again:
    """A run that was trained once more.

    verdict: ``same``: every number of the record, and where both runs have their predictions every
        logit; ``compatible``: not the same, but test accuracy lies within the 95 % interval for one
        more run, from the recorded seeds; ``different``: outside; ``no interval``: there are fewer
        than three recorded seeds.
    half: half the width of that interval, a fraction; NaN without one.
    table: quantity, recorded and trained again, by row.
    """

    verdict: str
    half: float
    table: Table

    @property
    def says(self) -> str:
        """The verdict as a sentence."""
        points = f"± {100 * self.half:.2f} points"
        return {
            SAME: "same: every number of the record, to the last digit",
            COMPATIBLE: f"compatible: test accuracy is within {points} of the recorded seeds' "
            "mean, the 95 % interval for one more run",
            DIFFERENT: f"different: test accuracy is beyond {points} of the recorded seeds' "
            "mean, the 95 % interval for one more run",
            OPEN: f"not the same; whether compatible needs {LEAST} recorded seeds or more",
        }[self.verdict]


def recorded_row(published: Path, row: str, seed: int) -> tuple[Run, list[Run]]:
    """The published run of a study's row with a seed, and all runs of the row.

    Raises ``UserError`` if no published study has such a run at full length.
    """
    known: dict[str, list[Run]] = {}
    for results in map(_study, studies_in(published)):
        if not results.mark:
            for line in results.measured:
                known.setdefault(line.row.id, list(line.runs))
    if row not in known:
        raise UserError(f"row={row}: not published at full length; {nearest(row, known)}")
    by_seed = {run.result.seed: run for run in known[row]}
    if seed not in by_seed:
        raise UserError(f"seed={seed}: of {row} there are {', '.join(map(str, by_seed))}")
    return by_seed[seed], known[row]


def _study(folder: Path) -> StudyResults:
    return read_study(collect(folder))


def command_of(run: Run, compose: Callable[[list[str]], Mapping[str, Any]], out: Path) -> list[str]:
    """The overrides that train a run again, below ``out``, in the precision of the record.

    compose: makes a plain configuration of ``train.py`` from overrides.

    Raises ``UserError``, with the keys, if they make another configuration today.
    """
    if run.result.members:
        raise UserError(f"{run.folder}: an ensemble, which is not trained; reproduce its members")
    typed = [o for o in run.result.overrides if not _is_neutral(key_of(o))]
    today = compose(typed)
    if config_hash(today) != run.result.config_hash:
        then = dict(leaves(run.config or {}))
        now = dict(leaves(today))
        keys = [key for key in sorted(then | now) if then.get(key) != now.get(key)]
        told = "; ".join(
            f"{key} was {then.get(key, 'absent')}, is {now.get(key, 'absent')}" for key in keys[:5]
        )
        raise UserError(
            f"{run.folder}: its overrides make another configuration today ({told}); git checkout "
            f"{str(run.result.git.get('sha'))[:8]} has that of then"
        )
    precision = f"trainer.precision={run.result.hardware['precision']}"
    typed = [o for o in typed if key_of(o) != "trainer.precision"]
    own = [precision, f"output_root={out}", "name=reproduced", "logger=none", "evaluation=false"]
    return [*typed, *own]


def _is_neutral(key: str) -> bool:
    """Whether it says where a run is kept; where data is read from is left as it was."""
    if key.startswith("data."):
        return False
    return bool({key, key.partition(".")[0]} & NEUTRAL_KEYS)


def circumstances(run: Run) -> Table:
    """What of the machine and the versions is other here than it was, by row; ``-``: unknown.

    The precision is that of the record, and on a CPU the number of threads, too.
    """
    record = run.result
    here = hardware.versions() | {
        f"git {key}": str(value) for key, value in hardware.git_state(Path(__file__).parent).items()
    }
    then = record.versions | {f"git {key}": str(value) for key, value in record.git.items()}
    machine = hardware.processor()
    here["processor"], then["processor"] = machine, str(record.hardware.get("cpu", "-"))
    if "driver" in record.hardware:
        here["driver"], then["driver"] = driver() or "-", str(record.hardware["driver"])
    rows = [
        (key, then.get(key, "-"), here.get(key, "-"))
        for key in dict.fromkeys([*then, *here])
        if then.get(key) != here.get(key)
    ]
    return [("", "recorded", "here"), *rows]


def train(command: Sequence[str], overrides: Sequence[str], out: Path, threads: int) -> Run:
    """Train, telling what ``train.py`` tells, and return the finished run.

    threads: of a CPU, on which the order of sums depends.

    Raises ``UserError`` if it did not finish.
    """
    folder = out / "runs" / "reproduced"
    before = set(folder.glob("*"))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([*command, *overrides], env=environment, check=False)
    made = sorted(set(folder.glob("*")) - before)
    if done.returncode or not made:
        raise UserError(f"train.py ended with exit code {done.returncode}; see above")
    return Run.finished(made[-1])


def compare(recorded: Run, again: Run, seeds: Sequence[Run] = ()) -> Again:
    """How near ``again`` comes to ``recorded``.

    seeds: all recorded runs of the configuration, each with its seed.
    """
    quantities = [quantity(name) for name in MEASURED]
    shown = [
        (q.label, *(q.short(run.measure(q.name)) for run in (recorded, again))) for q in quantities
    ]
    table: Table = [("", "recorded", "again"), *shown]
    numbers = [(run.result.metrics, run.result.best_epoch) for run in (recorded, again)]
    if numbers[0] == numbers[1] and _same_logits(recorded, again):
        return Again(SAME, math.nan, table)
    values = [run.measure("test_acc") for run in seeds]
    if len(values) < LEAST:
        return Again(OPEN, math.nan, table)
    half = prediction(values)
    near = abs(again.measure("test_acc") - float(np.mean(values))) <= half
    return Again(COMPATIBLE if near else DIFFERENT, half, table)


def _same_logits(one: Run, other: Run) -> bool:
    """Whether the logits are equal; also where a run, as a published one, has none."""
    if one.predictions is None or other.predictions is None:
        return True
    a, b = one.predictions, other.predictions
    return np.array_equal(a.val.logits, b.val.logits) and np.array_equal(
        a.test.logits, b.test.logits
    )
