"""The figures of a page once more, to point at: as specifications of Vega-Lite, from the same
numbers. matplotlib's pictures remain for papers and for browsers without JavaScript.

A chart is a plain dict; ``report/templates/charts.js`` draws it in the page, as wide as there is
room. Names of users are data in it, never names of fields or expressions.
"""

from cifarlab.figures.charts.runs import (
    classes,
    confusion,
    curves,
    over_epochs,
    overlay,
    reliability,
)
from cifarlab.figures.charts.studies import beside_reported, differences, gaps, waterfall
from cifarlab.figures.charts.sweeps import heatmap, history, levels, parallel, pareto
from cifarlab.figures.charts.vega import Chart

__all__ = [
    "Chart", "beside_reported", "classes", "confusion", "curves", "differences", "gaps", "heatmap",
    "history", "levels", "over_epochs", "overlay", "parallel", "pareto", "reliability", "waterfall",
]  # fmt: skip
