"""All studies in one table: how many of their figures and claims hold."""

from collections import Counter
from collections.abc import Callable, Sequence

from cifarlab.report.document import Block, Chip, Entry, Grid, Link, Text
from cifarlab.report.study.page import compared, judged
from cifarlab.report.study.results import StudyResults
from cifarlab.report.study.verdicts import (
    COMPATIBLE,
    CONTRADICTED,
    NOT_JUDGED,
    NOT_MEASURED,
    SUPPORTED,
    UNDECIDED,
    UNINFORMATIVE,
)
from cifarlab.studies.schema import OURS


def overview(studies: Sequence[StudyResults], target: Callable[[StudyResults], str]) -> list[Block]:
    """A table with a row for each study, those of the reports first.

    target: returns what the title of a study links to.
    """
    rows: list[list[Entry]] = []
    for results in sorted(studies, key=order):
        figures_ = Counter(item.finding.verdict for item in compared(results))
        fit = figures_[COMPATIBLE] + figures_["reached"]
        open_ = figures_[UNDECIDED] + figures_[UNINFORMATIVE]
        differ = sum(figures_.values()) - fit - open_
        differ -= figures_[NOT_MEASURED] + figures_["not comparable"]
        whole = "as it is written" if results.study.source == OURS else "its experiment"
        also = f"; not {whole}: {results.mark}" if results.mark else ""
        claims = Counter(item.finding.verdict for item in judged(results))
        measured = {line.row.id for line in results.measured}
        rows.append(
            [
                Link(results.study.title, target(results)),
                f"{results.study.source}{also}",
                f"{len(measured)} of {len(results.study.rows)}",
                _by_seeds(results),
                _count(fit, "good"),
                _count(differ, "bad"),
                _count(open_, "open"),
                _count(claims[SUPPORTED], "good"),
                _count(claims[CONTRADICTED], "bad"),
                _count(claims[UNDECIDED], "open"),
                _count(claims[NOT_MEASURED] + claims[NOT_JUDGED], "none"),
            ]
        )
    header = ["study", "source", "rows", "by seeds", "figures fit", "differ", "open"]
    header += ["claims supported", "contradicted", "undecided", "not judged"]
    note = (
        "A reported figure fits if it lies within the 95 % prediction interval for one more run of "
        "ours; a reported bound fits if the interval of our mean lies within it. Open: that "
        "interval is too wide to say anything, or there are too few seeds. Claims are judged by "
        "95 % intervals over seeds; they are not judged if runs are missing or are not of the "
        "experiment as it is described. The tables of each study have the numbers."
    )
    return [Grid(header, rows, words=(1, 3)), Text(note, "small")]


def order(results: StudyResults) -> tuple[bool, str]:
    """A key to sort studies by: first those of the reports, then ours, each by the folder's
    name."""
    return results.study.source == OURS, results.folder.name


def _by_seeds(results: StudyResults) -> str:
    """How many rows have how many seeds: ``4 with 3, 1 with 1``."""
    lines = {line.row.id: len(line.runs) for line in results.measured}
    counts = sorted(Counter(lines.values()).items(), reverse=True)
    return ", ".join(f"{rows} with {seeds}" for seeds, rows in counts) or "0"


def _count(number: int, tone: str) -> Entry:
    return Chip(str(number), tone) if number else "0"
