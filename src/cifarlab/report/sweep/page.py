"""What is written at the end of a sweep: ``results.csv``, ``summary.csv``, ``results.md``,
figures."""

import math
from collections.abc import Sequence
from pathlib import Path

from cifarlab.report.document import (
    Block,
    Entry,
    Grid,
    Heading,
    Picture,
    Text,
    markdown,
    to_markdown,
    write_page,
)
from cifarlab.report.facts import link_to, provenance
from cifarlab.report.study.results import read_study
from cifarlab.report.sweep.confirm import confirmation
from cifarlab.report.sweep.ranking import remarks
from cifarlab.report.sweep.results import (
    Results,
    Row,
    brief,
    collect,
    result_rows,
    summarize,
)
from cifarlab.report.tables import listed
from cifarlab.stats.intervals import LEAST
from cifarlab.store.files import write_atomic
from cifarlab.store.run import Run
from cifarlab.store.sweep import is_study
from cifarlab.store.tables import write_csv

_JOINT = "__"  # of the words that name a folder
_MOST_FAILURES = 20  # shown; results.csv has all of them
_DAMAGED = (
    "Of a cell with a damaged file nothing is believed. Delete its folder and type the sweep again "
    "to train it anew."
)


def write_results(folder: Path) -> str:
    """Write tables and figures into a sweep's folder and return the text to show.

    This can be done at any time, while runs are under way, too.
    """
    return write_all(collect(folder))


def write_all(results: Results) -> str:
    """``write_results`` for a sweep that has been read already."""
    folder = results.sweep.folder
    if is_study(folder):
        from cifarlab.report.study.files import write_study  # matplotlib takes a second to import

        publish(results, draw=False)
        return write_study(read_study(results))
    blocks, _ = publish(results)
    return f"{markdown(blocks)}\n{folder / 'results.csv'}"


def write_sweep(results: Results) -> str:
    """Write the page of a sweep or a search, ``report.md`` and ``report.html``, and all that
    ``publish`` writes; return the text to show."""
    blocks, pictures = publish(results)
    kind = "Search" if results.sweep.is_search else "Sweep"
    name = results.sweep.folder.name
    shown = [*provenance(results.kept), *blocks]
    if _JOINT in name and results.swept:  # not by sweep=: all that was typed
        shown = [Text(f"Folder: {name}", "small"), *shown]
        name = f"over {listed(results.swept)}"
    return write_page(results.sweep.folder, f"{kind} {name}", shown, pictures)


def publish(results: Results, *, draw: bool = True) -> tuple[list[Block], list[Picture]]:
    """Write tables and figures into the sweep's folder; return the blocks of its report, and the
    figures.

    Those of an earlier call are replaced. Nothing is written for a folder without cells.

    draw: whether figures are drawn; a study has figures of its own, since its keys are no grid.
    """
    folder, summary = results.sweep.folder, summarize(results)
    blocks = overview(results, summary)
    if not is_study(folder):
        blocks += confirmation(results)
    if results.sweep.runs:
        write_csv(folder / "results.csv", result_rows(results))
        write_atomic(folder / "results.md", to_markdown(folder.name, blocks))
    if summary:
        write_csv(folder / "summary.csv", summary)
    else:
        (folder / "summary.csv").unlink(missing_ok=True)
    if not results.kept or not draw:
        return blocks, []
    from cifarlab.report.sweep.figures import draw_all  # matplotlib takes a second to import

    return blocks, draw_all(results)


def overview(results: Results, summary: list[Row]) -> list[Block]:
    """The ranked table, and then the cells that failed, are running, were interrupted or are
    missing."""
    of: dict[str, list[Run]] = {}
    for cell in results.sweep.runs:
        of.setdefault(cell.status, []).append(cell)
    blocks: list[Block] = []
    if summary:
        blocks += [summary_table(results, summary), Text(_note(results, summary))]
        if said := remarks(results, summary):
            blocks.append(Text(said))
    else:
        blocks.append(Text("No finished cell yet."))
    for status in ("failed", "damaged"):
        if cells := of.get(status, []):
            more = len(cells) - _MOST_FAILURES
            blocks += [Heading(f"{status.capitalize()}: {len(cells)}")]
            blocks += [_failures(results, cells[:_MOST_FAILURES])]
            blocks += [Text(f"… and {more} more in results.csv.")] if more > 0 else []
            blocks += [Text(_DAMAGED)] if status == "damaged" else []
    for status in ("pruned", "running", "interrupted", "missing"):
        if cells := of.get(status, []):
            names = listed([cell.name for cell in cells])
            blocks += [Heading(f"{status.capitalize()}: {len(cells)}"), Text(names)]
    return blocks


def summary_table(results: Results, summary: list[Row]) -> Grid:
    """The ranked table: the swept keys, n, and the accuracies with their intervals.

    Of keys that nobody typed and that differ between the same cells, only the first is shown.
    """
    keys = [key for key in results.factors if key not in results.extra]
    keys += [together[0] for together in results.untyped]
    marks = ["unplanned"] if "unplanned" in summary[0] else []
    own = [name for name in results.own_metrics if not name.startswith("train_")]
    named = [name.replace("_", " ", 1) for name in own]
    header = [*keys, "n", "runs, by seed", "val acc", "test acc", "train acc", *named, *marks]
    members: dict[tuple[str, ...], list[Run]] = {}
    for cell in results.kept:
        members.setdefault(results.group(cell), []).append(cell)
    rows: list[list[Entry]] = []
    for line in summary:
        runs = members[tuple(line[key] for key in results.factors)]
        shown = [_measured(line, runs, m) for m in ("val_acc", "test_acc", "train_acc")]
        shown += [_measured(line, runs, name, ".4g") for name in own]
        links = tuple(link_to(run, f"{run.result.seed}", results.sweep.folder) for run in runs)
        values = [brief(str(line[key])) for key in [*keys, "n"]]
        rows.append([*values, links, *shown, *(str(line[mark] or "") for mark in marks)])
    column = len(keys) + 1
    return Grid(header, rows, words=[*range(len(keys)), column], on_page=(column,))


def _measured(line: Row, runs: Sequence[Run], name: str, form: str = ".2%") -> str:
    """The mean with its interval; of fewer runs than ``LEAST`` with the single values."""
    if math.isnan(line[f"{name}_mean"]):  # measured of some runs alone
        return "-"
    mean = f"{line[f'{name}_mean']:{form}}"
    if line["n"] >= LEAST:
        return f"{mean} ± {line[f'{name}_ci95']:{form}}"
    single = ", ".join(f"{run.measure(name):{form}}".removesuffix("%") for run in runs)
    return f"{mean} ({single})" if len(runs) > 1 else mean


def _failures(results: Results, failed: Sequence[Run]) -> Grid:
    header = [*results.swept, "reason", "cell"]
    rows = [[*map(cell.value, results.swept), cell.reason, cell.name] for cell in failed]
    return Grid(header, rows, words=range(len(header)))


def _note(results: Results, summary: Sequence[Row]) -> str:
    """Sentences about how to read the table."""
    over = " and folds" if "data.fold" in results.swept else ""
    runs = [line["n"] for line in summary]
    parts = [
        f"Ranked by validation accuracy: the mean over n seeds{over}; "
        "± is the 95 % interval (Student's t)."
        if max(runs) > 1
        else "Ranked by validation accuracy, of one run each: there is no interval.",
    ]
    if min(runs) < LEAST and max(runs) > 1:
        parts.append(f"Of fewer than {LEAST} runs there is none; of two, both are in brackets.")
    if over:
        parts.append("Folds share training images: an interval over them is on the narrow side.")
    if "monitor" in results.factors:
        parts.append(
            "monitor: epochs chosen by val/acc have the highest validation accuracy of their run "
            "by choice, so this order favours it; compare test accuracies."
        )
    for first, *others in results.untyped:
        alike = f" (and with it {listed(others)})" if others else ""
        parts.append(f"{first}{alike} was not typed, yet differs: such cells are kept apart.")
    if any(not cell.planned for cell in results.kept):
        parts.append("unplanned: how many of the n are of no grid planned here.")
    if results.doubles:
        names = listed([cell.name for cell in results.doubles])
        parts.append(f"Left out, the values and the seed of another cell: {names}.")
    return " ".join(parts)
