"""What the figures share: texts as they are, colours, levels of a factor on an axis."""

import functools
import math
from collections.abc import Sequence
from typing import Any

from matplotlib import figure
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, LogFormatter, NullLocator
from matplotlib.transforms import Transform

# One colour for one meaning, after Okabe and Ito (2008), told apart by the colour-blind
TRAINING, VALIDATION, TEST = "#d1660f", "#1f6f9f", "#cc79a7"
SPLITS = {"training": TRAINING, "validation": VALIDATION, "test": TEST}
MORE, LESS = "#2a7f5f", "#b3541e"  # better and worse, as the pages' words
NONE, ALL = "#f2f7fc", "#08306b"  # the ends of a scale of shares, and what is written on them
ON_NONE, ON_ALL = "#121212", "#fdfdfd"
REPORT = "#222222"  # what others have printed
COLOURS = (  # of what has no colour of its own: runs A, B, ..., the levels of a factor
    "#009e73", "#7b4fa3", "#e0a100", "#4a4a4a", "#56b4e9", "#8c5a3c", "#8f9a00",
)  # fmt: skip
IN_DARK = {  # what the charts of a page have instead where it is dark
    TRAINING: "#f0944a", VALIDATION: "#62aee0", TEST: "#e3a3c8", REPORT: "#f0f0ee",
    NONE: "#1b2733", ALL: "#a9d0f0", ON_NONE: "#f2f2f0", ON_ALL: "#101214",
    "#009e73": "#3fcf9f", "#7b4fa3": "#b48ade", "#4a4a4a": "#c8c8c6", "#8c5a3c": "#c9916f",
}  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "*")
_LONGEST = 22  # characters of a label
_DEFAULT = "sans-serif"
_FALLBACKS = (  # for letters that the default font lacks: common ones of Linux, macOS and Windows
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans JP",
    "Noto Sans SC", "Noto Sans TC", "Noto Sans KR", "Source Han Sans", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Droid Sans Fallback", "Hiragino Sans", "PingFang SC",
    "Apple SD Gothic Neo", "Arial Unicode MS", "Microsoft YaHei", "SimHei", "Yu Gothic",
    "MS Gothic", "Malgun Gothic", "Unifont",
)  # fmt: skip
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


class Figure(figure.Figure):
    """Matplotlib's, whose texts are drawn as they are, see ``as_they_are``."""

    def draw(self, renderer: Any) -> None:
        as_they_are(self)
        super().draw(renderer)


def as_they_are(artist: Artist) -> None:
    """Have all texts in ``artist`` drawn letter by letter: names of classes, runs and files come
    from users, and ``$`` in one is no formula. For letters that the default font lacks there are
    fallbacks, see ``drawable``."""
    for found in artist.findobj(Text):
        assert isinstance(found, Text)
        found.set_parse_math(False)
        if not all(_has(_DEFAULT, letter) for letter in found.get_text()):
            found.set_text(drawable(found.get_text()))
            found.set_fontfamily([_DEFAULT, *_installed_fallbacks()])


def class_labels(classes: Sequence[str]) -> list[str]:
    """The names of classes as figures show them: where one cannot be drawn, the class's number,
    counted from 0, which the page's table has beside the name."""
    return [
        name if name == drawable(name) else f"class {number}" for number, name in enumerate(classes)
    ]


def beside_labels(classes: Sequence[str]) -> list[str]:
    """The names of classes for a table: where figures show another label, that one too."""
    both = zip(classes, class_labels(classes), strict=True)
    return [name if name == label else f"{name} ({label})" for name, label in both]


def drawable(text: str) -> str:
    """The text with a replacement character for each letter that no installed font has."""
    families = (_DEFAULT, *_installed_fallbacks())
    return "".join(x if any(_has(f, x) for f in families) else _UNKNOWN for x in text)


@functools.cache
def _installed_fallbacks() -> tuple[str, ...]:
    installed = {font.name for font in fontManager.ttflist}
    return tuple(family for family in _FALLBACKS if family in installed)


@functools.cache
def _has(family: str, letter: str) -> bool:
    font = get_font(findfont(FontProperties(family=[family])))
    return letter == "\n" or bool(font.get_char_index(ord(letter)))


def in_legend(label: str) -> str:
    """A label that a legend shows: matplotlib leaves out those that begin with an underscore."""
    return f"\N{ZERO WIDTH SPACE}{label}" if label.startswith("_") else label


def log_axis(axes: Axes) -> None:
    """A logarithmic horizontal axis, its numbers as plain text: powers of ten would be formulas."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_PlainLog())
    axes.xaxis.set_minor_formatter(_PlainLog(labelOnlyBase=False))


class _PlainLog(LogFormatter):
    """As matplotlib's formatter, which chooses the ticks with numbers, but writes ``0.001`` and
    ``1e-05``."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def plain(axes: Axes) -> None:
    """Remove the frame above and on the right, and draw a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def accuracy_axis(axes: Axes, accuracies: Sequence[float], ends: Sequence[float] = ()) -> None:
    """The vertical axis in per cent, wide enough for ``accuracies`` (fractions).

    ends: of intervals. They count as far out as the accuracies are apart: what goes further, as an
        interval of two runs may, is cut off rather than squeeze the rest.
    """
    finite = [value for value in accuracies if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    margin, apart = max(0.25 * (high - low), 0.005), max(high - low, 0.01)
    near = [min(max(end, low - apart), high + apart) for end in ends if math.isfinite(end)]
    low, high = min([low, *near]), max([high, *near])
    axes.set_ylim(max(low - margin, -0.01), min(high + margin, 1.01))
    axes.yaxis.set_major_formatter(percent)


def colour_of(name: str, i: int = 0) -> str:
    """The colour of a series: of a split its own, else the one with number ``i`` of the others."""
    split = next((colour for split, colour in SPLITS.items() if name.startswith(split)), None)
    return split or COLOURS[i % len(COLOURS)]


def draw_interval(
    axes: Axes,
    at: float,
    ends: tuple[float, float],
    colour: str,
    transform: Transform | None = None,
    *,
    lies: bool = False,
) -> None:
    """The interval of a point. An end that is off the axis is an arrow at its edge, so the axis
    must have its limits by now.

    at: where the point is, across the interval.
    transform: of the data, if not the axes' own.
    lies: whether the interval lies on a horizontal line.
    """
    low, high = axes.get_xlim() if lies else axes.get_ylim()
    pad = 0.012 * (high - low)  # the arrow is within the panel
    shown = min(max(ends[0], low + pad), high), max(min(ends[1], high - pad), low)
    cut = (ends[0] < low, ends[1] > high)
    marks = ("<", ">") if lies else ("v", "^")
    cap = "|" if lies else "_"
    options: dict[str, Any] = {"color": colour, "lw": 1.2, "transform": transform or axes.transData}
    line = ([*shown], [at, at]) if lies else ([at, at], [*shown])
    axes.plot(*line, "-", gid="interval", **options)
    for end, is_cut, mark in zip(shown, cut, marks, strict=True):
        place = ([end], [at]) if lies else ([at], [end])
        axes.plot(*place, mark if is_cut else cap, ms=5 if is_cut else 6, **options)


def percent(fraction: float, position: float | None = None) -> str:
    """A tick label; as few digits as it takes."""
    return f"{100 * fraction:.4g}%"


def numbers(levels: Sequence[str]) -> list[float] | None:
    """The levels as numbers, where all are and an axis of numbers can tell them apart.

    ``0, 1e-4, 1e-2`` is not such a case: on a linear axis two of them are one, and a logarithmic
    one has no zero.
    """
    if not are_numbers(levels):
        return None
    values = [float(level) for level in levels]
    return values if is_log(values) or not _wide([abs(v) for v in values if v]) else None


def are_numbers(levels: Sequence[str]) -> bool:
    """Whether each level is a finite number."""
    try:
        return all(math.isfinite(float(level)) for level in levels)
    except ValueError:
        return False


def is_log(values: Sequence[float]) -> bool:
    """Whether the values are positive and span two decades or more, so that a log axis suits
    them."""
    return min(values) > 0 and _wide(values)


def _wide(values: Sequence[float]) -> bool:
    return bool(values) and max(values) >= 100 * min(values)


def level_axis(axes: Axes, levels: Sequence[str]) -> list[float]:
    """Set up the horizontal axis for the levels of a factor and return where each is."""
    values = numbers(levels)
    if values is None:
        name_ticks(axes, levels)
        axes.set_xlim(-0.5, len(levels) - 0.5)
        return [float(i) for i in range(len(levels))]
    if is_log(values):
        log_axis(axes)
    scaled = [math.log(value) for value in values] if is_log(values) else values
    gaps = [b - a for a, b in zip(sorted(scaled), sorted(scaled)[1:], strict=False)]
    longest = max(len(f"{value:g}") for value in values)
    if not gaps or min(gaps) / sum(gaps) * _width(axes) > 0.08 * longest + 0.05:
        axes.xaxis.set_major_locator(FixedLocator(values))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    margin = 0.1 * (max(scaled) - min(scaled)) or abs(scaled[0]) or 1.0
    low, high = min(scaled) - margin, max(scaled) + margin
    axes.set_xlim(*((math.exp(low), math.exp(high)) if is_log(values) else (low, high)))
    return values


def name_ticks(axes: Axes, levels: Sequence[str]) -> None:
    """Give each level a tick with its name, which is slanted if it is long."""
    names = [short(level) for level in levels]
    axes.set_xticks(range(len(names)), names)
    if sum(map(len, names)) * 0.085 + 0.15 * len(names) > _width(axes):
        axes.tick_params("x", labelrotation=35)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")


def _width(axes: Axes) -> float:
    """The width of the panel in inches, before the layout is made."""
    whole = axes.get_figure()
    assert whole is not None
    return axes.get_position().width * whole.bbox.width / whole.dpi


def short(label: str, longest: int = _LONGEST) -> str:
    """Without the middle, where it is long: the beginning and the end tell names apart. What cannot
    be drawn is replaced here already, since ticks get their names while they are drawn."""
    label = drawable(label)
    if len(label) <= longest:
        return label
    return f"{label[: longest - longest // 2 - 1]}…{label[-(longest // 2) :]}"
