"""``report.md`` and a self-contained ``report.html`` of a run, a sweep, or runs side by side."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.report.study.files import studies_in, write_index
from cifarlab.report.study.results import is_study
from cifarlab.report.sweep.page import publish, write_results
from cifarlab.report.sweep.results import collect
from cifarlab.report.tables import Picture, Section, Table, markdown
from cifarlab.store.record import RunRecord, is_finished, write_atomic
from cifarlab.store.sweep import is_sweep

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 2px solid #1f6f9f; }
nav { font-size: .9rem; } nav a { color: #1f6f9f; margin-right: 1rem; white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid #999; }
code { background: #f4f4f4; padding: .1rem .3rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; break-inside: avoid; } img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #555; }
@media screen and (max-width: 40rem) { th, td { padding: .25rem .4rem; font-size: .9rem; }
  figure { overflow-x: auto; } img { max-width: none; width: 34rem; } }
@media print { body { max-width: none; margin: 0; font-size: 11pt; } nav { display: none; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } .wide { overflow: visible; } }
"""


def write_report(folder: Path) -> str:
    """Write both files into ``folder`` and return the Markdown.

    Of a run also ``figures/evaluation.png``; of a sweep or a study also what its end writes, at any
    time; of a folder of studies an index. Raises ``UserError`` if ``folder`` is none of them.
    """
    if is_finished(folder):
        title, sections = _run(folder)
    elif is_study(folder):
        return write_results(folder)
    elif is_sweep(folder):
        title, sections = f"Sweep {folder.name}", publish(collect(folder), folder)
    elif studies_in(folder):
        return write_index(folder)
    else:
        raise UserError(f"path={folder}: neither a finished run nor a sweep, nor has it studies")
    return write_page(folder, title, sections)


def write_page(folder: Path, title: str, sections: Sequence[Section]) -> str:
    """Write ``report.md`` and ``report.html`` and return the Markdown.

    Both show the pictures in ``figures`` at their end, the page without the sheet and what its
    sections have shown by then.
    """
    figures = sorted((folder / "figures").glob("*.png"))
    text = f"# {title}\n\n{markdown(sections)}"
    pictures = "".join(f"\n![{path.stem}](figures/{path.name})\n" for path in figures)
    write_atomic(folder / "report.md", text + pictures)
    shown = {picture.name for section in sections for picture in section.pictures}
    shown |= {"evaluation"} if shown else set()
    rest = [Picture(path.stem, path.read_bytes()) for path in figures if path.stem not in shown]
    if rest:
        sections = [*sections, Section("Figures" if shown else "", pictures=rest)]
    write_atomic(folder / "report.html", _html(title, sections))
    return f"{text}\n{folder / 'report.html'}"


def _run(folder: Path) -> tuple[str, list[Section]]:
    record = RunRecord.load(folder)
    return f"{record.model} on {record.data['name']}", [
        Section(table=_results(record)),
        *_evaluation(folder),
        Section(
            "The run",
            _facts(record),
            code=" ".join(["python train.py", *record.overrides]),
        ),
    ]


def _evaluation(folder: Path) -> list[Section]:
    """What the predictions say; one line where they are missing. Writes the sheet."""
    from cifarlab.report import evaluation  # matplotlib takes a second to import

    try:
        return evaluation.sections(*evaluation.write_sheet(folder))
    except UserError as error:
        return [Section("Evaluation", text=str(error))]


def _results(record: RunRecord) -> Table:
    results = [("", "loss", "accuracy")] + [
        (name, f"{metrics['loss']:.4f}", f"{metrics['acc']:.2%}")
        for name, metrics in record.metrics.items()
    ]
    tta = record.tta or {}
    for name in ("val", "test") if tta else ():
        metrics = tta[name]
        views = f"{name}, tta={tta['views']}"
        results.append((views, f"{metrics['loss']:.4f}", f"{metrics['acc']:.2%}"))
    return results


def _facts(record: RunRecord) -> Table:
    data, hardware = record.data, record.hardware
    return [
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


def _html(title: str, sections: Sequence[Section]) -> str:
    headings = [section.heading for section in sections if section.heading]
    links = " ".join(f'<a href="#{_slug(name)}">{html.escape(name)}</a>' for name in headings)
    has_links = len(headings) > 3  # of a page long enough to look for something
    parts = [f"<h1>{html.escape(title)}</h1>"] + ([f"<nav>{links}</nav>"] if has_links else [])
    for section in sections:
        if name := section.heading:
            anchor = f' id="{_slug(name)}"' if has_links else ""
            parts.append(f"<h2{anchor}>{html.escape(name)}</h2>")
        parts += [_table(section.table)] if section.table else []
        parts += [f"<p>{html.escape(section.text)}</p>"] if section.text else []
        parts += [f"<p>Again: <code>{html.escape(section.code)}</code></p>"] if section.code else []
        parts += [_image(picture) for picture in section.pictures]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _slug(heading: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in heading.lower())


def _image(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    name = html.escape(picture.name)
    below = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}">{below}</figure>'


def _table(table: Table) -> str:
    header, *rows = table
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in header) if any(header) else ""
    head = f"<thead><tr>{cells}</tr></thead>" if cells else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'
