"""What every model must do, found by glob: a new YAML is under the contract by being there."""

import re

import pytest
import torch
from torch import nn

from cifarlab.models.speednet import SpeedNet
from cifarlab.store.checkpoint import build_net
from tests.conftest import CONF, options, plain

MODELS = options("model")

# Of ours, at 32x32 pixels and 10 classes; as printed in the reports where they print it
PARAMETERS = {
    "baseline": 390_410,  # Group 14 and Elfarri, task 1g: 2432 + 51264 + 204928 + 131136 + 650
    "group14_model1": 1_479_050,  # task 3a
    "group14_model2": 1_027_594,  # task 3a: the sum of its rows
    "elfarri_model1": 588_810,  # no number reported
    "elfarri_model2": 185_674,  # no number reported
    "boelter_cnn": 890_410,  # no number reported
    "tbmi26_cnn": 38_042,  # "about 40 000"
    "tbmi26_resnet": 308_650,  # no number reported
    "resnet18": 11_173_962,  # as published ResNet-18s for CIFAR-10
    "sapienza_convnet": 7_682_826,  # figure 10
    "sapienza_convnet model.batchnorm=false": 7_678_474,  # question 1
    "preact_resnet18": 11_172_170,  # as published for CIFAR-10, plus the last batch norm's 1024
    "wide_resnet": 36_479_194,  # the paper's "36.5M"
    "wide_resnet model.depth=40 model.widen=4": 8_949_210,  # the paper's "8.9M"
    "densenet": 769_162,  # the paper's "0.8M"
    "vgg11_bn": 9_360_394,  # torchvision's convolutions, 9,225,984, and 512-256-10 with batch norm
    "vgg13_bn": 9_545_290,
    "vgg16_bn": 14_857_546,
    "torchvision": 11_181_642,  # resnet18: 11,689,512 with 1000 classes, less 990 * 513
    "torchvision model.name=convnext_tiny": 27_827_818,  # 28,589,128 less 990 * 769
    "timm": 11_181_642,
    "speednet": 1_972_792,  # 312 + 9 * (24 * 64 + 64^2 + 64 * 256 + 3 * 256^2) + 2304 + 2560
    "mlp": 616_610,  # "> 600 000"; 3072 * 200 + 200 + 200 * 10 + 10
}
# The same networks, less deep or on smaller images, where a test looks at behaviour
SMALL = {
    "wide_resnet": ["model.depth=10", "model.widen=2"],
    "densenet": ["model.depth=22"],
    "torchvision": ["model.resize=64"],
    "timm": ["model.resize=64"],
}
BATCHNORM = nn.BatchNorm1d | nn.BatchNorm2d
# Options that not every model has, tried on those that do
OPTIONS = [
    "model.batchnorm=true",
    "model.batchnorm=false",
    "model.activation=tanh",
    "model.activation=silu",
    "model.activation=leaky_relu",
    "model.init=xavier_normal",
    "model.init=kaiming_uniform",
    "model.downsample=stride",
    "model.adaptive_pool=2",
    "model.head_batchnorm=true",
    "model.dropout_after=[conv,hidden]",
]


def variants() -> list[tuple[str, str]]:
    known = {model: plain(f"model={model}")["model"] for model in MODELS}
    return [
        (model, option)
        for model in MODELS
        for option in OPTIONS
        if option.removeprefix("model.").partition("=")[0] in known[model]
    ]


def net(model: str, *overrides: str, **arguments: int) -> nn.Module:
    return whole_net(model, *SMALL.get(model, []), *overrides, **arguments)


def whole_net(model: str, *overrides: str, **arguments: int) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"num_classes": 10, "image_size": 32} | arguments
    return build_net(plain(f"model={model}", *overrides)["model"], **sizes)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("num_classes", "image_size"), [(10, 32), (100, 32), (7, 64)])
def test_shape_and_finite(model: str, num_classes: int, image_size: int) -> None:
    built = net(model, num_classes=num_classes, image_size=image_size)
    logits = built(torch.randn(3, 3, image_size, image_size))
    assert logits.shape == (3, num_classes)
    assert logits.isfinite().all()


@pytest.mark.parametrize(("model", "option"), [(model, "seed=0") for model in MODELS] + variants())
def test_every_parameter_gets_a_gradient(model: str, option: str) -> None:
    built = net(model, option)
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10
    optimizer, moved = torch.optim.SGD(built.parameters(), lr=0.1), set()
    for _ in range(2):  # timm's ResNets begin with branches that are multiplied by zero
        optimizer.zero_grad()
        nn.functional.cross_entropy(built(images), labels).backward()
        optimizer.step()
        for name, parameter in trained(built).items():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            if parameter.grad.any() or _bias_before_batchnorm(built, name):
                moved.add(name)
    assert moved == trained(built).keys()


def trained(built: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters; of speednet those that are not computed, see test_speednet.py."""
    frozen = isinstance(built, SpeedNet)
    return {n: p for n, p in built.named_parameters() if p.requires_grad or not frozen}


def _bias_before_batchnorm(built: nn.Module, name: str) -> bool:
    """Batch norm subtracts the mean, so a bias just before it has no effect and no gradient."""
    modules = list(built.modules())
    owner = built.get_submodule(name.rpartition(".")[0])
    following = modules[modules.index(owner) + 1]
    return name.endswith("bias") and isinstance(following, BATCHNORM)


def train_but_for_batchnorm(built: nn.Module) -> nn.Module:
    built.train()
    for module in built.modules():
        if isinstance(module, BATCHNORM):
            module.eval()
    return built


@pytest.mark.parametrize("model", MODELS)
def test_dropout_only_in_train_mode(model: str) -> None:
    images = torch.randn(8, 3, 32, 32)
    built = train_but_for_batchnorm(net(model, "dropout=0.5"))
    assert not torch.equal(built(images), built(images))
    built.eval()
    assert torch.equal(built(images), built(images))


@pytest.mark.parametrize("model", MODELS)
def test_train_and_eval_differ_only_by_dropout_and_batchnorm(model: str) -> None:
    images = torch.randn(8, 3, 32, 32)
    built = net(model, "dropout=0")
    assert not any(isinstance(module, nn.Dropout) for module in built.modules())
    training = train_but_for_batchnorm(built)(images)
    assert torch.equal(training, built.eval()(images))


@pytest.mark.parametrize("model", MODELS)
def test_dropout_adds_no_parameters_and_keeps_their_names(model: str) -> None:
    assert net(model).state_dict().keys() == net(model, "dropout=0.3").state_dict().keys()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5])
def test_impossible_dropout_is_refused(model: str, dropout: float) -> None:
    config = plain(f"model={model}")["model"] | {"dropout": dropout}
    with pytest.raises(Exception, match=r"dropout=.*must be a number in \[0, 1\)"):
        build_net(config, num_classes=10, image_size=32)


@pytest.mark.parametrize("key", PARAMETERS)
def test_parameters(key: str) -> None:
    built = whole_net(*key.split())
    assert sum(parameter.numel() for parameter in built.parameters()) == PARAMETERS[key]


def parameters_said(model: str) -> int | None:
    """What the comment of the YAML says, ``390,410 parameters``; models need not say it."""
    comment = re.search(
        r"(?<![\d.,])(\d[\d,]*) parameters", (CONF / f"model/{model}.yaml").read_text()
    )
    return int(comment[1].replace(",", "")) if comment else None


SAID = {model: said for model in MODELS if (said := parameters_said(model))}


def test_comments_are_read() -> None:
    assert SAID["baseline"] == 390_410 and len(SAID) > 6


@pytest.mark.parametrize("model", SAID)
def test_the_comment_says_how_many_parameters(model: str) -> None:
    assert sum(parameter.numel() for parameter in whole_net(model).parameters()) == SAID[model]


@pytest.mark.parametrize("model", ["baseline", "sapienza_convnet", "boelter_cnn", "vgg11_bn"])
def test_images_too_small(model: str) -> None:
    with pytest.raises(Exception, match="images of 4 px are too small"):
        net(model, image_size=4)
