"""Verdicts on what a report prints and claims, from the runs of its rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cifarlab.stats import pairing
from cifarlab.stats.intervals import LEVEL, Estimate, estimate
from cifarlab.store.run import Run
from cifarlab.studies.claims import Claim, Comparison
from cifarlab.studies.schema import Reported

TEST_IMAGES = 10_000  # of CIFAR-10
SUPPORTED, CONTRADICTED = "supported", "contradicted"
UNDECIDED, NOT_MEASURED = "undecided", "not measured"


@dataclass(frozen=True)
class Finding:
    """The verdict on a reported figure or on a claim.

    text: why nothing more definite can be said.
    half: half the width of the interval for one more run, for a reported figure.
    estimates: those that decided about a claim, one for each of its comparisons.
    """

    verdict: str
    text: str = ""
    half: float = math.nan
    estimates: tuple[Estimate | None, ...] = ()


def difference(a: Sequence[Run], b: Sequence[Run], name: str) -> Estimate | None:
    """The mean of a quantity over ``a`` minus that over ``b``, of the runs that have it.

    ``None`` if no run of a side has it.
    """
    left, right = (
        {run.replicate: value for run in runs if math.isfinite(value := run.measure(name))}
        for runs in (a, b)
    )
    return pairing.difference(left, right)


def judge(claim: Claim, runs: Mapping[str, Sequence[Run]], *, shortened: bool = False) -> Finding:
    """Judge a claim from the runs of its rows.

    It is supported if the interval of every comparison lies within its bounds, contradicted if one
    lies outside, else undecided. If a run never reaches a level, its number of epochs is a lower
    bound, and decides only what any larger number would decide, too.

    There is no correction for the number of comparisons: a claim that all of them hold needs none,
    and a comparison that fails is shown with its numbers.

    shortened: whether the runs have fewer epochs than the study's.
    """
    if shortened and claim.in_epochs:
        return Finding(NOT_MEASURED, "speaks of epochs, of which these runs have fewer")
    found = tuple(_estimate(c, runs) for c in claim.comparisons)
    pairs = list(zip(claim.comparisons, found, strict=True))
    verdicts = [UNDECIDED if e is None else _verdict(c, e, runs) for c, e in pairs]
    missing = sorted({row for row in claim.rows if not runs.get(row)})
    if CONTRADICTED in verdicts:
        return Finding(CONTRADICTED, estimates=found)
    if missing:
        return Finding(NOT_MEASURED, f"no run of {' and '.join(missing)}", estimates=found)
    if None in found:
        return Finding(NOT_MEASURED, "these runs do not have the quantity", estimates=found)
    if all(verdict == SUPPORTED for verdict in verdicts):
        return Finding(SUPPORTED, estimates=found)
    late = {row for c in claim.comparisons for row in (c.a, c.b) if _is_late(row, c, runs)}
    if late:
        text = f"runs of {', '.join(sorted(map(str, late)))} never get there"
        return Finding(UNDECIDED, text, estimates=found)
    if any(e is not None and not e.has_interval for e in found):
        holds = all(e is not None and c.low <= e.value <= c.high for c, e in pairs)
        few = any(e is not None and e.n < 2 for e in found)
        why = "one seed" if few else "no spread to judge by"
        text = f"{why}, {'as' if holds else 'not as'} claimed"
        return Finding(UNDECIDED, text, estimates=found)
    return Finding(UNDECIDED, estimates=found)


def compare(reported: Reported, runs: Sequence[Run]) -> tuple[Estimate | None, Finding]:
    """Our mean, and the verdict on a reported figure.

    A report's figure is of one run. So it is compared with the 95 % interval of prediction for one
    more run of ours, which is wider if the report measured on few images. A range (``>= 62``) is
    compared with the interval of our mean.
    """
    q = reported.quantity
    values = [run.measure(q.name) for run in runs]
    ours = estimate(values)
    if ours is None:
        return None, Finding(NOT_MEASURED)
    if not ours.has_interval:
        return ours, Finding(UNDECIDED, "one seed")
    if reported.is_range:
        if reported.low <= ours.low and ours.high <= reported.high:
            return ours, Finding("reached")
        outside = ours.high < reported.low or ours.low > reported.high
        return ours, Finding("not reached" if outside else UNDECIDED)
    half = _prediction(values, reported, ours)
    if abs(reported.low - ours.value) <= half:
        return ours, Finding("agrees", half=half)
    side = "higher" if reported.low > ours.value else "lower"
    return ours, Finding(f"report is {side}", half=half)


def _prediction(values: Sequence[float], reported: Reported, ours: Estimate) -> float:
    """Half the width of the interval of prediction for one more run."""
    there = [value for value in values if math.isfinite(value)]
    variance = float(np.var(there, ddof=1)) * (1 + 1 / len(there))
    if reported.images and reported.quantity.unit == "%" and reported.quantity.name == "test_acc":
        p, m = min(max(ours.value, 0.0), 1.0), reported.images
        variance += p * (1 - p) / m * (1 - m / TEST_IMAGES)  # m of the 10,000, without replacement
    return float(stats.t.ppf((1 + LEVEL) / 2, len(there) - 1)) * variance**0.5


def _is_late(row: str | None, c: Comparison, runs: Mapping[str, Sequence[Run]]) -> bool:
    """Whether a run of the row never reaches the accuracy that the quantity names."""
    return not all(run.reaches(c.quantity.name) for run in runs.get(row or "", []))


def _estimate(c: Comparison, runs: Mapping[str, Sequence[Run]]) -> Estimate | None:
    if c.b is not None:
        return difference(runs.get(c.a, []), runs.get(c.b, []), c.quantity.name)
    return estimate([run.measure(c.quantity.name) for run in runs.get(c.a, [])])


def _verdict(c: Comparison, e: Estimate, runs: Mapping[str, Sequence[Run]]) -> str:
    if not e.has_interval:
        return UNDECIDED
    low_is_open, high_is_open = _is_late(c.b, c, runs), _is_late(c.a, c, runs)
    if c.low <= e.low and e.high <= c.high:
        beyond = (low_is_open and c.low > -math.inf) or (high_is_open and c.high < math.inf)
        return UNDECIDED if beyond else SUPPORTED
    below, above = e.high < c.low and not high_is_open, e.low > c.high and not low_is_open
    return CONTRADICTED if below or above else UNDECIDED
