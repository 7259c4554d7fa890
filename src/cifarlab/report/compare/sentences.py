"""A comparison in plain words."""

import math
from collections.abc import Sequence

from cifarlab.report.compare.differences import ACCURACIES, Comparison, Difference, Matching
from cifarlab.stats.images import Disagreement
from cifarlab.stats.intervals import Estimate
from cifarlab.stats.power import MOST, POWER

_FULL = {"val": "Validation", "test": "Test"}
_ALPHA = 0.05


def verdict(comparison: Comparison, width: float) -> list[str]:
    """Sentences about validation, about test, and about whether both agree.

    width: half the width that the interval of an accuracy should reach, a fraction.
    """
    lines = []
    for metric in ACCURACIES:
        split = metric.partition("_")[0]
        difference, matching = comparison.metrics[metric], comparison.matching
        if matching.how == "single":
            said = _single(difference, comparison.alone.get(split, []))
        elif math.isnan(difference.seeds.p):
            said = (
                f"undecided: {_ahead(difference.seeds.value)} with each seed, to the image: "
                "no spread to judge this by."
            )
        elif difference.seeds.p < _ALPHA:
            said = _decided(difference, matching)
        else:
            said = _undecided(difference, matching, width)
        lines.append(f"{_FULL[split]}: {said}")
    if comparison.matching.how == "single":
        lines.append(
            "One run each says nothing about the spread over seeds: whether a's configuration is "
            "better than b's is open. Two seeds each are the least, five or more are useful."
        )
    val, test = (comparison.metrics[metric].seeds.value for metric in ACCURACIES)
    return [*lines, agreement(val, test, "a", "b")]


def agreement(val: float, test: float, a: str, b: str) -> str:
    """A sentence about whether validation and test prefer the same side; validation always decides.

    val, test: differences of accuracy, a minus b.
    a, b: the names of the sides.
    """
    first, second = ((a if d > 0 else b if d < 0 else "") for d in (val, test))
    if first and first == second:
        return f"Validation and test agree: both favour {first}."
    favoured = [
        f"{split}: {which or 'level'}" for split, which in (("validation", first), ("test", second))
    ]
    return f"Validation and test disagree ({', '.join(favoured)}): validation chooses."


def points(difference: float, digits: int = 2) -> str:
    """A difference of accuracies in percentage points, without the unit; never ``-0.00``."""
    return f"{round(100 * difference, digits) + 0.0:.{digits}f}"


def interval(estimate: Estimate | None, *, scale: float = 100, digits: int = 2) -> str:
    """An interval as text, ``-0.30 to 2.10``; empty if there is none.

    scale: factor of the ends; 100 makes percentage points of fractions.
    """
    if estimate is None or math.isnan(estimate.low):
        return ""
    return " to ".join(
        f"{round(scale * end, digits) + 0.0:.{digits}f}" for end in (estimate.low, estimate.high)
    )


def p_value(p: float) -> str:
    """A p as text: ``< 0.001``, or two significant digits; empty if it is NaN."""
    return "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def p_is(p: float) -> str:
    """A p as text, ``p = 0.03`` or ``p < 0.001``."""
    return f"p {'' if p < 0.001 else '= '}{p_value(p)}"


def over(matching: Matching) -> str:
    """Over what the interval over seeds is: how many runs or pairs, of seeds or folds."""
    folds = {run.value("data.fold") for run in matching.a}
    what = "seeds and folds" if len(folds) > 1 else "seeds"
    if matching.how == "paired":
        return f"{len(matching.a)} shared {what}"
    return f"{len(matching.a)} and {len(matching.b)} {what}"


def _single(difference: Difference, alone: Sequence[Disagreement]) -> str:
    said = f"{_ahead(difference.seeds.value)} on these images"
    if difference.images is None or not alone:
        return f"{said}."
    pair = alone[0]
    if there := interval(difference.images):
        said += f", 95 % interval over images {there}"
    return (
        f"{said}; a alone is right on {pair.only_a:,}, b alone on {pair.only_b:,} "
        f"(McNemar's {p_is(pair.p)})."
    )


def _decided(difference: Difference, matching: Matching) -> str:
    seeds, together = difference.seeds, difference.together
    better, worse = ("a", "b") if seeds.value > 0 else ("b", "a")
    sign = 1 if better == "a" else -1
    low, high = sorted((sign * seeds.low, sign * seeds.high))
    said = (
        f"{better} is better than {worse} by {points(abs(seeds.value))} points, 95 % interval "
        f"{points(low)} to {points(high)}, over {over(matching)} "
        f"({_test(matching)}, {p_is(seeds.p)})."
    )
    if together is not None and not math.isnan(together.p) and together.p >= _ALPHA:
        said += (
            " That is on these images: with their sampling counted too, a - b is "
            f"{interval(together)}."
        )
    return said


def _undecided(difference: Difference, matching: Matching, width: float) -> str:
    seeds, n = difference.seeds, min(len(matching.a), len(matching.b))
    said = (
        f"undecided: {_ahead(seeds.value)}; a - b has the 95 % interval {interval(seeds)}, over "
        f"{over(matching)} ({_test(matching)}, {p_is(seeds.p)}); "
    )
    show, narrow = (_more(total, n) for total in (difference.show, difference.narrow))
    return said + (
        f"about {show} more seeds each would settle a difference of this size (power "
        f"{100 * POWER:.0f} % at the 5 % level), {narrow} more would bring the interval to "
        f"± {points(width)} points; both if difference and spread are as measured."
    )


def _more(total: int | None, n: int) -> str:
    """Of ``... more seeds``."""
    if total is None:
        return f"{MOST:,} or"
    return f"{max(total - n, 1):,}"


def _ahead(difference: float) -> str:
    if difference == 0:
        return "a and b are level"
    return f"{'a' if difference > 0 else 'b'} is ahead by {points(abs(difference))} points"


def _test(matching: Matching) -> str:
    return "paired t" if matching.how == "paired" else "Welch's t"
