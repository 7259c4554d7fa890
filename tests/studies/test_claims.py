"""The claim language, statement by statement."""

import math

import pytest

from cifarlab.base.errors import UserError
from cifarlab.stats.quantities import quantity
from cifarlab.studies.claims import Claim, Comparison, parse_claim, parse_claims


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
            {
                "kind": "ratio",
                "a": "x",
                "b": "y",
                "metric": "test_acc",
                "value": 1.5,
                "within": 0.1,
            },
            [("x", "y", "test_acc", 1.4, 1.6)],
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


def test_what_may_be_left_out() -> None:
    """By how much, that a difference is about 0, and what over- and underfitting are."""
    infinite = math.inf
    assert bounds({"kind": "greater", "a": "lab.x", "b": "lab.y", "metric": "val_acc"}) == [
        ("lab.x", "lab.y", "val_acc", 0, infinite)
    ]
    assert bounds({"kind": "overfits", "a": "x"}) == [("x", None, "val_loss_rise", 0.05, infinite)]
    assert bounds({"kind": "underfits", "a": "x", "than": "y"})[1] == (
        "x", None, "val_gap", -infinite, 0.05,
    )  # fmt: skip
    assert bounds({"kind": "ordered", "rows": ["x", "y"], "metric": "gap"}) == [
        ("x", "y", "gap", 0, infinite)
    ]


ALL = "greater, about, ratio, at_least, at_most, ordered, overfits, underfits"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"kind": "more"}, f": kind=more: must be one of {ALL}"),
        ("more", f": kind=None: must be one of {ALL}"),
        ({"kind": "greater", "a": "x", "metric": "val_acc"}, ", greater: b is missing"),
        ({"kind": "underfits", "a": "x"}, ", underfits: than is missing"),
        ({"kind": "underfits", "than": "x"}, ", underfits: a is missing"),
        ({"kind": "about", "a": "x", "metric": "gap", "within": 1}, ", about: value is missing"),
        (
            {"kind": "at_least", "a": "x", "metric": "gap", "value": "2"},
            ", at_least: value=2: must be a number",
        ),
        (
            {"kind": "at_least", "a": "x", "metric": "gap", "value": True},
            ", at_least: value=True: must be a number",
        ),
        (
            {"kind": "ordered", "rows": ["x"], "metric": "gap"},
            ", ordered: rows: needs two or more",
        ),
        (
            {"kind": "at_most", "a": "x", "metric": "gap", "value": 1, "b": "y", "c": "z"},
            ", at_most: b, c: not a key of this kind",
        ),
    ],
)
def test_mistakes(check: object, message: str) -> None:
    with pytest.raises(UserError) as error:
        bounds(check)
    assert str(error.value) == f"here{message}"


def test_a_quantity_that_there_is_not() -> None:
    with pytest.raises(UserError, match="^here, greater: acc: no such quantity; train_acc, "):
        bounds({"kind": "greater", "a": "x", "b": "y", "metric": "acc"})


OVERFITS = {"kind": "overfits", "a": "x"}


def test_a_claim_is_words_and_checks_and_perhaps_a_note() -> None:
    assert parse_claim({"quote": "q", "check": OVERFITS, "note": "n"}, "").note == "n"
    assert parse_claim({"quote": "q", "check": OVERFITS}, "").note == Claim("q", ()).note == ""
    assert parse_claim({"quote": "q", "check": OVERFITS}, "").is_quote
    ours = parse_claim({"asked": "q", "check": OVERFITS}, "")
    assert (ours.says, ours.is_quote) == ("q", False)
    both = {"quote": "q", "asked": "q", "check": OVERFITS}
    unknown = {"quote": "q", "check": OVERFITS, "as": 1}
    for slip in ({"check": OVERFITS}, {"quote": "q"}, both, unknown):
        with pytest.raises(UserError) as error:
            parse_claims([{"quote": "q", "check": OVERFITS}, slip], "here")
        assert str(error.value) == (
            "here, claim 2: needs quote (or asked, if it is ours) and check, may have note; "
            f"got {sorted(slip)}"
        )


def test_what_a_claim_speaks_of() -> None:
    ordered = {"kind": "ordered", "rows": ["y", "z"], "metric": "gap"}
    late = {"kind": "at_most", "a": "x", "metric": "best_epoch", "value": 3}
    claim = parse_claim({"quote": "q", "check": [ordered, late]}, "")
    assert claim.rows == {"x", "y", "z"}


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"kind": "about", "b": "y", "value": 2, "within": 1}, "x − y in [+1.00, +3.00] points"),
        ({"kind": "about", "value": 2, "within": 1}, "x in [1.00, 3.00] %"),
        ({"kind": "greater", "b": "y"}, "x − y > 0"),
        ({"kind": "greater", "b": "y", "by": 2}, "x − y ≥ +2.00 points"),
        ({"kind": "at_least", "value": 0}, "x ≥ 0.00 %"),
        ({"kind": "at_most", "value": 62.5}, "x ≤ 62.50 %"),
        ({"kind": "at_most", "value": 25, "metric": "epochs_run"}, "x ≤ 25 epochs"),
    ],
)
def test_words(check: dict, words: str) -> None:
    (comparison,) = parse_claim(
        {"quote": "q", "check": {"a": "x", "metric": "val_acc"} | check}, ""
    ).comparisons
    assert comparison.says() == words
    names = {"x": "X", "y": "Y"}
    assert comparison.says(names.__getitem__) == words.replace("x ", "X ").replace("y", "Y")


def test_words_of_a_difference_with_a_ceiling() -> None:
    ceiling = Comparison("x", "y", quantity("val_acc"), -math.inf, 0.02)
    assert ceiling.says() == "x − y ≤ +2.00 points"
    within = Comparison("x", None, quantity("gap"), -math.inf, 0.05)
    assert within.says() == "x ≤ 5.00 points", "is a difference itself"


def test_quantities() -> None:
    assert quantity("test_acc").shown(0.81299) == "81.30"
    assert quantity("test_acc").shown(-0.00001, sign=True) == "0.00"
    assert quantity("best_epoch").shown(11.0) == "11"
    assert quantity("epochs_to_62.5").label == "epochs until 62.5 % validation accuracy"
    with pytest.raises(UserError, match="epochs_to_x: no such quantity"):
        quantity("epochs_to_x")
