"""What a study's folder and a folder of studies get: tables, figures, pages."""

from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.figures.curves import save
from cifarlab.report.document import DPI, Picture, to_html, to_markdown
from cifarlab.report.study.figures import figures
from cifarlab.report.study.index import overview
from cifarlab.report.study.page import blocks, summary
from cifarlab.report.study.results import StudyResults, is_study, read_study
from cifarlab.store.record import write_atomic

_LONGEST = 60  # letters of a claim on a screen


def write_study(results: StudyResults) -> str:
    """Write ``report.md``, ``report.html`` and figures, at any time; return the tables to show."""
    folder = results.folder
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
    studies = [read_study(path) for path in found]
    for results in studies:
        write_study(results)
    page = overview(studies, lambda r: f"{r.folder.name}/report.html")
    title = "Studies"
    write_atomic(folder / "index.md", to_markdown(title, page, folder))
    write_atomic(folder / "index.html", to_html(title, page))
    return f"{to_markdown(title, page, folder)}\n{folder / 'index.html'}"
