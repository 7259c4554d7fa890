"""``report.md`` and a self-contained ``report.html`` of a run or a sweep folder."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from cifarlab.errors import UserError
from cifarlab.record import RunRecord, is_finished
from cifarlab.report.sweep import (
    collect,
    markdown_table,
    summarize,
    summary_table,
    write_tables,
)

Table = Sequence[Sequence[str]]  # the first row is the header

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
code { background: #f4f4f4; padding: .1rem .3rem; overflow-wrap: anywhere; }
img { max-width: 100%; }
"""


def write_report(folder: Path) -> str:
    """Write both files into ``folder`` and return the Markdown.

    Raises ``UserError`` if ``folder`` is neither a finished run nor a sweep with finished cells.
    """
    if is_finished(folder):
        markdown, page = _run(folder)
    elif folder.is_dir() and any(is_finished(path) for path in folder.iterdir()):
        markdown, page = _sweep(folder)
    else:
        raise UserError(f"path={folder}: neither a finished run nor a sweep with finished cells")
    (folder / "report.md").write_text(markdown)
    (folder / "report.html").write_text(page)
    return f"{markdown}\n{folder / 'report.html'}"


def _run(folder: Path) -> tuple[str, str]:
    record = RunRecord.load(folder)
    results = [("", "loss", "accuracy")] + [
        (name, f"{metrics['loss']:.4f}", f"{metrics['acc']:.2%}")
        for name, metrics in record.metrics.items()
    ]
    data, hardware = record.data, record.hardware
    facts = [
        ("", ""),
        ("parameters", f"{record.num_params:,}"),
        ("multiply-accumulates an image", f"{record.macs:,}"),
        ("train, val, test images", ", ".join(f"{data[f'num_{s}']:,}" for s in record.metrics)),
        ("split", data["split_hash"]),
        ("epochs", f"{record.epochs_run}, best {record.best_epoch} ({record.status})"),
        ("time", f"{record.time['fit_s']:.0f} s, {record.time['images_per_s']:,.0f} images/s"),
        ("hardware", f"{hardware['devices']} x {hardware['name']}, {hardware['precision']}"),
        ("test set read", f"{record.test_reads} time(s)"),
    ]  # fmt: skip
    command = " ".join(["python train.py", *record.overrides])
    title = f"{record.model} on {data['name']}"
    figures = sorted((folder / "figures").glob("*.png"))
    return _markdown(title, [results, facts], command), _html(
        title, [results, facts], command, figures
    )


def _sweep(folder: Path) -> tuple[str, str]:
    write_tables(folder)
    swept, rows = collect(folder)
    table = summary_table(summarize(swept, rows))
    title = f"Sweep {folder.name}"
    note = "Ranked by validation accuracy; ± is the 95 % interval over seeds (Student's t)."
    figures = sorted((folder / "figures").glob("*.png"))
    return _markdown(title, [table], None) + f"\n{note}\n", _html(
        title, [table], None, figures, note
    )


def _markdown(title: str, tables: Sequence[Table], command: str | None) -> str:
    parts = [f"# {title}", *map(markdown_table, tables)]
    if command:
        parts.append(f"    {command}")
    return "\n\n".join(parts) + "\n"


def _html(
    title: str,
    tables: Sequence[Table],
    command: str | None,
    figures: Sequence[Path],
    note: str = "",
) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for header, *rows in tables:
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        parts.append(f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>")
    for figure in figures:
        image = base64.b64encode(figure.read_bytes()).decode()
        parts.append(f'<img alt="{html.escape(figure.stem)}" src="data:image/png;base64,{image}">')
    if note:
        parts.append(f"<p>{html.escape(note)}</p>")
    if command:
        parts.append(f"<p>Again: <code>{html.escape(command)}</code></p>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"
