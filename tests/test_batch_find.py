"""Which batches fit, and what a run says of one that does not."""

from pathlib import Path

import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.lit import ImageClassifier
from cifarlab.run.batch_find import find_batch_size
from tests.conftest import TINY, plain


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU says where more than 50 images do not fit."""
    step = ImageClassifier.training_step

    def limited(self: ImageClassifier, batch, batch_idx: int):
        if len(batch[1]) > 50:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ImageClassifier, "training_step", limited)


def sizes(cache: Path, folder: Path, largest: int, *overrides: str) -> list[int]:
    config = plain(*TINY, f"data.cache_dir={cache}", *overrides)
    tried = find_batch_size(config, folder, largest)
    assert all(one.images_per_s > 0 and one.memory is None for one in tried)
    return [one.batch_size for one in tried]


def test_sizes_double_until_memory_is_out(cache, tmp_path, caplog, little_memory) -> None:
    with caplog.at_level("INFO", logger="cifarlab"):
        assert sizes(cache, tmp_path, 8192, "batch_size=7") == [16, 32]
    assert "batch_size=64     out of memory" in caplog.messages
    assert "batch_size=32: the largest that fits" in caplog.messages
    assert not list(tmp_path.iterdir()), "it leaves nothing"


def test_no_more_than_asked_for(cache, tmp_path, caplog) -> None:
    with caplog.at_level("INFO", logger="cifarlab"):
        assert sizes(cache, tmp_path, 40, "trainer.accumulate_grad_batches=2") == [16, 32]
    assert "batch_size=32: fits, and no larger one was tried" in caplog.messages


def test_a_last_batch_is_not_tried(cache, tmp_path) -> None:
    """Of 65 images, which batch norm would not take; nor would it be of the size that is timed."""
    rest = ["data.val_size=235", "data.drop_last=false", "model.batchnorm=true"]
    assert sizes(cache, tmp_path, 40, *rest) == [16, 32]


def test_a_run_out_of_memory_is_one_line(run_here, tmp_path, little_memory) -> None:
    with pytest.raises(UserError, match="batch_size=64: out of memory; python scripts/batch_find"):
        run_here(tmp_path / "run", "batch_size=64")


def test_what_only_the_data_tell_is_one_line(cache, tmp_path) -> None:
    with pytest.raises(UserError, match=r"0.5 of the `val_dataloader` but .* < 1"):
        sizes(cache, tmp_path, 16, "+trainer.overfit_batches=0.5")
