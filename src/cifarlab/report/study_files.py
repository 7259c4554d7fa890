"""What a study's folder and a folder of studies get: tables, figures, pages."""

from collections import Counter
from pathlib import Path

from cifarlab.errors import UserError
from cifarlab.figures.curves import save
from cifarlab.record import write_atomic
from cifarlab.report.document import (
    DPI,
    Block,
    Chip,
    Entry,
    Grid,
    Link,
    Picture,
    Text,
    to_html,
    to_markdown,
)
from cifarlab.report.study import StudyResults, is_study, read_study
from cifarlab.report.study_figures import figures
from cifarlab.report.study_page import blocks, compared, judged, summary
from cifarlab.report.verdicts import CONTRADICTED, NOT_MEASURED, SUPPORTED, UNDECIDED
from cifarlab.studies.schema import OURS

_LONGEST = 60  # letters of a claim on a screen


def write_study(folder: Path) -> str:
    """Write ``report.md``, ``report.html`` and figures, at any time; return the tables to show."""
    results = read_study(folder)
    made = []
    for name, caption, figure in figures(results):
        save(figure, folder / "figures" / name, DPI)
        made.append(Picture(folder / "figures" / name, caption))
    for path in (folder / "figures").glob("*.png"):
        if path not in [picture.path for picture in made]:
            path.unlink()
    page = blocks(results, made)
    write_atomic(folder / "report.md", to_markdown(results.study.title, page, folder))
    write_atomic(folder / "report.html", to_html(results.study.title, page))
    shown = to_markdown(results.study.title, summary(results, _LONGEST), folder)
    return f"{shown}\n{folder / 'report.html'}"


def studies_in(folder: Path) -> list[Path]:
    """The studies directly below ``folder``."""
    return [path for path in sorted(folder.iterdir()) if is_study(path)] if folder.is_dir() else []


def write_index(folder: Path) -> str:
    """Write ``index.html`` and ``index.md`` over the studies below ``folder``, and their pages.

    Raises ``UserError`` if there are none.
    """
    found = studies_in(folder)
    if not found:
        raise UserError(f"path={folder}: no study below it; -m study=<id> makes one")
    for path in found:
        write_study(path)
    page = _index([read_study(path) for path in found])
    title = "Studies"
    write_atomic(folder / "index.md", to_markdown(title, page, folder))
    write_atomic(folder / "index.html", to_html(title, page))
    return f"{to_markdown(title, page, folder)}\n{folder / 'index.html'}"


def _index(studies: list[StudyResults]) -> list[Block]:
    rows: list[list[Entry]] = []
    for results in sorted(studies, key=lambda r: (r.study.source == OURS, r.folder.name)):
        figures_ = Counter(item.finding.verdict for item in compared(results))
        agree = figures_["agrees"] + figures_["reached"]
        differ = sum(figures_.values()) - agree - figures_[NOT_MEASURED]
        differ -= figures_[UNDECIDED] + figures_["not comparable"]
        also = f"; not its experiment: {results.mark}" if results.mark else ""
        claims = Counter(item.finding.verdict for item in judged(results))
        measured = {line.row.id for line in results.measured}
        rows.append(
            [
                Link(results.study.title, f"{results.folder.name}/report.html"),
                f"{results.study.source}{also}",
                f"{len(measured)} of {len(results.study.rows)}",
                str(len(results.seeds)),
                _count(agree, "good"),
                _count(differ, "bad"),
                _count(claims[SUPPORTED], "good"),
                _count(claims[CONTRADICTED], "bad"),
                _count(claims[UNDECIDED], "open"),
                _count(claims[NOT_MEASURED], "none"),
            ]
        )
    header = ["study", "source", "rows", "seeds", "figures agree", "differ"]
    header += ["claims supported", "contradicted", "undecided", "not measured"]
    note = (
        "A figure agrees if it lies within the 95 % interval of prediction for one more run of "
        "ours; claims are judged by 95 % intervals over seeds. Each page has the numbers."
    )
    return [Grid(header, rows, words=(0, 1)), Text(note, "small")]


def _count(number: int, tone: str) -> Entry:
    return Chip(str(number), tone) if number else "0"
