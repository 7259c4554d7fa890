"""Every row that a report prints a figure of, beside ours: a table, a picture, a paragraph."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cifarlab.base.durations import counted
from cifarlab.figures import charts
from cifarlab.figures.curves import Curve
from cifarlab.figures.rows import beside_reported
from cifarlab.figures.rows import curves as draw_curves
from cifarlab.report.document import Block, Chip, Entry, Grid, Link, Text
from cifarlab.report.pictures import Drawn
from cifarlab.report.study.figures import pair
from cifarlab.report.study.page import TONES, Compared, compared, judged
from cifarlab.report.study.results import Line, StudyResults
from cifarlab.report.study.verdicts import (
    COMPATIBLE,
    CONTRADICTED,
    NOT_MEASURED,
    SUPPORTED,
    UNDECIDED,
    UNINFORMATIVE,
)
from cifarlab.studies.schema import OURS, Reported, Row, Study

WHOLE, SHORTENED, OPEN = "whole", "shortened", "not run"
_FIRST = ("test_acc", "peak_val_acc", "val_acc")  # a row's figure is the first of these it has
DRAWN = "test_acc"
CAPTION = (
    "Test accuracy, reported and ours, of the rows measured at full length whose report prints it. "
    "Dots: our means with 95 % intervals over seeds, a colour for each report; diamonds: what the "
    "report prints; triangles: at least that."
)
CURVES = (
    "Accuracy over the epochs of the rows measured at full length, a line for each seed: orange "
    "training, blue validation, triangles the best epochs."
)


@dataclass(frozen=True)
class Evidence:
    """A row of a report with the figure that stands for it.

    results, compared: of its runs at full length; ``None`` if there are none.
    status: ``whole``, ``shortened`` or ``not run``.
    tried: a study with shortened runs of it; ``None`` if there is none.
    """

    study: Study
    row: Row
    reported: Reported
    status: str
    results: StudyResults | None = None
    compared: Compared | None = None
    tried: StudyResults | None = None


def every_row(known: Sequence[Study], published: Sequence[StudyResults]) -> list[Evidence]:
    """The rows of the reports' studies, by the order of ``known`` and then of ``published``.

    known: the studies that there are, those of our own among them, which are left out.
    published: the results that are published, whole ones and shortened ones.
    """
    found = []
    others = {results.study.id: results.study for results in published}
    studies = others | {study.id: study for study in known}
    ordered = [*(study.id for study in known), *others]
    for study in (studies[name] for name in dict.fromkeys(ordered)):
        if study.source == OURS:
            continue
        of = [results for results in published if results.study.id == study.id]
        whole = {
            (item.line.row.id, item.reported.quantity.name): (results, item)
            for results in of
            if not results.mark
            for item in compared(results)
            if item.line.runs
        }
        tried = {line.row.id: results for results in of for line in results.measured}
        for row in study.rows:
            if not row.reported:
                continue
            reported = _main(row.reported)
            there = whole.get((row.id, reported.quantity.name))
            if there is not None:
                found.append(Evidence(study, row, reported, WHOLE, *there))
            else:
                short = tried.get(row.id)
                status = OPEN if short is None else SHORTENED
                found.append(Evidence(study, row, reported, status, tried=short))
    return found


def blocks(
    rows: Sequence[Evidence], target: Callable[[StudyResults], str], appendix: str = ""
) -> Iterator[Block]:
    """What was found, as a paragraph, and the table of the rows.

    target: returns what the name of a study's row links to.
    appendix: what the names of shortened rows link to; empty: to the shortened study's target.
    """
    if not rows:
        return
    yield Text(found(rows))
    whole: list[list[Entry]] = []
    others: list[list[Entry]] = []
    for item in rows:
        q, ours = item.reported.quantity, item.compared
        reported = f"{item.reported.shown}{q.suffix}"
        if ours is None or item.results is None:
            link = Link(item.row.id, appendix or target(item.tried)) if item.tried else item.row.id
            others.append([link, reported, item.status, q.label])
            continue
        half = ours.finding.half
        whole.append(
            [
                Link(item.row.id, target(item.results)),
                reported,
                ours.ours,
                str(len(ours.line.runs)),
                "" if half != half else f"± {q.shown(half)}",
                Chip(ours.finding.verdict, TONES[ours.finding.verdict]),
                q.label,
                ", ".join(item.row.assumed),
            ]
        )
    header = ["row", "reported"]
    if whole:
        columns = [*header, "ours", "n", "one run", "verdict", "quantity", "not in the report"]
        yield Grid(columns, whole, words=(0, 5, 6, 7))
    if others:
        yield Text("The other rows, only shortened or not run yet:")
        yield Grid([*header, "status", "quantity"], others, words=(0, 2, 3))


def found(rows: Sequence[Evidence]) -> str:
    """What the whole rows say, in a few sentences."""
    whole = [item for item in rows if item.compared is not None]
    statuses = Counter(item.status for item in rows)
    text = (
        f"The reports print figures for {len(rows)} rows. {statuses[WHOLE]} of them are measured "
        f"at full length, {statuses[SHORTENED]} only shortened, {statuses[OPEN]} not yet. "
    )
    if not whole:
        return text.strip()
    text += (
        "One figure of each row is judged here, the test accuracy if the report prints it: "
        f"{_verdicts(whole)}. "
    )
    gaps = [
        100 * (sum(values) / len(values) - item.reported.low)
        for item in whole
        if item.compared is not None
        and item.reported.quantity.unit == "%"
        and not item.reported.is_range
        and (
            values := [run.measure(item.reported.quantity.name) for run in item.compared.line.runs]
        )
    ]
    if gaps:
        below = sum(gap < 0 for gap in gaps)
        mean = sum(gaps) / len(gaps)
        text += (
            f"On average ours are {abs(mean):.1f} points {'below' if mean < 0 else 'above'} the "
            f"reports'; they are below in {below} of {len(gaps)}{_shared(whole)}. "
        )
    if later := _of_the_best_epoch(whole):
        text += (
            "Everything is measured with the weights of the lowest validation loss; the highest "
            "validation accuracy of a run is on average "
            f"{100 * sum(later) / len(later):.1f} points above that of these weights, so the "
            "choice of the epoch explains no more than about that. "
        )
    studies = {id(item.results): item.results for item in whole if item.results is not None}
    claims = Counter(one.finding.verdict for r in studies.values() for one in judged(r))
    return text + (
        f"Of the reports' claims about these rows, {claims[SUPPORTED]} are supported, "
        f"{claims[CONTRADICTED]} contradicted, {claims[UNDECIDED]} undecided and "
        f"{claims[NOT_MEASURED]} not measured."
    )


def _verdicts(whole: Sequence[Evidence]) -> str:
    """How many of the printed numbers, and of the bounds and ranges, have which verdict."""
    parts = []
    for is_range, what, fit in ((False, "number", "compatible"), (True, "bound", "reached")):
        found = [
            item.compared.finding.verdict
            for item in whole
            if item.compared is not None and item.reported.is_range == is_range
        ]
        if found:
            good = sum(verdict in (COMPATIBLE, "reached") for verdict in found)
            open_ = sum(verdict in (UNINFORMATIVE, UNDECIDED) for verdict in found)
            parts.append(
                f"of {counted(len(found), what)} {good} "
                f"{'is' if good == 1 else 'are'} {fit}, {len(found) - good - open_} "
                f"{'not' if is_range else 'differ'}, and {open_} cannot be told with so few seeds"
            )
    return "; ".join(parts)


def _shared(whole: Sequence[Evidence]) -> str:
    """In brackets, how many experiments the numbers of the reports are of, if fewer."""
    runs = [
        frozenset(run.result.config_hash for run in item.compared.line.runs)
        for item in whole
        if item.compared is not None and not item.reported.is_range
    ]
    if len(set(runs)) == len(runs):
        return ""
    return f" (from {counted(len(set(runs)), 'experiment')}; for some, two reports print a figure)"


def _of_the_best_epoch(whole: Sequence[Evidence]) -> list[float]:
    """By how much validation accuracy is higher at its own best epoch, of each run once."""
    runs = {
        run.result.config_hash: run
        for item in whole
        if item.compared is not None
        for run in item.compared.line.runs
        if run.epochs
    }
    return [run.measure("peak_val_acc") - run.measure("val_acc") for run in runs.values()]


def drawn(rows: Sequence[Evidence]) -> dict[str, Line]:
    """The whole rows with a test accuracy, by id: those of the picture, a report's together."""
    found = {
        item.row.id: item.compared.line
        for item in rows
        if item.compared is not None and item.reported.quantity.name == DRAWN
    }
    reports = list(dict.fromkeys(map(_report, found)))
    return {
        name: found[name] for name in sorted(found, key=lambda row: reports.index(_report(row)))
    }


def _report(row: str) -> str:
    return row.partition(".")[0]


def curves(rows: Sequence[Evidence]) -> dict[str, list[Curve]]:
    """The curves of the runs of every whole row that have their epochs, those of one experiment
    once."""
    panels: dict[tuple[str, ...], tuple[str, list[Curve]]] = {}
    for item in rows:
        runs = item.compared.line.runs if item.compared is not None else ()
        drawn = [Curve(run.columns, run.result.best_epoch) for run in runs if run.epochs]
        if drawn:
            same = tuple(run.result.config_hash for run in runs)
            name, _ = panels.get(same, ("", []))
            panels[same] = (f"{name}, {item.row.id}" if name else item.row.id, drawn)
    return dict(panels.values())


def pictures(rows: Sequence[Evidence], beside: str, over_epochs: str) -> Iterator[Drawn]:
    """What there is to see of the whole rows, the files by the names given: reported and ours,
    and the curves."""
    if lines := drawn(rows):
        panels = {"test accuracy": [pair(line, DRAWN) for line in lines.values()]}
        reports = [_report(name) for name in lines]
        figure = beside_reported([*lines], panels, groups=reports)
        charts_ = charts.beside_reported([*lines], panels, reports)
        yield Drawn(beside, CAPTION, figure, charts_)
    if shown := curves(rows):
        charts_ = charts.over_epochs(shown, "acc")
        yield Drawn(over_epochs, CURVES, draw_curves(shown, "acc"), charts_)


def _main(reported: Sequence[Reported]) -> Reported:
    """The figure that stands for a row."""
    by_name = {one.quantity.name: one for one in reported}
    return next((by_name[name] for name in _FIRST if name in by_name), reported[0])
