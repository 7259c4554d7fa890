"""Blocks, as Markdown and as a page."""

import re

import numpy as np
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
        "| row | x             |\n|-----|---------------|\n"
        "| a   | yes           |\n| b   | [<b>](b.html) |\n\n![A line.](p.png)\n"
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
