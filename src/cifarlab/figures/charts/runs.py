"""Charts of a run: its curves, its answers."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cifarlab.figures.charts import vega
from cifarlab.figures.charts.vega import Chart
from cifarlab.figures.confusion import MOST, PAIRS, most_confused, row_shares
from cifarlab.figures.curves import Curve
from cifarlab.figures.reliability import FEW, Panel
from cifarlab.figures.rows import scale_of
from cifarlab.figures.style import (
    ALL,
    COLOURS,
    NONE,
    ON_ALL,
    ON_NONE,
    SPLITS,
    TEST,
    class_labels,
    colour_of,
)

_DOTTED = 200  # points of a small chart, at most, that are seen one by one
_NAMES = {"train": "training", "val": "validation"}


def curves(curve: Curve) -> list[Chart]:
    """Loss and accuracy over the epochs, see ``cifarlab.figures.curves.draw``."""
    columns = curve.columns
    rule = {
        "data": {"values": [{"epoch": curve.best_epoch, "what": "best epoch"}]},
        "mark": {"type": "rule", "strokeDash": [2, 3], "color": "#888888", "size": 2},
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative"},
            "tooltip": [vega.tip("what", ""), vega.tip("epoch")],
        },
    }
    charts = []
    for metric in ("loss", "acc"):
        values = [
            {"epoch": epoch, "series": name, "value": vega.number(value)}
            for split, name in _NAMES.items()
            for epoch, value in zip(columns["epoch"], columns[f"{split}_{metric}"], strict=True)
        ]
        lines = _lines(metric, {n: SPLITS[n] for n in _NAMES.values()}, columns["epoch"])
        charts.append(vega.chart(values, layer=[rule, lines]))
    return charts


def overlay(runs: Mapping[str, Curve]) -> list[Chart]:
    """The curves of several runs, see ``cifarlab.figures.curves.overlay``."""
    colours = {name: colour_of("", i) for i, name in enumerate(runs)}
    charts = []
    for metric in ("loss", "acc"):
        values: list[Chart] = [
            {"epoch": epoch, "series": run, "split": name, "value": vega.number(value)}
            for run, curve in runs.items()
            for split, name in _NAMES.items()
            for epoch, value in zip(
                curve.columns["epoch"], curve.columns[f"{split}_{metric}"], strict=True
            )
        ]
        lines = _lines(metric, colours, [value["epoch"] for value in values])
        lines["encoding"]["strokeDash"] = {
            "field": "split",
            "scale": {"domain": ["validation", "training"], "range": [[1, 0], [4, 3]]},
            "legend": {"orient": "bottom", "title": None},
        }
        lines["encoding"]["tooltip"].insert(1, vega.tip("split", "of"))
        charts.append(vega.chart(values, layer=[lines]))
    return charts


def over_epochs(rows: Mapping[str, Sequence[Curve]], metric: str) -> list[Chart]:
    """A chart for each row, all on one scale, see ``cifarlab.figures.rows.curves``."""
    kinds = {name: SPLITS[name] for name in _NAMES.values()}
    panels: list[tuple[str, list[Chart], list[Chart]]] = []
    for row, runs in rows.items():
        values: list[Chart] = [
            {"epoch": epoch, "series": name, "run": number, "value": vega.number(value)}
            for number, run in enumerate(runs, 1)
            for split, name in _NAMES.items()
            for epoch, value in zip(
                run.columns["epoch"], run.columns[f"{split}_{metric}"], strict=True
            )
        ]
        best = [
            value
            for value in values
            if value["series"] == _NAMES["val"]
            and value["epoch"] == runs[value["run"] - 1].best_epoch
        ]
        panels.append((row, values, best))
    ends = scale_of([v["value"] for _, values, _ in panels for v in values], metric)
    charts = []
    for row, values, best in panels:
        lines = _lines(metric, kinds, [value["epoch"] for value in values])
        lines["mark"]["point"] = {"size": 12} if len(values) <= _DOTTED else False
        lines["encoding"]["y"]["scale"] = {"domain": [*map(vega.number, ends)], "nice": False}
        lines["encoding"]["y"]["title"] = "accuracy" if metric == "acc" else "loss"  # of any kind
        lines["encoding"]["detail"] = {"field": "run"}
        lines["encoding"]["tooltip"].insert(0, vega.tip("run"))
        marks = {
            "data": {"values": best},
            "mark": {"type": "point", "shape": "triangle-down", "size": 40, "clip": True},
            "encoding": {
                "x": {"field": "epoch", "type": "quantitative"},
                "y": {"field": "value", "type": "quantitative"},
                "color": {"value": "#888888"},
                "tooltip": [vega.tip("run"), vega.tip("epoch", "best epoch")],
            },
        }
        charts.append(vega.chart(values, layer=[lines, marks], title=row) | {"height": 150})
    return charts


def reliability(panels: Sequence[Panel]) -> list[Chart]:
    """A chart for each diagram, see ``cifarlab.figures.reliability``."""
    charts = []
    for panel in panels:
        values = [
            {
                "low": vega.number(low), "high": vega.number(high),
                "accuracy": vega.number(accuracy), "answers": int(count),
                "alpha": 0.3 if count < FEW else 1.0,
            }
            for low, high, accuracy, count in zip(
                panel.edges[:-1], panel.edges[1:], panel.accuracy, panel.count, strict=True
            )
            if count
        ]  # fmt: skip
        bars = {
            "mark": {"type": "bar", "color": TEST, "binSpacing": 2},
            "encoding": {
                "x": vega.x("low", "confidence", "%", scale={"domain": [0, 1]}, bin="binned"),
                "x2": {"field": "high"},
                "y": vega.y("accuracy", "test accuracy", format="%", scale={"domain": [0, 1]}),
                "opacity": {"field": "alpha", "type": "quantitative", "scale": None},
                "tooltip": [
                    vega.tip("low", "confidence from", "%"), vega.tip("high", "to", "%"),
                    vega.tip("accuracy", "right", ".1%"), vega.tip("answers", "answers", ","),
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
        charts.append(vega.chart(values, layer=[bars, diagonal], title=panel.title))
    return charts


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Chart:
    """Which class is taken for which, see ``cifarlab.figures.confusion``."""
    names, shares = class_labels(classes), row_shares(counts)
    if len(names) > MOST:
        return _pairs(most_confused(counts, PAIRS), names)
    values = [
        {
            "true": names[i], "answer": names[j], "images": int(counts[i, j]),
            "share": vega.number(shares[i, j]),
        }
        for i in range(len(names)) for j in range(len(names)) if counts[i, j]
    ]  # fmt: skip
    x = {
        "field": "answer", "type": "ordinal", "scale": {"domain": names},
        "axis": {
            "labelAngle": -45, "grid": False, "title": "answer", "labelOverlap": len(names) > 20,
        },
    }  # fmt: skip
    y = {
        "field": "true", "type": "ordinal", "scale": {"domain": names},
        "axis": {"grid": False, "title": "true class"},
    }  # fmt: skip
    tips = [
        vega.tip("true", "is"),
        vega.tip("answer", "answered"),
        vega.tip("images", "images", ","),
    ]
    tips.append(vega.tip("share", "share of the class", ".1%"))
    cells = {
        "mark": {"type": "rect"},
        "encoding": {
            "tooltip": tips,
            "color": {
                "field": "share", "type": "quantitative", "legend": None,
                "scale": {"type": "sqrt", "domain": [0, 1], "range": [NONE, ALL]},
            },
        },
    }  # fmt: skip
    texts = {
        "mark": {"type": "text", "fontSize": 10, "style": "cell"},
        "encoding": {
            "text": {"field": "images"},
            "tooltip": tips,
            "color": {
                "condition": {"test": "datum.share > 0.35", "value": ON_ALL}, "value": ON_NONE
            },
        },
    }  # fmt: skip
    chart = vega.chart(values, layer=[cells, texts] if len(names) <= 20 else [cells])
    chart |= {"encoding": {"x": x, "y": y}, "height": max(vega.HEIGHT, min(26 * len(names), 700))}
    return chart


def _pairs(found: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Chart:
    values = [
        {"pair": f"{names[i]} as {names[j]}", "true": names[i], "answer": names[j], "images": count}
        for i, j, count in found
    ]
    bars = {
        "mark": {"type": "bar", "color": COLOURS[0]},
        "encoding": {
            "x": vega.x("images", "images", format=","),
            "tooltip": [
                vega.tip("true", "is"), vega.tip("answer", "answered"), vega.tip("images")
            ],
        },
    }  # fmt: skip
    order = [value["pair"] for value in values]
    y = {"field": "pair", "type": "ordinal", "scale": {"domain": order}, "title": None}
    return vega.chart(values, layer=[bars]) | {"encoding": {"y": y}, "height": 22 * len(order)}


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
        {"class": labels[i], "series": series, "value": vega.number(found[i])}
        for series, found in (("recall", recall), ("precision", precision))
        for i in range(len(labels))
        if math.isfinite(found[i])
    ]
    y = {"field": "class", "type": "ordinal", "scale": {"domain": order}, "title": None}
    points = {
        "params": [vega.CHOSEN],
        "mark": {"type": "point", "filled": True, "size": 60},
        "encoding": {
            "x": vega.x("value", "share", format="%"),
            "color": vega.colour({"recall": COLOURS[0], "precision": COLOURS[1]}),
            "shape": {"field": "series", "legend": None},  # the colours' says it
            "opacity": vega.FAINT,
            "tooltip": [
                vega.tip("class"),
                vega.tip("series", "what"),
                vega.tip("value", "share", vega.PER_CENT),
            ],
        },
    }
    joined = {
        "mark": {"type": "line", "color": "#aaaaaa", "size": 1},
        "encoding": {
            "x": {"field": "value", "type": "quantitative"},
            "detail": {"field": "class"},
        },
    }
    chart = vega.chart(values, layer=[joined, points])
    return chart | {"encoding": {"y": y}, "height": len(order) * (22 if len(order) <= 40 else 9)}


def _lines(metric: str, colours: Mapping[str, str], epochs: Sequence[float]) -> Chart:
    """Lines over the epochs, a colour for each ``series``."""
    x, there = vega.x("epoch"), sorted(set(epochs))
    if len(there) <= 12:
        x["axis"]["values"] = there
    is_acc = metric == "acc"
    words = "accuracy" if is_acc else "cross-entropy (nats)"
    tip = vega.tip("value", "accuracy" if is_acc else "loss", vega.PER_CENT if is_acc else ".4f")
    return {
        "params": [vega.CHOSEN, vega.ZOOM],
        "mark": {"type": "line", "point": {"size": 40}, "clip": True},
        "encoding": {
            "x": x,
            "y": vega.y(
                "value", words, format="%" if is_acc else vega.NUMBER, scale={"zero": False}
            ),
            "color": vega.colour(colours),
            "opacity": vega.FAINT,
            "tooltip": [
                vega.tip("series", "run" if len(colours) != 2 else ""),
                vega.tip("epoch"),
                tip,
            ],
        },
    }
