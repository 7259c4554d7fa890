"""A document made of blocks. Every report is one: as Markdown and as one HTML page with all in
it."""

import functools
import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cifarlab.report.tables import Markup, Table, as_markdown, markdown_table
from cifarlab.store.files import write_atomic


@dataclass(frozen=True)
class Chip:
    """A coloured word. tone: ``good``, ``bad``, ``open`` or ``none``."""

    text: str
    tone: str


@dataclass(frozen=True)
class Link:
    """A link. target: a path relative to the page, or ``#`` and a heading."""

    text: str
    target: str


Entry = str | Chip | Link | tuple[Link, ...]


@dataclass(frozen=True)
class Heading:
    """A heading. level: 2 below the title of the page, 3 below a heading of level 2."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph.

    tone: ``plain``, ``small``, or ``warn`` for what a reader must not miss.
    link: at its end.
    """

    text: str
    tone: str = "plain"
    link: Link | None = None


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Commands to type, one on each line."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Grid:
    """A table. A last column that is empty is left out.

    header: of each column; if all are empty, the page shows no header.
    words: the indices of columns with text, which is set to the left as in the first column.
    merged: whether a first entry that is equal to the one above it is not repeated.
    on_page: the indices of columns that only the page has: their links would fill a terminal.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    words: Sequence[int] = ()
    merged: bool = False
    on_page: Sequence[int] = ()

    def __post_init__(self) -> None:
        if not any(row[-1] for row in self.rows):
            object.__setattr__(self, "header", self.header[:-1])
            object.__setattr__(self, "rows", [row[:-1] for row in self.rows])

    @classmethod
    def of(cls, table: Table, words: Sequence[int] = ()) -> "Grid":
        """A grid from a table whose first row is the header."""
        return cls(table[0], table[1:], words)


@dataclass(frozen=True)
class Picture:
    """A figure with a name and a sentence below it.

    png: the file's content, for the page; if it is empty, the page does not show the picture.
    file: the file's path relative to the document, for Markdown; if it is empty, Markdown does not
        show the picture.
    charts: the same to point at, see ``cifarlab.figures.charts``; the page draws them in place of
        the picture where it can.
    """

    name: str
    png: bytes = b""
    caption: str = ""
    file: str = ""
    charts: Sequence[dict[str, Any]] = ()

    @classmethod
    def read(
        cls, path: Path, folder: Path, caption: str = "", charts: Sequence[dict[str, Any]] = ()
    ) -> "Picture":
        """Read the picture at ``path`` for a document in ``folder``."""
        file = path.relative_to(folder).as_posix()
        return cls(path.stem, path.read_bytes(), caption, file, charts)


Block = Heading | Text | Items | Code | Grid | Picture

_SCREEN = 104  # pixels an inch on the page, so that all pictures have letters of one size
_UNBROKEN = 34  # letters of an entry, at most, that stay on one line
_MANY = 3  # headings: a page with more has links to them above


def write_document(folder: Path, title: str, blocks: Sequence[Block], name: str = "report") -> Path:
    """Write ``<name>.md`` and ``<name>.html`` into ``folder``; return the path of the page."""
    page = folder / f"{name}.html"
    write_atomic(folder / f"{name}.md", to_markdown(title, blocks))
    write_atomic(page, to_html(title, blocks))
    return page


def write_page(
    folder: Path, title: str, blocks: Sequence[Block], pictures: Sequence[Picture] = ()
) -> str:
    """Write ``report.md`` and ``report.html`` and return the text to show, without pictures.

    Both files end with ``pictures``, and then with those in ``figures`` that are not on the page.
    """
    shown = [*(block for block in blocks if isinstance(block, Picture)), *pictures]
    names, files = {picture.name for picture in shown}, {picture.file for picture in shown}
    found = [Picture.read(path, folder) for path in sorted((folder / "figures").glob("*.png"))]
    rest = [
        replace(picture, png=b"") if picture.name in names else picture  # drawn for the page
        for picture in found
        if picture.file not in files
    ]
    page = write_document(folder, title, [*blocks, Heading("Figures"), *pictures, *rest])
    text = markdown([block for block in blocks if not isinstance(block, Picture)])
    return f"# {title}\n\n{text}\n{page}"


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The document as Markdown, which is easy to read as plain text, too."""
    return f"# {as_markdown(title)}\n\n{markdown(blocks)}"


def markdown(blocks: Sequence[Block]) -> str:
    """The blocks as Markdown, without a title."""
    shown = _shown(blocks, lambda picture: bool(picture.file))
    return "\n\n".join(map(_as_markdown, shown)) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The document as one HTML page with the figures in it; it loads nothing from elsewhere."""
    shown = _shown(blocks, lambda picture: bool(picture.png))
    headings = [block.text for block in shown if isinstance(block, Heading) and block.level == 2]
    links = headings if len(headings) > _MANY else []
    charts = any(isinstance(block, Picture) and block.charts for block in shown)
    return _TEMPLATES.get_template("page.html.j2").render(
        title=title, blocks=shown, links=links, vega=_vega() if charts else ""
    )


@functools.cache
def _vega() -> str:
    """What draws the charts, compressed, see templates/vega.txt."""
    packed = resources.files("cifarlab.report") / "templates" / "vega.js.gz"
    return b64encode(packed.read_bytes()).decode()


def _shown(blocks: Sequence[Block], has: Callable[[Picture], bool]) -> list[Block]:
    """The blocks to show: without pictures that are missing here, and without headings of nothing.

    has: whether a picture can be shown.
    """
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
        case Text(text, tone, link):
            shown = f"**{as_markdown(text)}**" if tone == "warn" else as_markdown(text)
            return f"{shown} {_plain(link)}" if link else shown
        case Items(items):
            return "\n".join(f"- {as_markdown(item)}" for item in items)
        case Code(lines):
            return "\n".join(f"    {part}" for line in lines for part in line.splitlines())
        case Grid():
            keep = [i for i in range(len(block.header)) if i not in block.on_page]
            header = [block.header[i] for i in keep]
            rows = [[_plain(row[i]) for i in keep] for row in block.rows]
            return markdown_table([header, *(_once(rows) if block.merged else rows)])
        case Picture(name, _, caption, file):
            return f"![{as_markdown(caption or name, is_label=True)}]({quote(file)})"


def _once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows, each with an empty first entry if that would repeat the one above."""
    above, shown = None, []
    for first, *others in rows:
        shown.append(["" if first == above else first, *others])
        above = first
    return shown


def _href(target: str) -> str:
    """A path as the address of a link, in which a colon does not mean a scheme."""
    return quote(target, safe="/#")


def _plain(entry: Entry) -> str:
    match entry:
        case Chip(text):
            return text
        case Link(text, target):
            return Markup(f"[{as_markdown(text, is_label=True)}]({_href(target)})")
        case tuple():
            return Markup(" ".join(map(_plain, entry)))
    return entry


class _Cell(NamedTuple):
    """An entry of a table on the page. style: its CSS classes; down: how many lines it spans."""

    entry: Entry
    style: str
    down: int = 1


def _lines(grid: Grid) -> Iterator[list[_Cell]]:
    """The lines of a table; one below a cell that spans several lines has a cell less."""
    groups = groupby(grid.rows, key=lambda row: row[0]) if grid.merged else None
    for rows in (list(group) for _, group in groups) if groups else ([row] for row in grid.rows):
        for number, row in enumerate(rows):
            cells = [_Cell(entry, _style(grid, i, entry)) for i, entry in enumerate(row)]
            yield cells[1:] if number else [cells[0]._replace(down=len(rows)), *cells[1:]]


def _style(grid: Grid, column: int, entry: Entry) -> str:
    if column and column not in grid.words:
        return ""
    links = entry if isinstance(entry, tuple) else ()
    is_long = len(" ".join(x.text for x in links) or _plain(entry)) > _UNBROKEN
    return " ".join((["words"] if column else []) + (["long"] if is_long else []))


def _width(png: bytes) -> int | None:
    """The width of a picture on the page in pixels, from its width in inches; ``None`` if
    unknown."""
    with Image.open(io.BytesIO(png)) as image:
        dpi = image.info.get("dpi")
        return round(image.width * _SCREEN / dpi[0]) if dpi else None


def _in_dark() -> dict[str, str]:
    from cifarlab.figures.style import IN_DARK  # matplotlib takes a second to import

    return IN_DARK


def templates_of(package: str) -> Environment:
    """The templates in the folder ``templates`` of a package: what is put into one is escaped, and
    a name that there is not is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )


_TEMPLATES = templates_of("cifarlab.report")
_TEMPLATES.globals["in_dark"] = _in_dark
_TEMPLATES.filters |= {
    "href": _href,
    "kind": lambda value: type(value).__name__,
    "lines": _lines,
    "base64": lambda png: b64encode(png).decode(),
    "width": _width,
    "slug": lambda text: "".join(c if c.isalnum() else "-" for c in text.lower()),
}
