import math

import pytest

from cifarlab.report.stats import mean_interval


def test_student_by_table() -> None:
    """t(0.975, 2 degrees of freedom) = 4.302653."""
    mean, std, half = mean_interval([0.70, 0.72, 0.74])
    assert mean == pytest.approx(0.72) and std == pytest.approx(0.02)
    assert half == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)


def test_one_value_has_no_interval() -> None:
    mean, std, half = mean_interval([0.5])
    assert mean == 0.5 and math.isnan(std) and math.isnan(half)
