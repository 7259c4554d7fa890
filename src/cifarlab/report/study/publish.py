"""The results of the studies as a page of the documentation, and the records that it is made of.

Of a run, text is published: its record, its configuration and its epochs. The folders of published
    runs are read like those of a sweep. If they are copied below ``outputs/sweeps``, a sweep goes
    on from them.
"""

import logging
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cifarlab.base.errors import UserError
from cifarlab.figures.curves import save
from cifarlab.report.document import Block, Code, Grid, Heading, Picture, Text, to_markdown
from cifarlab.report.facts import trained_on
from cifarlab.report.study import evidence
from cifarlab.report.study.files import studies_in
from cifarlab.report.study.index import order, overview
from cifarlab.report.study.page import (
    CLAIMS_NOTE,
    FIGURES_NOTE,
    all_rows,
    summary,
)
from cifarlab.report.study.results import StudyResults, read_study
from cifarlab.report.sweep.results import collect
from cifarlab.report.tables import Markup, listed
from cifarlab.store.files import write_atomic, written_whole
from cifarlab.store.record import CONFIG, EPOCHS, NEUTRAL_KEYS, RESULT, ROBUSTNESS, STUDY
from cifarlab.studies.rows import key_of, merged
from cifarlab.studies.schema import OURS, Study, of_config, parse_study

log = logging.getLogger("cifarlab")

PICTURE = "reported_and_ours.png"
CURVES = "curves.png"
REMARKS = "remarks.md"  # of a study or of the whole: written by hand, shown with the tables
_APPENDIX = (
    "These rows have not been trained at full length on the data that they are meant for: they "
    "had fewer epochs, a part of the images, or other data. They only show that a row runs, and "
    "roughly what it does; each is removed once its whole run is there. The JPEG copy of CIFAR-10 "
    "that some of them use, data/cifar10-images.tar.xz, is not part of this repository."
)
_KEPT = (CONFIG, EPOCHS, ROBUSTNESS, RESULT)  # the record last: with it, a run is finished
_UNSAID = NEUTRAL_KEYS - {"study"} | {"seed", "study.only"}  # of what was typed


def gather(
    sweeps: Path,
    published: Path,
    only: Collection[str] | None = None,
    *,
    dry_run: bool = False,
    refused: Collection[str] = (),
) -> int:
    """Copy the records of finished runs to those that are published; return how many are new.

    sweeps: the folder of the studies' sweeps.
    published: the folder of what is published.
    only: the names of the sweeps to copy from; ``None``: all.
    dry_run: whether nothing is written, and what is new or differs is logged.
    refused: the names of data sets whose runs are not published.

    Raises ``UserError`` if neither folder has a finished run, if both are the same folder, if a
    name in ``only`` is none of a sweep, for a run on refused data, or if two runs have the same
    row, values and seed. Such runs are of different versions, and the user must decide which of
    them is valid.
    """
    if sweeps.resolve() == published.resolve():
        raise UserError(f"path={sweeps}: the folder of what is published; name one of sweeps")
    new = 0
    for folder in studies_in(sweeps):
        if only is not None and folder.name not in only:
            continue
        kept = collect(folder).kept
        for run in kept:
            if (data := run.result.data["name"]) in refused:
                raise UserError(f"{run.folder}: data={data} is not published")
        for run in kept:
            goal = published / folder.name / run.folder.name
            files = [name for name in _KEPT if (run.folder / name).is_file()]
            differ = [name for name in files if not _same(run.folder / name, goal / name)]
            new += not (goal / RESULT).exists()
            if dry_run:
                if differ:
                    state = "changed" if goal.exists() else "new"
                    log.info("%s %s: %s", state, goal, ", ".join(differ))
                continue
            goal.mkdir(parents=True, exist_ok=True)
            if RESULT in differ:  # what there is, is of another run
                for name in _KEPT:
                    (goal / name).unlink(missing_ok=True)
                differ = files
            for name in differ:
                _copy(run.folder / name, goal / name)
        if kept and not dry_run:
            _copy(folder / STUDY, published / folder.name / STUDY)
    for folder in studies_in(published):
        if doubles := collect(folder).doubles:
            names = listed([cell.name for cell in doubles])
            raise UserError(f"{folder}: another run has the same values as {names}; delete one")
    if not studies_in(published) and not new:
        raise UserError(f"path={sweeps}: no finished run of a study below it")
    return new


def renew(published: Path, studies: Path) -> list[str]:
    """Bring what published studies have beside their rows, such as claims and slips, to what their
    files say today; return the names of those that were brought.

    studies: the folder of the files, ``conf/study``.

    A published study with a row that the file does not have any more, or has with another recipe,
    is left as it is: its runs are of what its own copy says. Rows that came since are open ones.
    """
    brought = []
    for folder in studies_in(published):
        copy = yaml.safe_load((folder / STUDY).read_text(encoding="utf-8"))
        path = studies / f"{copy['id']}.yaml"
        if copy.get("kind", "study") != "study" or not path.is_file():
            continue
        today = of_config(copy["id"], yaml.safe_load(path.read_text(encoding="utf-8")))
        today |= {key: copy[key] for key in ("kind", "typed") if key in copy}
        if today != copy and _recipes(copy).items() <= _recipes(today).items():
            text = yaml.safe_dump(today, sort_keys=False, allow_unicode=True, width=100)
            write_atomic(folder / STUDY, text)
            brought.append(folder.name)
    return brought


def _recipes(plain: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What the runs of each row are of."""
    return {row.id: tuple(merged(row.overrides)) for row in parse_study(plain).rows}


def _copy(source: Path, goal: Path) -> None:
    """In one step: others may read, or publish, meanwhile."""
    with written_whole(goal) as file:
        file.write(source.read_bytes())


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def write_page(published: Path, known: Sequence[Study] = ()) -> Path:
    """Write ``<published>.md``, ``<published>_appendix.md`` and the picture of the former in
    ``published``; return the path of the former.

    known: all studies that there are, see ``page``.
    """
    path = published.with_suffix(".md")
    studies = read_published(published)
    rows = evidence.every_row(known, studies)
    for one in evidence.pictures(rows, PICTURE, CURVES):
        save(one.figure, published / one.name)
    write_atomic(path, page(published, studies, known))
    write_atomic(path.with_name(f"{published.name}_appendix.md"), appendix(studies))
    return path


def read_published(published: Path) -> list[StudyResults]:
    """The published studies, the reports' first."""
    return sorted((read_study(collect(path)) for path in studies_in(published)), key=order)


def page(published: Path, studies: Sequence[StudyResults], known: Sequence[Study] = ()) -> str:
    """The page of the results, as Markdown: rows that were trained in full, on the data they are
    for. First all rows of the reports at a glance, then each study, then methods.

    Nothing in it depends on when or where it is made.

    known: all studies that there are, so that rows that have not been trained are listed, too.
    """
    rows = evidence.every_row(known, studies)
    studies = [results for results in studies if not results.mark]

    def target(results: StudyResults) -> str:
        return f"#{_slug(_title(results))}"

    blocks: list[Block] = []
    if evidence.drawn(rows):
        file = f"{published.name}/{PICTURE}"
        blocks.append(Picture(PICTURE, caption=evidence.CAPTION, file=file))
    if rows:
        blocks.append(
            Text(Markup("The same with more figures: [the studies' pages](study_pages.md)."))
        )
    blocks += evidence.blocks(rows, target, f"{published.name}_appendix.md")
    if evidence.curves(rows):
        file = f"{published.name}/{CURVES}"
        blocks.append(Picture(CURVES, caption=evidence.CURVES, file=file))
    if studies:
        blocks.append(Heading("By study"))
    blocks += overview(studies, target)
    for results in studies:
        blocks += _section(results)
    blocks += [Heading("Methods and hardware"), *_remarks(published)]
    blocks += [Text(FIGURES_NOTE), Text(CLAIMS_NOTE)]
    return to_markdown("Results of the studies", blocks)


def appendix(studies: Sequence[StudyResults]) -> str:
    """The other results, as Markdown: shortened runs, on a part of the images or on other data.

    It has only rows that the page does not have, and no verdicts, since these are other
    experiments.
    """
    there = {
        (results.study.id, line.row.id)
        for results in studies
        if not results.mark
        for line in results.measured
    }
    blocks: list[Block] = [Text(_APPENDIX)]
    for results in studies:
        measured = {line.row.id for line in results.measured}
        open_ = {row for row in measured if (results.study.id, row) not in there}
        if results.mark and open_:
            blocks += [Heading(_title(results)), Code([command(results)])]
            blocks.append(Text(_trained_on(results)))
            hidden = {row.id for row in results.study.rows} - open_
            blocks += [b for b in all_rows(results, hidden) if isinstance(b, Grid)]
            blocks += _remarks(results.folder)
    return to_markdown("Appendix: shortened runs", blocks)


def _section(results: StudyResults) -> Iterator[Block]:
    study = results.study
    yield Heading(_title(results))
    byline = "A study of our own." if study.source == OURS else f"Source: {study.source}."
    yield Text(f"{byline} {study.about}".strip())
    yield Code([command(results)])
    yield Text(_trained_on(results))
    for block in summary(results):
        if isinstance(block, Heading):
            yield replace(block, level=3)
        elif not (isinstance(block, Text) and block.text in (FIGURES_NOTE, CLAIMS_NOTE)):
            yield block
    if remarks := _remarks(results.folder):
        yield Heading("Remarks", level=3)
        yield from remarks


def command(results: StudyResults) -> str:
    """The command that trains the rows that have runs, with all seeds that any of them has."""
    typed = [item for item in results.study.typed if key_of(item) not in _UNSAID]
    there = [line.row.id for line in results.measured if not line.row.like]
    rows = [row.id for row in results.study.rows if not row.like]
    only = [] if there == rows else [f"study.only=[{','.join(dict.fromkeys(there))}]"]
    seeds = f"seed={','.join(map(str, results.seeds))}"
    return " ".join(["python train.py -m", *map(shlex.quote, [*typed, *only, seeds])])


def _title(results: StudyResults) -> str:
    return results.study.title + (f": {results.mark}" if results.mark else "")


def _remarks(folder: Path) -> Sequence[Text]:
    path = folder / REMARKS
    if not path.is_file():
        return []
    return [Text(Markup(path.read_text(encoding="utf-8").strip()))]


def _slug(title: str) -> str:
    """The anchor of a heading, as GitHub makes it when it shows Markdown."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _trained_on(results: StudyResults) -> str:
    runs = {run.folder: run.result for line in results.measured for run in line.runs}
    return trained_on([*runs.values()])
