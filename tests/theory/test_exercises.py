"""Right answers pass, wrong ones do not; the notebook asks all of them and gives none away."""

import json
import re
from typing import Any

import pytest

from cifarlab.base.errors import UserError
from cifarlab.theory.exercises import EXERCISES, is_right, mark, question, score
from tests.conftest import ROOT

NOTEBOOK = json.loads((ROOT / "examples" / "exercises.ipynb").read_text(encoding="utf-8"))
# Worked out by hand
RIGHT: dict[str, Any] = {
    "1a": 32,
    "1b": 3,
    "1c": 9,
    "2a": [[2, -1, 11, -2, -13], [10, -4, 8, 2, -18], [14, -1, -5, 6, -9]],
    "2b": 1,
    "3a": 5 * 5 * 3 * 32 + 32,
    "3b": 2432 + 5 * 5 * 32 * 64 + 64 + 8 * 8 * 64 * 64 + 64 + 64 * 10 + 10,
    "3c": 32 * 32 * 2400 + 16 * 16 * 51200 + 4096 * 64 + 640,
    "4": 18,
    "5a": 294 / 400,
    "5b": "cat",
    "5c": 68 / 105,
    "6a": "dropout 0.2",
    "6b": 0.7342,
    "6c": 3.0,
    "6d": False,
}
WRONG: dict[str, list[Any]] = {
    "1a": [28, "32 pixels", None],
    "2a": [[[0] * 5] * 3, [[2, -1]], 3, None],
    "3a": [2400, [2432]],
    "4": [10, 18.5],
    "5a": [0.74, 73.5],
    "5b": ["dog", 1],
    "6a": ["wider", "dropout 0.4"],
    "6b": [0.7396, 0.7418],
    "6c": [3.67, -3.0],
    "6d": [True, 0, "no"],
}


def test_right_answers_pass() -> None:
    assert list(RIGHT) == list(EXERCISES)
    for number, answer in RIGHT.items():
        assert mark(number, answer) == f"{number}  right", EXERCISES[number].right()
    assert score(RIGHT) == "16 of 16 right"
    assert is_right("2a", tuple(map(tuple, RIGHT["2a"]))) and is_right("5b", " Cat ")


def test_wrong_answers_do_not() -> None:
    for number, answers in WRONG.items():
        for answer in answers:
            assert not is_right(number, answer), (number, answer)
    assert mark("1a", 28) == "1a  not yet: W2 = (W1 - F + 2P) / S + 1"
    assert mark("1a", None) == "1a  open"
    assert score({"1a": 32, "1b": 2}).startswith("1 of 16 right; not yet: 1b, 1c, ")
    with pytest.raises(UserError, match="1d: no such exercise; allowed: 1a, 1b"):
        mark("1d", 1)


def test_the_notebook_asks_all_and_answers_none() -> None:
    """It runs as it is kept, and shows what is kept with it."""
    space: dict[str, Any] = {}
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        source = "".join(cell["source"])
        if "pip install" not in source:
            exec(source, space)  # noqa: S102  our own notebook
    asked = re.findall(r'question\("(\w+)"\)', json.dumps(NOTEBOOK).replace("\\", ""))
    assert asked == list(EXERCISES) == list(space["answers"])
    shown = "".join(text for cell in cells for out in cell["outputs"] for text in out["text"])
    assert all(question(number) in shown and mark(number, None) in shown for number in asked)
    assert f"0 of {len(EXERCISES)} right" in shown
    assert set(space["answers"].values()) == {None}
