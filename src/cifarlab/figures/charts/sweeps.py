"""Charts of a sweep or a search."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cifarlab.figures.axis import Series
from cifarlab.figures.charts import vega
from cifarlab.figures.charts.vega import Chart
from cifarlab.figures.pareto import front
from cifarlab.figures.style import (
    COLOURS,
    VALIDATION,
    are_numbers,
    colour_of,
    is_log,
    numbers,
)


def levels(key: str, names: Sequence[str], panels: Mapping[str, Series]) -> list[Chart]:
    """Accuracy over the levels of a factor, see ``cifarlab.figures.axis.draw``."""
    places = numbers(names)
    room = vega.room([a for s in panels.values() for ps in s.values() for p in ps for a in p.runs])
    return [
        _levels(key, names, places, series, title or "accuracy", room)
        for title, series in panels.items()
    ]


def _levels(
    key: str,
    names: Sequence[str],
    places: Sequence[float] | None,
    series: Series,
    title: str,
    room: Sequence[float | None],
) -> Chart:
    means, dots = [], []
    for label, points in series.items():
        for i, point in enumerate(points):
            if not math.isfinite(point.mean):
                continue
            at: dict[str, Any] = {"level": places[i] if places else names[i], "series": label}
            mean = at | {"value": vega.number(point.mean), "n": len(point.runs)}
            if point.half > 0:
                mean |= {"low": vega.number(point.ends[0]), "high": vega.number(point.ends[1])}
            means.append(mean)
            dots += [at | {"value": vega.number(run)} for run in point.runs if len(point.runs) > 1]
    x: Chart = {"field": "level", "type": "quantitative" if places else "ordinal", "title": key}
    if places:
        scale = {"type": "log"} if is_log(places) else {"zero": False}
        x |= {
            "scale": scale | {"padding": 20},
            "axis": {"values": [*places], "format": vega.NUMBER},
        }
    else:
        x |= {"scale": {"domain": [*names]}, "axis": {"labelAngle": -30 if len(names) > 3 else 0}}
    y = vega.y("value", title, format="%", scale={"zero": False, "domain": [*room]})
    common: Chart = {
        "x": x,
        "color": vega.colour({label: colour_of(label, i) for i, label in enumerate(series)}),
        "opacity": vega.FAINT,
    }
    aside: Chart = {} if places else {"xOffset": {"field": "series"}}
    tips = [
        vega.tip("level", "level"),
        vega.tip("series", "series"),
        vega.tip("value", "mean", vega.PER_CENT),
    ]
    tips += [
        vega.tip("low", "95 % from", vega.PER_CENT),
        vega.tip("high", "to", vega.PER_CENT),
        vega.tip("n", "runs"),
    ]
    layers: list[Chart] = [
        {
            "mark": {"type": "rule", "clip": True},
            "transform": [{"filter": "isValid(datum.low)"}],
            "encoding": common | aside | {"y": y | {"field": "low"}, "y2": {"field": "high"}},
        },
        {
            "data": {"values": dots},
            "mark": {
                "type": "tick",
                "orient": "horizontal",
                "size": 10,
                "thickness": 2,
                "clip": True,
            },
            "encoding": common
            | aside
            | {"y": y, "tooltip": [tips[0], tips[1], vega.tip("value", "run", vega.PER_CENT)]},
        },
        {
            "params": [vega.CHOSEN, *([vega.ZOOM] if places else [])],
            "mark": {"type": "line", "point": {"size": 60}, "clip": True}
            if are_numbers(names)
            else {"type": "point", "filled": True, "size": 60, "clip": True},
            "encoding": common | aside | {"y": y, "tooltip": tips},
        },
    ]
    empty = {0: not any("low" in mean for mean in means), 1: not dots}
    return vega.chart(means, layer=[one for i, one in enumerate(layers) if not empty.get(i)])


def pareto(
    costs: Sequence[float], accuracies: Sequence[float], labels: Sequence[str], cost: str
) -> Chart:
    """What accuracy costs, see ``cifarlab.figures.pareto.draw``."""
    best = front(costs, accuracies)
    others = [i for i in range(len(costs)) if i not in set(best)]
    series = {"Pareto front": (COLOURS[3], best), "the others": (VALIDATION, others)}
    steps = [(costs[i], accuracies[i]) for i in best]
    return _scatter(costs, accuracies, labels, cost, series, steps)


def history(accuracies: Sequence[float], pruned: Sequence[bool], labels: Sequence[str]) -> Chart:
    """The cells of a search in their order, see ``cifarlab.figures.search.history``."""
    finished, stopped = ([i for i, p in enumerate(pruned) if p is is_] for is_ in (False, True))
    series = {"finished": (VALIDATION, finished), "pruned, last epoch": (COLOURS[3], stopped)}
    there = [i for i in finished if math.isfinite(accuracies[i])]
    steps = [(i, max(accuracies[j] for j in there if j <= i)) for i in there]
    return _scatter(range(len(pruned)), accuracies, labels, "cell", series, steps)


def _scatter(
    x: Sequence[float],
    accuracies: Sequence[float],
    labels: Sequence[str],
    name: str,
    series: Mapping[str, tuple[str, Sequence[int]]],
    steps: Sequence[tuple[float, float]],
) -> Chart:
    """Validation accuracy (fractions) over something, a point with its label for each run.

    Args:
        name: of ``x``, below the axis.
        series: name to its colour and the positions of its points.
        steps: the corners of a line: the best so far.
    """
    values: list[Chart] = [
        {
            "x": vega.number(x[i]),
            "value": vega.number(accuracies[i]),
            "run": labels[i],
            "series": group,
        }
        for group, (_, places) in series.items()
        for i in places
        if math.isfinite(accuracies[i])
    ]
    room = {"zero": False, "domain": vega.room([value["value"] for value in values], 0.1)}
    log = is_log(x) or (min(x) > 0 and max(x) > 5 * min(x))
    scale = {"type": "log"} if log else {"zero": False}
    form = "~s" if min(x) >= 1000 else vega.NUMBER  # 400k parameters, and 0.4 s, not 400m
    points = {
        "params": [vega.CHOSEN, vega.ZOOM],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "x": vega.x("x", name, format=form, scale=scale | {"padding": 20, "nice": False}),
            "y": vega.y("value", "validation accuracy", format="%", scale=room),
            "color": vega.colour({group: c for group, (c, places) in series.items() if places}),
            "opacity": vega.FAINT,
            "tooltip": [
                vega.tip("run"), vega.tip("x", name, ",.4~g"),
                vega.tip("value", "validation accuracy", vega.PER_CENT),
            ],
        },
    }  # fmt: skip
    line = {
        "data": {
            "values": [{"x": vega.number(at), "value": vega.number(best)} for at, best in steps]
        },
        "mark": {"type": "line", "interpolate": "step-after", "size": 1, "color": COLOURS[3]},
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "value", "type": "quantitative"},
        },
    }
    return vega.chart(values, layer=[line, points])


def parallel(
    keys: Mapping[str, Sequence[str]], accuracies: Sequence[float], runs: Sequence[str]
) -> Chart:
    """Parallel coordinates: a line for each run through its values and its accuracy.

    Args:
        keys: key to the value of each run, as shown.
        accuracies: of validation (fractions). runs: the names.
    """
    last = "validation accuracy"
    axes = {key: _places(values) for key, values in keys.items()}
    low, high = min(accuracies), max(accuracies)
    span = (high - low) or 1.0
    bottom = math.floor(1000 * low) / 10  # the page writes out the number as it is
    axes[last] = [(a - low) / span for a in accuracies]
    shown = {**keys, last: [f"{a:.2%}" for a in accuracies]}
    values = [
        {
            "run": run, "axis": f"{number}", "place": vega.number(axes[key][i]),
            "value": shown[key][i], "accuracy": vega.number(accuracies[i]), "key": key,
        }
        for i, run in enumerate(runs) for number, key in enumerate(axes)
    ]  # fmt: skip
    ticks = [
        {"axis": f"{number}", "place": vega.number(place), "value": text}
        for number, key in enumerate(axes)
        for place, text in _ends(axes[key], shown[key])
    ]
    names = [
        {"axis": f"{number}", "key": key, "down": number % 2} for number, key in enumerate(axes)
    ]
    x = {
        "field": "axis", "type": "ordinal",
        "axis": {"labels": False, "ticks": False, "title": None, "grid": True, "domain": False},
        "scale": {"padding": 0.3},
    }  # fmt: skip
    y = {"field": "place", "type": "quantitative", "axis": None}
    least = {
        "name": "least", "value": bottom,
        "bind": {
            "input": "range", "min": bottom, "max": math.ceil(1000 * high) / 10, "step": 0.1,
            "name": "validation accuracy (%) of at least ",
        },
    }  # fmt: skip
    lines = {
        "params": [
            {
                "name": "pointed",
                "select": {"type": "point", "fields": ["run"], "on": "pointerover"},
            },
        ],
        "mark": {"type": "line"},
        "encoding": {
            "x": x, "y": y, "detail": {"field": "run"},
            "color": {
                "field": "accuracy", "type": "quantitative",
                "scale": {"scheme": {"name": "viridis", "extent": [0.15, 0.9]}},
                "legend": {"orient": "bottom", "format": "%", "title": last, "offset": 42},
            },
            "size": {"condition": {"param": "pointed", "empty": False, "value": 5}, "value": 2},
            "opacity": {
                "condition": {"test": "100 * datum.accuracy >= least - 1e-9", "value": 0.85},
                "value": 0.05,
            },
            "tooltip": [vega.tip("run"), vega.tip("accuracy", last, vega.PER_CENT)],
        },
    }  # fmt: skip
    points = {
        "mark": {"type": "point", "filled": True, "size": 45, "color": "#888888"},
        "encoding": {
            "x": x, "y": y,
            "opacity": lines["encoding"]["opacity"],  # type: ignore[index]
            "tooltip": [
                vega.tip("run"), vega.tip("key"), vega.tip("value"),
                vega.tip("accuracy", last, vega.PER_CENT),
            ],
        },
    }  # fmt: skip
    labels = {
        "data": {"values": ticks},
        "mark": {"type": "text", "align": "left", "dx": 7, "fontSize": 10},
        "encoding": {"x": x, "y": y, "text": {"field": "value"}},
    }
    heads = {
        "data": {"values": names},
        "mark": {  # in two rows by turns, so that each has the room of two axes
            "type": "text", "baseline": "top", "fontWeight": "bold",
            "dy": {"expr": "14 * datum.down"}, "limit": {"expr": f"2 * width / {len(axes)} - 8"},
        },
        "encoding": {"x": x, "y": {"value": vega.HEIGHT + 8}, "text": {"field": "key"}},
    }  # fmt: skip
    return vega.chart(values, layer=[lines, points, labels, heads]) | {
        "padding": {"left": 5, "right": 5, "top": 5, "bottom": 20},
        "params": [least],
    }


def _places(values: Sequence[str]) -> list[float]:
    """Where each value is on its axis, from 0 to 1: numbers by size, names by their order."""
    options = list(dict.fromkeys(values))
    if are_numbers(values):
        found = [float(value) for value in values]
        found = [math.log(x) for x in found] if is_log(found) else found
    else:
        found = [float(options.index(value)) for value in values]
    low, high = min(found), max(found)
    return [(x - low) / (high - low) if high > low else 0.5 for x in found]


def _ends(places: Sequence[float], texts: Sequence[str]) -> list[tuple[float, str]]:
    """The ticks of an axis: its values, without those too close to the one below."""
    found: list[tuple[float, str]] = []
    for place, text in sorted(dict(zip(places, texts, strict=True)).items()):
        if not found or place - found[-1][0] > 0.06:
            found.append((place, text))
    return found


def heatmap(
    means: np.ndarray, rows: Sequence[str], columns: Sequence[str], row_key: str, column_key: str
) -> Chart:
    """Mean accuracies over two factors, see ``cifarlab.figures.heatmap.draw``."""
    values: list[Chart] = [
        {"row": rows[i], "column": columns[j], "value": vega.number(mean)}
        for (i, j), mean in np.ndenumerate(means)
        if math.isfinite(mean)
    ]
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    tips = [vega.tip("row", row_key), vega.tip("column", column_key)]
    tips.append(vega.tip("value", "mean validation accuracy", vega.PER_CENT))
    axis = {"grid": False, "labelLimit": 150}
    encoding = {
        "x": {
            "field": "column", "type": "ordinal", "scale": {"domain": [*columns]},
            "axis": axis | {"title": column_key, "labelAngle": 0},
        },
        "y": {
            "field": "row", "type": "ordinal", "scale": {"domain": [*rows]},
            "axis": axis | {"title": row_key},
        },
        "tooltip": tips,
    }  # fmt: skip
    shade = {"scheme": "cividis", "domain": [vega.number(low), vega.number(high)]}
    cells = {
        "mark": {"type": "rect"},
        "encoding": {
            "color": {
                "field": "value", "type": "quantitative", "scale": shade,
                "legend": {"title": "validation", "format": ".1%"},
            }
        },
    }  # fmt: skip
    dark = {"condition": {"test": f"datum.value < {(low + high) / 2}", "value": "#ffffff"}}
    texts = {
        "mark": {"type": "text", "fontSize": 11, "style": "cell"},
        "encoding": {
            "text": {"field": "value", "type": "quantitative", "format": ".1%"},
            "color": dark | {"value": "#111111"},
        },
    }
    return vega.chart(values, layer=[cells, texts], encoding=encoding) | {
        "height": max(120, 42 * len(rows))
    }
