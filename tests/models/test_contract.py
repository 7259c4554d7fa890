"""What every model must do, found by glob: a new YAML is under the contract by being there."""

import pytest
import torch
from torch import nn

from cifarlab.checkpoint import build_net
from cifarlab.errors import UserError
from tests.conftest import options, plain

MODELS = options("model")

# At 32x32 pixels and 10 classes, as the reports print them
REPORTED = {
    "baseline": 390_410,  # Group 14 and Elfarri, task 1g: 2432 + 51264 + 204928 + 131136 + 650
    "sapienza_convnet": 7_682_826,  # figure 10
    "sapienza_convnet model.batchnorm=false": 7_678_474,  # question 1
    "mlp": 616_610,  # "> 600 000"; 3072 * 200 + 200 + 200 * 10 + 10
}
DETERMINISTIC = (nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout)


def net(model: str, *overrides: str, **arguments: int) -> nn.Module:
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


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batchnorm", ["true", "false"])
def test_every_parameter_gets_a_gradient(model: str, batchnorm: str) -> None:
    built = net(model, f"model.batchnorm={batchnorm}")
    images, labels = torch.randn(16, 3, 32, 32), torch.arange(16) % 10
    nn.functional.cross_entropy(built(images), labels).backward()
    for name, parameter in built.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or _bias_before_batchnorm(built, name), name


def _bias_before_batchnorm(built: nn.Module, name: str) -> bool:
    """Batch norm subtracts the mean, so a bias just before it has no effect and no gradient."""
    modules = list(built.modules())
    owner = built.get_submodule(name.rpartition(".")[0])
    following = modules[modules.index(owner) + 1]
    return name.endswith("bias") and isinstance(following, nn.BatchNorm1d | nn.BatchNorm2d)


@pytest.mark.parametrize("model", MODELS)
def test_dropout_only_in_train_mode(model: str) -> None:
    images = torch.randn(8, 3, 32, 32)
    built = net(model, "dropout=0.5", "model.batchnorm=false").train()
    assert not torch.equal(built(images), built(images))
    built.eval()
    assert torch.equal(built(images), built(images))


@pytest.mark.parametrize("model", MODELS)
def test_train_and_eval_differ_only_by_dropout_and_batchnorm(model: str) -> None:
    images = torch.randn(8, 3, 32, 32)
    built = net(model, "dropout=0", "model.batchnorm=false")
    assert not any(isinstance(module, DETERMINISTIC) for module in built.modules())
    torch.testing.assert_close(built.train()(images), built.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_dropout_adds_no_parameters_and_keeps_their_names(model: str) -> None:
    assert net(model).state_dict().keys() == net(model, "dropout=0.3").state_dict().keys()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5])
def test_impossible_dropout_is_refused(model: str, dropout: float) -> None:
    config = plain(f"model={model}")["model"] | {"dropout": dropout}
    with pytest.raises(Exception, match=r"dropout=.*must be a number in \[0, 1\)"):
        build_net(config, num_classes=10, image_size=32)


@pytest.mark.parametrize("key", REPORTED)
def test_parameters_as_reported(key: str) -> None:
    built = net(*key.split())
    assert sum(parameter.numel() for parameter in built.parameters()) == REPORTED[key]


def test_every_model_has_its_parameters_written_down() -> None:
    assert set(MODELS) == {key.split()[0] for key in REPORTED}


@pytest.mark.parametrize("model", ["baseline", "sapienza_convnet"])
def test_images_too_small(model: str) -> None:
    from cifarlab.models.blocks import halved

    with pytest.raises(UserError, match="images of 4 px are too small, it halves them 3 times"):
        halved(4, 3, model)
    with pytest.raises(Exception, match="too small"):
        net(model, image_size=4)
