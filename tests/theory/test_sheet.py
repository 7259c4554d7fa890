"""Formulas against real nets: every model's table, and receptive fields by gradients."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cifarlab.inspection import count_macs
from cifarlab.store.checkpoint import build_net
from cifarlab.theory import sheet as module
from cifarlab.theory.dispatch import FieldMode
from cifarlab.theory.fields import Field
from cifarlab.theory.layers import Norm
from cifarlab.theory.sheet import Sheet, trace
from cifarlab.theory.table import as_records, total
from tests.conftest import options, plain
from tests.models.test_convnet import ELFARRI_1G, GROUP14_MODEL1, GROUP14_MODEL2

SMALLER = {  # as tests/models/test_contract.py has them
    "wide_resnet": ["model.depth=10", "model.widen=2"],
    "densenet": ["model.depth=22"],
    "torchvision": ["model.resize=64"],
    "timm": ["model.resize=64"],
}


def built(model: str, *overrides: str) -> nn.Module:
    return build_net(plain(f"model={model}", *overrides)["model"], num_classes=10, image_size=32)


def sheet_of(model: str, *overrides: str) -> Sheet:
    return trace(built(model, *overrides), (3, 32, 32))


@pytest.mark.parametrize("model", options("model"))
def test_formulas_are_the_net(model: str) -> None:
    net = built(model, *SMALLER.get(model, []))
    sheet = trace(net, (3, 32, 32))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    assert sheet.mistakes == []
    assert total(sheet.rows, "parameters") == sheet.num_params == parameters
    assert total(sheet.rows, "macs") == sheet.macs
    unknown = {row.kind for row in sheet.rows if row.parameters is None}
    assert unknown == ({"Resize"} if sheet.resized else set())
    assert sheet.unknown == "" and all(row.field for row in sheet.rows)


def test_the_reports_tables() -> None:
    baseline = sheet_of("baseline").rows
    found = [(r.kind.split()[0], r.output, r.weights, r.biases) for r in baseline]
    assert found == ELFARRI_1G
    for model, table in (("group14_model1", GROUP14_MODEL1), ("group14_model2", GROUP14_MODEL2)):
        rows = sheet_of(model).rows
        assert [(r.kind.split()[0], r.output, r.parameters) for r in rows] == table
    assert [r.formula for r in baseline if r.formula][0] == "5*5*3*32 + 32"
    assert as_records(baseline)[0]["memory_bytes"] == 4 * 32 * 32 * 32


def test_a_known_receptive_field() -> None:
    """ResNet-18 before the last pooling: 435 pixels (Araujo et al., 2019, for the same strides)."""
    sheet = sheet_of("torchvision", "model.resize=64")
    rows = {row.name: row for row in sheet.rows}
    assert rows["backbone.layer4.1.relu"].field == (435, 435)
    assert sheet.resized == (64, 64)
    assert "64x64 image that the net makes" in " ".join(sheet.remarks)


def positive(net: nn.Module) -> nn.Module:
    """All weights positive and no maximum, so that every path has a gradient."""
    for name, layer in list(net.named_modules()):
        if isinstance(layer, nn.MaxPool2d):
            owner, _, last = name.rpartition(".")
            pool = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
            setattr(net.get_submodule(owner), last, pool)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(0.1, 0.2)
    return net.double().eval()


def check_by_gradient(net: nn.Module, size: int) -> None:
    images = torch.rand(1, 3, size, size + 3, dtype=torch.float64, requires_grad=True)
    mode = FieldMode(images)
    with torch.no_grad(), mode:
        seen = mode.seen(net(images))
    assert seen is not None and seen.fields is not None
    maps = net(images)
    assert maps.shape[2:] == seen.grid
    middle = seen.grid[0] // 2, seen.grid[1] // 2
    for row, column in {(0, 0), middle, (seen.grid[0] - 1, 0)}:
        (gradient,) = torch.autograd.grad(maps[0, :, row, column].sum(), images, retain_graph=True)
        touched = gradient[0].abs().sum(0) > 0
        for axis, unit, field in ((1, row, seen.fields[0]), (2, column, seen.fields[1])):
            along = touched.any(2 - axis).nonzero().flatten().tolist()
            start, pixels = field.start + unit * field.jump, images.shape[axis + 1]
            inside = range(max(start, 0), min(start + field.size, pixels))
            assert set(along) <= set(inside)
            if unit == middle[axis - 1]:  # at the edge it may see padding only
                assert [along[0], along[-1]] == [inside[0], inside[-1]]


def layer_pair(channels: int) -> nn.Module:
    kernel = (random.choice([1, 3, 5]), random.choice([1, 3]))
    stride = random.randint(1, min(kernel)), 1
    kind = random.choice(["conv", "conv", "max", "avg", "dilated"])
    if kind == "dilated":
        return nn.Conv2d(channels, channels, 3, dilation=2, padding=random.randint(0, 2))
    if kind == "conv":
        return nn.Conv2d(channels, channels, kernel, stride, random.randint(0, 1))
    pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    return pool(2, random.randint(1, 2), random.randint(0, 1))


def test_fields_of_random_stacks_by_gradient() -> None:
    random.seed(0)
    for _ in range(25):
        stack = [layer_pair(3) for _ in range(random.randint(1, 4))]
        check_by_gradient(positive(nn.Sequential(*stack, nn.ReLU())), 36)


@pytest.mark.parametrize(
    ("model", "part"),
    [
        ("tbmi26_resnet", lambda net: nn.Sequential(net.stem, net.stages)),
        ("densenet model.depth=16", lambda net: nn.Sequential(net.stem, net.blocks)),
        ("elfarri_model1", lambda net: net.features),
    ],
)
def test_fields_of_branches_by_gradient(model: str, part: Callable) -> None:
    net = positive(part(built(*model.split())))
    check_by_gradient(net, 64)
    sizes = {"tbmi26_resnet": 25, "elfarri_model1": 66}
    mode = FieldMode(images := torch.zeros(1, 3, 64, 64, dtype=torch.float64))
    with torch.no_grad(), mode:
        seen = mode.seen(net(images))
    assert seen is not None and seen.fields is not None
    if model in sizes:
        assert seen.fields[0].size == sizes[model]


class Tokens(nn.Module):
    """A little vision transformer, with a layer used twice and one that is of no known kind."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.scale = nn.Parameter(torch.ones(16))
        self.norm = nn.LayerNorm(16)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.norm(self.norm(self.block(tokens)) * self.scale)


def test_what_has_no_formula_is_said_and_not_guessed() -> None:
    net = Tokens().train()
    sheet = trace(net, (3, 32, 32))
    rows = {row.name: row for row in sheet.rows}
    assert rows["block.self_attn"].parameters is None
    assert rows["block.self_attn.out_proj"].kind.endswith("not called")
    assert rows[""].counted == 16, "a parameter of the net itself"
    assert [r.counted for r in sheet.rows if r.name == "norm"] == [32, 0], "counted once"
    assert sheet.mistakes == [] and total(sheet.rows, "counted") == sheet.num_params
    assert "no formula for MultiheadAttention (1x)" in " ".join(sheet.remarks)
    assert rows["norm"].field is None and sheet.unknown == "no rule for view here"
    # 16 patches; projections 4 L d^2, attention 2 L^2 d, two dense layers 2 L d 32
    macs = 3 * 64 * 16 * 16 + 4 * 16 * 16**2 + 2 * 16**2 * 16 + 2 * 16 * 16 * 32
    assert sheet.macs == macs == count_macs(net, 32)
    assert net.training and net.norm.training and not net.norm._forward_hooks


def test_a_subclass_has_no_formula() -> None:
    class Standardized(nn.Conv2d):
        pass

    (row,) = trace(nn.Sequential(Standardized(3, 4, 3)), (3, 8, 8)).rows
    assert (row.parameters, row.counted, row.macs, row.field) == (None, 112, None, (3, 3))


def test_a_wrong_formula_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "layer_of", lambda layer: Norm("BatchNorm2d", features=4))
    sheet = trace(nn.Sequential(nn.BatchNorm2d(3)), (3, 8, 8))
    assert sheet.mistakes == ["0: 8 parameters by formula, 6 counted"]


@pytest.mark.parametrize(
    ("layer", "grid"),
    [
        (nn.ConvTranspose2d(3, 3, 2), None),
        (nn.AdaptiveAvgPool2d(3), None),  # windows of several sizes
        (nn.AdaptiveAvgPool2d(4), (4, 4)),
        (nn.ZeroPad2d((1, 2, 0, 0)), (8, 11)),
        (nn.Hardswish(), (8, 8)),
        (nn.GroupNorm(1, 3), None),  # each unit is a function of all
        (nn.Sequential(nn.Flatten(), nn.Softmax(1)), (1, 1)),
    ],
)
def test_operations_with_and_without_a_rule(layer: nn.Module, grid: tuple | None) -> None:
    mode = FieldMode(images := torch.zeros(1, 3, 8, 8))
    with torch.no_grad(), mode:
        seen = mode.seen(layer(images))
    assert seen is not None and (seen.grid if seen.fields else None) == grid
    if isinstance(layer, nn.ZeroPad2d):
        assert seen.fields == (Field(), Field(start=-1))
