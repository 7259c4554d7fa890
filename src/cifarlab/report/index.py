"""An index over a folder: its studies, sweeps, searches and single runs, with links."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cifarlab.report.document import (
    Block,
    Entry,
    Grid,
    Heading,
    Link,
    Picture,
    Text,
    to_markdown,
    write_document,
)
from cifarlab.report.facts import each, relative, when
from cifarlab.report.pictures import save_all
from cifarlab.report.study import evidence
from cifarlab.report.study.files import write_study
from cifarlab.report.study.index import overview
from cifarlab.report.study.results import StudyResults, read_study
from cifarlab.report.sweep.page import write_sweep
from cifarlab.report.sweep.results import Results, collect
from cifarlab.store.record import CELLS, is_finished
from cifarlab.store.run import Run
from cifarlab.store.sweep import is_study
from cifarlab.studies.schema import Study

_CURVES = "curves.png"
_DEPTH = 3  # of folders that are looked through: outputs/runs/<name>/<time>


def indexed(folder: Path) -> bool:
    """Whether there is something below ``folder`` to make an index of."""
    return folder.is_dir() and any(True for _ in _below(folder, _DEPTH))


def write_index(folder: Path, known: Sequence[Study] = (), words: str = "") -> str:
    """Write the reports of the studies, sweeps and searches below ``folder``, and an index of
    them and of the single runs, ``index.html`` and ``index.md``; return the index.

    Where there are studies it opens with every row of the reports beside ours.

    known: all studies that there are, so that rows that have not been trained are listed, too.
    words: the page of the same in words, which is linked to; empty: ``docs/results.md`` of
        ``docs/results``, if there is one.
    """
    found = list(_below(folder, _DEPTH))
    studies = [read_study(collect(path)) for path in found if is_study(path)]
    sweeps = [collect(path) for path in found if _is_sweep(path) and not is_study(path)]
    runs = [Run.read(path) for path in found if is_finished(path)]
    blocks: list[Block] = []
    if studies:
        for study in studies:
            write_study(study)
        beside = folder.resolve().with_suffix(".md")
        words = words or (f"../{beside.name}" if beside.is_file() else "")
        blocks += [*_rows(studies, known, folder, words), Heading("Studies")]
        blocks += overview(studies, lambda r: _page(r, folder))
    if sweeps:
        for results in sweeps:
            write_sweep(results)
        blocks += [Heading("Sweeps and searches"), _sweeps(sweeps, folder)]
    if runs:
        blocks += [Heading("Runs"), _runs([run for run in runs if run.record], folder)]
    only_studies = studies and not sweeps and not runs
    title = "All studies" if only_studies else f"All in {folder.resolve().name}"
    page = write_document(folder, title, blocks, "index")
    shown = [block for block in blocks if not isinstance(block, Picture)]
    return f"{to_markdown(title, shown)}\n{page}"


def _rows(
    studies: Sequence[StudyResults], known: Sequence[Study], folder: Path, words: str
) -> Iterator[Block]:
    """Every row of the reports: the picture, what was found, the tables, then the curves."""
    rows = evidence.every_row(known, studies)
    pictures = save_all(evidence.pictures(rows, "reported_and_ours.png", _CURVES), folder)
    yield from (picture for picture in pictures if not picture.file.endswith(_CURVES))
    if words:
        text = "Remarks on each study, methods and hardware:"
        yield Text(text, link=Link(Path(words).name, words))
    yield from evidence.blocks(rows, lambda results: _page(results, folder))
    yield from (picture for picture in pictures if picture.file.endswith(_CURVES))


def _page(results: StudyResults, folder: Path) -> str:
    return f"{relative(results.folder, folder)}/report.html"


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """The folders of studies, sweeps and finished runs, those of cells left out."""
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        if _is_sweep(path) or is_study(path) or is_finished(path):
            yield path
        elif depth > 1:
            yield from _below(path, depth - 1)


def _is_sweep(path: Path) -> bool:
    return (path / CELLS).is_file()


def _sweeps(sweeps: list[Results], folder: Path) -> Grid:
    rows: list[list[Entry]] = []
    for results in sweeps:
        path, kept = results.sweep.folder, results.kept
        best = max((run.measure("val_acc") for run in kept), default=None)
        rows.append(
            [
                Link(path.name, f"{relative(path, folder)}/report.html"),
                "search" if results.sweep.is_search else "sweep",
                ", ".join(results.swept),
                each(run.result.data["name"] for run in kept),
                f"{len(results.sweep.finished)} of {len(results.sweep.runs)}",
                "-" if best is None else f"{best:.2%}",
                when(max(run.written for run in kept)) if kept else "-",
            ]
        )
    header = ["", "kind", "over", "data", "finished", "best val acc", "last run"]
    return Grid(header, rows, words=(1, 2, 3))


def _runs(runs: list[Run], folder: Path) -> Grid:
    rows: list[list[Entry]] = []
    for run in runs:
        page = run.folder / "report.html"
        target = relative(page if page.is_file() else run.folder, folder)
        accuracies = [f"{run.measure(f'{split}_acc'):.2%}" for split in ("val", "test", "train")]
        rows.append(
            [
                Link(f"{run.folder.parent.name}/{run.name}", target),
                run.result.title,
                f"{run.result.seed}",
                *accuracies,
                when(run.written),
            ]
        )
    header = ["run", "trained", "seed", "val acc", "test acc", "train acc", "finished"]
    return Grid(header, rows, words=(1,))
