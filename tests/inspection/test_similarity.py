"""CKA against its definition as an average over quadruples, and what it must not change with."""

from itertools import permutations

import pytest
import torch

from cifarlab.inspection.similarity import cka, gram


def hsic(x: torch.Tensor, y: torch.Tensor) -> float:
    """The U-statistic: over all ordered quadruples of different images (Gretton et al., 2005)."""
    a, b = x @ x.T, y @ y.T
    values = [
        a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]) for i, j, q, r in permutations(range(len(x)), 4)
    ]
    return float(torch.stack(values).mean())


def test_by_the_definition() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(6, 3).double(), torch.randn(6, 4).double()
    y[:, :2] += 2 * x[:, :2]
    expected = hsic(x, y) / (hsic(x, x) * hsic(y, y)) ** 0.5
    assert cka(gram(x), gram(y)) == pytest.approx(expected, rel=1e-9)


def test_rotated_scaled_and_moved_is_the_same() -> None:
    torch.manual_seed(1)
    x = torch.randn(40, 8).double()
    rotation = torch.linalg.qr(torch.randn(8, 8).double()).Q
    assert cka(gram(x), gram(3 * x @ rotation + 5)) == pytest.approx(1)
    assert cka(gram(x), gram(x * torch.arange(8))) < 0.9, "another scale for each feature is not"


def test_random_features_are_not_alike_however_many_there_are() -> None:
    torch.manual_seed(2)
    x, y = torch.randn(60, 3000), torch.randn(60, 3000)
    assert abs(cka(gram(x), gram(y))) < 0.1
    a, b = (z - z.mean(dim=0) for z in (x, y))
    plain = (a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert plain > 0.9, "what the formula without correction says"


def test_what_cannot_be_told() -> None:
    assert torch.isnan(torch.tensor(cka(gram(torch.ones(5, 2)), gram(torch.randn(5, 2)))))
    with pytest.raises(ValueError, match="3 images; at least 4"):
        gram(torch.randn(3, 2))
