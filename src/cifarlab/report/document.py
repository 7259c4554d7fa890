"""A document of blocks, as Markdown and as one self-contained HTML page."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cifarlab.report.tables import markdown_table


@dataclass(frozen=True)
class Chip:
    """A word with a colour: ``good``, ``bad``, ``open`` or ``none``."""

    text: str
    tone: str


@dataclass(frozen=True)
class Link:
    """target: a path relative to the page."""

    text: str
    target: str


Entry = str | Chip | Link


@dataclass(frozen=True)
class Heading:
    """level: 2 below the page's title, 3 below one of level 2."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; ``tone``: ``plain``, ``small``, or ``warn`` for what must not be missed."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Items:
    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    lines: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table. header: of each column; words: indices of the columns of text, set to the left.

    A first entry equal to the one above it is shown once, a last column with nothing in it not.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    words: Sequence[int] = (0,)

    def __post_init__(self) -> None:
        if not any(row[-1] for row in self.rows):
            object.__setattr__(self, "header", self.header[:-1])
            object.__setattr__(self, "rows", [row[:-1] for row in self.rows])


@dataclass(frozen=True)
class Picture:
    """A figure of the folder, with the sentence below it."""

    path: Path
    caption: str


Block = Heading | Text | Items | Code | Grid | Picture

DPI = 160  # of the pictures: a page is printed, too
_SCREEN = 104  # pixels an inch on the page, so that all pictures have letters of one size

_UNBROKEN = 34  # letters of an entry that stay on one line

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 Georgia, 'Times New Roman', serif; color: #1c1c1c; max-width: 80rem;
  margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #1c1c1c; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; border-top: 1.5px solid #1c1c1c;
  border-bottom: 1.5px solid #1c1c1c; font-size: .88rem; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid #1c1c1c; font-weight: 600; vertical-align: bottom; }
th, td { padding: .22rem .7rem; text-align: right; }
td { vertical-align: top; white-space: nowrap; }
th.w, td.w { text-align: left; }
td.w { white-space: normal; }
td.w:first-child:not(.key) { min-width: 15rem; }
td.w.key { white-space: nowrap; }
tr.new td { border-top: 1px solid #d4d4d4; }
tbody tr:first-child td { border-top: none; }
.chip { font: 600 .78rem/1.3 system-ui, sans-serif; padding: .08rem .45rem; border-radius: .6rem;
  white-space: nowrap; }
.good { background: #d5ebe3; color: #00543a; } .bad { background: #f8dcc8; color: #8a3500; }
.open { background: #e7e7e7; color: #3c3c3c; } .none { color: #6a6a6a; border: 1px dashed #b0b0b0; }
p.small { font-size: .86rem; color: #4a4a4a; max-width: 52rem; }
p.warn { background: #fff3cd; border-left: 4px solid #c98a00; padding: .5rem .8rem; }
li, p.plain { max-width: 52rem; }
code, pre { font: .84rem/1.45 ui-monospace, Menlo, monospace; background: #f4f4f2; }
pre { padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; } img { max-width: 100%; height: auto; }
figcaption { font-size: .86rem; color: #4a4a4a; max-width: 52rem; }
a { color: #1f6f9f; }
@media print { body { margin: 0; max-width: none; } h2, figure { break-inside: avoid; } }
"""


def to_markdown(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """With figures as links relative to ``folder``."""
    parts = [f"# {title}"]
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Text(text, tone):
                parts.append(f"**{text}**" if tone == "warn" else text)
            case Items(items):
                parts.append("\n".join(f"- {item}" for item in items))
            case Code(lines):
                parts.append("\n".join(f"    {line}" for line in lines))
            case Grid(header, rows, _):
                shown = [[_plain(entry) for entry in row] for row in rows]
                parts.append(markdown_table([list(header), *_once(shown)]))
            case Picture(path, caption):
                parts.append(f"![{caption}]({path.relative_to(folder).as_posix()})")
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """One page with the figures in it; nothing is loaded from elsewhere."""
    body = "".join([f"<h1>{html.escape(title)}</h1>", *map(_block, blocks)])
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text, tone):
            return f'<p class="{tone}">{html.escape(text)}</p>'
        case Items(items):
            return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>"
        case Code(lines):
            return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
        case Grid():
            return _table(block)
        case Picture(path, caption):
            data, text = path.read_bytes(), html.escape(caption)
            width = round(int.from_bytes(data[16:20], "big") * _SCREEN / DPI)  # of PNG's header
            image = base64.b64encode(data).decode()
            return (
                f'<figure><img width={width} alt="{text}" src="data:image/png;base64,{image}">'
                f"<figcaption>{text}</figcaption></figure>"
            )


def _table(grid: Grid) -> str:
    header = "".join(
        f"<th{' class=w' if i in grid.words else ''}>{html.escape(name)}</th>"
        for i, name in enumerate(grid.header)
    )
    lines = []
    for first, group in groupby(grid.rows, key=lambda row: row[0]):
        rows, last = list(group), len(grid.header) - 1
        for number, row in enumerate(rows):
            cells = [
                _cell(entry, i in grid.words, may_break=i == last)
                for i, entry in enumerate(row[1:], start=1)
            ]
            if number == 0:
                cells.insert(0, _cell(first, 0 in grid.words, down=len(rows)))
            lines.append(f"<tr{'' if number else ' class=new'}>{''.join(cells)}</tr>")
    table = f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f"<div class=table>{table}</div>"


def _cell(entry: Entry, is_words: bool, *, down: int = 1, may_break: bool = False) -> str:
    """down: lines that it is beside; may_break: even if it is short."""
    style = " class=w" if is_words else ""
    if is_words and not may_break and len(_plain(entry)) < _UNBROKEN:
        style = ' class="w key"'
    style += f" rowspan={down}" if down > 1 else ""
    if isinstance(entry, Chip):
        return f'<td{style}><span class="chip {entry.tone}">{html.escape(entry.text)}</span></td>'
    if isinstance(entry, Link):
        return (
            f'<td{style}><a href="{html.escape(entry.target)}">{html.escape(entry.text)}</a></td>'
        )
    return f"<td{style}>{html.escape(entry)}</td>"


def _once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """First entries that repeat the one above left out."""
    above, shown = None, []
    for first, *others in rows:
        shown.append(["" if first == above else first, *others])
        above = first
    return shown


def _plain(entry: Entry) -> str:
    if isinstance(entry, Chip):
        return entry.text
    return f"[{entry.text}]({entry.target})" if isinstance(entry, Link) else entry
