"""What theory.py answers, and what it says to a question that cannot be."""

import inspect
import math
import re
import shlex

import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cifarlab.base.errors import UserError
from cifarlab.theory.questions import QUESTIONS, answer
from cifarlab.theory.reports import BOELTER, ELFARRI, GROUP14, TBMI26, checks, compare
from cifarlab.theory.softmax import cross_entropy, softmax, squared_error
from tests.conftest import CONF, ROOT


@pytest.mark.parametrize(
    ("question", "given", "expected"),
    [
        ("output_size", {"input": 32, "kernel": 5, "padding": 2}, "(32 - 5 + 2*2) / 1 + 1 = 32"),
        ("output_size", {"input": 504, "kernel": 2, "stride": 2}, "= 252"),
        ("output_size", {"input": 32, "kernel": 3, "stride": 2, "ceil": True}, "+ 1 = 16"),
        ("kernel", {"input": 512, "output": 504}, "512 + 2*0 - 504 + 1 = 9"),
        ("kernel", {"input": 224, "output": 112, "stride": 2, "padding": 3}, "F = 8: "),
        ("padding", {"kernel": 5}, "(5 - 1) / 2 = 2"),
        ("padding", {"kernel": 3, "dilation": 2}, "2*(3 - 1) / 2 = 2"),
        ("padding", {"kernel": 5, "stride": 2, "input": 32}, "= 18, rounded up"),
        ("convolve", {"image": [[1, 2]], "kernel": [[3, 0, 1]]}, "(1,1)  0·3 + 1·0 + 2·1 = 2"),
        ("convolve", {"image": [[1, 2]], "kernel": [[3, 0, 1]]}, "(1,1)  0·1 + 1·0 + 2·3 = 6"),
        ("softmax", {"logits": [0, 0]}, "0.5000"),
        ("softmax", {"logits": [math.log(3), 0], "label": 0}, "cross-entropy: 0.2877"),
        ("softmax", {"logits": [math.log(3), 0], "label": 0}, "squared error: 0.1250"),
        ("layers", {"input": [1, 28, 28], "layers": "conv3-4"}, "4x26x26"),
    ],
)
def test_answers(question: str, given: dict, expected: str) -> None:
    assert expected in answer(question, given)


@pytest.mark.parametrize(
    ("question", "given", "message"),
    [
        (None, {"input": 3}, r"input: of which question\? ask=output_size\|kernel"),
        ("size", {}, "ask=size: must be one of output_size, kernel"),
        ("kernel", {"input": 3}, "ask=kernel: needs output=<value>; it takes input, output"),
        ("kernel", {"layers": "fc 3"}, "ask=kernel: has no use for layers; it takes input"),
        ("reports", {"input": 3}, "has no use for input; it takes nothing else"),
        ("kernel", {"input": 10, "output": 20}, "no kernel turns 10 into 20 pixels"),
        ("padding", {"kernel": 0}, "kernel=0: must be a whole number, 1 or more"),
        ("padding", {"kernel": "five"}, "kernel=five: must be a whole number"),
        ("padding", {"kernel": 3, "stride": 2}, "depends on the size; add input=<pixels>"),
        ("output_size", {"input": 9, "kernel": 3, "ceil": 1}, "ceil=1: must be true or false"),
        ("softmax", {"logits": [1, 2], "label": 2}, "label=2: must be one of 0 to 1"),
        ("softmax", {"logits": [1, 2], "label": -1}, "label=-1: must be a whole number, 0 or more"),
        ("softmax", {"logits": ["a"]}, "logits"),
        ("softmax", {"logits": []}, "logits"),
        ("softmax", {"logits": [1e9]}, "from -300 to 300"),
        ("layers", {"layers": "fc 3", "input": "3x3"}, "input=3x3: must be channels x height"),
    ],
)
def test_slips_of_the_keyboard(question: str | None, given: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        answer(question, given)


def test_the_reports_slips_are_these() -> None:
    slips = {(check.where, check.asked): check.slips for check in checks() if check.slips}
    assert [(where, asked[:2], len(found)) for (where, asked), found in slips.items()] == [
        (GROUP14, "1a", 1),  # a pixel is missing in the image
        (GROUP14, "1a", 1),  # a sign in the kernel
        (GROUP14, "1a", 4),  # 2, 11, -13 and -18 are printed as 1, 1, -3 and -11
        (ELFARRI, "1a", 1),  # a sum of the working; the matrix below has it right
        (ELFARRI, "3a", 1),  # padding 2 leaves 3x3 maps
        (BOELTER, "Q2", 1),  # a convolution of its own costs nine times the dense layer
        (TBMI26, "1:", 1),  # a size for two of the four numbers
    ]
    working = slips[ELFARRI, "1a: its working, term by term"]
    assert working == (
        "row 3, column 3: printed -1; it is "
        "2·(-1) + 0·0 + 7·1 + 6·(-2) + 1·0 + 1·2 + 0·(-1) + 0·0 + 0·1 = -5",
    )


def test_all_numbers_are_asked_for() -> None:
    ours = {check.ours for check in checks()}
    assert {"2", "9", "252", "250", "390410", "1479050", "7678474", "7682826", "1600"} <= ours
    assert answer(None, {}) == answer("reports", {})
    assert len(QUESTIONS) == 7


def test_a_difference_would_be_seen() -> None:
    check = compare("x", "y", {"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": "1 + 1 = 2"})
    assert check.slips == ("b: printed 3; it is 1 + 1 = 2",) and check.printed == "1 the same"


def test_the_keys_are_those_of_the_questions() -> None:
    keys = {
        key for question in QUESTIONS.values() for key in inspect.signature(question).parameters
    }
    config = OmegaConf.load(CONF / "theory.yaml")
    assert set(config) - {"defaults", "hydra", "ask"} == keys


def documented() -> list[str]:
    texts = (ROOT / "docs" / "theory.md").read_text() + (CONF / "theory.yaml").read_text()
    return re.findall(r"^ *python scripts/theory.py (ask=.*)$", texts, re.M)


@pytest.mark.parametrize("command", documented())
def test_documented_commands(command: str) -> None:
    parsed = OverridesParser.create().parse_overrides(shlex.split(command))
    given = {override.key_or_group: override.value() for override in parsed}
    assert answer(given.pop("ask"), given)


def test_there_are_documented_commands() -> None:
    asked = {command.split()[0].removeprefix("ask=") for command in documented()}
    assert asked == QUESTIONS.keys() - {"reports"}


@pytest.mark.parametrize("logits", [[2.0, 1.0, -1.0], [0.0, 12.0], [-300.0, 300.0, 1.0]])
def test_losses_and_their_gradients_are_torchs(logits: list[float]) -> None:
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    p = softmax(logits)
    assert p == pytest.approx(torch.softmax(z, 0).tolist(), abs=1e-15)
    for label in range(len(logits)):
        y = torch.nn.functional.one_hot(torch.tensor(label), len(logits)).double()
        squares = ((torch.softmax(z, 0) - y) ** 2).sum()
        loss, gradient = squared_error(p, label)
        assert loss == pytest.approx(squares.item())
        assert gradient == pytest.approx(torch.autograd.grad(squares, z)[0].tolist(), abs=1e-12)
        if p[label] > 1e-200:  # else torch's log_softmax is the better one
            entropy = torch.nn.functional.cross_entropy(z, torch.tensor(label))
            loss, gradient = cross_entropy(p, label)
            assert loss == pytest.approx(entropy.item(), abs=1e-12)
            assert gradient == pytest.approx(torch.autograd.grad(entropy, z)[0].tolist(), abs=1e-12)
