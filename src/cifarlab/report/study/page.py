"""The page of a study: reported figures beside ours, claims, assumptions, slips of the source."""

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import isnan

from cifarlab.report.document import Block, Chip, Code, Entry, Grid, Heading, Items, Picture, Text
from cifarlab.report.facts import link_to, trained_on, when
from cifarlab.report.study.nets import best_row, mean
from cifarlab.report.study.results import Line, StudyResults
from cifarlab.report.study.verdicts import (
    ALL,
    COMPATIBLE,
    CONTRADICTED,
    NOT_JUDGED,
    NOT_MEASURED,
    SUPPORTED,
    UNDECIDED,
    UNINFORMATIVE,
    WIDEST,
    Finding,
    compare,
    difference,
    judge,
)
from cifarlab.report.tables import listed
from cifarlab.stats.intervals import LEAST, LEVEL, NAN, estimate, holm
from cifarlab.stats.pairing import WELCH
from cifarlab.stats.quantities import QUANTITIES, Quantity
from cifarlab.studies.claims import Claim
from cifarlab.studies.schema import OURS, Reported

TONES = {
    COMPATIBLE: "good", "reached": "good", SUPPORTED: "good",
    "report is higher": "bad", "report is lower": "bad", "not reached": "bad", CONTRADICTED: "bad",
    UNDECIDED: "open", UNINFORMATIVE: "open",
    NOT_MEASURED: "none", NOT_JUDGED: "none", "not comparable": "none",
}  # fmt: skip
FIGURES_NOTE = (
    f"Ours: mean ± 95 % interval over n seeds (Student's t); with fewer than {LEAST} seeds, the "
    "values themselves. Difference: ours minus reported, for accuracies in points. A report's "
    "figure comes from one run. It is compatible if it lies within the 95 % prediction interval "
    "for one more run of ours (column: one run); that does not mean that they are equal. The "
    "interval is wider where the report's accuracy is of other or fewer images; for losses that "
    "is not taken into account. A figure within it is uninformative if it is wider than "
    f"± {100 * WIDEST['%']:g} points of accuracy or ± {WIDEST['nats']:g} nats of loss. A bound or "
    "a range is compared with the interval of our mean, which is widened in the same way."
)
CLAIMS_NOTE = (
    "A claim is supported if every interval (95 %, over seeds; differences are paired over shared "
    "seeds) lies within what is claimed, and contradicted if one lies outside after Holm's "
    "correction over the claim's own comparisons; a source's words are never contradicted by a "
    "recipe of ours. Otherwise it is undecided at these seeds. Several figures and claims are not "
    "corrected for each other: of twenty true ones, one may look false. Fewer than "
    f"{LEAST} seeds decide nothing."
)
CLAIMED, ASKED = "What the source claims", "What is asked"
_ALL = ("val_acc", "test_acc", "train_acc", "gap", "best_epoch", "epochs_run")


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, at one setting of what was swept besides the rows."""

    claim: Claim
    setting: str
    finding: Finding


@dataclass(frozen=True)
class Compared:
    """A reported figure beside ours, with the difference and the verdict."""

    line: Line
    reported: Reported
    ours: str
    difference: str
    finding: Finding


def judged(results: StudyResults) -> list[Judged]:
    """The verdicts on all claims, at each setting."""
    return [
        Judged(claim, setting, _judge(claim, setting, results))
        for claim in results.study.claims
        for setting in results.settings
    ]


def _judge(claim: Claim, setting: str, results: StudyResults) -> Finding:
    rows = [row for row in results.study.rows if row.id in claim.rows]
    assumed = list(dict.fromkeys(word for row in rows for word in row.assumed))
    if results.study.source == OURS:
        assumed = [ALL] if claim.is_quote else []
    return judge(claim, results.of(setting), results.caveats_of(claim.rows), assumed)


def compared(results: StudyResults) -> list[Compared]:
    """The verdicts on all reported figures."""
    found = []
    for line in results.lines:
        for reported in line.row.reported:
            ours, finding = compare(reported, line.runs, line.row.assumed)
            q = reported.quantity
            if ours is None:
                found.append(Compared(line, reported, "-", "", Finding(NOT_MEASURED, line.absent)))
                continue
            if line.caveats:
                finding = Finding("not comparable", "; ".join(line.caveats))
            gap = "" if reported.is_range else q.shown(ours.value - reported.low, sign=True)
            shown = shown_over([run.measure(q.name) for run in line.runs], q)
            found.append(Compared(line, reported, shown, gap, finding))
    return found


def shown_over(values: Sequence[float], q: Quantity) -> str:
    """The mean with its interval, or the values themselves if they are fewer than ``LEAST``."""
    there = [value for value in values if not isnan(value)]
    found = estimate(there)
    if found is None:
        return "-"
    few = len(there) < LEAST
    return ", ".join(map(q.shown, there)) if few else q.estimated(found)


def summary(results: StudyResults, longest: int | None = None) -> list[Block]:
    """The tables that are shown at the end of a sweep.

    longest: how many letters of a claim are shown; ``None``: all.
    """
    tables = [*_reported(results), *all_rows(results), *_claims(results, longest)]
    return [*_warnings(results), *tables]


def blocks(results: StudyResults, pictures: Sequence[Picture]) -> list[Block]:
    """All blocks of the page. pictures: to show on it."""
    study = results.study
    byline = "A study of our own." if study.source == OURS else f"Source: {study.source}."
    found: list[Block] = [Text(byline, "small")]
    found += [Text(study.about)] if study.about else []
    found += [Text(_state(results), "small")]
    found += summary(results)
    if pictures:
        found += [Heading("Figures"), *pictures]
    if study.assumptions:
        found += [Heading("Assumptions: where the source is silent"), Items(study.assumptions)]
    if study.slips:
        found += [Heading("Slips found in the source, and other remarks"), Items(study.slips)]
    return [*found, *_again(results)]


def winner(results: StudyResults) -> str:
    """A sentence about the row that validation chooses, and whether test agrees.

    Test never chooses anything. Empty if fewer than two rows have runs.
    """
    lines = [line for line in results.measured if not line.row.like]
    if len(lines) < 2:
        return ""

    first = best_row(results)
    assert first is not None
    best = max(lines, key=lambda line: mean(line, "test_acc"))
    text = f"Validation accuracy chooses {first.label} ({mean(first, 'val_acc'):.2%}; "
    text += f"test {mean(first, 'test_acc'):.2%}). "
    others = [line for line in lines if line is not first]
    few = [line.label for line in others if min(len(first.runs), len(line.runs)) < LEAST]
    if ties := _ties(first, [line for line in others if line.label not in few]):
        text += f"These seeds cannot tell it from {listed(ties, 6)}. "
    if len(first.runs) < LEAST:
        text += "It has too few seeds to tell it from the others. "
    elif few:
        text += f"With too few seeds to tell: {listed(few, 6)}. "
    if best is first:
        return text + f"{first.label} has the highest test accuracy, too."
    less = 100 * (mean(best, "test_acc") - mean(first, "test_acc"))
    return text + (
        f"Test disagrees: {best.label} has {mean(best, 'test_acc'):.2%} there, {less:.2f} points "
        "more. It is not chosen for that: the test set chooses nothing."
    )


def _ties(first: Line, others: Sequence[Line]) -> list[str]:
    """The rows of which the runs do not tell that their validation accuracy is lower than that of
    the first, by Holm's correction over all of them, as in a sweep."""
    found = [difference(first.runs, line.runs, "val_acc") for line in others]
    adjusted = holm([NAN if each is None else each.p for each in found])
    return [
        line.label
        for line, each, p in zip(others, found, adjusted, strict=True)
        if each is None or each.value <= 0 or not p < 1 - LEVEL
    ]


def recipe(results: StudyResults) -> str:
    """A sentence about what of the recipe is ours; empty if nothing is."""
    by_row = {row.id: row.assumed for row in results.study.rows if row.assumed}
    if not by_row:
        return ""
    lists = list(by_row.values())
    shared = [word for word in lists[0] if all(word in words for words in lists)]
    parts = [", ".join(shared)] if shared else []
    for name, words in by_row.items():
        if own := [word for word in words if word not in shared]:
            parts.append(f"in {results.study.short(name)} {', '.join(own)}")
    return (
        f"Not given by the source, and so ours: {'; '.join(parts)}. A difference may come from "
        "these, so no claim is contradicted here."
    )


def _warnings(results: StudyResults) -> Iterator[Block]:
    damaged = [run.reason for run in results.results.sweep.runs if run.status == "damaged"]
    if damaged:
        yield Text(f"Left out, damaged: {listed(damaged, 5)}.", "warn")
    if not results.caveats:
        return
    if results.study.source == OURS:
        text = (
            f"Not the study as it is written: {results.mark}. Claims are not judged by such runs."
        )
    else:
        text = (
            f"Not the source's experiment: {results.mark}. Figures are shown beside the reported "
            "ones, without a verdict; claims are not judged by such runs."
        )
    yield Text(text, "warn")


def _state(results: StudyResults) -> str:
    cells = results.results.sweep.runs
    done = sum(cell.record is not None for cell in cells)
    seeds = ", ".join(map(str, results.seeds)) or "none"
    text = f"{done} of {len(cells)} planned runs are finished; seeds: {seeds}. "
    return (text + _trained_on(results)).strip()


def _trained_on(results: StudyResults) -> str:
    runs = {run.folder: run for line in results.measured for run in line.runs}
    if not runs:
        return ""
    text = trained_on([run.result for run in runs.values()])
    # What earlier versions published has no date and no log: its files are as old as their copy
    ended = [
        run.written
        for run in runs.values()
        if run.result.finished or (run.folder / "run.log").is_file()
    ]
    return f"{text} Last run: {when(max(ended))}." if ended else text


def _reported(results: StudyResults) -> Iterator[Block]:
    rows: list[list[Entry]] = []
    mixed = len({line.caveats for line in results.measured}) > 1
    for item in compared(results):
        q, n, half = item.reported.quantity, len(item.line.runs), item.finding.half
        ours_alone = not item.line.caveats  # what is true of all lines is said above
        rows.append(
            [
                *(item.line.label, q.label, q.unit, item.reported.shown, item.ours),
                str(n) if n else "-",
                item.difference,
                "" if isnan(half) else f"± {q.shown(half)}",
                _chip(item.finding.verdict),
                item.finding.text if n and (ours_alone or mixed) else "",
            ]
        )
    if not rows:
        return
    yield Heading("Reported and ours")
    header = [
        "row",
        "quantity",
        "unit",
        "reported",
        "ours",
        "n",
        "difference",
        "one run",
        "verdict",
    ]
    yield Grid([*header, ""], rows, words=(1, 2, 8, 9), merged=True)
    if text := recipe(results):
        yield Text(text, "small")
    yield Text(FIGURES_NOTE, "small")


def all_rows(results: StudyResults, left_out: Collection[str] = ()) -> Iterator[Block]:
    """The table of all rows with their results. left_out: the ids of rows that are not shown."""
    yield Heading("All rows")
    names = [QUANTITIES[name] for name in _ALL]
    table: list[list[Entry]] = []
    for line in results.lines:
        if line.row.like or line.row.id in left_out:
            continue
        params = {f"{run.result.num_params:,}" for run in line.runs}
        said = line.row.params
        wrong = line.runs and said and any(r.result.num_params != said for r in line.runs)
        size = ", ".join(sorted(params)) + (f" (report: {said:,})" if wrong else "")
        shown = [shown_over([run.measure(q.name) for run in line.runs], q) for q in names]
        note = line.absent and f"not measured: {line.absent}"
        n = str(len(line.runs))
        note = note or line.row.note
        runs = tuple(link_to(run, f"{run.result.seed}", results.folder) for run in line.runs)
        table.append([line.label, n, runs, *shown, size or "-", note])
    header = ["row", "n", "runs, by seed", "val acc %", "test acc %", "train acc %", "gap"]
    header += ["best epoch", "epochs", "parameters", ""]
    yield Grid(header, table, words=(2, 10), on_page=(2,))
    if text := winner(results):
        yield Text(text)


def _claims(results: StudyResults, longest: int | None) -> Iterator[Block]:
    rows = [row for item in judged(results) for row in _claim(item, results)]
    for row in rows:
        if longest and len(str(row[0])) > longest:
            row[0] = f"{str(row[0])[: longest - 1]}…"
    if not rows:
        return
    yield Heading(ASKED if results.study.source == OURS else CLAIMED)
    header = ["claim", "quantity", "checked", "ours", "n", "verdict"]
    yield Grid(header, rows, words=(1, 2, 5), merged=True)
    yield Text(CLAIMS_NOTE, "small")


def _claim(item: Judged, results: StudyResults) -> Iterator[list[Entry]]:
    """The lines of a claim, one for each comparison; the first one has the verdict."""
    claim, finding = item.claim, item.finding
    quote = f"“{claim.says}”" if claim.is_quote else claim.says
    quote += f" [{item.setting}]" if item.setting else ""
    text = " ".join(results.study.short(word) for word in finding.text.split(" "))
    note = "; ".join(filter(None, [claim.note.rstrip("."), text]))
    quote += f" ({note})" if note else ""
    before = ""
    for i, comparison in enumerate(claim.comparisons):
        q = comparison.quantity
        found = finding.estimates[i] if i < len(finding.estimates) else None
        label, ours, n = "" if q.label == before else q.label, "-", "-"
        if found is not None:
            ours = comparison.shown(found)
            n = f"{found.n}" if found.how != WELCH else f"{found.n}, unpaired"
        verdict: Entry = "" if i else _chip(finding.verdict)
        yield [quote, label, comparison.says(results.study.short), ours, n, verdict]
        before = q.label


def _again(results: StudyResults) -> Iterator[Block]:
    yield Heading("Again")
    typed = [item for item in results.study.typed if not item.startswith("output_root=")]
    shown = " ".join(map(shlex.quote, typed))
    yield Code(
        [f"python train.py -m {shown}", f"python scripts/report.py path={results.folder}"]
        if typed
        else [f"python scripts/report.py path={results.folder}"]
    )


def _chip(verdict: str) -> Chip:
    return Chip(verdict, TONES[verdict])
