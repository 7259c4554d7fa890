"""Blocks, as Markdown and as a page."""

import base64
import gzip
import hashlib
import html
import json
import re
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from cifarlab.report.document import (
    Block,
    Chip,
    Code,
    Grid,
    Heading,
    Items,
    Link,
    Picture,
    Text,
    markdown,
    to_html,
    to_markdown,
    write_document,
)


def test_every_block_in_both(tmp_path) -> None:
    Image.fromarray(np.zeros((8, 80), np.uint8)).save(tmp_path / "p.png", dpi=(160, 160))
    grid = Grid(("row", "x"), [("a", Chip("yes", "good")), ("b", Link("<b>", "b.html"))], (1,))
    blocks: list[Block] = [
        Heading("One"),
        Text("a < b"),
        Text("Mind", "warn"),
        Items(["i", "j"]),
        Code(["train", "report"]),
        grid,
        Picture.read(tmp_path / "p.png", tmp_path, "A line."),
    ]
    page = write_document(tmp_path, "T & U", blocks)
    assert (tmp_path / "report.md").read_text() == (
        "# T & U\n\n## One\n\na < b\n\n**Mind**\n\n- i\n- j\n\n    train\n    report\n\n"
        "| row | x              |\n|-----|----------------|\n"
        "| a   | yes            |\n| b   | [\\<b>](b.html) |\n\n![A line.](p.png)\n"
    )
    text = page.read_text()
    assert "<h1>T &amp; U</h1>" in text and "<p>a &lt; b</p>" in text
    assert '<p class="warn">Mind</p>' in text and "<pre>train\nreport</pre>" in text
    assert '<td class="words"><span class="chip good">yes</span></td>' in text
    assert '<td class="words"><a href="b.html">&lt;b&gt;</a></td>' in text
    assert re.search(r'<img alt="p" src="data:image/png;base64,[^"]+" width="52">', text)
    assert "<figcaption>A line.</figcaption>" in text and "<nav>" not in text


def test_a_merged_first_column() -> None:
    grid = Grid(("a", "b"), [("x", "1"), ("x", "2"), ("y", "3")], merged=True)
    assert markdown([grid]).splitlines()[2:] == ["| x | 1 |", "|   | 2 |", "| y | 3 |"]
    page = to_html("", [grid])
    assert '<td rowspan="2">x</td><td>1</td></tr>\n<tr class="more"><td>2</td></tr>' in page


def test_what_only_one_of_them_has() -> None:
    """A heading goes where nothing is left below it."""
    blocks = [Heading("A"), Picture("a", file="a.png"), Heading("B"), Heading("C", 3), Text("t")]
    assert to_markdown("T", blocks) == "# T\n\n## A\n\n![a](a.png)\n\n## B\n\n### C\n\nt\n"
    page = to_html("T", [*blocks, Heading("D")])
    assert re.findall(r"<h\d>(.)", page) == ["T", "B", "C"] and "<img" not in page


def test_charts_are_in_the_page_with_what_draws_them(tmp_path) -> None:
    """Once, and only where there is a chart; the picture stays for those without JavaScript."""
    Image.fromarray(np.zeros((8, 80), np.uint8)).save(tmp_path / "p.png")
    chart = {"data": {"values": [{"name": "</script><b>"}]}}
    pictures = [Picture.read(tmp_path / "p.png", tmp_path, "c", [chart, chart]) for _ in range(2)]
    page = to_html("T", pictures)
    assert page.count("<img ") == 2 and page.count('id="vega"') == 1 and "</script><b>" not in page
    found = re.findall(r'<script class="chart" type="application/json">(.*?)</script>', page)
    assert [json.loads(text) for text in found] == [chart] * 4
    packed = re.search(r'<script id="vega" type="text/plain">(.*?)</script>', page)
    assert packed and b"window.vegaEmbed=" in gzip.decompress(base64.b64decode(packed[1]))
    assert 'id="vega"' not in to_html("T", [Picture.read(tmp_path / "p.png", tmp_path)])
    assert "vega" not in to_markdown("T", pictures)


def test_vega_is_what_its_notice_says() -> None:
    folder = resources.files("cifarlab.report") / "templates"
    digest = hashlib.sha256((folder / "vega.js.gz").read_bytes()).hexdigest()
    assert f"sha256: {digest}" in (folder / "vega.txt").read_text(encoding="utf-8")


def test_links_that_only_the_page_has() -> None:
    links = (Link("0", "a/report.html"), Link("1", "b/"))
    grid = Grid(("row", "runs", "x"), [("r", links, "1")], on_page=(1,))
    assert markdown([grid]).splitlines() == ["| row | x |", "|-----|---|", "| r   | 1 |"]
    page = to_html("", [grid])
    assert '<a href="a/report.html">0</a> <a href="b/">1</a>' in page and "<th>runs</th>" in page


HOSTILE = [
    "<script>alert(1)</script>",
    r"\<script>alert(1)</script>",
    r"a\\<img src=x onerror=alert(1)>",
    "<!-- a comment",
    "&lt;b&gt; &#60;b&#62;",
    "`code` and ``code``",
    "[click](http://evil.example) ![x](http://evil.example/x.png)",
    r"[click\](http://evil.example)",
    "[click][a] [a]: http://evil.example",
    "# a heading",
    "> quoted",
    "- an item",
    "~~~",
    "a | b || c",
    r"a \| b",
    "C:\\data\\new",
    "a < b > c & d",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_as_they_are(name: str) -> None:
    """Read again by a Markdown library that lets HTML through: in every place that takes text."""
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    grid = Grid((name, "x"), [(name, Link(name, f"{name}.html")), ("b", Chip(name, "good"))])
    blocks = [Heading(name), Code([name]), Text(name), Text(name, "warn"), Items([name]), grid]
    blocks += [Heading("Figure"), Picture("p", file="p.png", caption=name)]
    page = reader.render(to_markdown(name, blocks))
    tags = set(re.findall(r"<(\w+)", page))
    known = {"h1", "h2", "p", "strong", "ul", "li", "pre", "code", "a", "img"}
    assert tags <= known | {"table", "thead", "tbody", "tr", "th", "td"}
    assert page.count("<code>") == 1 and page.count("<img") == 1 and page.count("<a ") == 1
    shown = html.escape(name).replace("&#x27;", "'")
    for before, after in [("<h1>", "</h1>"), ("<h2>", "</h2>"), ("<p>", "</p>"), ("<td>", "</td>")]:
        assert f"{before}{shown}{after}" in page
    assert f"<p><strong>{shown}</strong></p>" in page and f"<li>{shown}</li>" in page
    assert f"<th>{shown}</th>" in page and f'alt="{shown}"' in page and f">{shown}</a>" in page
    assert len(re.findall("<h1>", page)) == 1 and len(re.findall("<h2>", page)) == 2


def test_a_line_break_in_a_name_begins_nothing() -> None:
    text = to_markdown("a\n\n# b", [Text("c\r\n- d\u2028e\x1b[31m"), Code(["x\n# y"])])
    assert text == "# a # b\n\nc - d e\\x1b[31m\n\n    x\n    # y\n"


def test_a_link_is_a_path() -> None:
    grid = Grid(("x",), [(Link("x", "javascript:alert(1)/a b.html"),)])
    assert "](javascript%3Aalert%281%29/a%20b.html)" in markdown([grid])
    assert 'href="javascript%3Aalert%281%29/a%20b.html"' in to_html("", [grid])
