"""The layer tables of the reports, row by row, and the options of the class."""

import pytest
import torch
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.models.convnet import ConvNet
from cifarlab.store.checkpoint import build_net
from tests.conftest import plain

Row = tuple[str, tuple[int, ...], int, int]

# layer, output size, weights, biases
ELFARRI_1G: list[Row] = [
    ("Conv2d", (32, 32, 32), 3 * 32 * 5 * 5, 32),
    ("ReLU", (32, 32, 32), 0, 0),
    ("MaxPool2d", (32, 16, 16), 0, 0),
    ("Conv2d", (64, 16, 16), 32 * 64 * 5 * 5, 64),
    ("ReLU", (64, 16, 16), 0, 0),
    ("MaxPool2d", (64, 8, 8), 0, 0),
    ("Conv2d", (128, 8, 8), 64 * 128 * 5 * 5, 128),
    ("ReLU", (128, 8, 8), 0, 0),
    ("MaxPool2d", (128, 4, 4), 0, 0),
    ("Flatten", (2048,), 0, 0),
    ("Linear", (64,), 2048 * 64, 64),
    ("ReLU", (64,), 0, 0),
    ("Linear", (10,), 64 * 10, 10),
]
# layer, output size, parameters
GROUP14_MODEL1 = [
    ("Conv2d", (32, 32, 32), 896),
    ("ReLU", (32, 32, 32), 0),
    ("MaxPool2d", (32, 16, 16), 0),
    ("Conv2d", (64, 16, 16), 51_264),
    ("ReLU", (64, 16, 16), 0),
    ("AvgPool2d", (64, 8, 8), 0),
    ("Conv2d", (128, 8, 8), 73_856),
    ("BatchNorm2d", (128, 8, 8), 256),
    ("MaxPool2d", (128, 4, 4), 0),
    ("Conv2d", (256, 4, 4), 819_456),
    ("ReLU", (256, 4, 4), 0),
    ("Flatten", (4096,), 0),
    ("Linear", (128,), 524_416),
    ("ReLU", (128,), 0),
    ("Linear", (64,), 8_256),
    ("ReLU", (64,), 0),
    ("Linear", (10,), 650),
]
GROUP14_MODEL2 = [
    ("Conv2d", (64, 32, 32), 1_792),
    ("ReLU", (64, 32, 32), 0),
    ("MaxPool2d", (64, 16, 16), 0),
    ("Conv2d", (128, 16, 16), 204_928),
    ("ReLU", (128, 16, 16), 0),
    ("MaxPool2d", (128, 8, 8), 0),
    ("Conv2d", (256, 8, 8), 295_168),
    ("ReLU", (256, 8, 8), 0),
    ("MaxPool2d", (256, 4, 4), 0),
    ("Flatten", (4096,), 0),
    ("Linear", (128,), 524_416),
    ("ReLU", (128,), 0),
    ("Linear", (10,), 1_290),
]
# figure 10 prints the layers, the arithmetic is in question 1
SAPIENZA_CONVOLUTIONS = [3_584, 590_336, 2_359_808, 2_359_808, 2_359_808]


def built(model: str, *overrides: str) -> nn.Module:
    return build_net(plain(f"model={model}", *overrides)["model"], num_classes=10, image_size=32)


def rows(net: nn.Module) -> list[Row]:
    found: list[Row] = []

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        weights = getattr(module, "weight", torch.empty(0)).numel()
        biases = getattr(module, "bias", torch.empty(0)).numel()
        found.append((type(module).__name__, tuple(output.shape[1:]), weights, biases))

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    net.eval()(torch.zeros(1, 3, 32, 32))
    return found


def test_baseline_is_elfarris_table_1g() -> None:
    assert rows(built("baseline")) == ELFARRI_1G
    assert sum(row[2] for row in ELFARRI_1G) == 390_112
    assert sum(row[3] for row in ELFARRI_1G) == 298


@pytest.mark.parametrize(
    ("model", "table"), [("group14_model1", GROUP14_MODEL1), ("group14_model2", GROUP14_MODEL2)]
)
def test_group14s_summaries(model: str, table: list) -> None:
    assert [(name, size, w + b) for name, size, w, b in rows(built(model))] == table


def test_sapienzas_figure_10_and_question_1() -> None:
    found = rows(built("sapienza_convnet"))
    block = ["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"]
    assert [row[0] for row in found] == block * 5 + ["Flatten", "Linear"]
    assert [w + b for name, _, w, b in found if name == "Conv2d"] == SAPIENZA_CONVOLUTIONS
    assert found[-1][2] + found[-1][3] == 5_130


def test_elfarris_model1() -> None:
    net = built("elfarri_model1")
    kernels = [m.kernel_size[0] for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [7, 5, 5, 5, 5, 5]
    pattern = ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + ["MaxPool2d"]
    names = [row[0] for row in rows(net)]
    assert names == pattern * 3 + ["Flatten", "Linear", "ReLU", "Linear"]


def test_elfarris_model2_ends_in_2x2_maps() -> None:
    sizes = [row[1] for row in rows(built("elfarri_model2")) if row[0] == "MaxPool2d"]
    assert sizes == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (64, 2, 2)]


def test_boelters_first_dense_layer_has_1600_inputs() -> None:
    found = rows(built("boelter_cnn", "dropout=0.5"))
    assert ("Flatten", (1600,), 0, 0) in found
    names = [row[0] for row in found]
    places = [names[i - 1] for i, name in enumerate(names) if name == "Dropout"]
    assert places == ["MaxPool2d", "MaxPool2d", "ReLU"], "after each pooling and the dense layer"


def test_tbmi26s_dropout_is_after_the_poolings_only() -> None:
    names = [row[0] for row in rows(built("tbmi26_cnn", "dropout=0.2"))]
    places = [names[i - 1] for i, name in enumerate(names) if name == "Dropout"]
    assert places == ["MaxPool2d", "MaxPool2d"]


def test_activation_after_group14s_batchnorm_stays_off() -> None:
    names = [row[0] for row in rows(built("group14_model1", "model.activation=tanh"))]
    assert names.count("Tanh") == 5 and "ReLU" not in names
    assert names[names.index("BatchNorm2d") + 1] == "MaxPool2d"


def test_strides_instead_of_pooling() -> None:
    found = rows(built("baseline", "model.downsample=stride"))
    assert not any("Pool" in row[0] for row in found)
    sizes = [row[1] for row in found if row[0] == "Conv2d"]
    assert sizes == [(32, 16, 16), (64, 8, 8), (128, 4, 4)]


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("xavier_uniform", 2**0.5 * (2 / (25 * (32 + 64))) ** 0.5),
        ("xavier_normal", 2**0.5 * (2 / (25 * (32 + 64))) ** 0.5),
        ("kaiming_uniform", (2 / (25 * 32)) ** 0.5),
        ("kaiming_normal", (2 / (25 * 32)) ** 0.5),
        ("default", (1 / (25 * 32) / 3) ** 0.5),
    ],
)
def test_initial_weights_have_the_spread_of_their_formula(init: str, std: float) -> None:
    torch.manual_seed(0)
    net = built("baseline", f"model.init={init}")
    layer = net.get_submodule("features.conv2")
    assert layer.weight.std().item() == pytest.approx(std, rel=0.01)
    assert bool(layer.bias.any()) == (init == "default")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "model.activation=swish: must be one of relu, tanh"),
        ({"init": "orthogonal"}, "model.init=orthogonal: must be one of default, xavier_uniform"),
        ({"downsample": "blur"}, "ConvNet.downsample=blur: must be one of pool, stride"),
        ({"dropout_after": ["fc"]}, r"dropout_after=\[fc\]: must be a list, each one of pool, "),
        ({"blocks": [{"filters": 4, "pool": "min"}]}, "pool: min: must be max, avg or null"),
    ],
)
def test_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ConvNet(**({"blocks": [{"filters": 4, "pool": "max"}]} | options))
