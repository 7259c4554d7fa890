"""Numbers in, estimates out: intervals, tests, power, calibration. Knows no folders."""
