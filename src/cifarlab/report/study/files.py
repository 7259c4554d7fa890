"""The reports that are written into the folder of a study and into a folder of studies."""

from collections.abc import Sequence
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.figures.curves import save
from cifarlab.report.document import Block, Heading, Picture, to_markdown, write_document
from cifarlab.report.study import evidence
from cifarlab.report.study.figures import figures
from cifarlab.report.study.index import overview
from cifarlab.report.study.page import blocks, summary
from cifarlab.report.study.results import StudyResults, read_study
from cifarlab.report.sweep.results import collect
from cifarlab.store.sweep import is_study
from cifarlab.studies.schema import Study

_LONGEST = 60  # letters of a claim on a screen
_DPI = 160  # of the pictures: a page is printed, too


def write_study(results: StudyResults) -> str:
    """Write the study's ``report.md``, ``report.html`` and figures; return the tables to show.

    This can be done at any time, while runs are under way, too.
    """
    folder = results.folder
    made = []
    for name, caption, figure in figures(results):
        save(figure, folder / "figures" / name, _DPI)
        made.append(Picture.read(folder / "figures" / name, folder, caption))
    for path in (folder / "figures").glob("*.png"):
        if path.stem not in [picture.name for picture in made]:
            path.unlink()
    page = write_document(folder, results.study.title, blocks(results, made))
    return f"{to_markdown(results.study.title, summary(results, _LONGEST))}\n{page}"


def studies_in(folder: Path) -> list[Path]:
    """The folders of studies directly below ``folder``."""
    return [path for path in sorted(folder.iterdir()) if is_study(path)] if folder.is_dir() else []


def write_index(folder: Path, known: Sequence[Study] = ()) -> str:
    """Write the reports of the studies below ``folder``, and an index of them; return the index.

    The index is ``index.html`` and ``index.md``: first every row of the reports beside ours, with
    a picture in ``figures``, then the studies.

    known: all studies that there are, so that rows that have not been trained are listed, too.

    Raises ``UserError`` if there are no studies.
    """
    found = studies_in(folder)
    if not found:
        raise UserError(f"path={folder}: no study below it; -m study=<id> makes one")
    studies = [read_study(collect(path)) for path in found]
    for results in studies:
        write_study(results)
    rows = evidence.every_row(known, studies)
    shown: list[Block] = []
    if lines := evidence.drawn(rows):
        path = folder / "figures" / "reported_and_ours.png"
        save(evidence.picture(lines), path)
        shown.append(Picture.read(path, folder, evidence.CAPTION))
    shown += evidence.blocks(rows, _page)
    if (curves := evidence.curves(rows)) is not None:
        path = folder / "figures" / "curves.png"
        save(curves, path)
        shown.append(Picture.read(path, folder, evidence.CURVES))
    shown += [Heading("By study")] if shown else []
    shown += overview(studies, _page)
    page = write_document(folder, "Studies", shown, "index")
    table = [block for block in shown if not isinstance(block, Picture)]
    return f"{to_markdown('Studies', table)}\n{page}"


def _page(results: StudyResults) -> str:
    return f"{results.folder.name}/report.html"
