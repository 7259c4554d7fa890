"""The net of airbench94, by its definition."""

import pytest
import torch
from torch import nn

from cifarlab.models.speednet import Block, SpeedNet, fit_whitening, whitening_layer


def test_whitened_patches_have_covariance_one() -> None:
    torch.manual_seed(0)
    smooth = nn.functional.interpolate(torch.randn(64, 3, 8, 8), size=(32, 32), mode="bilinear")
    layer = whitening_layer(3, 2)
    fit_whitening(layer, smooth, eps=0.0)
    patches = layer(smooth).permute(0, 2, 3, 1).reshape(-1, 24).double()
    first = patches[:, :12]
    second_moments = first.T @ first / len(first)
    torch.testing.assert_close(second_moments, torch.eye(12).double(), atol=1e-3, rtol=0)
    assert torch.equal(patches[:, 12:], -first)


def test_eps_bounds_what_hardly_varies() -> None:
    layer = whitening_layer(3, 2)
    fit_whitening(layer, torch.full((4, 3, 8, 8), 1e-4), eps=5e-4)
    assert layer.weight.abs().max() <= 5e-4**-0.5


def test_only_the_biases_of_the_first_layer_are_trained() -> None:
    net = SpeedNet()
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    norms = {f"blocks.{i}.norm{j}.weight" for i in range(3) for j in (1, 2)}
    assert frozen == {"first.weight", *norms}
    trained = SpeedNet(whitening=None, norm_scale=True)
    assert all(p.requires_grad for p in trained.parameters())
    assert trained.first.weight.shape == net.first.weight.shape


def test_convolutions_begin_as_the_identity() -> None:
    block = Block(4, 6, activation="none", identity=True, norm_scale=False, norm_momentum=0.4)
    images = torch.randn(2, 4, 8, 8)
    assert torch.equal(block.conv1(images)[:, :4], images)
    assert torch.equal(block.conv2(block.conv1(images)), block.conv1(images))


@pytest.mark.parametrize("size", [20, 24, 28, 32, 64])
def test_other_sizes_than_it_was_made_for(size: int) -> None:
    assert SpeedNet()(torch.randn(2, 3, size, size)).shape == (2, 10)


def test_prepare_is_of_the_whitening_alone() -> None:
    images = torch.randn(20, 3, 32, 32)
    torch.manual_seed(0)
    net = SpeedNet()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.prepare(images)
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"first.weight"}
    SpeedNet(whitening=None).prepare(images)
