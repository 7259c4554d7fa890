"""Names of users in figures: signs that mean something elsewhere, letters that no font has."""

import ast
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont, get_font

from cifarlab.figures import (
    axis,
    confusion,
    curves,
    landscape,
    pareto,
    pictures,
    predictions,
    style,
)
from cifarlab.figures import classes as per_class
from cifarlab.figures.axis import Point
from cifarlab.figures.style import COLOURS, Figure, beside_labels, class_labels, in_legend
from tests.conftest import ROOT

NASTY = ["$", "a$b$c", "$\\frac{$", "\\$5", "x_1^2", "100%", "{}", "_hidden", "a & b", "$$", "\\n"]
CJK = "\N{CJK UNIFIED IDEOGRAPH-732B}\N{CJK UNIFIED IDEOGRAPH-72AC}"
COUNTS = np.diag(np.arange(1, len(NASTY) + 1))
IMAGES = np.zeros((len(NASTY), 4, 4, 3), dtype=np.uint8)
SHARES = np.linspace(0.1, 0.9, len(NASTY))
COLUMNS = {
    "epoch": [1.0, 2.0],
    **{f"{part}_{kind}": [0.5, 0.6] for part in ("train", "val") for kind in ("loss", "acc")},
}


def shown(figure: Figure) -> list[str]:
    """All texts, after drawing."""
    curves.pixels(figure)
    return [str(text.get_text()) for text in figure.findobj(style.Text)]  # type: ignore[attr-defined]


@pytest.fixture
def no_fallbacks(monkeypatch) -> None:
    """As on a machine with matplotlib's own fonts."""
    monkeypatch.setattr(style, "_installed_fallbacks", lambda: ())


@pytest.mark.parametrize(
    "draw",
    [
        lambda: confusion.draw(COUNTS, NASTY, NASTY[1]),
        lambda: per_class.draw(SHARES, SHARES, NASTY),
        lambda: pictures.draw(IMAGES, NASTY, 8, NASTY[2]),
        lambda: predictions.contact_sheet([*IMAGES], [(n, 0.5) for n in NASTY], NASTY, NASTY[2]),
        lambda: curves.overlay(dict.fromkeys(NASTY, curves.Curve(COLUMNS, 1))),
        lambda: axis.draw(
            NASTY[1], NASTY, {"val": {n: [Point(0.5, 0.1, [0.5])] * len(NASTY) for n in NASTY}}
        ),
        lambda: pareto.draw(SHARES.tolist(), SHARES.tolist(), NASTY, NASTY[2]),
    ],
    ids=["confusion", "classes", "pictures", "predictions", "curves", "axis", "pareto"],
)
def test_names_are_drawn_as_they_are(draw) -> None:
    figure = draw()
    texts = "\n".join(shown(figure))
    assert "a$b$c" in texts and "$\\frac{$" in texts and "_hidden" in texts
    said = [text for text in figure.findobj(style.Text) if "$" in text.get_text()]
    assert said and not any(text.get_parse_math() for text in said)


def test_a_formula_is_one_elsewhere() -> None:
    """What the user's own figures do is left alone, and is what the test above is about."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Plain

    figure = Plain()
    figure.text(0.5, 0.5, "$\\frac{$")
    with pytest.raises(ValueError, match="Expected"):
        FigureCanvasAgg(figure).draw()


def test_a_legend_has_what_begins_with_an_underscore() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1], label=in_legend("_a"))
    axes.plot([1], label=in_legend("b"))
    assert [text.get_text().strip("\u200b") for text in axes.legend().get_texts()] == ["_a", "b"]


def test_numbers_on_logarithmic_axes_are_no_formulas() -> None:
    figure = Figure()
    axes = figure.subplots()
    style.log_axis(axes)
    axes.plot([1e-6, 10], [0, 1])
    curves.pixels(figure)
    texts = [label.get_text() for label in axes.get_xticklabels()]
    assert "0.001" in texts and not any("$" in text for text in texts)


@pytest.mark.usefixtures("no_fallbacks")
def test_a_class_that_no_font_has() -> None:
    """A number in the figure, and both in the table; other names lose the letters only."""
    names = ["dog", CJK, "caf\u00e9", "\N{DEVANAGARI LETTER KA}"]
    assert class_labels(names) == ["dog", "class 1", "caf\u00e9", "class 3"]
    assert beside_labels(names) == [
        "dog",
        f"{CJK} (class 1)",
        "caf\u00e9",
        "\N{DEVANAGARI LETTER KA} (class 3)",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that is missing
        texts = shown(confusion.draw(np.eye(4, dtype=int), names, f"run {CJK}"))
        ticks = shown(axis.draw(CJK, [CJK, "b"], {"val": {CJK: [Point(0.5, 0.1, [0.5])] * 2}}))
    assert "\ufffd\ufffd" in ticks
    assert "class 1" in texts and "caf\u00e9" in texts and "run \ufffd\ufffd" in texts


def test_a_letter_that_a_fallback_has(monkeypatch) -> None:
    """STIX, which comes with matplotlib, stands for a font with Chinese letters."""
    letter = "\N{COMBINING LONG VERTICAL LINE OVERLAY}"
    families = {
        name: get_font(findfont(FontProperties(family=[name])))
        for name in ("sans-serif", "STIXGeneral")
    }
    assert not families["sans-serif"].get_char_index(ord(letter))
    assert families["STIXGeneral"].get_char_index(ord(letter))
    monkeypatch.setattr(style, "_FALLBACKS", ("No Such Font", "STIXGeneral"))
    style._installed_fallbacks.cache_clear()
    try:
        assert class_labels([letter]) == [letter]
        figure = Figure()
        text = figure.text(0.5, 0.5, f"a{letter}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            curves.pixels(figure)
        assert text.get_text() == f"a{letter}"
        assert text.get_fontfamily() == ["sans-serif", "STIXGeneral"]
    finally:
        style._installed_fallbacks.cache_clear()


def test_every_figure_is_one_of_ours() -> None:
    """Only style.py takes matplotlib's own class."""
    for path in sorted((ROOT / "src/cifarlab/figures").glob("*.py")):
        tree = ast.parse(path.read_text())
        taken = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "matplotlib.figure"
            for name in node.names
        }
        assert "Figure" not in taken, Path(path).name
        called = [
            n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "set_xscale"
        ]
        assert path.name == "style.py" or not called, f"{path.name}: log_axis"


def test_directions_have_not_the_colours_of_splits() -> None:
    figure = landscape.draw(np.ones((3, 3)) + np.eye(3), [-1.0, 0.0, 1.0])
    lines = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 3]
    assert [line.get_color() for line in lines] == [*COLOURS[:2]]
