"""Maps, features and slices of nets that can be worked out by hand."""

import pytest
import torch
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.inspection.features import answers_of, penultimate
from cifarlab.inspection.landscape import direction, loss_slice
from cifarlab.inspection.occlusion import occlusion


class Corner(nn.Module):
    """The logit of class 1 is the pixel in the upper right corner."""

    def forward(self, images: Tensor) -> Tensor:
        corner = images[:, 0, 0, -1]
        return torch.stack([torch.zeros_like(corner), corner], dim=1)


def test_only_what_covers_the_corner_counts() -> None:
    image = torch.full((1, 6, 6), 2.0)
    found = occlusion(Corner(), image, label=1, patch=2, stride=2)
    fall = torch.sigmoid(torch.tensor(2.0)) - 0.5
    assert found.tolist() == [[0, 0, pytest.approx(float(fall))], [0, 0, 0], [0, 0, 0]]
    assert occlusion(Corner(), image, 0, 2, 2)[0, 2] == pytest.approx(-float(fall))
    assert occlusion(Corner(), image, 1, 4, 1).shape == (3, 3)
    assert image.eq(2).all()
    with pytest.raises(ValueError, match="a square of 7 pixels on an image of 6"):
        occlusion(Corner(), image, 1, 7, 1)


def test_features_are_what_the_head_multiplies() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 5))
    images = torch.randn(7, 3, 4, 4)
    features, logits = penultimate(net, images.split(3))
    torch.testing.assert_close(features @ net[3].weight.T + net[3].bias, logits)
    torch.testing.assert_close(logits, net(images))
    conv = answers_of(net, images.split(3), "0")
    assert conv.min() < 0, "before the activation, which works in place"
    torch.testing.assert_close(conv.relu(), features)
    with pytest.raises(UserError, match="Flatten: has no dense layer"):
        penultimate(nn.Flatten(), [images])


def test_a_slice_of_a_paraboloid() -> None:
    """The loss is the squared length of the weights: its slice is known."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.Generator().manual_seed(5)
    u, v = direction(net, generator), direction(net, generator)
    assert u.keys() == {"0.weight", "3.weight"}, "neither biases nor norms"
    for name, drawn in u.items():
        lengths = before[name].flatten(1).norm(dim=1)
        torch.testing.assert_close(drawn.flatten(1).norm(dim=1), lengths)

    def loss(net: nn.Module) -> float:
        assert not net.training
        return float(sum(net.get_parameter(name).square().sum() for name in u))

    places = [-1.0, 0.0, 0.5]
    values = loss_slice(net.train(), loss, (u, v), places)
    w, a, b = (torch.cat([each[name].flatten() for name in u]).double() for each in (before, u, v))
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            expected = float((w + x * a + y * b).square().sum())
            assert values[row, column] == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
