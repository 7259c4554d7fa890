"""The winner of a sweep or a search, measured again with seeds by which nobody has chosen.

The best of many is better than it will be again: it was lucky, too (the winner's curse; Cawley and
Talbot, JMLR 11, 2010). New seeds undo what luck of the seeds has brought. What the choice owes to
the validation images stays in validation accuracy; nothing was chosen on the test images.
"""

import shlex
from collections.abc import Sequence

from cifarlab.report.compare.selection import identity
from cifarlab.report.document import Block, Code, Entry, Grid, Heading, Text
from cifarlab.report.facts import link_to
from cifarlab.report.sweep.results import Results, summarize
from cifarlab.stats.intervals import LEAST, estimate
from cifarlab.stats.quantities import QUANTITIES
from cifarlab.store.run import Run
from cifarlab.store.sweep import Sweep, is_sweep
from cifarlab.studies.rows import key_of

SUFFIX = "_confirmed"  # of the name of the sweep over new seeds
SEEDS = 3
FEWEST = 4  # candidates in a sweep from which on its winner is said to be lucky
_LEFT_OUT = frozenset({"search", "seed", "sweep", "tags", "notes", "fresh"})  # of what was typed
_QUANTITIES = tuple(QUANTITIES[name] for name in ("val_acc", "test_acc"))


def confirmation(results: Results) -> list[Block]:
    """Blocks about whether the winner is as good as it looks: how to find out, and, where that was
    done, what came of it. None of a sweep with few candidates."""
    winner, candidates = _winner(results)
    if not winner or (candidates < FEWEST and not results.sweep.is_search):
        return []
    again = _again(results, winner)
    if not again:
        return [
            Heading("To confirm the best"),
            Text(
                f"{_name(results, winner)} is the best of {candidates} by validation, so it was "
                "lucky too. With seeds by which nobody has chosen:"
            ),
            Code([_command(results, winner)]),
        ]
    return [
        Heading("The best, confirmed"),
        Grid(
            ["", "n", "runs, by seed", *(f"{q.label} %" for q in _QUANTITIES)],
            [_line("as it was chosen", winner, results), _line("with new seeds", again, results)],
            words=(0, 2),
            on_page=(2,),
        ),
        Text(_said(results, winner, again, candidates)),
    ]


def _winner(results: Results) -> tuple[list[Run], int]:
    """The runs of the best candidate by mean validation accuracy, and how many candidates there
    are: cells of a search, rows of a sweep."""
    if not results.kept:
        return [], 0
    if results.sweep.is_search:
        return [max(results.kept, key=lambda cell: cell.measure("val_acc"))], len(results.kept)
    rows = summarize(results)
    first = tuple(rows[0][key] for key in results.factors)
    return [cell for cell in results.kept if results.group(cell) == first], len(rows)


def _again(results: Results, winner: Sequence[Run]) -> list[Run]:
    """The finished runs of the winner's configuration with other seeds, from the sweep that the
    command names."""
    folder = results.sweep.folder.with_name(results.sweep.folder.name + SUFFIX)
    if not is_sweep(folder):
        return []
    seen = {run.replicate for run in winner}
    return [
        run
        for run in Sweep.read(folder).finished
        if run.replicate not in seen and identity(run) == identity(winner[0])
    ]


def _command(results: Results, winner: Sequence[Run]) -> str:
    overrides = winner[0].result.overrides  # as they were typed: with + and ~, and quotes
    typed = [o for o in overrides if not o.startswith("hydra.") and key_of(o) not in _LEFT_OUT]
    first = max(run.result.seed for run in results.kept) + 1
    seeds = ",".join(str(first + i) for i in range(SEEDS))
    name = (winner[0].config or {}).get("sweep") or results.sweep.folder.name
    words = [*typed, f"seed={seeds}", f"sweep={name}{SUFFIX}"]
    return " ".join(["python train.py -m", *map(shlex.quote, words)])


def _name(results: Results, winner: Sequence[Run]) -> str:
    if results.sweep.is_search:
        return f"Cell {winner[0].name}"
    values = (f"{key}={winner[0].value(key)}" for key in results.factors)
    return f"The row {' '.join(values)}"


def _line(name: str, runs: Sequence[Run], results: Results) -> list[Entry]:
    links = tuple(link_to(run, f"{run.result.seed}", results.sweep.folder) for run in runs)
    shown: list[Entry] = []
    for quantity in _QUANTITIES:
        values = [run.measure(quantity.name) for run in runs]
        found = estimate(values)
        if found is None or len(values) < LEAST:
            shown.append(", ".join(map(quantity.shown, values)))
        else:
            shown.append(quantity.estimated(found))
    return [name, str(len(runs)), links, *shown]


def _said(results: Results, winner: Sequence[Run], again: Sequence[Run], candidates: int) -> str:
    chosen, now = (
        sum(run.measure("val_acc") for run in runs) / len(runs) for runs in (winner, again)
    )
    lost = f"{100 * (now - chosen):+.2f}".replace("-", "−")
    return (
        f"{_name(results, winner)} is the best of {candidates} by validation. With new seeds it is "
        f"at {now:.2%} instead of {chosen:.2%}, {lost} points: the number with new seeds is the "
        "one to report. They are validated on the images by which it was chosen; by the test "
        "images nothing was."
    )
