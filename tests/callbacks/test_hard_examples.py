"""Batches without their easiest images."""

import math
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from cifarlab.base.errors import UserError
from cifarlab.callbacks import HardExamples
from cifarlab.store.checkpoint import LAST, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord

OPTIONS = ["callbacks=[default,hard_examples]", "batch_size=64", "logger=none"]


def begun(share: float, losses: list[float], skips: int = 1) -> HardExamples:
    callback = HardExamples(share, skips=skips)
    callback.losses, callback.leaves_out = torch.tensor(losses), True
    callback.left_out = torch.zeros(len(losses), dtype=torch.long)
    return callback


def test_the_hardest_in_their_order_and_the_others_the_next_time() -> None:
    callback = begun(0.5, [0.1, 0.5, 0.2, 0.9, 0.3, 7.0])
    assert callback.choose(torch.tensor([4, 0, 3, 2, 1])).tolist() == [4, 3, 1]
    assert callback.losses is not None and callback.left_out is not None
    assert callback.left_out.tolist() == [1, 0, 1, 0, 0, 0]
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 5.0]])
    callback.note(logits, torch.tensor([0, 1, 1]))
    expected = [math.log1p(math.exp(-2)), math.log(2), math.log1p(math.exp(-5))]
    assert callback.losses[[4, 3, 1]].tolist() == pytest.approx(expected, abs=1e-6)
    assert callback.losses[5] == 7.0, "not in the batch"
    assert callback.choose(torch.tensor([0, 1, 2, 4])).tolist() == [0, 2], "no one is lost"


def test_an_easy_image_may_be_left_out_some_times_running() -> None:
    callback = begun(0.5, [9.0, 8.0, 0.2, 0.1], skips=2)
    everything = torch.arange(4)
    chosen = [callback.choose(everything).tolist() for _ in range(6)]
    assert chosen == [[0, 1], [0, 1], [2, 3], [0, 1], [0, 1], [2, 3]]


def test_all_before_its_epoch() -> None:
    callback = HardExamples(0.5, from_epoch=3)
    module = Mock(spec=LightningModule)
    for epoch, expected in ((0, False), (1, False), (2, True)):
        callback.on_train_epoch_start(Mock(spec=Trainer, current_epoch=epoch), module)
        assert callback.leaves_out == expected
    first = HardExamples(0.5, from_epoch=1)
    first.on_train_epoch_start(Mock(spec=Trainer, current_epoch=0), module)
    assert not first.leaves_out, "nothing is known yet"


def test_a_run(run_here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cifarlab.lit import ImageClassifier

    sizes: list[int] = []
    measure = ImageClassifier.training_step

    def step(self: ImageClassifier, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        sizes.append(len(batch[1]))
        return measure(self, batch, batch_idx)

    monkeypatch.setattr(ImageClassifier, "training_step", step)
    run_here(tmp_path / "run", *OPTIONS, "max_epochs=3", "callbacks.hard_examples.share=0.6")
    assert sizes == [64] * 4 + [39] * 8, "270 images are 4 batches"
    assert RunRecord.load(tmp_path / "run").status == "completed"


def test_it_chooses_what_was_hard(run_here, tmp_path: Path, monkeypatch) -> None:
    """The losses that it keeps are those of the batches, whatever loss is trained on."""
    seen: dict[int, float] = {}
    note = HardExamples.note

    def look(self: HardExamples, logits: Tensor, labels: Tensor) -> None:
        note(self, logits, labels)
        assert self.chosen is not None and self.losses is not None
        loss = -logits.float().log_softmax(1)[range(len(labels)), labels]
        seen.update(zip(self.chosen.tolist(), loss.tolist(), strict=True))
        known = [self.losses[image].item() for image in self.chosen]
        assert known == pytest.approx([seen[image] for image in self.chosen.tolist()], abs=1e-6)

    monkeypatch.setattr(HardExamples, "note", look)
    run_here(tmp_path / "run", *OPTIONS, "label_smoothing=0.2", "max_epochs=2")
    assert 256 <= len(seen) <= 270


def test_refused(run_here, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="images with losses of their own; aug mixes them"):
        run_here(tmp_path / "run", *OPTIONS, "aug=mixup")
    trainer = Mock(spec=Trainer, world_size=2, train_dataloader=Mock())
    with pytest.raises(UserError, match=r"of one device; trainer.devices=1"):
        HardExamples().on_train_start(trainer, Mock(spec=LightningModule))


def test_its_state_is_in_the_checkpoint(run_here, tmp_path: Path) -> None:
    folder = run_here(tmp_path / "run", *OPTIONS)
    checkpoint = read_checkpoint(folder / LAST)
    (mine,) = [v for name, v in checkpoint["callbacks"].items() if "HardExamples" in name]
    assert mine["left_out"].shape == (300,) and mine["left_out"].max() == 1
    assert mine["losses"].shape == (300,) and mine["losses"].isfinite().sum() > 150
    without = run_here(tmp_path / "without", "batch_size=64", "logger=none")
    weights, plain = net_weights(checkpoint), net_weights(read_checkpoint(without / LAST))
    assert not all(torch.equal(weights[name], plain[name]) for name in weights)


def test_with_nothing_left_out_it_is_the_run_without_it(run_here, tmp_path: Path) -> None:
    """As in experiment=speedrun_90 and in the ablation's rows without it."""
    common = ["batch_size=64", "logger=none", "max_epochs=3"]
    whole = run_here(tmp_path / "all", *OPTIONS, *common, "callbacks.hard_examples.share=1")
    without = run_here(tmp_path / "without", *common)
    weights, plain = (net_weights(read_checkpoint(run / LAST)) for run in (whole, without))
    assert all(torch.equal(weights[name], plain[name]) for name in plain)
