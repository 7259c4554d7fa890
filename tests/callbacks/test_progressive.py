"""Smaller training images first."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cifarlab.base.errors import UserError
from cifarlab.callbacks import ProgressiveResize
from cifarlab.store.record import RunRecord

OPTIONS = ["model=speednet", "model.widths=[8,8,8]", "callbacks=[default,progressive]"]
SIZES = ["callbacks.progressive.sizes=[16,24,32]", "callbacks.progressive.from_epochs=[1,2,4]"]


def test_the_size_of_each_epoch() -> None:
    callback = ProgressiveResize([16, 24, 32], [1, 2, 4])
    assert [callback.size(epoch) for epoch in (1, 2, 3, 4, 9)] == [16, 24, 24, 32, 32]


@pytest.mark.parametrize(
    ("sizes", "from_epochs", "message"),
    [
        ([16, 32], [1], "as long as each other"),
        ([16, 32], [2, 3], "the first 1"),
        ([16, 32], [1, 1], "each above the one before"),
    ],
)
def test_refused(sizes: list[int], from_epochs: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ProgressiveResize(sizes, from_epochs)


def test_training_sees_the_sizes_and_validation_its_own(
    run_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cifarlab.lit import ImageClassifier

    seen: list[tuple[bool, int]] = []
    forward = ImageClassifier.forward

    def look(self: ImageClassifier, images: Tensor) -> Tensor:
        seen.append((self.training, images.shape[2]))
        return forward(self, images)

    monkeypatch.setattr(ImageClassifier, "forward", look)
    run_here(tmp_path / "run", *OPTIONS, *SIZES, "max_epochs=5")
    training = [size for is_training, size in seen if is_training]
    steps = len(training) // 5
    assert training == [s for s in (16, 24, 24, 32, 32) for _ in range(steps)]
    assert {size for is_training, size in seen if not is_training} == {32}
    assert RunRecord.load(tmp_path / "run").status == "completed"


def test_a_net_of_one_size_is_refused(run_here, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"progressive.sizes: MLP takes no images of 24 pixels"):
        run_here(tmp_path / "run", "model=mlp", "callbacks=[default,progressive]")
    assert torch.is_grad_enabled()
