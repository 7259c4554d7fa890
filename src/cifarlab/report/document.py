"""A document of blocks, as Markdown and as one self-contained HTML page: every report is one."""

import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cifarlab.report.tables import Markup, Table, as_markdown, markdown_table
from cifarlab.store.files import write_atomic


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
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Commands to type, a line each."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table; a last column with nothing in it is left out.

    header: of each column; where all are empty, the page shows none. words: indices of the columns
    of text, set to the left as the first one is. merged: a first entry equal to the one above it is
    shown once.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    words: Sequence[int] = ()
    merged: bool = False

    def __post_init__(self) -> None:
        if not any(row[-1] for row in self.rows):
            object.__setattr__(self, "header", self.header[:-1])
            object.__setattr__(self, "rows", [row[:-1] for row in self.rows])

    @classmethod
    def of(cls, table: Table, words: Sequence[int] = ()) -> "Grid":
        """A table whose first row is the header."""
        return cls(table[0], table[1:], words)


@dataclass(frozen=True)
class Picture:
    """A figure with a name and the sentence below it.

    png: what the page shows; without it the picture is not on the page. file: where Markdown finds
    it, relative to the document; without it the picture is not in Markdown.
    """

    name: str
    png: bytes = b""
    caption: str = ""
    file: str = ""

    @classmethod
    def read(cls, path: Path, folder: Path, caption: str = "") -> "Picture":
        """The picture at ``path``, for a document in ``folder``."""
        file = path.relative_to(folder).as_posix()
        return cls(path.stem, path.read_bytes(), caption, file)


Block = Heading | Text | Items | Code | Grid | Picture

_SCREEN = 104  # pixels an inch on the page, so that all pictures have letters of one size
_UNBROKEN = 34  # letters of an entry, at most, that stay on one line
_MANY = 3  # headings: a page with more has links to them above


def write_document(folder: Path, title: str, blocks: Sequence[Block], name: str = "report") -> Path:
    """Write ``<name>.md`` and ``<name>.html`` into ``folder`` and return the path of the latter."""
    page = folder / f"{name}.html"
    write_atomic(folder / f"{name}.md", to_markdown(title, blocks))
    write_atomic(page, to_html(title, blocks))
    return page


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The document as Markdown that is also easy to read as plain text."""
    return f"# {as_markdown(title)}\n\n{markdown(blocks)}"


def markdown(blocks: Sequence[Block]) -> str:
    """The same without a title."""
    shown = _shown(blocks, lambda picture: bool(picture.file))
    return "\n\n".join(map(_as_markdown, shown)) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """One page with the figures in it; nothing is loaded from elsewhere."""
    shown = _shown(blocks, lambda picture: bool(picture.png))
    headings = [block.text for block in shown if isinstance(block, Heading) and block.level == 2]
    links = headings if len(headings) > _MANY else []
    return _TEMPLATES.get_template("page.html.j2").render(title=title, blocks=shown, links=links)


def _shown(blocks: Sequence[Block], has: Callable[[Picture], bool]) -> list[Block]:
    """The blocks without pictures that it has not, and without headings that nothing follows."""
    kept: list[Block] = []
    for block in reversed(blocks):
        below = kept[-1] if kept else Heading("", level=1)
        match block:
            case Picture() if not has(block):
                continue
            case Heading() if isinstance(below, Heading) and below.level <= block.level:
                continue
        kept.append(block)
    return kept[::-1]


def _as_markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {as_markdown(text)}"
        case Text(text, tone):
            return f"**{as_markdown(text)}**" if tone == "warn" else as_markdown(text)
        case Items(items):
            return "\n".join(f"- {as_markdown(item)}" for item in items)
        case Code(lines):
            return "\n".join(f"    {part}" for line in lines for part in line.splitlines())
        case Grid():
            rows = [[_plain(entry) for entry in row] for row in block.rows]
            return markdown_table([list(block.header), *(_once(rows) if block.merged else rows)])
        case Picture(name, _, caption, file):
            return f"![{as_markdown(caption or name, is_label=True)}]({quote(file)})"


def _once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """First entries that repeat the one above left out."""
    above, shown = None, []
    for first, *others in rows:
        shown.append(["" if first == above else first, *others])
        above = first
    return shown


def _href(target: str) -> str:
    """A path as an address: it may have a colon, which is no scheme then."""
    return quote(target, safe="/#")


def _plain(entry: Entry) -> str:
    match entry:
        case Chip(text):
            return text
        case Link(text, target):
            return Markup(f"[{as_markdown(text, is_label=True)}]({_href(target)})")
    return entry


class _Cell(NamedTuple):
    """Of a table on the page. style: its classes; down: how many lines it is beside."""

    entry: Entry
    style: str
    down: int = 1


def _lines(grid: Grid) -> Iterator[list[_Cell]]:
    """The lines of a table; one whose first cell is that of a line above has a cell less."""
    groups = groupby(grid.rows, key=lambda row: row[0]) if grid.merged else None
    for rows in (list(group) for _, group in groups) if groups else ([row] for row in grid.rows):
        for number, row in enumerate(rows):
            cells = [_Cell(entry, _style(grid, i, entry)) for i, entry in enumerate(row)]
            yield cells[1:] if number else [cells[0]._replace(down=len(rows)), *cells[1:]]


def _style(grid: Grid, column: int, entry: Entry) -> str:
    if column and column not in grid.words:
        return ""
    is_long = len(_plain(entry)) > _UNBROKEN
    return " ".join((["words"] if column else []) + (["long"] if is_long else []))


def _width(png: bytes) -> int | None:
    """Pixels on the page, by the inches that the picture is wide; ``None``: not known."""
    with Image.open(io.BytesIO(png)) as image:
        dpi = image.info.get("dpi")
        return round(image.width * _SCREEN / dpi[0]) if dpi else None


_TEMPLATES = Environment(
    loader=PackageLoader("cifarlab.report"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_TEMPLATES.filters |= {
    "href": _href,
    "kind": lambda value: type(value).__name__,
    "lines": _lines,
    "base64": lambda png: b64encode(png).decode(),
    "width": _width,
    "slug": lambda text: "".join(c if c.isalnum() else "-" for c in text.lower()),
}
