import copy

import pytest
import torch
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.lit import muon
from cifarlab.lit.muon import Muon
from cifarlab.lit.optim import Part, param_groups
from cifarlab.store.checkpoint import build_net
from tests.conftest import options, plain


def grouped(net: nn.Module, decay_all: bool) -> list[dict]:
    return param_groups([Part([*net.parameters()])], lr=0.02, decay_all=decay_all)


def convnet(channels_last: bool = True) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 16), nn.Linear(16, 4)
    )
    return net.to(memory_format=torch.channels_last) if channels_last else net


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    """Steps number ``first`` to ``last`` - 1, each on gradients of its own."""
    for number in range(first, last):
        torch.manual_seed(number)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape)  # in one order whatever the strides
        optimizer.step()


def named(net: nn.Module, parameters: list[nn.Parameter]) -> list[str]:
    return [name for name, p in net.named_parameters() if any(p is other for other in parameters)]


@pytest.mark.parametrize("decay_all", [True, False])
def test_which_parameters_go_where(decay_all: bool) -> None:
    net = convnet()
    optimizer = Muon(grouped(net, decay_all), weight_decay=0.1)
    matrices, *rest = optimizer.param_groups
    assert matrices["muon"] and named(net, matrices["params"]) == ["0.weight", "3.weight"]
    assert matrices["lr"] == 0.02 and matrices["weight_decay"] == 0.1
    assert not any(group["muon"] for group in rest) and {g["lr"] for g in rest} == {0.001}
    if decay_all:
        assert [group["weight_decay"] for group in rest] == [0.1]
    else:
        assert [group["weight_decay"] for group in rest] == [0.1, 0.0]
        assert named(net, rest[0]["params"]) == ["4.weight"]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 8


def test_biases_and_norms_can_have_a_rate_of_their_own() -> None:
    net = convnet()
    optimizer = Muon(grouped(net, True), lr=0.02, adamw_lr=0.01, adamw_bias_lr=0.3)
    rates = {g["lr"]: named(net, g["params"]) for g in optimizer.param_groups}
    assert rates == {
        0.02: ["0.weight", "3.weight"],
        0.01: ["4.weight"],
        0.3: ["0.bias", "1.weight", "1.bias", "3.bias", "4.bias"],
    }


def test_normalize_brings_matrices_to_one_length() -> None:
    net, plain_net = convnet(), convnet()
    for matrix in (plain_net[0].weight, plain_net[3].weight):
        matrix.data *= len(matrix) ** 0.5 / matrix.norm()
    steps(net, Muon(grouped(net, True), normalize=True), 0, 1)
    steps(plain_net, Muon(grouped(plain_net, True)), 0, 1)
    for one, other in zip(net.parameters(), plain_net.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_no_matrix() -> None:
    token, scale = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(8, 1, 1))
    depthwise, head = nn.Parameter(torch.zeros(8, 1, 3, 3)), nn.Parameter(torch.zeros(4, 8))
    groups = Muon([token, scale, depthwise, head]).param_groups
    assert [len(group["params"]) for group in groups] == [1, 3]
    assert groups[0]["params"][0] is depthwise


@pytest.mark.parametrize("model", options("model"))
def test_the_head_of_every_model_is_its_last_linear(model: str) -> None:
    net = build_net(plain(f"model={model}")["model"], num_classes=10, image_size=32)
    head = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    assert head.out_features == 10
    matrices, rest = Muon(grouped(net, True)).param_groups
    assert any(p is head.weight for p in rest["params"])
    assert {p.ndim for p in rest["params"] if p is not head.weight} == {1}
    assert {p.ndim for p in matrices["params"]} <= {2, 4}


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("decay_all", [True, False])
def test_against_torch(channels_last: bool, decay_all: bool) -> None:
    """Three steps, the matrices beside torch.optim.Muon, the others beside torch.optim.AdamW."""
    net, copied = convnet(channels_last), convnet(channels_last)
    ours = Muon(grouped(net, decay_all), weight_decay=0.1)
    kernel, linear = copied[0].weight, copied[3].weight
    matrix = nn.Parameter(kernel.detach().clone().flatten(1))
    theirs = torch.optim.Muon([matrix, linear], lr=0.02, weight_decay=0.1)
    rest = [p for p in copied.parameters() if p is not kernel and p is not linear]
    spared = [] if decay_all else [p for p in rest if p.ndim < 2]
    decayed = [p for p in rest if all(p is not other for other in spared)]
    groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.1)
    for number in range(3):
        steps(net, ours, number, number + 1)
        steps(copied, adamw, number, number + 1)
        matrix.grad = kernel.grad.flatten(1)
        theirs.step()
    kernel.data.copy_(matrix.view(kernel.shape))
    for (name, a), b in zip(net.named_parameters(), copied.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_the_update_of_a_kernel_is_orthogonal() -> None:
    net = convnet()
    before = net[0].weight.detach().clone()
    optimizer = Muon(net.parameters(), lr=1.0, ns_steps=5)
    steps(net, optimizer, 0, 1)
    singular = torch.linalg.svdvals((before - net[0].weight.detach()).flatten(1))
    assert singular.min() > 0.6 and singular.max() < 1.3, "Newton-Schulz gives 1 within 0.3"


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_matrices_of_one_shape_together(monkeypatch, shape: tuple[int, int], precision) -> None:
    """As each alone, and in 32 bits as exact as the iteration is."""
    monkeypatch.setattr(muon, "_precision", lambda _: precision)
    torch.manual_seed(0)
    stack = torch.randn(3, *shape)
    values = (3.4445, -4.7750, 2.0315), 5, 1e-7
    together = muon.orthogonal(stack, *values)
    assert together.dtype == precision and together.shape == stack.shape
    for number in range(3):
        alone = muon.orthogonal(stack[number : number + 1], *values)[0]
        torch.testing.assert_close(together[number], alone, rtol=2e-2, atol=2e-2)
    left, sizes, right = torch.linalg.svd(stack[0], full_matrices=False)
    sizes = sizes / sizes.norm()
    for _ in range(5):  # what the iteration does to the singular values
        sizes = 3.4445 * sizes - 4.7750 * sizes**3 + 2.0315 * sizes**5
    error = (together[0].float() - left @ sizes.diag() @ right).abs().max()
    assert error < (1e-4 if precision == torch.float32 else 0.05)


def test_state_goes_through_a_checkpoint_to_the_last_bit() -> None:
    whole, cut = convnet(), convnet()
    optimizer = Muon(grouped(whole, False))
    steps(whole, optimizer, 0, 4)
    first = Muon(grouped(cut, False))
    steps(cut, first, 0, 2)
    saved = copy.deepcopy({"net": cut.state_dict(), "optimizer": first.state_dict()})
    fresh = convnet()
    second = Muon(grouped(fresh, False), lr=5.0, adamw_lr=5.0)
    fresh.load_state_dict(saved["net"])
    second.load_state_dict(saved["optimizer"])
    assert [g["lr"] for g in second.param_groups] == [0.02, 0.001, 0.001]
    steps(fresh, second, 2, 4)
    for a, b in zip(whole.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a, b)
    ours, theirs = optimizer.state_dict(), second.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for number, state in ours["state"].items():
        assert all(torch.equal(v, theirs["state"][number][k]) for k, v in state.items())


def test_parameters_without_gradient_are_left_alone() -> None:
    net = convnet()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    optimizer = Muon(net.parameters(), weight_decay=0.5)
    net[3].weight.grad = torch.ones(16, 8)
    assert optimizer.step(lambda: 7.0) == 7.0
    changed = [not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True)]
    assert changed == [False] * 4 + [True] + [False] * 3


def test_a_groups_own_rate_is_that_of_its_matrices() -> None:
    net = convnet()
    groups = [
        {"params": list(net[:2].parameters()), "lr": 0.002},
        {"params": list(net[2:].parameters())},
    ]
    rates = [(g["muon"], g["lr"]) for g in Muon(groups).param_groups]
    assert rates == [(True, 0.002), (False, pytest.approx(1e-4)), (True, 0.02), (False, 1e-3)]


@pytest.mark.parametrize("scheduler", options("scheduler"))
def test_with_every_schedule(scheduler: str) -> None:
    from hydra.utils import instantiate

    net = convnet()
    optimizer = Muon(net.parameters())
    build = instantiate(plain(f"scheduler={scheduler}")["scheduler"], _convert_="all")
    schedule = build(optimizer=optimizer, total_steps=10, steps_per_epoch=5)
    plateau = isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)
    for number in range(9):
        steps(net, optimizer, number, number + 1)
        schedule.step(*([1.0] if plateau else []))
        fast, slow = (group["lr"] for group in optimizer.param_groups)
        assert fast == pytest.approx(20 * slow, abs=1e-12)


def test_refused() -> None:
    with pytest.raises(UserError, match="optimizer=muon: .*function best is not supported"):
        Muon(convnet().parameters(), adjust_lr_fn="best")


@pytest.mark.parametrize("shape", [(8, 4, 1, 1), (8, 1, 3, 3), (8, 4, 3, 3)])
def test_kernels_whose_matrix_is_a_view_with_channels_last(shape: tuple[int, ...]) -> None:
    """Of one pixel or one channel, as in the shortcuts of residual nets."""
    torch.manual_seed(0)
    last = nn.Parameter(torch.randn(shape).to(memory_format=torch.channels_last))
    first = nn.Parameter(last.detach().clone(memory_format=torch.contiguous_format))
    for weight in (last, first):
        optimizer = Muon([weight])
        (weight**3).sum().backward()
        optimizer.step()
    torch.testing.assert_close(last, first, rtol=0, atol=1e-6)
