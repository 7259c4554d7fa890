"""Verdicts on what a report prints and claims, from the runs of its rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cifarlab.stats import pairing
from cifarlab.stats.intervals import LEAST, LEVEL, NAN, Estimate, holm
from cifarlab.stats.intervals import estimate as mean_of
from cifarlab.store.run import Run
from cifarlab.studies.claims import Claim, Comparison
from cifarlab.studies.schema import Reported

TEST_IMAGES = 10_000  # of CIFAR-10
_OF_VALIDATION = ("val_acc", "peak_val_acc", "first_val_acc", "last_val_acc")
# Half the interval beyond which to lie within it says nothing: of an accuracy, 2 points; of a loss
WIDEST = {"%": 0.02, "nats": 0.1}
_Z = float(stats.norm.ppf((1 + LEVEL) / 2))

COMPATIBLE, UNINFORMATIVE = "compatible", "uninformative"
SUPPORTED, CONTRADICTED = "supported", "contradicted"
UNDECIDED, NOT_MEASURED, NOT_JUDGED = "undecided", "not measured", "not judged"
ALL = "all"  # of a recipe is ours
IN_OURS = "in an experiment of ours, not the source's"


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

    There is no interval from fewer than ``LEAST`` seeds. ``None`` if no run of a side has it.
    """
    return _bare(pairing.difference(_by_replicate(a, name), _by_replicate(b, name)))


def _by_replicate(runs: Sequence[Run], name: str) -> dict[tuple, float]:
    """The quantity of the runs that have it, by seed and fold."""
    return {run.replicate: value for run in runs if math.isfinite(value := run.measure(name))}


def estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of the values that are finite, with its interval from ``LEAST`` of them on; ``None``
    if none of them is."""
    return _bare(mean_of(values))


def judge(
    claim: Claim,
    runs: Mapping[str, Sequence[Run]],
    caveats: Sequence[str] = (),
    assumed: Sequence[str] = (),
) -> Finding:
    """Judge a claim from the runs of its rows.

    It is supported if the interval of every comparison lies within its bounds, which needs no
    correction for how many there are. It is contradicted if one lies outside, with Holm's
    correction over the claim's comparisons: of twelve that hold, one in four claims would else
    look contradicted. Otherwise it is undecided. If a run never reaches a level, its number of
    epochs is a lower bound, and decides only what any larger number would decide, too.

    caveats: why these runs are not the experiment that the claim is about. Then it is not judged.
    assumed: what of the rows' recipes is ours. Then it is undecided instead of contradicted: with
        the source's own recipe it might hold. So is a report's claim if all is ours, ``ALL``.
    """
    found = tuple(_estimate(c, runs) for c in claim.comparisons)
    pairs = list(zip(claim.comparisons, found, strict=True))
    missing = sorted({row for row in claim.rows if not runs.get(row)})
    if missing == sorted(claim.rows) or (missing and caveats):
        return Finding(NOT_MEASURED, f"no run of {' and '.join(missing)}", estimates=found)
    if caveats:
        return Finding(NOT_JUDGED, "; ".join(caveats), estimates=found)
    outside = [1.0 if e is None else _outside(c, e, runs) for c, e in pairs]
    if min(holm(outside)) < 1 - LEVEL:
        if assumed:
            text = f"not as claimed, on a recipe whose {', '.join(assumed)} are ours"
            text = f"not as claimed, {IN_OURS}" if ALL in assumed else text
            return Finding(UNDECIDED, text, estimates=found)
        return Finding(CONTRADICTED, estimates=found)
    if missing:
        return Finding(NOT_MEASURED, f"no run of {' and '.join(missing)}", estimates=found)
    if None in found:
        return Finding(NOT_MEASURED, "these runs do not have the quantity", estimates=found)
    if all(e is not None and _within(c, e, runs) for c, e in pairs):
        return Finding(SUPPORTED, estimates=found)
    late = {row for c in claim.comparisons for row in (c.a, c.b) if _is_late(row, c, runs)}
    if late:
        text = f"runs of {', '.join(sorted(map(str, late)))} never get there"
        return Finding(UNDECIDED, text, estimates=found)
    if any(e is not None and not e.has_interval for e in found):
        holds = all(e is not None and c.low <= e.value <= c.high for c, e in pairs)
        fewest = min(e.n for e in found if e is not None)
        why = seeds(fewest) if fewest < LEAST else "no spread to judge by"
        text = f"{why}, {'as' if holds else 'not as'} claimed"
        return Finding(UNDECIDED, text, estimates=found)
    return Finding(UNDECIDED, estimates=found)


def seeds(number: int) -> str:
    """As words: ``one seed``, ``two seeds``."""
    return {1: "one seed", 2: "two seeds"}.get(number, f"{number} seeds")


def compare(
    reported: Reported, runs: Sequence[Run], assumed: Sequence[str] = ()
) -> tuple[Estimate | None, Finding]:
    """Our mean, and the verdict on a reported figure.

    A report's figure is of one run. So it is compared with the 95 % interval of prediction for one
    more run of ours, which is wider if the report measured on few images. To lie within it is to be
    compatible, no more; of one that is wider than ``WIDEST`` of its unit to each side it says
    nothing. A bound (``>= 62``) or a range is compared with the interval of our mean, which is
    wider in the same cases.

    assumed: what of the rows' recipes is ours. If the split is, a validation accuracy of ours is of
        other images than the report's, which widens the interval.
    """
    q = reported.quantity
    values = [run.measure(q.name) for run in runs]
    ours = estimate(values)
    if ours is None:
        return None, Finding(NOT_MEASURED)
    if not ours.has_interval:
        few = ours.n < LEAST
        return ours, Finding(UNDECIDED, seeds(ours.n) if few else "no spread to judge by")
    of_images = _of_images(reported, runs, ours, assumed)
    if reported.is_range:
        half = math.hypot(ours.half, _Z * of_images**0.5)
        low, high = ours.value - half, ours.value + half
        if reported.low <= low and high <= reported.high:
            return ours, Finding("reached")
        if reported.low <= high and low <= reported.high:
            return ours, Finding(UNDECIDED)
        if math.isinf(reported.low) or math.isinf(reported.high):
            return ours, Finding("not reached")
        return ours, Finding(f"report is {'higher' if high < reported.low else 'lower'}")
    half = prediction(values, of_images)
    if abs(reported.low - ours.value) <= half:
        wide = half > WIDEST.get(q.unit, math.inf)
        return ours, Finding(UNINFORMATIVE if wide else COMPATIBLE, half=half)
    side = "higher" if reported.low > ours.value else "lower"
    return ours, Finding(f"report is {side}", half=half)


def prediction(values: Sequence[float], of_images: float = 0.0) -> float:
    """Half the width of the interval of prediction for one more run.

    The variance is that of runs, estimated, plus that of the images, which is known; the degrees of
    freedom of their sum are Satterthwaite's (1946). These grow with the images' part, so that of
    few runs the interval would be narrower than without images, and cover 92 %: it is never
    narrower than that.

    of_images: variance of the accuracy from which images it is measured on.
    """
    there = [value for value in values if math.isfinite(value)]
    of_runs = float(np.var(there, ddof=1)) * (1 + 1 / len(there))
    variance, df = of_runs + of_images, len(there) - 1
    if of_runs == 0:
        return _Z * variance**0.5
    sources = (of_runs, df), (variance, df * (variance / of_runs) ** 2)
    return max(float(stats.t.ppf((1 + LEVEL) / 2, n)) * part**0.5 for part, n in sources)


def _of_images(
    reported: Reported, runs: Sequence[Run], ours: Estimate, assumed: Sequence[str]
) -> float:
    """The variance of the difference to a report's accuracy from which images both are of: none if
    they are the same."""
    q, p = reported.quantity, min(max(ours.value, 0.0), 1.0)
    if q.unit != "%" or not runs:
        return 0.0
    if q.name == "test_acc" and reported.images:
        m = reported.images
        return p * (1 - p) / m * (1 - m / TEST_IMAGES)  # of the 10,000, without replacement
    if q.name in _OF_VALIDATION and "split" in assumed:
        own = runs[0].result.data["num_val"]
        return p * (1 - p) * (1 / own + 1 / (reported.images or own))
    return 0.0


def _is_late(row: str | None, c: Comparison, runs: Mapping[str, Sequence[Run]]) -> bool:
    """Whether a run of the row never reaches the accuracy that the quantity names."""
    return not all(run.reaches(c.quantity.name) for run in runs.get(row or "", []))


def _estimate(c: Comparison, runs: Mapping[str, Sequence[Run]]) -> Estimate | None:
    name = c.quantity.name
    left, right = (_by_replicate(runs.get(row or "", []), name) for row in (c.a, c.b))
    if c.b is None:
        found = mean_of([*left.values()])
    else:
        found = (pairing.ratio if c.is_ratio else pairing.difference)(left, right)
    if found is not None and c.quantity.is_exact:
        return replace(found, low=found.value, high=found.value)
    return _bare(found)


def _within(c: Comparison, e: Estimate, runs: Mapping[str, Sequence[Run]]) -> bool:
    """Whether the whole interval lies within the bounds, also if late runs came any later."""
    low_is_open, high_is_open = _is_late(c.b, c, runs), _is_late(c.a, c, runs)
    if not (c.low <= e.low and e.high <= c.high):  # NaN lies nowhere
        return False
    return not ((low_is_open and c.low > -math.inf) or (high_is_open and c.high < math.inf))


def _outside(c: Comparison, e: Estimate, runs: Mapping[str, Sequence[Run]]) -> float:
    """The p of the hypothesis that the true value is the bound that the estimate lies beyond
    (two-sided, Student's t), so that it is below 5 % where the 95 % interval lies outside.

    1 within the bounds, without an interval, and where late runs could come to lie within.
    """
    low_is_open, high_is_open = _is_late(c.b, c, runs), _is_late(c.a, c, runs)
    below = c.low - e.value if not high_is_open else 0.0
    above = e.value - c.high if not low_is_open else 0.0
    beyond = max(below, above)
    if not e.has_interval or beyond <= 0:
        return 1.0
    if c.is_ratio and not c.quantity.is_exact:
        bound = c.low if below > 0 else c.high
        left, right = (_by_replicate(runs[row or ""], c.quantity.name) for row in (c.a, c.b))
        at = pairing.difference(left, {key: bound * value for key, value in right.items()})
        return 1.0 if at is None or math.isnan(at.p) else at.p
    df = e.df if math.isfinite(e.df) else e.n - 1
    if e.half == 0:
        return 0.0
    error = e.half / float(stats.t.ppf((1 + LEVEL) / 2, df))
    return 2 * float(stats.t.sf(beyond / error, df))


def _bare(e: Estimate | None) -> Estimate | None:
    """Without its interval where it is of too few seeds."""
    if e is None or e.n >= LEAST:
        return e
    return replace(e, low=NAN, high=NAN, p=NAN)
