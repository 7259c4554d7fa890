"""Convolutions that compute otherwise than oneDNN would, and the same."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cifarlab.lit.convolutions import mend_strided, widen_depthwise
from cifarlab.run import runner
from cifarlab.store.checkpoint import LAST, load_run, net_weights, read_checkpoint
from cifarlab.store.run import stored_config
from tests.conftest import ROOT


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


class Strides(TorchDispatchMode):
    """Notes the strides of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[int]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution.default:
            self.seen.append(list(args[3]))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": "valid"},
        {"stride": (1, 3), "bias": False},
        {"stride": 2, "groups": 2},
    ],
)
def test_a_stride_is_taken_before_a_convolution_of_few_inputs(options: dict, layout) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 4, 1, **options)
    net = copy.deepcopy(plain)
    mend_strided(net)
    x = torch.randn(6, 8, 9, 10).contiguous(memory_format=layout)
    with Strides() as strides:
        out, slope = gradient(net, x, bf16=False)
    assert strides.seen == [[1, 1]]
    expected, expected_slope = gradient(plain, x, bf16=False)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(slope, expected_slope)
    assert out.is_contiguous(memory_format=layout) and expected.stride() == out.stride()
    twin = copy.deepcopy(net)  # as averages of the weights have it
    with torch.no_grad():
        twin.weight.zero_()
    assert gradient(twin, x, bf16=False)[0].std((0, 2, 3)).max() < 1e-6
    assert torch.equal(gradient(net, x, bf16=False)[0], out)


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3, "stride": 2}, {"kernel_size": 1}, {"kernel_size": 1, "padding": 1}],
)
def test_other_convolutions_stay_as_they_are(options: dict) -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, **options), nn.Conv2d(16, 8, 1, stride=2))
    mend_strided(net)
    assert all("forward" not in vars(layer) for layer in net)


def test_a_narrow_resnet_trains_over_two_threads(tmp_path: Path) -> None:
    """In a process of its own, which the fault ended."""
    command = """
import torch
from tests.conftest import plain
from cifarlab.base.checks import check_config
from cifarlab.run.build import build
torch.set_num_threads(2)
net = build(check_config(plain(
    "data=synthetic", "data.num_train=100", "model=resnet18", "model.widths=[8,8,8,8]",
)))[1].net.train()
for _ in range(8):
    x = torch.randn(27, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    net(x).square().sum().backward()
"""
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
