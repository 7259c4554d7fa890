"""Images moved by hand, and nets whose sensitivity is known."""

import pytest
import torch
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.use.shifts import measure, shifted


def row(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.uint8).view(1, 1, 1, -1)


def test_shifts_by_hand() -> None:
    image = row(1, 2, 3, 4)
    assert shifted(image, 0, 1, "black").tolist() == row(0, 1, 2, 3).tolist()
    assert shifted(image, 0, -2, "black").tolist() == row(3, 4, 0, 0).tolist()
    assert shifted(image, 0, 2, "reflect").tolist() == row(3, 2, 1, 2).tolist()
    assert shifted(image, 0, -1, "reflect").tolist() == row(2, 3, 4, 3).tolist()
    column = image.transpose(2, 3)
    assert shifted(column, 1, 0, "black").flatten().tolist() == [0, 1, 2, 3]
    assert image.tolist() == row(1, 2, 3, 4).tolist(), "the original is left alone"


class Mean(nn.Module):
    """Answers by the mean of all pixels: blind to shifts that lose nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(1, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[1.0], [-1.0]]))
            self.fc.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images.mean(dim=(1, 2, 3)).unsqueeze(1))


class First(Mean):
    """Answers by the pixel in the corner."""

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images[:, 0, 0, :1])


def dot(at: int) -> Tensor:
    """A dot in an 8 x 8 image."""
    image = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    image[:, :, at, at] = 8
    return image


def test_blind_and_sharp() -> None:
    labels = torch.tensor([0, 0, 1])
    blind = measure(Mean().eval(), dot(4), labels, Tensor.float, 3, "black")
    assert [s.shift for s in blind] == [0, 1, 2, 3]
    assert all((s.features, s.logits, s.same) == (0, 0, 1) for s in blind)
    assert all(s.acc == pytest.approx(2 / 3) for s in blind)
    sharp = measure(First().eval(), dot(0), labels, lambda x: x.float() - 4, 1, "black")
    assert (sharp[0].features, sharp[0].same) == (0, 1)
    assert sharp[1].features == pytest.approx(2), "from 4 to -4 in all four directions"
    assert sharp[1].logits == pytest.approx(2) and sharp[1].same == 0
    assert sharp[1].acc == pytest.approx(1 / 3)


def test_features_of_nothing_are_told_by_their_change() -> None:
    (_, one) = measure(First().eval(), dot(1), torch.zeros(3).long(), Tensor.float, 1, "reflect")
    assert one.features == 0, "the dot is a knight's move away"


def test_what_is_refused() -> None:
    labels = torch.zeros(3).long()
    with pytest.raises(UserError, match="most=8: must be from 0 to 7 pixels"):
        measure(Mean(), dot(0), labels, Tensor.float, 8, "black")
    with pytest.raises(UserError, match="padding=zeros: must be one of reflect, black"):
        measure(Mean(), dot(0), labels, Tensor.float, 1, "zeros")
    with pytest.raises(UserError, match="Flatten: has no dense layer"):
        measure(nn.Flatten(), dot(0), labels, Tensor.float, 1, "black")
