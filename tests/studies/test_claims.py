"""The claim language, statement by statement."""

import math

import pytest

from cifarlab.base.errors import UserError
from cifarlab.stats.quantities import quantity
from cifarlab.studies.claims import parse_claim


def bounds(check: object) -> list[tuple]:
    claim = parse_claim({"quote": "q", "check": check}, "here")
    return [
        (c.a, c.b, c.quantity.name, pytest.approx(c.low), pytest.approx(c.high))
        for c in claim.comparisons
    ]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (
            {"kind": "greater", "a": "x", "b": ["y", "z"], "metric": "val_acc", "by": 2},
            [("x", "y", "val_acc", 0.02, math.inf), ("x", "z", "val_acc", 0.02, math.inf)],
        ),
        (
            {"kind": "about", "a": "x", "metric": "best_epoch", "value": 11, "within": 3},
            [("x", None, "best_epoch", 8, 14)],
        ),
        (
            {"kind": "about", "a": "x", "b": "y", "metric": "test_acc", "within": 1},
            [("x", "y", "test_acc", -0.01, 0.01)],
        ),
        (
            {"kind": "at_least", "a": "x", "metric": "test_loss", "value": 0.5},
            [("x", None, "test_loss", 0.5, math.inf)],
        ),
        (
            {"kind": "at_most", "a": ["x", "y"], "metric": "epochs_run", "value": 25},
            [("x", None, "epochs_run", -math.inf, 25), ("y", None, "epochs_run", -math.inf, 25)],
        ),
        (
            {"kind": "ordered", "rows": ["x", "y", "z"], "metric": "gap"},
            [("x", "y", "gap", 0, math.inf), ("y", "z", "gap", 0, math.inf)],
        ),
        (
            {"kind": "overfits", "a": "x", "rise": 0.1},
            [("x", None, "val_loss_rise", 0.1, math.inf)],
        ),
        (
            {"kind": "underfits", "a": "x", "than": "y", "gap": 3},
            [("y", "x", "train_acc", 0, math.inf), ("x", None, "val_gap", -math.inf, 0.03)],
        ),
    ],
)
def test_kinds(check: dict, expected: list[tuple]) -> None:
    assert bounds(check) == expected
    assert bounds([check, check]) == expected * 2, "a list: all of them"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"kind": "more"}, "kind=more: must be one of greater"),
        ({"kind": "greater", "a": "x", "metric": "val_acc"}, "b is missing"),
        ({"kind": "greater", "a": "x", "b": "y", "metric": "acc"}, "acc: no such quantity"),
        ({"kind": "at_least", "a": "x", "metric": "gap", "value": "2"}, "value=2: must be a num"),
        ({"kind": "ordered", "rows": ["x"], "metric": "gap"}, "needs two or more"),
        ({"kind": "at_most", "a": "x", "metric": "gap", "value": 1, "b": "y"}, "b: not a key"),
    ],
)
def test_mistakes(check: dict, message: str) -> None:
    with pytest.raises(UserError, match=f"^here.*{message}"):
        bounds(check)


def test_words() -> None:
    claim = parse_claim(
        {"quote": "q", "check": {"kind": "about", "a": "x", "b": "y", "metric": "val_acc"}
         | {"value": 2, "within": 1}}, "",
    )  # fmt: skip
    assert claim.comparisons[0].says() == "x − y in [+1.00, +3.00] %"
    assert claim.comparisons[0].says(str.upper).startswith("X − Y")


def test_quantities() -> None:
    assert quantity("test_acc").shown(0.81299) == "81.30"
    assert quantity("test_acc").shown(-0.00001, sign=True) == "0.00"
    assert quantity("best_epoch").shown(11.0) == "11"
    assert quantity("epochs_to_62.5").label == "epochs until 62.5 % validation accuracy"
    assert quantity("epochs_to_60").in_epochs and not quantity("val_acc").in_epochs
    with pytest.raises(UserError, match="epochs_to_x: no such quantity"):
        quantity("epochs_to_x")
