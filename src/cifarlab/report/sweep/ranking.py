"""What can be said about the first row of a sweep: is it really better than the others?"""

import math
from collections import defaultdict
from collections.abc import Sequence

from cifarlab.report.compare import sentences
from cifarlab.report.compare.selection import same_validation
from cifarlab.report.sweep.results import REPLICATES, Results, Row, brief
from cifarlab.stats.intervals import Estimate, holm
from cifarlab.stats.pairing import difference
from cifarlab.store.run import Run


def remarks(results: Results, summary: Sequence[Row]) -> str:
    """Sentences: does test rank the same row first, and is the first row better than the others?

    The row that is first on validation is compared with each other row, in pairs that share seed
    and fold, else by Welch's t test. The p are corrected for all these comparisons (Holm). The text
    is empty if there is only one row.
    """
    if len(summary) < 2:
        return ""
    members: dict[tuple, list[Run]] = defaultdict(list)
    for cell in results.kept:
        members[results.group(cell)].append(cell)
    groups = [members[tuple(line[key] for key in results.factors)] for line in summary]
    first, others = groups[0], groups[1:]
    names = [_name(results, line) for line in summary]
    by_test = max(range(len(summary)), key=lambda i: summary[i]["test_acc_mean"])
    gap = summary[by_test]["test_acc_mean"] - summary[0]["test_acc_mean"]
    if gap > 0:
        said = (
            f"Test would have {names[by_test]} first, by {sentences.points(gap)} points; validation"
        )
        said += f" chooses {names[0]}."
    else:
        said = f"Validation and test agree about the first, {names[0]}."
    return f"{said} {_clear(first, others, names)}"


def _clear(first: Sequence[Run], others: Sequence[Sequence[Run]], names: Sequence[str]) -> str:
    if not same_validation([*first, *(cell for other in others for cell in other)]):
        return "Rows validated on different images: their differences are not tested."
    found = [_difference(first, other) for other in others]
    adjusted = holm([estimate.p for estimate in found])
    runner_up, p = found[0], adjusted[0]
    if math.isnan(p):
        few = min(map(len, [first, others[0]])) < 2
        reason = (
            "one run says nothing about the spread" if few else "there is no spread to judge by"
        )
        return f"Whether it is better than the second, {names[1]}, is open: {reason}."
    tested = f"95 % interval {sentences.interval(runner_up)}; {sentences.p_is(p)}"
    tested += f", Holm over {len(others)} rows" if len(others) > 1 else ""
    clear = sum(
        value < 0.05 and estimate.value > 0 for value, estimate in zip(adjusted, found, strict=True)
    )
    count = {0: "none", len(others): "each"}.get(clear, str(clear))
    of = f" It is clear of {count} of the {len(others)} others." if len(others) > 1 else ""
    if p < 0.05 and runner_up.value < 0:  # ahead by seeds that the second does not have
        return (
            f"By the seeds that both have it is {sentences.points(-runner_up.value)} points behind "
            f"the second, {names[1]} ({tested}).{of}"
        )
    return (
        f"On validation it is {'clear of' if p < 0.05 else 'not distinguishable from'} the second, "
        f"{names[1]}: {sentences.points(runner_up.value)} points ahead ({tested}).{of}"
    )


def _difference(a: Sequence[Run], b: Sequence[Run]) -> Estimate:
    """The difference of two rows in validation accuracy."""
    one, other = ({run.replicate: run.measure("val_acc") for run in side} for side in (a, b))
    found = difference(one, other)
    assert found is not None, "a row of a summary has runs"
    return found


def _name(results: Results, line: Row) -> str:
    """The name of a row: its swept values; keys that nobody typed only if nothing was swept."""
    keys = [key for key in results.swept if key not in REPLICATES] or results.factors
    return " ".join(f"{key}={brief(str(line[key]))}" for key in keys)
