"""What can be asked, and the answers with their arithmetic. The arguments of a question are its
keys on the command line."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cifarlab.base.errors import UserError
from cifarlab.theory import convolve as by_hand
from cifarlab.theory.layers import Shape
from cifarlab.theory.reports import report
from cifarlab.theory.sizes import (
    kernels,
    output_size,
    same_padding,
    size_formula,
    span,
    strided_padding,
)
from cifarlab.theory.softmax import worked
from cifarlab.theory.spec import read
from cifarlab.theory.table import text


def ask_output_size(
    input: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1,
    ceil: bool = False,
) -> str:  # fmt: skip
    """The size of the output of a convolution or pooling, along one axis."""
    size = output_size(input, kernel, stride, padding, dilation, ceil)
    return f"{size_formula(input, kernel, stride, padding, dilation, ceil)} = {size}"


def ask_kernel(
    input: int, output: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> str:
    """The kernels that turn one size into another."""
    found = kernels(input, output, stride, padding, dilation)
    if not found:
        raise UserError(
            f"no kernel turns {input} into {output} pixels with stride {stride}, padding "
            f"{padding}, dilation {dilation}"
        )
    lines = []
    for kernel in found:
        formula = size_formula(input, kernel, stride, padding, dilation)
        lines.append(f"F = {kernel}: {formula} = {output}")
    if len(found) == 1 and stride == dilation == 1:
        sum_ = f"{input} + 2*{padding} - {output} + 1"
        lines = [f"F = W1 + 2P - W2 + 1 = {sum_} = {found[0]}"]
    return "\n".join(lines)


def ask_padding(kernel: int, stride: int = 1, dilation: int = 1, input: int | None = None) -> str:
    """The padding on each side that keeps the size."""
    if stride == 1:
        padding = same_padding(kernel, dilation)
        if dilation == 1:
            return f"P = (F - 1) / 2 = ({kernel} - 1) / 2 = {padding}"
        return f"P = D(F - 1) / 2 = {dilation}*({kernel} - 1) / 2 = {padding}"
    if input is None:
        raise UserError(f"ask=padding stride={stride}: depends on the size; add input=<pixels>")
    padding = strided_padding(input, kernel, stride, dilation)
    reach = kernel if dilation == 1 else f"({dilation}*({kernel} - 1) + 1)"
    return (
        f"P = ((S - 1) W + F - S) / 2 = (({stride} - 1)*{input} + {reach} - {stride}) / 2 = "
        f"{padding}"
        + ("" if ((stride - 1) * input + span(kernel, dilation) - stride) % 2 == 0 else
           ", rounded up")
    )  # fmt: skip


def ask_convolve(image: list, kernel: list, padding: int | None = None, stride: int = 1) -> str:
    """A convolution by hand, term by term, with the kernel as it is and turned.

    padding: zeros on each side; ``None`` keeps the size.
    """
    image, kernel = by_hand.matrix("image", image), by_hand.matrix("kernel", kernel)
    pads = by_hand.same_paddings(kernel) if padding is None else (padding, padding)
    lines = ["image, with its padding of zeros:", *by_hand.drawn(by_hand.pad(image, pads))]
    for title, used in (
        ("cross-correlation (what deep learning calls convolution), kernel as it stands:", kernel),
        ("true convolution, kernel turned by 180 degrees:", by_hand.turned(kernel)),
    ):
        output = by_hand.correlate(image, used, padding, stride)
        places = [(f"({w.row + 1},{w.column + 1})", w) for row in output for w in row]
        width = max(len(place) for place, _ in places)
        lines += ["", title, *by_hand.drawn(used), ""]
        lines += [f"  {place:<{width}}  {working}" for place, working in places]
        lines += ["", "  output:", *by_hand.drawn(by_hand.values(output))]
    return "\n".join(lines)


def ask_layers(layers: str | list, input: str | int | list = "3x32x32") -> str:
    """The sizes, parameters, receptive fields and multiply-accumulates of a list of layers."""
    return text(read(layers, shape(input)))


def ask_softmax(logits: list, label: int | None = None) -> str:
    """Softmax of logits; with the right class, counted from 0, cross-entropy and squared error,
    and what each asks of the logits (Boelter, questions 3 and 4)."""
    kinds = {type(z) for z in logits} if isinstance(logits, list) else set()
    if not kinds or not kinds <= {int, float} or max(map(abs, logits)) > _LOGIT:
        raise UserError(f"logits={logits}: must be a list of numbers from -{_LOGIT} to {_LOGIT}")
    if label is not None and label >= len(logits):
        raise UserError(f"label={label}: must be one of 0 to {len(logits) - 1}")
    return worked(logits, label)


def ask_reports() -> str:
    """All theory questions of the reports, with our answers beside theirs."""
    return report()


QUESTIONS: dict[str, Callable[..., str]] = {
    name.removeprefix("ask_"): value
    for name, value in list(globals().items())
    if name.startswith("ask_")
}
_FROM_ONE, _FROM_NOUGHT = ("input", "output", "kernel", "stride", "dilation"), ("padding", "label")
_WHOLE = dict.fromkeys(_FROM_ONE, 1) | dict.fromkeys(_FROM_NOUGHT, 0)  # the lowest
_LOGIT = 300  # exp(300) and the quotients of such are numbers in 64 bits, and none of them is 0


def answer(question: str | None, given: Mapping[str, Any]) -> str:
    """The answer to a question, as text.

    question: its name; ``None``: a list of the questions.
    given: the keys that were typed.

    Raises ``UserError`` for an unknown question and for keys that do not fit it.
    """
    if question is None:
        if given:
            keys = ", ".join(given)
            raise UserError(f"{keys}: of which question? ask={'|'.join(QUESTIONS)}")
        question = "reports"
    if question not in QUESTIONS:
        raise UserError(f"ask={question}: must be one of {', '.join(QUESTIONS)}")
    parameters = inspect.signature(QUESTIONS[question]).parameters
    keys = ", ".join(parameters)
    for key in given:
        if key not in parameters:
            takes = keys or "nothing else"
            raise UserError(f"ask={question}: has no use for {key}; it takes {takes}")
    for key, parameter in parameters.items():
        if key not in given and parameter.default is parameter.empty:
            raise UserError(f"ask={question}: needs {key}=<value>; it takes {keys}")
        if key in given and "int" in str(parameter.annotation) and question != "layers":
            _whole(key, given[key])
    if not isinstance(given.get("ceil", False), bool):
        raise UserError(f"ceil={given['ceil']}: must be true or false")
    return QUESTIONS[question](**given)


def shape(value: object) -> Shape:
    """A shape, from ``3x32x32``, ``[3,32,32]`` or a number of values.

    Raises ``UserError`` for anything else.
    """
    parts = value if isinstance(value, list) else str(value).split("x")
    if len(parts) not in (1, 3) or not all(str(part).strip().isdigit() for part in parts):
        raise UserError(f"input={value}: must be channels x height x width, 3x32x32, or a number")
    return tuple(int(part) for part in parts)


def _whole(key: str, value: object) -> None:
    low = _WHOLE[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise UserError(f"{key}={value}: must be a whole number, {low} or more")
