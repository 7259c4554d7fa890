"""``report.md`` and a self-contained ``report.html`` of a run or a sweep folder."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from cifarlab.errors import UserError
from cifarlab.record import RunRecord, is_finished, write_atomic
from cifarlab.report.cells import is_sweep
from cifarlab.report.study import is_study
from cifarlab.report.study_files import studies_in, write_index
from cifarlab.report.sweep import publish, write_results
from cifarlab.report.tables import Section, Table, markdown

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

    Of a sweep also what its end writes, see ``publish``, at any time; of a folder of studies an
    index. Raises ``UserError`` if ``folder`` is none of them.
    """
    if is_finished(folder):
        title, sections = _run(folder)
    elif is_study(folder):
        return write_results(folder)
    elif is_sweep(folder):
        title, sections = f"Sweep {folder.name}", publish(folder)
    elif studies_in(folder):
        return write_index(folder)
    else:
        raise UserError(f"path={folder}: neither a finished run nor a sweep, nor has it studies")
    figures = sorted((folder / "figures").glob("*.png"))
    text = f"# {title}\n\n{markdown(sections)}"
    pictures = "".join(f"\n![{path.stem}](figures/{path.name})\n" for path in figures)
    write_atomic(folder / "report.md", text + pictures)
    write_atomic(folder / "report.html", _html(title, sections, figures))
    return f"{text}\n{folder / 'report.html'}"


def _run(folder: Path) -> tuple[str, list[Section]]:
    record = RunRecord.load(folder)
    results = [("", "loss", "accuracy")] + [
        (name, f"{metrics['loss']:.4f}", f"{metrics['acc']:.2%}")
        for name, metrics in record.metrics.items()
    ]
    for name in ("val", "test") if record.tta else ():
        metrics = record.tta[name]
        views = f"{name}, tta={record.tta['views']}"
        results.append((views, f"{metrics['loss']:.4f}", f"{metrics['acc']:.2%}"))
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
    sections = [Section(table=results), Section(table=facts), Section(code=command)]
    return f"{record.model} on {data['name']}", sections


def _html(title: str, sections: Sequence[Section], figures: Sequence[Path]) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        parts += [f"<h2>{html.escape(section.heading)}</h2>"] if section.heading else []
        parts += [_table(section.table)] if section.table else []
        parts += [f"<p>{html.escape(section.text)}</p>"] if section.text else []
        parts += [f"<p>Again: <code>{html.escape(section.code)}</code></p>"] if section.code else []
    for figure in figures:
        image = base64.b64encode(figure.read_bytes()).decode()
        parts.append(f'<img alt="{html.escape(figure.stem)}" src="data:image/png;base64,{image}">')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(table: Table) -> str:
    header, *rows = table
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
