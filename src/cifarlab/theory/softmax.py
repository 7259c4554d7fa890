"""Softmax, and what cross-entropy and squared error make of it (Boelter, questions 3 and 4)."""

import math
from collections.abc import Sequence

from cifarlab.theory.table import aligned


def softmax(logits: Sequence[float]) -> list[float]:
    """exp(z_i) over the sum of all exp(z_k); the largest is taken away first, which changes no
    quotient and keeps the powers within range."""
    powers = [math.exp(z - max(logits)) for z in logits]
    return [power / sum(powers) for power in powers]


def cross_entropy(p: Sequence[float], label: int) -> tuple[float, list[float]]:
    """-log p of the label, in nats, and its gradient by the logits, p - y."""
    return -math.log(p[label]), [pi - (i == label) for i, pi in enumerate(p)]


def squared_error(p: Sequence[float], label: int) -> tuple[float, list[float]]:
    """The sum of (p_i - y_i)^2, and its gradient by the logits,
    2 p_i (p_i - y_i - sum_k p_k (p_k - y_k))."""
    off = [pi - (i == label) for i, pi in enumerate(p)]
    mean = sum(pi * d for pi, d in zip(p, off, strict=True))
    return sum(d * d for d in off), [2 * pi * (d - mean) for pi, d in zip(p, off, strict=True)]


def worked(logits: Sequence[float], label: int | None) -> str:
    """Logits to probabilities as a table; with a label, both losses and their gradients."""
    p = softmax(logits)
    lines = [["class", "logit", "exp(logit)", "probability"]]
    total = sum(math.exp(z) for z in logits)
    columns = [
        [f"{z:g}", f"{math.exp(z):.4g}", f"{pi:.4f}"] for z, pi in zip(logits, p, strict=True)
    ]
    notes = [f"sum of exp(logit) = {total:.4g}; the probabilities are its shares and sum to 1"]
    if label is not None:
        for name, found in (("cross-entropy", cross_entropy), ("squared error", squared_error)):
            loss, gradient = found(p, label)
            lines[0].append(f"gradient, {name}")
            for column, slope in zip(columns, gradient, strict=True):
                column.append(f"{slope:+.4f}")
            notes.append(f"{name}: {loss:.4f}")
        notes.append(
            "The gradient of cross-entropy is p - y: the more wrong, the larger, up to 1. That of\n"
            "squared error has another factor p and vanishes where softmax is sure, right or wrong."
        )
    lines += [[str(i), *column] for i, column in enumerate(columns)]
    return "\n\n".join([aligned(lines, left=0), *notes])
