"""The report that is written into the folder of a study."""

from pathlib import Path

from cifarlab.report.document import to_markdown, write_document
from cifarlab.report.pictures import save_all
from cifarlab.report.study.figures import figures
from cifarlab.report.study.page import blocks, summary
from cifarlab.report.study.results import StudyResults
from cifarlab.store.sweep import is_study

_LONGEST = 60  # letters of a claim on a screen
_DPI = 160  # of the pictures: a page is printed, too


def write_study(results: StudyResults) -> str:
    """Write the study's ``report.md``, ``report.html`` and figures; return the tables to show.

    This can be done at any time, while runs are under way, too.
    """
    folder = results.folder
    made = save_all(figures(results), folder, _DPI)
    for path in (folder / "figures").glob("*.png"):
        if path.stem not in [picture.name for picture in made]:
            path.unlink()
    page = write_document(folder, results.study.title, blocks(results, made))
    return f"{to_markdown(results.study.title, summary(results, _LONGEST))}\n{page}"


def studies_in(folder: Path) -> list[Path]:
    """The folders of studies directly below ``folder``."""
    return [path for path in sorted(folder.iterdir()) if is_study(path)] if folder.is_dir() else []
