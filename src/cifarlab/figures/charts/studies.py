"""Charts of a study and of comparisons: rows beside reports, gaps, differences."""

import math
from collections.abc import Mapping, Sequence

from cifarlab.figures.charts import vega
from cifarlab.figures.charts.vega import Chart
from cifarlab.figures.forest import Row
from cifarlab.figures.ladder import Steps
from cifarlab.figures.rows import Pair, group_colours
from cifarlab.figures.style import LESS, MORE, REPORT, TEST, TRAINING, colour_of

_SHAPES = {
    "report": "diamond", "report: at least": "triangle-right", "report: at most": "triangle-left",
}  # fmt: skip


def beside_reported(
    rows: Sequence[str], panels: Mapping[str, Sequence[Pair]], groups: Sequence[str] = ()
) -> list[Chart]:
    """Ours beside the report's, see ``cifarlab.figures.rows.beside_reported``."""
    charts = []
    whose = {row: f"ours, {group}" for row, group in zip(rows, groups, strict=False)}
    palette = dict(zip(whose.values(), group_colours(groups), strict=True))
    for title, pairs in panels.items():
        values: list[Chart] = []
        singles: list[Chart] = []
        for row, pair in zip(rows, pairs, strict=True):
            if pair.ours is not None:
                ours = whose.get(row, "ours")
                value: Chart = {"row": row, "value": vega.number(pair.ours.mean), "series": ours}
                if pair.ours.half > 0:
                    low, high = pair.ours.ends
                    value |= {"low": vega.number(low), "high": vega.number(high)}
                values.append(value | {"n": len(pair.ours.runs)})
                singles += [
                    {"row": row, "value": vega.number(run), "series": ours}
                    for run in pair.ours.runs
                    if len(pair.ours.runs) > 1
                ]
            ends = [end for end in pair.reported or () if math.isfinite(end)]
            values += [
                {"row": row, "value": vega.number(end), "series": _whose(pair.reported)}
                for end in dict.fromkeys(ends)
            ]
        if not values:
            continue
        room = vega.room([value["value"] for value in [*values, *singles]])
        x = vega.x("value", title, format="%", scale={"zero": False, "domain": room})
        y = _row_axis(rows)
        there = {value["series"] for value in values}
        shapes = {name: shape for name, shape in _SHAPES.items() if name in there}
        series = (palette or {"ours": colour_of(title)}) | dict.fromkeys(shapes, REPORT)
        colour = vega.colour(series)
        rule = {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "clip": True},
            "encoding": {
                "x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour,
            },
        }  # fmt: skip
        runs = {
            "data": {"values": singles},
            "mark": {
                "type": "tick",
                "orient": "vertical",
                "size": 7,
                "thickness": 1.5,
                "clip": True,
            },
            "encoding": {"x": x, "y": y, "color": colour},
        }
        points = {
            "params": [vega.CHOSEN],
            "mark": {"type": "point", "filled": True, "size": 60},
            "encoding": {
                "x": x, "y": y, "color": colour, "opacity": vega.FAINT,
                "shape": {
                    "field": "series",
                    "scale": {
                        "domain": [*series],
                        "range": ["circle"] * (len(series) - len(shapes)) + [*shapes.values()],
                    },
                },
                "tooltip": [
                    vega.tip("row"), vega.tip("series", "whose"),
                    vega.tip("value", title, vega.PER_CENT),
                    vega.tip("low", "95 % from", vega.PER_CENT),
                    vega.tip("high", "to", vega.PER_CENT),
                    vega.tip("n", "runs"),
                ],
            },
        }  # fmt: skip
        charts.append(
            vega.chart(values, layer=[rule, *([runs] if singles else []), points])
            | {"height": 24 * len(rows)}
        )
    return charts


def _whose(reported: tuple[float, float] | None) -> str:
    low, high = reported or (0.0, 0.0)
    if math.isinf(high):
        return "report: at least"
    return "report: at most" if math.isinf(low) else "report"


def gaps(rows: Sequence[str], train: Sequence[float], test: Sequence[float]) -> Chart:
    """Training and test accuracy of each row, see ``cifarlab.figures.rows.gaps``."""
    values: list[Chart] = [
        {"row": row, "low": vega.number(low), "high": vega.number(high), "gap": f"{gap:+.1f}"}
        for row, high, low in zip(rows, train, test, strict=True)
        for gap in [100 * (high - low)]
    ]
    dots = [
        {"row": value["row"], "value": value[end], "series": series, "gap": value["gap"]}
        for value in values
        for series, end in (("test", "low"), ("training, best weights", "high"))
    ]
    room = vega.room([dot["value"] for dot in dots], 0.1)
    x = vega.x("value", "accuracy", format="%", scale={"zero": False, "domain": room})
    y = _row_axis(rows)
    line = {
        "data": {"values": values},
        "mark": {"type": "rule", "size": 3, "color": "#999999", "opacity": 0.6},
        "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y},
    }
    points = {
        "params": [vega.CHOSEN],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "x": x,
            "y": y,
            "color": vega.colour({"test": TEST, "training, best weights": TRAINING}),
            "opacity": vega.FAINT,
            "tooltip": [
                vega.tip("row"), vega.tip("series", "of"),
                vega.tip("value", "accuracy", vega.PER_CENT), vega.tip("gap", "gap, points"),
            ],
        },
    }  # fmt: skip
    return vega.chart(dots, layer=[line, points]) | {"height": 24 * len(rows)}


def waterfall(start: float, steps: Steps) -> Chart:
    """What each ingredient adds to those before it, see ``cifarlab.figures.ladder.waterfall``."""
    values: list[Chart] = [_bar("base", 0.0, start, "level")]
    level = start
    for name, point in steps:
        top = level + point.mean
        bar = _bar(name, level, top, "more" if point.mean >= 0 else "less")
        bar |= {"change": f"{100 * point.mean:+.2f}"}
        if point.half > 0:
            bar |= {"low": vega.number(top - point.half), "high": vega.number(top + point.half)}
        values.append(bar)
        level = top
    values.append(_bar("all", 0.0, level, "level"))
    ends = [end for value in values for end in (value.get("low"), value.get("high")) if end]
    ends += [end for value in values[1:-1] for end in (value["from"], value["to"])]
    low, high = vega.room([*ends, start, level], 0.15)
    for value in (values[0], values[-1]):  # of bars that begin at 0 only the upper part is shown
        value["from"] = low
    y = vega.y("from", "validation accuracy", format="%", scale={"domain": [low, high]})
    x = {
        "field": "name", "type": "nominal", "sort": None,
        "axis": {"title": None, "labelAngle": -25, "labelLimit": 150, "grid": False},
    }  # fmt: skip
    tips = [vega.tip("name", ""), vega.tip("to", "accuracy", vega.PER_CENT)]
    tips.append(vega.tip("change", "change, points"))
    tones = {"level": "#999999", "more": MORE, "less": LESS}
    bars = {
        "mark": {"type": "bar", "clip": True},
        "encoding": {
            "x": x, "y": y, "y2": {"field": "to"}, "tooltip": tips,
            "color": vega.colour(tones) | {"legend": None},
        },
    }  # fmt: skip
    rules = {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "rule"},
        "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}},
    }
    return vega.chart(values, layer=[bars, rules])


def differences(panels: Mapping[str, Sequence[Row]], title: str) -> list[Chart]:
    """A chart for each panel of ``cifarlab.figures.forest.draw``: differences with their intervals,
    in points; hollow where the interval is not clear of 0."""
    charts = []
    for name, rows in panels.items():
        if not rows:
            continue
        series = list(dict.fromkeys(one for row in rows for one in row.marks))
        colours = {one: colour_of(one, i) for i, one in enumerate(series)}
        values: list[Chart] = [
            {
                "row": row.label, "series": one, "value": vega.number(100 * mark.value),
                "low": vega.number(100 * mark.low), "high": vega.number(100 * mark.high),
                "clear": "yes" if mark.clear else "no",
            }
            for row in rows for one, mark in row.marks.items()
        ]  # fmt: skip
        x = vega.x("value", title, "+.2~f")
        y = _row_axis([row.label for row in rows])
        shared = {"y": y, "yOffset": {"field": "series"}, "color": vega.colour(colours)}
        zero = {
            "data": {"values": [{"value": 0}]},
            "mark": {"type": "rule", "color": "#888888"},
            "encoding": {"x": x},
        }
        rules = {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "rule"},
            "encoding": shared | {"x": x | {"field": "low"}, "x2": {"field": "high"}},
        }
        points = {
            "params": [vega.CHOSEN],
            "mark": {"type": "point", "size": 55},
            "encoding": shared
            | {
                "x": x,
                "opacity": vega.FAINT,
                "shape": {
                    "field": "clear", "legend": None,
                    "scale": {"domain": ["yes", "no"], "range": ["diamond", "circle"]},
                },
                "tooltip": [
                    vega.tip("row", ""), vega.tip("series", "of"),
                    vega.tip("value", "points", "+.2f"), vega.tip("low", "95 % from", "+.2f"),
                    vega.tip("high", "to", "+.2f"), vega.tip("clear", "clear of 0"),
                ],
            },
        }  # fmt: skip
        chart = vega.chart(values, layer=[zero, rules, points], title=name)
        charts.append(chart | {"height": 26 * len(rows)})
    return charts


def _row_axis(rows: Sequence[str]) -> Chart:
    return {
        "field": "row", "type": "ordinal", "scale": {"domain": [*dict.fromkeys(rows)]},
        "axis": {"labelLimit": 150, "title": None},
    }  # fmt: skip


def _bar(name: str, low: float, high: float, series: str) -> Chart:
    return {"name": name, "from": vega.number(low), "to": vega.number(high), "series": series}
