"""The figures of a page once more, to point at: as specifications of Vega-Lite, from the same
numbers. matplotlib's pictures remain for papers and for browsers without JavaScript.

A chart is a plain dict; ``report/templates/charts.js`` draws it in the page, as wide as there is
room. Names of users are data in it, never names of fields or expressions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cifarlab.figures.axis import Series
from cifarlab.figures.confusion import MOST, PAIRS, most_confused, row_shares
from cifarlab.figures.pareto import front
from cifarlab.figures.reliability import FEW, Panel
from cifarlab.figures.rows import Pair
from cifarlab.figures.style import (
    COLOURS,
    REPORT,
    SPLITS,
    TEST,
    VALIDATION,
    are_numbers,
    class_labels,
    colour_of,
    is_log,
    numbers,
)

Chart = dict[str, Any]
_HEIGHT = 260  # pixels
_NAMES = {"train": "training", "val": "validation"}
_PER_CENT = ".2%"
# ctrl, as in maps: the wheel alone goes on scrolling the page, and so does a finger
_ZOOM = {
    "name": "zoom",
    "bind": "scales",
    "select": {
        "type": "interval",
        "zoom": "wheel![event.ctrlKey || event.metaKey]",
        "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > "
        "window:pointermove!",
    },
}
_CHOSEN = {"name": "chosen", "bind": "legend", "select": {"type": "point", "fields": ["series"]}}
_FAINT = {"condition": {"param": "chosen", "value": 1}, "value": 0.08}


def curves(columns: Mapping[str, Sequence[float]]) -> list[Chart]:
    """Loss and accuracy over the epochs, see ``cifarlab.figures.curves.draw``."""
    best = min(range(len(columns["epoch"])), key=lambda i: columns["val_loss"][i])
    rule = {
        "data": {"values": [{"epoch": columns["epoch"][best], "what": "best epoch"}]},
        "mark": {"type": "rule", "strokeDash": [2, 3], "color": "#888888", "size": 2},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative"},
            "tooltip": [_tip("what", ""), _tip("epoch")],
        },
    }
    charts = []
    for metric in ("loss", "acc"):
        values = [
            {"epoch": epoch, "series": name, "value": _number(value)}
            for split, name in _NAMES.items()
            for epoch, value in zip(columns["epoch"], columns[f"{split}_{metric}"], strict=True)
        ]
        lines = _lines(metric, {n: SPLITS[n] for n in _NAMES.values()}, columns["epoch"])
        charts.append(_chart(values, layer=[rule, lines]))
    return charts


def overlay(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Chart]:
    """The curves of several runs, see ``cifarlab.figures.curves.overlay``."""
    colours = {name: colour_of("", i) for i, name in enumerate(runs)}
    charts = []
    for metric in ("loss", "acc"):
        values: list[Chart] = [
            {"epoch": epoch, "series": run, "split": name, "value": _number(value)}
            for run, columns in runs.items()
            for split, name in _NAMES.items()
            for epoch, value in zip(columns["epoch"], columns[f"{split}_{metric}"], strict=True)
        ]
        lines = _lines(metric, colours, [value["epoch"] for value in values])
        lines["encoding"]["strokeDash"] = {
            "field": "split",
            "scale": {"domain": ["validation", "training"], "range": [[1, 0], [4, 3]]},
            "legend": {"orient": "bottom", "title": None},
        }
        lines["encoding"]["tooltip"].insert(1, _tip("split", "of"))
        charts.append(_chart(values, layer=[lines]))
    return charts


def reliability(panels: Sequence[Panel]) -> list[Chart]:
    """A chart for each diagram, see ``cifarlab.figures.reliability``."""
    charts = []
    for panel in panels:
        values = [
            {
                "low": _number(low), "high": _number(high), "accuracy": _number(accuracy),
                "answers": int(count), "alpha": 0.3 if count < FEW else 1.0,
            }
            for low, high, accuracy, count in zip(
                panel.edges[:-1], panel.edges[1:], panel.accuracy, panel.count, strict=True
            )
            if count
        ]  # fmt: skip
        bars = {
            "mark": {"type": "bar", "color": TEST, "binSpacing": 2},
            "encoding": {
                "x": _x("low", "confidence", format="%", scale={"domain": [0, 1]}, bin="binned"),
                "x2": {"field": "high"},
                "y": _y("accuracy", "test accuracy", format="%", scale={"domain": [0, 1]}),
                "opacity": {"field": "alpha", "type": "quantitative", "scale": None},
                "tooltip": [
                    _tip("low", "confidence from", "%"), _tip("high", "to", "%"),
                    _tip("accuracy", "right", ".1%"), _tip("answers", "answers", ","),
                ],
            },
        }  # fmt: skip
        diagonal = {
            "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
            "mark": {"type": "line", "color": "#888888", "strokeDash": [4, 3], "size": 1},
            "encoding": {
                "x": {"field": "x", "type": "quantitative"},
                "y": {"field": "y", "type": "quantitative"},
            },
        }
        charts.append(_chart(values, layer=[bars, diagonal], title=panel.title))
    return charts


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Chart:
    """Which class is taken for which, see ``cifarlab.figures.confusion``."""
    names, shares = class_labels(classes), row_shares(counts)
    if len(names) > MOST:
        return _pairs(most_confused(counts, PAIRS), names)
    values = [
        {
            "true": names[i], "answer": names[j], "images": int(counts[i, j]),
            "share": _number(shares[i, j]),
        }
        for i in range(len(names)) for j in range(len(names)) if counts[i, j]
    ]  # fmt: skip
    x = {
        "field": "answer", "type": "ordinal", "scale": {"domain": names},
        "axis": {"labelAngle": -45, "grid": False, "title": "answer"},
    }  # fmt: skip
    y = {
        "field": "true", "type": "ordinal", "scale": {"domain": names},
        "axis": {"grid": False, "title": "true class"},
    }  # fmt: skip
    tips = [_tip("true", "is"), _tip("answer", "answered"), _tip("images", "images", ",")]
    tips.append(_tip("share", "share of the class", ".1%"))
    cells = {
        "mark": {"type": "rect"},
        "encoding": {
            "tooltip": tips,
            "color": {
                "field": "share", "type": "quantitative", "legend": None,
                "scale": {"type": "sqrt", "domain": [0, 1], "range": ["#f2f7fc", "#08306b"]},
            },
        },
    }  # fmt: skip
    texts = {
        "mark": {"type": "text", "fontSize": 10, "style": "cell"},
        "encoding": {
            "text": {"field": "images"},
            "tooltip": tips,
            "color": {
                "condition": {"test": "datum.share > 0.35", "value": "#ffffff"}, "value": "#111111"
            },
        },
    }  # fmt: skip
    chart = _chart(values, layer=[cells, texts] if len(names) <= 20 else [cells])
    chart |= {"encoding": {"x": x, "y": y}, "height": max(_HEIGHT, min(26 * len(names), 700))}
    return chart


def _pairs(found: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Chart:
    values = [
        {"pair": f"{names[i]} as {names[j]}", "true": names[i], "answer": names[j], "images": count}
        for i, j, count in found
    ]
    bars = {
        "mark": {"type": "bar", "color": COLOURS[0]},
        "encoding": {
            "x": _x("images", "images", format=","),
            "tooltip": [_tip("true", "is"), _tip("answer", "answered"), _tip("images")],
        },
    }
    order = [value["pair"] for value in values]
    y = {"field": "pair", "type": "ordinal", "scale": {"domain": order}, "title": None}
    return _chart(values, layer=[bars]) | {"encoding": {"y": y}, "height": 22 * len(order)}


def classes(precision: np.ndarray, recall: np.ndarray, names: Sequence[str]) -> Chart:
    """Precision and recall of each class, see ``cifarlab.figures.classes``; of more than ``MOST``
    classes those with the lowest recall."""
    if len(names) > MOST:
        lowest = np.argsort(recall, kind="stable")[:MOST]
        names = [names[i] for i in lowest]
        precision, recall = precision[lowest], recall[lowest]
    labels = class_labels(names)
    order = [labels[i] for i in np.argsort(recall, kind="stable")]
    values = [
        {"class": labels[i], "series": series, "value": _number(found[i])}
        for series, found in (("recall", recall), ("precision", precision))
        for i in range(len(labels))
        if math.isfinite(found[i])
    ]
    y = {"field": "class", "type": "ordinal", "scale": {"domain": order}, "title": None}
    points = {
        "params": [_CHOSEN],
        "mark": {"type": "point", "filled": True, "size": 60},
        "encoding": {
            "x": _x("value", "share", format="%"),
            "color": _colour({"recall": COLOURS[0], "precision": COLOURS[1]}),
            "shape": {"field": "series", "legend": None},  # the colours' says it
            "opacity": _FAINT,
            "tooltip": [_tip("class"), _tip("series", "what"), _tip("value", "share", _PER_CENT)],
        },
    }
    joined = {
        "mark": {"type": "line", "color": "#aaaaaa", "size": 1},
        "encoding": {
            "x": {"field": "value", "type": "quantitative"},
            "detail": {"field": "class"},
        },
    }
    chart = _chart(values, layer=[joined, points])
    return chart | {"encoding": {"y": y}, "height": len(order) * (22 if len(order) <= 40 else 9)}


def levels(key: str, names: Sequence[str], panels: Mapping[str, Series]) -> list[Chart]:
    """Accuracy over the levels of a factor, see ``cifarlab.figures.axis.draw``."""
    places = numbers(names)
    room = _room([a for s in panels.values() for ps in s.values() for p in ps for a in p.runs])
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
            mean = at | {"value": _number(point.mean), "n": len(point.runs)}
            if point.half > 0:
                mean |= {"low": _number(point.ends[0]), "high": _number(point.ends[1])}
            means.append(mean)
            dots += [at | {"value": _number(run)} for run in point.runs if len(point.runs) > 1]
    x: Chart = {"field": "level", "type": "quantitative" if places else "ordinal", "title": key}
    if places:
        scale = {"type": "log"} if is_log(places) else {"zero": False}
        x |= {"scale": scale | {"padding": 20}, "axis": {"values": [*places], "format": "~g"}}
    else:
        x |= {"scale": {"domain": [*names]}, "axis": {"labelAngle": -30 if len(names) > 3 else 0}}
    y = _y("value", title, format="%", scale={"zero": False, "domain": [*room]})
    common: Chart = {
        "x": x,
        "color": _colour({label: colour_of(label, i) for i, label in enumerate(series)}),
        "opacity": _FAINT,
    }
    aside: Chart = {} if places else {"xOffset": {"field": "series"}}
    tips = [_tip("level", "level"), _tip("series", "series"), _tip("value", "mean", _PER_CENT)]
    tips += [_tip("low", "95 % from", _PER_CENT), _tip("high", "to", _PER_CENT), _tip("n", "runs")]
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
            | {"y": y, "tooltip": [tips[0], tips[1], _tip("value", "run", _PER_CENT)]},
        },
        {
            "params": [_CHOSEN, *([_ZOOM] if places else [])],
            "mark": {"type": "line", "point": {"size": 60}, "clip": True}
            if are_numbers(names)
            else {"type": "point", "filled": True, "size": 60, "clip": True},
            "encoding": common | aside | {"y": y, "tooltip": tips},
        },
    ]
    empty = {0: not any("low" in mean for mean in means), 1: not dots}
    return _chart(means, layer=[one for i, one in enumerate(layers) if not empty.get(i)])


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
        {"x": _number(x[i]), "value": _number(accuracies[i]), "run": labels[i], "series": group}
        for group, (_, places) in series.items()
        for i in places
        if math.isfinite(accuracies[i])
    ]
    room = {"zero": False, "domain": _room([value["value"] for value in values], 0.1)}
    log = is_log(x) or (min(x) > 0 and max(x) > 5 * min(x))
    scale = {"type": "log"} if log else {"zero": False}
    points = {
        "params": [_CHOSEN, _ZOOM],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "x": _x("x", name, format="~s", scale=scale | {"padding": 20, "nice": False}),
            "y": _y("value", "validation accuracy", format="%", scale=room),
            "color": _colour({group: c for group, (c, places) in series.items() if places}),
            "opacity": _FAINT,
            "tooltip": [
                _tip("run"), _tip("x", name, ",.4~g"),
                _tip("value", "validation accuracy", _PER_CENT),
            ],
        },
    }  # fmt: skip
    line = {
        "data": {"values": [{"x": _number(at), "value": _number(best)} for at, best in steps]},
        "mark": {"type": "line", "interpolate": "step-after", "size": 1, "color": COLOURS[3]},
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "value", "type": "quantitative"},
        },
    }
    return _chart(values, layer=[line, points])


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
    axes[last] = [(a - low) / span for a in accuracies]
    shown = {**keys, last: [f"{a:.2%}" for a in accuracies]}
    values = [
        {
            "run": run, "axis": f"{number}", "place": _number(axes[key][i]), "value": shown[key][i],
            "accuracy": _number(accuracies[i]), "key": key,
        }
        for i, run in enumerate(runs) for number, key in enumerate(axes)
    ]  # fmt: skip
    ticks = [
        {"axis": f"{number}", "place": _number(place), "value": text}
        for number, key in enumerate(axes)
        for place, text in _ends(axes[key], shown[key])
    ]
    names = [{"axis": f"{number}", "key": key} for number, key in enumerate(axes)]
    x = {
        "field": "axis", "type": "ordinal",
        "axis": {"labels": False, "ticks": False, "title": None, "grid": True, "domain": False},
        "scale": {"padding": 0.3},
    }  # fmt: skip
    y = {"field": "place", "type": "quantitative", "axis": None}
    least = {
        "name": "least", "value": low,
        "bind": {
            "input": "range", "min": low, "max": high, "step": span / 100,
            "name": "validation accuracy of at least ",
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
                "legend": {"orient": "bottom", "format": "%", "title": last},
            },
            "size": {"condition": {"param": "pointed", "empty": False, "value": 5}, "value": 2},
            "opacity": {
                "condition": {"test": "datum.accuracy >= least - 1e-9", "value": 0.85},
                "value": 0.05,
            },
            "tooltip": [_tip("run"), _tip("accuracy", last, _PER_CENT)],
        },
    }  # fmt: skip
    points = {
        "mark": {"type": "point", "filled": True, "size": 45, "color": "#888888"},
        "encoding": {
            "x": x, "y": y,
            "opacity": lines["encoding"]["opacity"],  # type: ignore[index]
            "tooltip": [_tip("run"), _tip("key"), _tip("value"), _tip("accuracy", last, _PER_CENT)],
        },
    }  # fmt: skip
    labels = {
        "data": {"values": ticks},
        "mark": {"type": "text", "align": "left", "dx": 7, "fontSize": 10},
        "encoding": {"x": x, "y": y, "text": {"field": "value"}},
    }
    heads = {
        "data": {"values": names},
        "mark": {"type": "text", "baseline": "top", "fontWeight": "bold", "limit": 130},
        "encoding": {"x": x, "y": {"value": _HEIGHT + 8}, "text": {"field": "key"}},
    }
    return _chart(values, layer=[lines, points, labels, heads]) | {
        "padding": {"left": 5, "right": 5, "top": 5, "bottom": 20},
        "params": [least],
    }


def beside_reported(rows: Sequence[str], panels: Mapping[str, Sequence[Pair]]) -> list[Chart]:
    """Ours beside the report's, see ``cifarlab.figures.rows.beside_reported``."""
    charts = []
    for title, pairs in panels.items():
        values: list[Chart] = []
        for row, pair in zip(rows, pairs, strict=True):
            if pair.ours is not None:
                value: Chart = {"row": row, "value": _number(pair.ours.mean), "series": "ours"}
                if pair.ours.half > 0:
                    low, high = pair.ours.ends
                    value |= {"low": _number(low), "high": _number(high)}
                values.append(value | {"n": len(pair.ours.runs)})
            ends = [end for end in pair.reported or () if math.isfinite(end)]
            values += [
                {"row": row, "value": _number(end), "series": "report"}
                for end in dict.fromkeys(ends)
            ]
        if not values:
            continue
        room = _room([value["value"] for value in values])
        x = _x("value", title, format="%", scale={"zero": False, "domain": room})
        y = {
            "field": "row", "type": "ordinal", "scale": {"domain": [*dict.fromkeys(rows)]},
            "axis": {"labelLimit": 150, "title": None},
        }  # fmt: skip
        colour = _colour({"ours": colour_of(title), "report": REPORT})
        rule = {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "clip": True},
            "encoding": {
                "x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour,
            },
        }  # fmt: skip
        points = {
            "params": [_CHOSEN],
            "mark": {"type": "point", "size": 60},
            "encoding": {
                "x": x, "y": y, "color": colour, "opacity": _FAINT,
                "shape": {
                    "field": "series",
                    "scale": {"domain": ["ours", "report"], "range": ["circle", "diamond"]},
                },
                "tooltip": [
                    _tip("row"), _tip("series", "whose"), _tip("value", title, _PER_CENT),
                    _tip("low", "95 % from", _PER_CENT), _tip("high", "to", _PER_CENT),
                    _tip("n", "runs"),
                ],
            },
        }  # fmt: skip
        charts.append(_chart(values, layer=[rule, points]) | {"height": 24 * len(rows)})
    return charts


def _chart(values: Sequence[Chart], **parts: Any) -> Chart:
    return {"width": "container", "height": _HEIGHT, "data": {"values": [*values]}, **parts}


def _lines(metric: str, colours: Mapping[str, str], epochs: Sequence[float]) -> Chart:
    """Lines over the epochs, a colour for each ``series``."""
    x, there = _x("epoch"), sorted(set(epochs))
    if len(there) <= 12:
        x["axis"]["values"] = there
    is_acc = metric == "acc"
    words = "accuracy" if is_acc else "cross-entropy (nats)"
    tip = _tip("value", "accuracy" if is_acc else "loss", _PER_CENT if is_acc else ".4f")
    return {
        "params": [_CHOSEN, _ZOOM],
        "mark": {"type": "line", "point": {"size": 40}, "clip": True},
        "encoding": {
            "x": x,
            "y": _y("value", words, format="%" if is_acc else "~g", scale={"zero": False}),
            "color": _colour(colours),
            "opacity": _FAINT,
            "tooltip": [_tip("series", "run" if len(colours) != 2 else ""), _tip("epoch"), tip],
        },
    }


def _x(field: str, title: str = "", format: str = "~g", scale: Any = None, **more: Any) -> Chart:
    found = {"field": field, "type": "quantitative", "title": title or field, **more}
    axis = {"format": format} | ({"tickMinStep": 1} if title in ("", "cell") else {})
    return found | {"axis": axis, "scale": scale or {"zero": False, "nice": False, "padding": 8}}


def _y(field: str, title: str, format: str = "~g", scale: Any = None) -> Chart:
    found = {"field": field, "type": "quantitative", "title": title, "axis": {"format": format}}
    return found | ({"scale": scale} if scale else {})


def _tip(field: str, title: str | None = None, format: str = "") -> Chart:
    return {"field": field, "title": field if title is None else title or " "} | (
        {"format": format, "type": "quantitative"} if format else {}
    )


def _colour(colours: Mapping[str, str]) -> Chart:
    return {
        "field": "series",
        "scale": {"domain": [*colours], "range": [*colours.values()]},
        "legend": {"orient": "bottom", "title": None, "columns": min(len(colours), 4)},
    }


def _room(values: Sequence[float | None], more: float = 0.35) -> list[float | None]:
    """The ends of an axis with room for the values; intervals may go on beyond it."""
    there = [value for value in values if value is not None] or [0.0, 1.0]
    low, high = min(there), max(there)
    margin = max(more * (high - low), 0.01)
    return [_number(max(low - margin, -0.01)), _number(min(high + margin, 1.01))]


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


def _number(value: float) -> float | None:
    """Six digits are enough for a screen; ``None``, which is not drawn, if it is not finite."""
    return float(f"{float(value):.6g}") if math.isfinite(value) else None
