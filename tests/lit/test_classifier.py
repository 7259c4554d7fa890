import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from cifarlab.lit import ImageClassifier, evaluate
from cifarlab.lit.classifier import Mean
from cifarlab.lit.losses import CrossEntropy

SGD = partial(torch.optim.SGD, lr=0.1)


def all_subclasses(cls: type) -> set[type]:
    return {cls}.union(*(all_subclasses(sub) for sub in cls.__subclasses__()))


def test_no_subclass_has_a_step_of_its_own() -> None:
    import cifarlab.lit  # noqa: F401  the room with every subclass

    for cls in all_subclasses(ImageClassifier) - {ImageClassifier}:
        own = [name for name in vars(cls) if name.endswith("_step")]
        assert not own, f"{cls.__name__} overrides {own}: comparisons need one step for all"


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


def test_loss_by_hand() -> None:
    module = ImageClassifier(Constant([0.0, 0.0]), 2, SGD, lambda **_: None)
    loss = module.compute_loss(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert loss.item() == pytest.approx(math.log(2))
    low = module.compute_loss(torch.zeros(4, 2, dtype=torch.bfloat16), torch.tensor([0, 1, 0, 1]))
    assert low.dtype == torch.float32


def test_evaluate_by_hand() -> None:
    net = Constant([2.0, 0.0, 0.0])
    batches = [
        (torch.zeros(3, 3, 2, 2), torch.tensor([0, 0, 1])),
        (torch.zeros(1, 3, 2, 2), torch.tensor([0])),
    ]
    net.train()
    result = evaluate(net, batches, torch.autocast("cpu", enabled=False))
    normaliser = math.log(math.exp(2) + 2)
    assert result.metrics["acc"] == 0.75
    assert result.metrics["loss"] == pytest.approx(normaliser - (3 * 2.0 + 0) / 4)
    assert result.logits.shape == (4, 3) and result.labels.tolist() == [0, 0, 1, 0]
    assert not net.training and np.isfinite(result.logits).all()


def test_means_are_of_images() -> None:
    mean = Mean()
    mean.update(torch.tensor(3.0), 3)
    mean.update(torch.tensor(5), 1)
    assert mean.compute().item() == pytest.approx(2.0)


def test_labels_are_smoothed_in_training_only() -> None:
    net = Constant([2.0, 0.0])
    module = ImageClassifier(net, 2, SGD, lambda **_: None, loss=CrossEntropy(0.2))
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    low, high = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert module.train().compute_loss(logits, labels).item() == pytest.approx(
        0.9 * low + 0.1 * high
    )
    assert module.eval().compute_loss(logits, labels).item() == pytest.approx(low)


def test_soft_targets_by_hand() -> None:
    """The loss is the mean over both labels; the larger share is the right answer."""
    module = ImageClassifier(Constant([2.0, 0.0]), 2, SGD, lambda **_: None)
    module.log_dict = lambda *args, **kwargs: None
    targets = torch.tensor([[0.7, 0.3], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    loss, logits = module._compute(torch.zeros(4, 3, 2, 2), targets)
    module._count("train", loss, logits, targets)
    low, high = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert loss.item() == pytest.approx(0.55 * low + 0.45 * high)
    assert module.metrics["train/acc"].compute().item() == pytest.approx(0.75)


def test_one_hot_targets_are_labels() -> None:
    module = ImageClassifier(
        Constant([2.0, 0.0, -1.0]), 3, SGD, lambda **_: None, loss=CrossEntropy(0.1)
    )
    labels, logits = torch.tensor([0, 1, 2, 2]), torch.randn(4, 3)
    hard = module.compute_loss(logits, labels)
    torch.testing.assert_close(module.compute_loss(logits, torch.eye(3)[labels]), hard)


def test_attributes_are_set_as_torch_sets_them() -> None:
    """Past ``nn.Module`` go only words that take the place of others, or of nothing."""
    module = ImageClassifier(nn.Linear(2, 2), 2, SGD, lambda **_: None)
    module.word = "a"
    module.word = "b"
    assert module.__dict__["word"] == "b"
    module.word = nn.Linear(1, 1)
    assert "word" in module._modules and "word" not in module.__dict__
    with pytest.raises(TypeError, match="cannot assign"):
        module.net = "a word"
    module.net = None
    assert module._modules["net"] is None and "net" not in module.__dict__
    module.register_buffer("kept", torch.zeros(1))
    module.kept = None
    assert module._buffers["kept"] is None
