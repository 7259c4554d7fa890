"""What the charts are made of: axes, colours, tips, in the words of Vega-Lite."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Chart = dict[str, Any]
HEIGHT = 260  # pixels
_LETTERS = 56  # of names side by side in a legend, in a chart that shares its row with another
PER_CENT = ".2%"
# Without a precision d3 takes that of the step between ticks, and 10 among 1, 2, 3, ... is 1e+1
NUMBER = ".6~g"
# ctrl, as in maps: the wheel alone goes on scrolling the page, and so does a finger
ZOOM = {
    "name": "zoom",
    "bind": "scales",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.ctrlKey || event.metaKey]",
        "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > "
        "window:pointermove!",
    },
}
CHOSEN = {"name": "chosen", "bind": "legend", "select": {"type": "point", "fields": ["series"]}}
FAINT = {"condition": {"param": "chosen", "value": 1}, "value": 0.08}


def chart(values: Sequence[Chart], **parts: Any) -> Chart:
    return {"width": "container", "height": HEIGHT, "data": {"values": [*values]}, **parts}


def x(field: str, title: str = "", format: str = NUMBER, scale: Any = None, **more: Any) -> Chart:
    found = {"field": field, "type": "quantitative", "title": title or field, **more}
    axis = {"format": format} | ({"tickMinStep": 1} if title in ("", "cell") else {})
    return found | {"axis": axis, "scale": scale or {"zero": False, "nice": False, "padding": 8}}


def y(field: str, title: str, format: str = NUMBER, scale: Any = None) -> Chart:
    found = {"field": field, "type": "quantitative", "title": title, "axis": {"format": format}}
    return found | ({"scale": scale} if scale else {})


def tip(field: str, title: str | None = None, format: str = "") -> Chart:
    return {"field": field, "title": field if title is None else title or " "} | (
        {"format": format, "type": "quantitative"} if format else {}
    )


def colour(colours: Mapping[str, str]) -> Chart:
    fit = min(4, _LETTERS // (max(map(len, colours), default=0) + 6))
    return {
        "field": "series",
        "scale": {"domain": [*colours], "range": [*colours.values()]},
        "legend": {"orient": "bottom", "title": None, "columns": max(1, min(len(colours), fit))},
    }


def room(values: Sequence[float | None], more: float = 0.35) -> list[float | None]:
    """The ends of an axis with room for the values; intervals may go on beyond it."""
    there = [value for value in values if value is not None] or [0.0, 1.0]
    low, high = min(there), max(there)
    margin = max(more * (high - low), 0.01)
    return [number(max(low - margin, -0.01)), number(min(high + margin, 1.01))]


def number(value: float) -> float | None:
    """Six digits are enough for a screen; ``None``, which is not drawn, if it is not finite."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
