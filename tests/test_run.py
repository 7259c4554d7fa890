"""A whole run: the folder is as the design says and everything in it is true."""

import csv
import gc
import json
import re
import sys
import traceback

import numpy as np
import pytest
import torch
import yaml

from cifarlab.base.errors import UserError, told
from cifarlab.callbacks import EpochRecorder
from cifarlab.callbacks.epochs import COLUMNS
from cifarlab.run.session import never
from cifarlab.store.checkpoint import BEST, LAST, load_run, read_checkpoint
from cifarlab.store.files import SUMS, SUMS_LOCK
from cifarlab.store.lock import RunLock
from cifarlab.store.record import (
    CHANGES,
    EVENT_PARTS,
    RunRecord,
    config_hash,
    read_metrics,
)
from tests.conftest import TINY, launch, plain

OPTIONS = ["aug=crop_flip", "max_epochs=3", "data.eval_batch_size=20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cache):
    """One finished run for the tests of this file, with TensorBoard and augmentation."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    value = launch(folder, cache, *OPTIONS, "trainer.log_every_n_steps=5")
    record = RunRecord.load(folder)
    assert value == record.metrics["val"]["acc"], "what a search is given is validation accuracy"
    return folder


@pytest.fixture
def record(folder) -> RunRecord:
    return RunRecord.load(folder)


@pytest.fixture
def rows(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_the_design_says(folder) -> None:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    events = {name for name in found if "events.out.tfevents." in name}
    assert {name.rpartition("/")[0] for name in events} == {"", *EVENT_PARTS}
    assert found - events - {CHANGES} == {
        ".lock",
        "config.yaml",
        "result.json",
        "metrics.csv",
        "predictions.npz",
        "checkpoints/best.ckpt",
        "checkpoints/initial.ckpt",
        "checkpoints/last.ckpt",
        "figures/curves.png",
        *(f"{place}{name}" for place in ("", "checkpoints/") for name in (SUMS, SUMS_LOCK)),
    }


def test_metrics_csv(rows) -> None:
    assert tuple(rows[0]) == COLUMNS == (
        "epoch", "step", "lr", "train_loss", "train_acc", "val_loss", "val_acc", "epoch_s",
        "images_per_s",
    )  # fmt: skip
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3], "counted from 1"
    assert [int(row["step"]) for row in rows] == [4, 8, 12], "270 images in whole batches of 64"


def test_best_epoch_is_that_of_the_lowest_validation_loss(record, rows) -> None:
    # 30 validation images in batches of 20: the last batch is smaller, and weighs less
    losses = [float(row["val_loss"]) for row in rows]
    assert record.best_epoch == 1 + int(np.argmin(losses))
    assert record.metrics["val"]["loss"] == pytest.approx(min(losses), rel=1e-5)
    assert record.metrics["val"]["acc"] == pytest.approx(
        float(rows[record.best_epoch - 1]["val_acc"]), abs=1e-6
    )


def test_metrics_are_those_of_the_predictions(folder, record) -> None:
    arrays = np.load(folder / "predictions.npz")
    for split in ("val", "test"):
        logits, labels = arrays[f"{split}_logits"], arrays[f"{split}_labels"]
        assert logits.dtype == np.float16 and len(labels) == record.data[f"num_{split}"]
        assert (logits.argmax(1) == labels).mean() == pytest.approx(record.metrics[split]["acc"])
        loss = torch.nn.functional.cross_entropy(
            torch.from_numpy(logits).float(), torch.from_numpy(labels)
        )
        assert float(loss) == pytest.approx(record.metrics[split]["loss"], rel=2e-3)
    train, val = arrays["train_indices"], arrays["val_indices"]
    assert sorted([*train, *val]) == list(range(300))


def test_the_record_is_true(folder, record, rows) -> None:
    config = plain(*TINY, *OPTIONS)
    assert record.status == "completed" and record.epochs_run == 3
    assert record.model == record.name == "mlp" and record.num_params == 616_610
    assert record.macs == 3072 * 200 + 200 * 10
    assert record.seed == 0 and record.test_reads == 1
    assert record.data == {
        "name": "synthetic", "num_train": 270, "num_val": 30, "num_test": 100,
        "split_hash": record.data["split_hash"],
    }  # fmt: skip
    assert record.config_hash == config_hash(config)
    assert record.overrides[: len(TINY)] == TINY
    assert record.hardware["device"] == "cpu" and record.hardware["precision"] == "32-true"
    assert record.versions["torch"] == torch.__version__.partition("+")[0]
    fit = sum(float(row["epoch_s"]) for row in rows)
    assert record.time["fit_s"] == pytest.approx(fit, rel=1e-3) and record.time["total_s"] > fit
    assert record.git["sha"] is None or len(record.git["sha"]) == 40


def test_config_is_plain_and_resolved(folder) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert "${" not in (folder / "config.yaml").read_text()
    assert config["data"]["augment"]["crop"]["padding"] == 4
    assert config["choices"]["aug"] == "crop_flip"


def test_checkpoints_load_without_running_code_and_give_the_same_logits(folder) -> None:
    checkpoint = read_checkpoint(folder / BEST)  # weights_only
    assert checkpoint["cifarlab"]["config"]["model"]["hidden"] == [200]
    loaded = load_run(folder)
    assert not loaded.net.training and len(loaded.classes) == 10
    arrays = np.load(folder / "predictions.npz")
    from cifarlab.data.sources import Synthetic

    images = torch.from_numpy(Synthetic(300, 100).read().test_images).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (loaded.mean, loaded.std))
    with torch.inference_mode():
        logits = loaded.net((images / 255 - mean) / std)
    np.testing.assert_allclose(logits.numpy(), arrays["test_logits"], rtol=0.01, atol=0.01)


def test_last_is_the_last_epoch_even_if_it_is_not_the_best(run_here, tmp_path) -> None:
    folder = run_here(tmp_path / "run", "optimizer.lr=3", "max_epochs=4", "callbacks=none")
    assert RunRecord.load(folder).best_epoch < 4
    assert read_checkpoint(folder / LAST)["global_step"] == 16
    assert read_checkpoint(folder / BEST)["epoch"] + 1 == RunRecord.load(folder).best_epoch


def test_best_epoch_by_validation_accuracy(run_here, tmp_path, caplog) -> None:
    """The same training to the bit, of which another epoch is kept and marked."""
    options = ["optimizer.lr=0.3", "seed=1", "max_epochs=6", "callbacks=none"]
    caplog.set_level("INFO")
    by_loss, by_acc = (
        run_here(tmp_path / name, *options, f"monitor=val/{name}") for name in ("loss", "acc")
    )
    rows, same = (read_metrics(folder / "metrics.csv") for folder in (by_loss, by_acc))
    assert [row["val_acc"] for row in rows] == [row["val_acc"] for row in same]
    lowest = 1 + int(np.argmin([row["val_loss"] for row in rows]))
    highest = 1 + int(np.argmax([row["val_acc"] for row in rows]))
    assert lowest != highest, "else this tests nothing"
    one, other = (RunRecord.load(folder) for folder in (by_loss, by_acc))
    assert (one.best_epoch, other.best_epoch) == (lowest, highest)
    assert one.config_hash != other.config_hash
    assert other.metrics["val"]["acc"] == pytest.approx(rows[highest - 1]["val_acc"], abs=1e-6)
    assert read_checkpoint(by_acc / BEST)["epoch"] + 1 == highest
    lines = [line for line in caplog.messages if line.startswith("epoch ")]
    starred = [i for i, line in enumerate(lines[6:], 1) if " * " in line]
    accuracies = [row["val_acc"] for row in rows]
    assert starred == [
        i for i in range(1, 7) if accuracies[i - 1] > max([-1, *accuracies[: i - 1]])
    ]


def test_tensorboard_has_the_scalars(folder, rows) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars: dict[str, list] = {}
    for path in sorted(folder.rglob("events.*")):
        events, part = EventAccumulator(str(path)).Reload(), path.parent.relative_to(folder)
        for tag in events.Tags()["scalars"]:
            scalars.setdefault(f"{part}: {tag}", []).extend(events.Scalars(tag))
    assert [e.value for e in scalars["val: curves/loss"]] == pytest.approx(
        [float(row["val_loss"]) for row in rows], rel=1e-5
    )
    expected = {"train: curves/loss", "train: curves/acc", "val: curves/acc"}
    assert expected | {"train: curves/loss_step", "final: final/2_test_acc"} <= set(scalars)


def test_figure_is_a_picture(folder) -> None:
    assert (folder / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_done_again(folder, run_here) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    run_here(folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_same_seed_same_result_other_seed_other(run_here, tmp_path) -> None:
    one = RunRecord.load(run_here(tmp_path / "a", "seed=3", "dropout=0.2", "aug=crop_flip"))
    two = RunRecord.load(run_here(tmp_path / "b", "seed=3", "dropout=0.2", "aug=crop_flip"))
    other = RunRecord.load(run_here(tmp_path / "c", "seed=4", "dropout=0.2", "aug=crop_flip"))
    assert one.metrics == two.metrics != other.metrics
    assert one.data == two.data == other.data, "seeds share one split"


SWA = ["callbacks=[swa]", "callbacks.swa.start_epoch=2"]
LATE = ["callbacks=[ema]", "callbacks.ema.update_starting_at_step=4"]


@pytest.mark.parametrize(
    "options, told",
    [
        (["callbacks=[hard_examples]", "callbacks.hard_examples.from_epoch=3"], "from_epoch=3"),
        (["callbacks=[progressive]", "callbacks.progressive.from_epochs=[1,4]"], "epochs=[1,4]"),
        (["callbacks=[freeze]", "callbacks.freeze.parameters=[head]"], ""),
        (["transfer=frozen", "transfer.last_block_from=3"], "transfer.last_block_from=3"),
        (["transfer=finetune", "transfer.backbone_from=3"], "transfer.backbone_from=3"),
        (["transfer=frozen"], ""),
        (["callbacks=[ema]", "callbacks.ema.update_starting_at_step=8"], "starting_at_step=8"),
        (["callbacks=[ema]", "callbacks.ema.update_starting_at_step=7"], ""),
        (
            [
                "+callbacks.mean._target_=lightning.pytorch.callbacks.EMAWeightAveraging",
                "+callbacks.mean.update_starting_at_step=null",
            ],
            "",
        ),
        (
            ["callbacks=[ema]", "callbacks.ema.update_starting_at_step=8", "data.drop_last=false"],
            "",
        ),
        ([*SWA, "+trainer.max_steps=8"], ""),
        ([*SWA, "+trainer.max_steps=4"], "start_epoch=2"),
        ([*LATE, "+trainer.limit_train_batches=0.5"], "starting_at_step=4"),
        ([*LATE, "+trainer.overfit_batches=1"], "starting_at_step=4"),
        ([*LATE, "+trainer.limit_train_batches=1.0"], ""),
    ],
)
def test_what_begins_after_the_last_epoch_is_told(
    options: list[str], told: str, run_here, tmp_path, caplog
) -> None:
    caplog.set_level("INFO")
    net = ["model=resnet18", "model.widths=[8,8,8,8]"]
    config = plain(*net, "max_epochs=2", *options)
    lines = [*never(config, 270)]
    assert len(lines) == bool(told)
    if told:
        ends = r"epoch (2 \(max_epochs\)|1 \(trainer.max_steps\))"
        ends = r"step [248] \(epoch 2, max_epochs\)" if "step" in told else ends
        assert re.search(rf"{re.escape(told)}: the run ends with {ends}, before it comes", lines[0])
        if not options[0].startswith("transfer"):  # of other nets
            run_here(tmp_path / "run", *net, *options)
            assert lines[0] in caplog.messages


def test_early_stopping(run_here, tmp_path) -> None:
    folder = run_here(
        tmp_path / "run", "max_epochs=30", "optimizer.lr=3", "callbacks.early_stopping.patience=2"
    )
    record = RunRecord.load(folder)
    assert record.status == "early_stopped"
    assert record.epochs_run == record.best_epoch + 2 < 30


def test_stopped_by_the_clock(run_here, tmp_path) -> None:
    folder = run_here(
        tmp_path / "run", "max_epochs=100000", "callbacks=none", "trainer.max_time='00:00:00:02'"
    )
    assert RunRecord.load(folder).status == "stopped"


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=adam", "scheduler=cosine"],
        ["optimizer=adamw", "scheduler=onecycle"],
        ["optimizer=asgd", "callbacks=none"],
        ["optimizer=rmsprop", "scheduler=step", "label_smoothing=0.1"],
        ["optimizer=muon", "scheduler=onecycle", "trainer.gradient_clip_val=1", "callbacks=ema"],
        ["scheduler=plateau", "callbacks=[default,swa]", "callbacks.swa.start_epoch=2"],
        ["optimizer.weight_decay=0.01", "decay_all=false", "scheduler=triangular"],
        ["trainer.accumulate_grad_batches=2", "scheduler=cosine", "trainer.gradient_clip_val=1"],
        ["model=baseline", "trainer.precision=bf16-mixed", "model.batchnorm=true", "aug=hflip"],
        ["logger=none", "data.split=tail", "data.normalize=half", "aug=[crop,hflip]"],
        ["aug=[crop,hflip,mixup]", "label_smoothing=0.1"],
        ["aug=[crop_flip,trivialaugment,erasing,mixup,cutmix]"],
    ],
)
def test_other_cells_train(run_here, tmp_path, overrides) -> None:
    record = RunRecord.load(run_here(tmp_path / "run", "max_epochs=1", *overrides))
    assert record.epochs_run == 1 and np.isfinite(record.metrics["test"]["loss"])


def test_learning_rate_column_follows_the_schedule(run_here, tmp_path) -> None:
    folder = run_here(tmp_path / "run", "scheduler=cosine", "max_epochs=3", "optimizer.lr=0.01")
    with (folder / "metrics.csv").open() as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.0075, 0.0025, 0.0], abs=1e-9)


def test_mlp_learns_the_drawn_classes(run_here, tmp_path) -> None:
    """Better than chance by far on images it has not seen: labels and images belong together."""
    folder = run_here(tmp_path / "run", "data.num_train=3000", "data.num_test=500", "max_epochs=8")
    assert RunRecord.load(folder).metrics["test"]["acc"] > 0.25
    assert json.loads((folder / "result.json").read_text())["metrics"]["test"]["acc"] > 0.25


def test_mixing_after_the_fact_is_told(run_here, tmp_path) -> None:
    with pytest.raises(Exception, match="HFlip comes after MixUp") as raised:
        run_here(tmp_path / "run", "aug=[mixup,hflip]")
    assert isinstance(told(raised.value), UserError)
    assert not (tmp_path / "run").exists()


def test_a_profiled_run_that_is_refused_says_nothing_more(run_here, tmp_path, monkeypatch) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    refused = ["callbacks=freeze", "callbacks.freeze.parameters=[nothing]"]
    with pytest.raises(UserError, match="no parameters 'nothing'") as error:
        run_here(tmp_path / "run", *refused, "+trainer.profiler=pytorch")
    traceback.clear_frames(error.value.__traceback__)
    del error
    gc.collect()
    assert not said


@pytest.mark.filterwarnings("ignore:The PyTorch Profiler default schedule")  # few steps
@pytest.mark.parametrize("profiler", ["simple", "advanced", "pytorch"])
def test_a_profile_is_written_and_named(run_here, tmp_path, caplog, profiler: str) -> None:
    with caplog.at_level("INFO", "cifarlab"):
        run_here(tmp_path / "run", f"+trainer.profiler={profiler}")
    path = tmp_path / "run" / "fit-profile.txt"
    assert "FIT Profiler Report" in path.read_text()
    assert f"profile {path}" in caplog.text
    traces = list(path.parent.glob("fit-profile*.pt.trace.json"))
    assert bool(traces) == (profiler == "pytorch") and all(str(t) in caplog.text for t in traces)


def test_divergence_is_told(run_here, tmp_path) -> None:
    with pytest.raises(UserError, match=r"training diverged in epoch 1: .* a lower optimizer.lr"):
        run_here(tmp_path / "run", "optimizer.lr=1e30")
    assert not (tmp_path / "run").exists()


def test_only_what_a_run_made_is_removed(run_here, tmp_path) -> None:
    """hydra.run.dir may be a folder of the user's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "precious.txt").write_text("keep me")
    with pytest.raises(UserError):
        run_here(folder, "optimizer.lr=1e30")
    assert [path.name for path in folder.iterdir()] == ["precious.txt"]


def test_one_process_a_folder(run_here, tmp_path) -> None:
    run_here(tmp_path / "run", "+trainer.max_steps=4")
    (tmp_path / "run" / "result.json").unlink()
    before = (tmp_path / "run" / "metrics.csv").read_text()
    with RunLock(tmp_path / "run"), pytest.raises(UserError, match="another process trains here"):
        run_here(tmp_path / "run")
    assert (tmp_path / "run" / "metrics.csv").read_text() == before
    run_here(tmp_path / "run")
    assert RunRecord.load(tmp_path / "run").epochs_run == 2


def test_a_kill_between_record_and_drawing(run_here, tmp_path) -> None:
    picture = run_here(tmp_path / "run", "evaluation=true") / "figures" / "evaluation.png"
    record = (tmp_path / "run" / "result.json").read_bytes()
    drawn = picture.read_bytes()
    picture.unlink()
    run_here(tmp_path / "run", "evaluation=true")
    assert (
        picture.read_bytes() == drawn and (tmp_path / "run" / "result.json").read_bytes() == record
    )


HARD = ["callbacks=hard_examples", "callbacks.hard_examples.share=0.01"]
PROGRESSIVE = ["callbacks=progressive", "callbacks.progressive.sizes=[4,32]"]
PROGRESSIVE += ["callbacks.progressive.from_epochs=[1,2]"]
ONE_PIXEL = ["model=resnet18", "model.widths=[4,4,4]", "model.depths=[1,1,1]"]


@pytest.mark.parametrize(
    "options",
    [
        ["model=baseline", "model.head_batchnorm=true", "batch_size=1"],
        ["model=torchvision", "model.name=resnet18", "model.resize=null", "batch_size=1"],
        ["model=mlp", "model.batchnorm=true", "data.fraction=0.004"],
        # the last batch; the hardest of one; images so small that their maps are a pixel
        ["model=mlp", "model.batchnorm=true", "data.val_size=43", "data.drop_last=false"],
        ["model=mlp", "model.batchnorm=true", *HARD],
        [*ONE_PIXEL, *PROGRESSIVE, "batch_size=1", "data.fraction=0.03"],
    ],
)
def test_batch_norm_over_a_single_image(run_here, tmp_path, options: list[str]) -> None:
    with pytest.raises(UserError, match="leaves one image a step .* batch norm cannot normalise"):
        run_here(tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["model=baseline", "model.head_batchnorm=true", "batch_size=2", "data.fraction=0.07"],
        ["model=baseline", "model.batchnorm=true", "batch_size=1", "data.fraction=0.03"],
        ["model=mlp", "batch_size=1", "data.fraction=0.03"],
        ["model=mlp", "model.batchnorm=true", "data.val_size=42", "data.drop_last=false"],
        ["model=mlp", "model.batchnorm=true", *HARD, "callbacks.hard_examples.from_epoch=3"],
        [*ONE_PIXEL, "batch_size=1", "data.fraction=0.03"],
    ],
)
def test_batches_that_batch_norm_takes(run_here, tmp_path, options: list[str]) -> None:
    """19 images in batches of two leave one, which is left out; maps have many values an image."""
    record = RunRecord.load(run_here(tmp_path / "run", *options, "max_epochs=1"))
    assert record.epochs_run == 1


def test_a_batch_of_one_of_a_size_that_the_net_does_not_take(run_here, tmp_path) -> None:
    options = ["model.batchnorm=true", "model.hidden=[]", "batch_size=1", "data.fraction=0.03"]
    with pytest.raises(UserError, match="progressive.sizes: MLP takes no images of 4 pixels"):
        run_here(tmp_path / "run", *options, *PROGRESSIVE)


MINE = "+callbacks.mine._target_=lightning.pytorch.callbacks.ModelCheckpoint"


def test_a_checkpoint_callback_of_the_users(run_here, tmp_path) -> None:
    """It has a folder of its own: its last.ckpt is not ours, which resuming starts from."""
    plain = run_here(tmp_path / "plain")
    mine = ["monitor=val/acc", "save_last=true", "filename=best", "save_weights_only=true"]
    folder = run_here(tmp_path / "run", MINE, *(f"+callbacks.mine.{item}" for item in mine))
    found = {path.name for path in (folder / "checkpoints").iterdir() if SUMS not in path.name}
    assert found == {"best.ckpt", "initial.ckpt", "last.ckpt", "mine"}
    own = {path.name for path in (folder / "checkpoints/mine").iterdir() if SUMS not in path.name}
    assert own == {"best.ckpt", "last.ckpt"}
    assert RunRecord.load(folder).metrics == RunRecord.load(plain).metrics
    assert "optimizer_states" in read_checkpoint(folder / "checkpoints/last.ckpt")


def test_checkpoint_callbacks_that_cannot_be_told_apart(run_here, tmp_path) -> None:
    with pytest.raises(UserError, match="two of one class and with the same settings, .* monitor"):
        run_here(tmp_path / "run", MINE)
    place = tmp_path / "run" / "checkpoints"
    typed = [MINE, "+callbacks.mine.monitor=val/acc", f"+callbacks.mine.dirpath={place}"]
    with pytest.raises(UserError, match=r"callbacks.mine.dirpath=.*: is where the run keeps best"):
        run_here(tmp_path / "run", *typed)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.max_steps=3", "max_steps=3: ends within an epoch.* a multiple of the 4 steps"),
        ("+trainer.limit_train_batches=0.001", r"0.001 of the `train_dataloader` but .* < 1"),
    ],
)
def test_what_leaves_an_epoch_without_its_end(
    run_here, tmp_path, override: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_here(tmp_path / "run", override)


def test_more_steps_than_there_are_end_nothing(run_here, tmp_path) -> None:
    record = RunRecord.load(run_here(tmp_path / "run", "+trainer.max_steps=1001"))
    assert (record.status, record.epochs_run) == ("completed", 2)


def test_the_throughput_is_images_by_seconds_where_epochs_differ(
    run_here, tmp_path, monkeypatch
) -> None:
    rates = iter((100.0, 900.0))
    record = EpochRecorder.on_train_epoch_end

    def uneven(self: EpochRecorder, *arguments: object) -> None:
        record(self, *arguments)
        self.rows[-1]["images_per_s"] = next(rates)

    monkeypatch.setattr(EpochRecorder, "on_train_epoch_end", uneven)
    time = RunRecord.load(run_here(tmp_path / "run")).time
    assert time["images_per_s"] == pytest.approx(180), "two times the images in 1/100 + 1/900"
