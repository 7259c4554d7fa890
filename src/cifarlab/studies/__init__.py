"""Studies: the rows of a report's table, what the report claims of them, ladders of ingredients.

Data and their checks only; standard library. The sweeper makes runs of the rows,
``cifarlab.report`` measures them.
"""
