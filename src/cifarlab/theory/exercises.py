"""The reports' assignment as exercises, which mark themselves.

Right answers are not written here: they are computed as the question says, so that reading this
file is no shorter than doing the exercise. ``examples/exercises.ipynb`` asks them in order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifarlab.base.errors import UserError, nearest
from cifarlab.theory.convolve import correlate, values
from cifarlab.theory.sizes import kernels, output_size, same_padding
from cifarlab.theory.spec import read
from cifarlab.theory.table import total

IMAGE = [[1, 0, 2, 3, 1], [3, 2, 0, 7, 0], [0, 6, 1, 1, 4]]
KERNEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
NET = "conv5x5-32 p2 | relu | maxpool2 | conv5x5-64 p2 | relu | maxpool2 | flatten | fc 64 | fc 10"
FIELD_NET = "conv3x3-16 p1 | maxpool2 | conv3x3-32 p1 | maxpool2 | conv3x3-64 p1"
CLASSES = ("bird", "cat", "dog", "frog")
COUNTS = [
    [82, 7, 4, 7],
    [9, 55, 31, 5],
    [5, 24, 68, 3],
    [3, 6, 2, 89],
]  # row: class, column: answer
RUNS = {  # validation and test accuracy of one run each
    "plain": (0.7290, 0.7311),
    "dropout 0.2": (0.7418, 0.7342),
    "dropout 0.4": (0.7402, 0.7381),
    "wider": (0.7355, 0.7396),
}
WITH, WITHOUT = (0.741, 0.752, 0.744), (0.735, 0.737, 0.738)  # validation accuracy, seeds 0, 1, 2


@dataclass(frozen=True)
class Exercise:
    """A question, with what its answer is compared with.

    question: ends with what to answer: a number, a name, a list.
    right: computes the answer.
    hint: told with a wrong answer.
    within: how far a number may be off.
    """

    question: str
    right: Callable[[], Any]
    hint: str
    within: float = 0.0


EXERCISES: Mapping[str, Exercise] = {
    "1a": Exercise(
        "A 5x5 convolution with stride 1 and padding 2 sees 32x32 pixels. How wide is its output?",
        lambda: output_size(32, 5, 1, 2),
        "W2 = (W1 - F + 2P) / S + 1",
    ),
    "1b": Exercise(
        "Which padding keeps the size under a 7x7 kernel, at stride 1?",
        lambda: same_padding(7),
        "as much goes in on both sides as the kernel takes away",
    ),
    "1c": Exercise(
        "A convolution without padding, at stride 1, turns 512x512 pixels into 504x504. How wide "
        "is its kernel?",
        lambda: kernels(512, 504)[0],
        "solve the formula of 1a for F",
    ),
    "2a": Exercise(
        "Convolve IMAGE with KERNEL by hand, as networks do (the kernel is not turned), with zeros "
        "around so that the size is kept. Answer: a list of rows.",
        lambda: values(correlate(IMAGE, KERNEL)),
        "lay the kernel's centre on each pixel in turn, multiply, and add up",
    ),
    "2b": Exercise(
        "The same image, moved one pixel to the right: by how many pixels does a convolution's "
        "output move, at stride 1?",
        lambda: output_size(33, 3) - output_size(32, 3),
        "it is what makes a convolution one",
    ),
    "3a": Exercise(
        "How many parameters, biases counted, has the first convolution of NET, which sees RGB "
        "images of 32x32 pixels?",
        lambda: read(NET, (3, 32, 32))[0].parameters,
        "a filter has a weight for each of its pixels in each channel, and one bias",
    ),
    "3b": Exercise(
        "How many has all of NET?",
        lambda: total(read(NET, (3, 32, 32)), "parameters"),
        "most of them are in the first dense layer: what is its input's size?",
    ),
    "3c": Exercise(
        "How many multiply-accumulates does NET take for an image?",
        lambda: total(read(NET, (3, 32, 32)), "macs"),
        "each weight of a convolution is used once for every pixel of its output",
    ),
    "4": Exercise(
        "How many pixels of the image, on a side, does a unit after the last layer of FIELD_NET "
        "see?",
        lambda: (read(FIELD_NET, (3, 32, 32))[-1].field or (0,))[0],
        "go through the layers: each adds (F - 1) times the strides before it",
    ),
    "5a": Exercise(
        "COUNTS has a row for each true class of CLASSES and a column for each answer. What is "
        "the accuracy? Answer: a fraction.",
        lambda: sum(COUNTS[i][i] for i in range(4)) / sum(map(sum, COUNTS)),
        "right answers are on the diagonal",
        within=1e-3,
    ),
    "5b": Exercise(
        "Which class has the lowest recall?",
        lambda: min(
            CLASSES, key=lambda name: COUNTS[_at(name)][_at(name)] / sum(COUNTS[_at(name)])
        ),
        "of the images that are of a class, the share that was found: along a row",
    ),
    "5c": Exercise(
        "What is the precision of dog? Answer: a fraction.",
        lambda: COUNTS[_at("dog")][_at("dog")] / sum(row[_at("dog")] for row in COUNTS),
        "of the answers dog, the share that was right: along a column",
        within=1e-3,
    ),
    "6a": Exercise(
        "RUNS has validation and test accuracy of four networks. Which one do you choose?",
        lambda: max(RUNS, key=lambda name: RUNS[name][0]),
        "the test set chooses nothing",
    ),
    "6b": Exercise(
        "Which accuracy do you report for it? Answer: a fraction.",
        lambda: RUNS[max(RUNS, key=lambda name: RUNS[name][0])][1],
        "the figure that has not helped to choose",
        within=1e-6,
    ),
    "6c": Exercise(
        "Validation accuracies of three seeds, WITH batch norm and WITHOUT. What is t, of the "
        "paired differences?",
        lambda: _t([a - b for a, b in zip(WITH, WITHOUT, strict=True)]),
        "the mean difference by its standard error, s / sqrt(n), with n - 1 in s",
        within=0.02,
    ),
    "6d": Exercise(
        "With three pairs, |t| has to be above 4.303 for p < 0.05. Is batch norm settled to be "
        "better? Answer: True or False.",
        lambda: abs(_t([a - b for a, b in zip(WITH, WITHOUT, strict=True)])) > 4.303,
        "undecided is a result, too",
    ),
}


def question(number: str) -> str:
    """The question of an exercise. Raises ``UserError`` if there is none with this number."""
    return f"{number}  {_find(number).question}"


def is_right(number: str, answer: Any) -> bool:
    """Whether an answer is right; ``None`` is not."""
    exercise = _find(number)
    right = exercise.right()
    if answer is None or isinstance(answer, bool) != isinstance(right, bool):
        return False
    if isinstance(right, str):
        return isinstance(answer, str) and answer.strip().lower() == right
    if isinstance(right, list):
        return _plain(answer) == right
    try:
        return abs(float(answer) - right) <= exercise.within
    except (TypeError, ValueError):
        return False


def mark(number: str, answer: Any) -> str:
    """A line to show: ``right``, ``open`` without an answer, else ``not yet`` and a hint."""
    if answer is None:
        return f"{number}  open"
    return f"{number}  right" if is_right(number, answer) else f"{number}  not yet: {_hint(number)}"


def score(answers: Mapping[str, Any]) -> str:
    """How many of all exercises are answered right, and which are not yet.

    answers: by the number of the exercise. Raises ``UserError`` for a number that is none.
    """
    for number in answers:
        _find(number)
    right = [number for number in EXERCISES if is_right(number, answers.get(number))]
    rest = [number for number in EXERCISES if number not in right]
    said = f"{len(right)} of {len(EXERCISES)} right"
    return f"{said}; not yet: {', '.join(rest)}" if rest else said


def _find(number: str) -> Exercise:
    if number not in EXERCISES:
        raise UserError(f"{number}: no such exercise; {nearest(number, EXERCISES)}")
    return EXERCISES[number]


def _hint(number: str) -> str:
    return EXERCISES[number].hint


def _at(name: str) -> int:
    return CLASSES.index(name)


def _t(differences: Sequence[float]) -> float:
    """Student's t of paired differences."""
    n = len(differences)
    mean = sum(differences) / n
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1))
    return mean / (spread / math.sqrt(n))


def _plain(answer: Any) -> Any:
    """Rows as lists, whether they are tuples, lists or arrays."""
    try:
        return [list(map(float, row)) for row in answer]
    except (TypeError, ValueError):
        return None
