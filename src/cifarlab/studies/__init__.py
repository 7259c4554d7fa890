"""Studies: the rows of a report's table, what the report claims about them, ladders of ingredients.

Here are only the data and their checks. The sweeper makes runs of the rows, and ``cifarlab.report``
judges these.
"""
