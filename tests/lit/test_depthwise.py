"""Depthwise convolutions that compute in 32 bits beside others in bf16."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cifarlab.lit.depthwise import widen_depthwise
from cifarlab.run import runner
from cifarlab.store.checkpoint import LAST, load_run, net_weights, read_checkpoint
from cifarlab.store.run import stored_config


def gradient(net: nn.Module, x: Tensor, bf16: bool) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of its square's sum by the first weight."""
    net.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = net(x)
    out.float().square().sum().backward()
    weight = next(net.parameters())
    assert weight.grad is not None
    return out.detach(), weight.grad.clone()


SLOW = [{"kernel_size": 3, "stride": 2}, {"kernel_size": 5}, {"kernel_size": (1, 5)}]


@pytest.mark.parametrize("options", SLOW)
def test_in_32_bits_between_others_in_16(options: dict) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(8, 8, groups=8, bias=False, **options))
    net = copy.deepcopy(plain)
    widen_depthwise(net)
    assert list(net.state_dict()) == list(plain.state_dict())
    x = torch.randn(4, 8, 9, 9)
    exact, exact_gradient = gradient(plain, x, bf16=False)
    out, slope = gradient(net, x, bf16=True)
    assert out.dtype == torch.bfloat16, "the next layer goes on as before"
    assert torch.equal(out, exact.bfloat16())
    error = (slope - exact_gradient).abs().max()
    rough = (gradient(plain, x, bf16=True)[1] - exact_gradient).abs().max()
    assert 0 < error < rough
    assert torch.equal(gradient(net, x, bf16=False)[1], exact_gradient)
    twin = copy.deepcopy(net)  # as averages of the weights have it
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert not gradient(twin, x, bf16=True)[0].any() and gradient(net, x, bf16=True)[0].any()


FAST = [
    {"kernel_size": 3, "groups": 8},
    {"kernel_size": 3, "stride": 2, "groups": 4},
    {"kernel_size": 5},
]


@pytest.mark.parametrize("options", FAST)
def test_what_is_fast_stays_as_it_is(options: dict) -> None:
    net = nn.Conv2d(8, 8, **options)
    forward = net.forward
    widen_depthwise(net)
    assert net.forward == forward


def test_a_run_of_such_a_net(run_here, tmp_path: Path) -> None:
    """It trains, with an average of its weights, and is resumed; its weights fit the plain net."""
    options = ["model=torchvision", "model.name=mobilenet_v3_small", "model.resize=null"]
    options += ["callbacks=[default,ema]", "trainer.precision=bf16-mixed"]
    options += ["batch_size=64", "logger=none"]
    whole = run_here(tmp_path / "whole", *options, "max_epochs=3")
    folder = run_here(tmp_path / "parts", *options)
    config = stored_config(folder) | {"max_epochs": 3}
    config["trainer"] |= {"max_epochs": 3}
    record = runner.train(config, folder)
    assert record is not None and record.epochs_run == 3
    weights, expected = (net_weights(read_checkpoint(each / LAST)) for each in (folder, whole))
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert list(load_run(folder).net.state_dict()) == list(weights)
