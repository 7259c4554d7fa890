"""What a run's event files hold."""

import io
import logging
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from torch import nn

from cifarlab.callbacks import SeedEachStep, TensorBoard
from cifarlab.callbacks.panels import _gathered, first_filters
from cifarlab.callbacks.tensorboard import hyperparameters
from cifarlab.data.sources import Synthetic
from cifarlab.figures import confusion as figure
from cifarlab.figures.curves import pixels
from cifarlab.stats.answers import Predictions, confusion
from cifarlab.store.checkpoint import LAST, load_run, load_weights, read_checkpoint
from cifarlab.store.predictions import load
from cifarlab.store.record import RunRecord, read_metrics
from tests.conftest import launch, plain

OPTIONS = ["max_epochs=4", "logger.tensorboard.images_every=2", "dropout=0.1"]


class Cut(Exception):
    """Stands for a power cut."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cache) -> Path:
    """A run that was cut off in its third epoch, after validation was logged, and resumed."""
    folder = tmp_path_factory.mktemp("tensorboard") / "run"

    def cut(self, trainer, *_) -> None:
        if trainer.current_epoch == 2:
            raise Cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeedEachStep, "on_train_epoch_end", cut, raising=False)
        with pytest.raises(Cut):
            launch(folder, cache, *OPTIONS)
    launch(folder, cache, *OPTIONS)
    return folder


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def test_every_epoch_once_also_of_a_resumed_run(folder: Path) -> None:
    assert len(list(folder.glob("events.*"))) > 1
    found, rows = events(folder), read_metrics(folder / "metrics.csv")
    assert len(rows) == 4
    columns = {("", f"speed/{k}"): k for k in ("lr", "images_per_s", "epoch_s")}
    columns |= {(s, f"curves/{k}"): f"{s}_{k}" for s in ("train", "val") for k in ("loss", "acc")}
    for (part, tag), column in columns.items():
        logged = events(folder / part).Scalars(tag)
        assert [e.value for e in logged] == pytest.approx([r[column] for r in rows], rel=1e-5), tag
        assert [e.step + 1 for e in logged] == [row["step"] for row in rows], tag
    assert len(found.Tags()["tensors"]) == len(set(found.Tags()["tensors"])), "one layout"


def test_each_session_writes_one_file_whose_name_is_after_those_of_earlier_ones(tmp_path) -> None:
    """As TensorBoard reads them: by name, which begins with the second of opening, then the number
    of the file in the process, whose 10 is before 9."""
    for k in range(3):
        logger = TensorBoard(str(tmp_path))
        if k:
            logger.go_on_from(0)
        logger.log_metrics({"a": float(k), "val/a": float(k)}, step=k)
        logger.finalize("success")  # as the trainer does at the end of training
        logger.log_metrics({"b": float(k)}, step=k)
        logger.close()
        assert len(names := sorted(path.name for path in tmp_path.glob("events.*"))) == k + 1
    seconds = [int(name.split(".")[3]) for name in names]
    assert seconds == sorted(set(seconds)), "no two of one second"
    assert [e.value for e in events(tmp_path).Scalars("a")] == [2.0]
    assert [e.value for e in events(tmp_path).Scalars("b")] == [2.0]
    assert [e.value for e in events(tmp_path / "val").Scalars("curves/a")] == [2.0]


def test_the_layout_puts_training_and_validation_together(folder: Path) -> None:
    from tensorboard.plugins.custom_scalar import layout_pb2

    (event,) = events(folder).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {c.title: list(c.multiline.tag) for part in layout.category for c in part.chart}
    assert charts["loss"] == ["curves/loss$"] and charts["accuracy"] == ["curves/acc$"]


def test_training_and_validation_have_one_tag_which_is_the_first(folder: Path) -> None:
    """TensorBoard draws a tag of several runs in one chart, and sorts charts by their tags."""
    tags = {part: events(folder / part).Tags()["scalars"] for part in ("train", "val", "final", "")}
    assert {"curves/loss", "curves/acc"} <= {*tags["train"]} & {*tags["val"]}
    assert min(tag for found in tags.values() for tag in found).startswith("curves/")
    assert sorted(tags["final"])[:2] == ["final/1_val_acc", "final/1_val_loss"], "as in HPARAMS"


def test_pictures_of_the_chosen_epochs(folder: Path) -> None:
    found = events(folder)
    tags = {"net/first_layer", "validation/confusion", "validation/confidently_wrong"}
    assert set(found.Tags()["images"]) == tags
    for tag in tags:
        assert [event.step for event in found.Images(tag)] == [7, 15], "epochs 2 and 4"


def test_a_short_run_has_pictures(tmp_path, run_here) -> None:
    """Of its last epoch, once, though that is not one of every five."""
    run_here(tmp_path / "run", "max_epochs=1", "logger.tensorboard.images_every=5")
    found = events(tmp_path / "run")
    assert [event.step for event in found.Images("validation/confusion")] == [3]


# 3 batches of 10 images, 5 of 6
@pytest.mark.parametrize("size", [pytest.param(10, marks=pytest.mark.slow), 7])
@pytest.mark.parametrize(
    "limit", ["trainer.limit_val_batches=2", "trainer.limit_val_batches=0.5", "debug=overfit"]
)
def test_a_part_of_the_validation_images_has_pictures(
    tmp_path, run_here, limit: str, size: int
) -> None:
    """Those that debug=fast and debug=overfit leave."""
    limit = limit if limit.startswith("debug") else f"+{limit}"
    run_here(tmp_path / "run", "max_epochs=1", limit, f"data.eval_batch_size={size}")
    assert len(events(tmp_path / "run").Images("validation/confusion")) == 1


def test_the_confusion_matrix_is_that_of_the_epochs_validation(folder: Path) -> None:
    """Counted anew with the weights of the last epoch."""
    loaded, indices = load_run(folder), load(folder).val_indices
    load_weights(loaded.net, read_checkpoint(folder / LAST), folder / LAST)
    source = Synthetic(300, 100).read()
    images = torch.from_numpy(source.train_images[indices]).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (loaded.mean, loaded.std))
    with torch.inference_mode():
        logits = loaded.net((images / 255 - mean) / std).double().numpy()
    counts = confusion(Predictions(logits, source.train_labels[indices]))
    drawn = figure.draw(counts, loaded.classes, "validation, epoch 4")
    event = events(folder).Images("validation/confusion")[-1]
    image = Image.open(io.BytesIO(event.encoded_image_string))
    assert counts.sum() == 30 and (np.asarray(image) == pixels(drawn)).all()


def test_the_graph_is_there(folder: Path) -> None:
    names = {node.name for node in events(folder).Graph().node}
    assert any(name.startswith("MLP/") for name in names)


def test_hyperparameters_and_no_made_up_metric(folder: Path) -> None:
    found = events(folder / "final")
    content = found.PluginTagToContent("hparams")
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["dropout"].number_value == 0.1
    assert start.hparams["model"].string_value == "mlp"
    assert start.hparams["data.num_train"].number_value == 300, "typed"
    assert metadata.EXPERIMENT_TAG not in content, "it would decide the columns of other runs"
    for split, metrics in RunRecord.load(folder).metrics.items():
        for kind, value in metrics.items():
            place = ("val", "test", "train").index(split) + 1
            (event,) = found.Scalars(f"final/{place}_{split}_{kind}")
            assert event.value == pytest.approx(value, rel=1e-6) and event.step == 16
    assert not any(tag.startswith("hp") for tag in found.Tags()["scalars"])


def test_hyperparameters_of_a_configuration() -> None:
    typed = ["model=mlp", "aug=[crop,hflip]", "aug.hflip.p=0.3", "name=x", "trainer.max_time=null"]
    config = plain(*typed)
    found = hyperparameters(config | {"overrides": typed})
    assert found["aug"] == "crop,hflip" and found["aug.hflip.p"] == 0.3
    assert found["trainer.max_time"] == "null" and found["dropout"] == "null"
    assert found["optimizer"] == "sgd" and found["optimizer.lr"] == 0.05 and "name" not in found


def test_a_net_that_cannot_be_traced_is_told(tmp_path, run_here, monkeypatch, caplog) -> None:
    class Untraceable(nn.Linear):
        def forward(self, images):
            raise RuntimeError("not with me\nat all")

    net = nn.Sequential(nn.Dropout(), Untraceable(2, 2).eval())
    board = TensorBoard(str(tmp_path / "board"))
    assert board.log_net(net, torch.zeros(1, 2)) == "not with me"
    assert [module.training for module in net] == [True, False], "modes are as they were"
    monkeypatch.setattr(TensorBoard, "log_net", lambda *_: "not with me")
    with caplog.at_level(logging.INFO, "cifarlab"):
        run_here(tmp_path / "run", "max_epochs=1", "logger.tensorboard.images_every=null")
    told = [r.getMessage() for r in caplog.records if "TensorBoard" in r.getMessage()]
    assert told == ["no graph in TensorBoard: MLP cannot be traced (not with me)"]
    assert not events(tmp_path / "run").Tags()["images"], "images_every=null"


def test_processes_take_images_in_turns() -> None:
    """Logits of five images on two processes are put back in order."""
    whole = torch.arange(10.0).view(5, 2)
    shares = [nn.functional.pad(whole[rank::2], (0, 0, 0, r)) for rank, r in ((0, 0), (1, 1))]

    def all_gather(mine):
        assert torch.equal(mine, shares[1]), "padded to one length"
        return torch.stack(shares)

    trainer = Mock(spec=Trainer, world_size=2)
    trainer.strategy.all_gather = all_gather
    assert torch.equal(_gathered(whole[1::2], 5, trainer), whole)


def test_first_layers_as_pictures() -> None:
    net = nn.Sequential(nn.Conv2d(3, 70, 3, padding=1), nn.Conv2d(70, 4, 3))
    assert first_filters(net, 8).shape == (64, 3, 3, 3), "the first 64"
    assert first_filters(nn.Sequential(nn.Flatten(), nn.Linear(48, 7)), 4).shape == (7, 3, 4, 4)
