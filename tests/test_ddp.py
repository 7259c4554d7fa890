"""Two processes on the CPU (gloo) do what one does."""

import csv
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cifarlab.store.checkpoint import LAST
from cifarlab.store.record import RunRecord
from tests.conftest import TINY


def test_two_processes_train_as_one(train, cache, tmp_path) -> None:
    """Same global batches, so the same weights up to the order of additions."""
    options = [
        *TINY,
        f"data.cache_dir={cache}",
        "aug=none",
        "data.num_train=350",
        "logger.tensorboard.images_every=1",
    ]
    folders = {}
    for devices in (1, 2):
        folders[devices] = tmp_path / f"on_{devices}"
        done = train(
            *options,
            f"trainer.devices={devices}",
            "trainer.strategy=ddp",
            f"hydra.run.dir={folders[devices]}",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("epoch 1/2") == 1, "one process speaks"
    one, two = (RunRecord.load(folder) for folder in folders.values())
    assert two.hardware["devices"] == 2
    rows = []
    for folder in folders.values():
        with (folder / "metrics.csv").open() as file:
            rows.append(list(csv.DictReader(file)))
    for a, b in zip(*rows, strict=True):
        assert a["step"] == b["step"]
        for name in ("train_loss", "train_acc", "val_loss", "val_acc"):
            assert float(a[name]) == pytest.approx(float(b[name]), abs=2e-4), name
    pictures = []
    for folder in folders.values():
        assert len(list(folder.glob("events.*"))) == 1, "of one process"
        events = EventAccumulator(str(folder)).Reload()
        of_val = EventAccumulator(str(folder / "val")).Reload()
        assert [event.step for event in of_val.Scalars("curves/loss")] == [3, 7]
        assert [event.step for event in events.Images("validation/confusion")] == [3, 7]
        pictures.append(events.Images("validation/confusion")[-1].encoded_image_string)
    assert pictures[0] == pictures[1], "of all validation images, whoever looked at them"
    assert one.data == two.data
    for split in ("train", "val", "test"):
        assert one.metrics[split]["loss"] == pytest.approx(two.metrics[split]["loss"], abs=2e-4)


# Sums over a batch are taken in halves: 2^-24 of a term, and 4 steps that amplify it (8 made
# 1.3e-5 of it on one processor). Drawn apart,
# the losses differ by 0.01 and more.
ROUNDING = 1e-5
RANDOM = [
    "aug=[crop,hflip,mixup]",
    "dropout=0.2",
    "model.dropout_after=[conv,pool,hidden]",
    "data.num_train=350",
    "max_epochs=2",
    "callbacks=none",
    "logger=none",
    "+trainer.limit_train_batches=2",
]


def losses_and_weights(folder: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Training and validation loss of each epoch, two steps long, and the last weights."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    weights = torch.load(folder / LAST, weights_only=True)["state_dict"]
    return [float(row[name]) for row in rows for name in ("train_loss", "val_loss")], weights


def test_augmentation_and_dropout_are_those_of_one_process(train, cache, tmp_path) -> None:
    """Whole images and channels of values would be others, were they drawn in each process."""
    found = []
    for devices in (1, 2):
        folder = tmp_path / f"on_{devices}"
        done = train(
            *TINY, f"data.cache_dir={cache}", "model=baseline", *RANDOM,
            f"trainer.devices={devices}", "trainer.strategy=ddp", f"hydra.run.dir={folder}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "batch norm:" not in done.stdout
        found.append(losses_and_weights(folder))
    (one, weights), (two, others) = found
    assert len(one) == 4 and one == pytest.approx(two, abs=ROUNDING)
    assert weights.keys() == others.keys(), "under the same names"
    for name, value in weights.items():
        assert (value - others[name]).abs().max() < ROUNDING, name


def test_batch_norm_of_shares_is_said(train, cache) -> None:
    done = train(
        *TINY, f"data.cache_dir={cache}", "trainer.devices=2", "trainer.strategy=ddp",
        "model.batchnorm=true", "+trainer.sync_batchnorm=true", "logger=none", "max_epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("batch norm: over each device's share of a step's images") == 1


def test_batch_size_must_be_shared_out(train, cache) -> None:
    done = train(
        *TINY, f"data.cache_dir={cache}", "trainer.devices=2", "trainer.strategy=ddp",
        "batch_size=65",
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "so it must be a multiple of the 2 devices" in done.stderr
