"""Loggers beside TensorBoard, read back by the readers of their own libraries."""

import csv
import importlib.util
import json
import logging
import re
import socket
import struct
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from hydra.errors import ConfigCompositionException
from lightning.pytorch import LightningModule, Trainer

from cifarlab.base.checks import check_config, loggers_of
from cifarlab.base.cli import _explain
from cifarlab.base.errors import UserError
from cifarlab.callbacks import EpochRecorder, SeedEachStep, Told, Tracker, Tracking, Trackio
from cifarlab.callbacks.tracking import _quietly, as_figures
from cifarlab.run.build import build_loggers
from cifarlab.store.record import CELLS, LOGGERS, RunRecord, config_hash, read_metrics
from tests.conftest import CONF, launch, plain

ALL = "logger=[tensorboard,csv,wandb,mlflow,trackio]"
TOLD = ["tags=[first,3]", "notes=as it was", "max_epochs=3", "+trainer.limit_train_batches=2"]
NAMES = {"train/loss", "train/acc", "val/loss", "val/acc"}
NAMES |= {"speed/lr", "speed/images_per_s", "speed/epoch_s"}


class Cut(Exception):
    """Stands for a failure of the program."""


class Offline(Exception):
    """Raised where something would be asked beyond this machine."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def folder(root: Path, cache: Path) -> Path:
    """A cell of a sweep with all loggers, which failed in its third epoch and was resumed, on a
    machine without a network."""
    folder = root / "sweeps" / "s" / "cell"
    folder.mkdir(parents=True)
    (folder.parent / CELLS).write_text("{}")

    def cut(self, trainer, *_) -> None:
        if trainer.current_epoch == 2:
            raise Cut("once")

    def refuse(host, *_, **__):
        raise Offline(host)

    options = [*TOLD, ALL, f"output_root={root}", "logger.tensorboard.images_every=null"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TRACKIO_DIR", raising=False)
        patch.setattr(socket, "getaddrinfo", refuse)
        with patch.context() as once:
            once.setattr(SeedEachStep, "on_train_epoch_end", cut, raising=False)
            with pytest.raises(Cut):
                launch(folder, cache, *options)
        states = {run.info.status for run in mlflow_runs(root)}
        assert states == {"FAILED"} and len(trackio_alerts(root)) == 1
        launch(folder, cache, *options)
    return folder


def mlflow_runs(root: Path) -> list:
    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = MlflowClient(f"sqlite:///{root}/mlflow/mlflow.db")
        found = client.search_experiments(filter_string="name = 'cifarlab/s'")
        return client.search_runs([experiment.experiment_id for experiment in found])


def trackio_alerts(root: Path) -> list[dict]:
    import trackio

    assert root / "trackio" == trackio.utils.TRACKIO_DIR
    return trackio.Api().alerts("cifarlab")


def expected(folder: Path) -> list[dict[str, float]]:
    rows = read_metrics(folder / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    return [as_figures(row) for row in rows]


def final(folder: Path) -> dict[str, float]:
    metrics = RunRecord.load(folder).metrics
    return {f"final/{s}_{k}": v for s, values in metrics.items() for k, v in values.items()}


def test_names_are_those_of_the_training(folder: Path) -> None:
    assert expected(folder)[0].keys() == NAMES | {"epoch"}
    assert final(folder).keys() >= {"final/train_acc", "final/val_loss", "final/test_acc"}


def test_csv(folder: Path) -> None:
    with (folder / "csv" / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    *epochs, last = [{k: float(v) for k, v in row.items() if v} for row in rows]
    assert [row.pop("step") for row in epochs] == [2, 4, 6] and last.pop("step") == 6
    assert epochs == [pytest.approx(row, rel=1e-4) for row in expected(folder)]
    assert last == pytest.approx(final(folder))
    config = yaml.safe_load((folder / "csv" / "hparams.yaml").read_text())
    assert config["optimizer.lr"] == 0.05 and config["tags"] == '["first", 3]'


def wandb_records(path: Path) -> list:
    """What a file of wandb (0.31, which has no reader in Python) holds, as wandb's own messages: a
    LevelDB log of 7 bytes, then blocks of 32 KiB of parts, each with sum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, text, found = path.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        if 2**15 - place % 2**15 < 7:  # no room for a part: the next block
            place += 2**15 - place % 2**15
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        text += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            found.append(Record.FromString(text))
            text = b""
    return found


def test_wandb(folder: Path) -> None:
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2 and len({path.name for path in files}) == 1, "one run of two sessions"
    sessions = [wandb_records(path) for path in files]
    codes = [[r.exit.exit_code for r in s if r.HasField("exit")] for s in sessions]
    assert codes == [[1], [0]]
    rows, summary = [], {}
    for record in sum(sessions, []):
        items = {"".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
        rows += [{k: json.loads(v) for k, v in items.items()}] if items else []
        summary |= {"".join(i.nested_key) or i.key: i.value_json for i in record.summary.update}
    rows = [{k: v for k, v in row.items() if k in NAMES | {"epoch"}} for row in rows]
    assert rows == [pytest.approx(row, rel=1e-4) for row in expected(folder)], "each epoch once"
    figures = {k: json.loads(v) for k, v in summary.items() if k.startswith("final/")}
    assert figures == pytest.approx(final(folder))
    (run,) = [r.run for r in sessions[0] if r.HasField("run")]
    assert (run.display_name, run.run_group, run.project) == ("s/cell", "s", "cifarlab")
    assert list(run.tags) == ["first", "3"] and run.notes == "as it was"
    config = {"".join(i.nested_key) or i.key: i.value_json for s in sessions for r in s
              for i in [*r.run.config.update, *r.config.update]}  # fmt: skip
    assert json.loads(config["optimizer.lr"]) == 0.05 and json.loads(config["seed"]) == 0


def test_mlflow(folder: Path, root: Path) -> None:
    from mlflow.tracking import MlflowClient

    (run,) = mlflow_runs(root)
    assert run.info.status == "FINISHED" and run.info.run_name == "s/cell"
    assert run.data.tags["tags"] == "first, 3" and run.data.tags["sweep"] == "s"
    assert run.data.tags["mlflow.note.content"] == "as it was"
    assert run.data.params["optimizer.lr"] == "0.05" and run.data.params["data.name"] == "synthetic"
    client = MlflowClient(f"sqlite:///{root}/mlflow/mlflow.db")
    for name in NAMES:
        logged = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in logged] == [
            (2 * row["epoch"], pytest.approx(row[name], rel=1e-4)) for row in expected(folder)
        ]
    figures = {k: v for k, v in run.data.metrics.items() if k.startswith("final/")}
    assert figures == pytest.approx(final(folder))


def test_trackio(folder: Path, root: Path) -> None:
    import trackio

    (run,) = trackio.Api().runs("cifarlab")
    assert run.name == "s/cell" and run.config["_Group"] == "s" and run.config["notes"]
    assert run.config["optimizer.lr"] == 0.05 and run.config["_Username"] is None
    logs = trackio.SQLiteStorage.get_logs("cifarlab", run.name, run_id=run.id)
    *epochs, last = [{k: v for k, v in row.items() if k != "timestamp"} for row in logs]
    assert [row.pop("step") for row in epochs] == [2, 4, 6] and last.pop("step") == 6
    assert epochs == [pytest.approx(row, rel=1e-4) for row in expected(folder)], "each epoch once"
    assert last == pytest.approx(final(folder))
    assert [alert["title"] for alert in trackio_alerts(root)] == ["failed"]


def test_what_a_run_is_known_by(folder: Path) -> None:
    known = json.loads((folder / LOGGERS).read_text())
    assert {name: entry["epochs"] for name, entry in known.items()} == dict.fromkeys(
        ["csv", "wandb", "mlflow", "trackio"], 3
    )
    assert f"run-{known['wandb']['id']}.wandb" in [p.name for p in folder.rglob("*.wandb")]


class Broken(Tracker):
    """Works at the times that it is given."""

    def __init__(self, works: list[bool]) -> None:
        self.works, self.said = iter(works), []

    def _say(self, *what) -> None:
        print("look at https://somewhere")
        print("or elsewhere", file=sys.stderr)
        warnings.warn("of a library", stacklevel=1)
        if not next(self.works):
            raise OSError(28, "No space left\non device")
        self.said.append(what)

    def begin(self, run: Told, known: str | None) -> str:
        self._say("begin", known)
        return "id"

    def log(self, figures, step: int) -> None:
        self._say(*figures.items())

    def end(self, status) -> None:
        self._say(status)


EPOCHS = [
    {"epoch": n, "step": 4 * n, "lr": 0.1, "images_per_s": 1.0, "epoch_s": 1.0}
    | {f"{split}_{kind}": 0.5 for split in ("train", "val") for kind in ("loss", "acc")}
    for n in (1, 2)
]


def tracked(tmp_path: Path, *works: bool) -> tuple[Broken, Tracking]:
    broken = Broken([*works])
    recorder, told = (
        EpochRecorder(tmp_path / "metrics.csv", "val/loss"),
        Told.of(plain(), tmp_path, is_cell=False),
    )
    return broken, Tracking({"mine": broken}, recorder, told)


def train(tracking: Tracking) -> None:
    """As Lightning's Trainer calls it."""
    trainer = Mock(spec=Trainer, is_global_zero=True)
    tracking.on_fit_start(trainer, Mock(spec=LightningModule))
    for row in EPOCHS:
        tracking.recorder.rows.append(row)
        tracking.on_train_epoch_end(trainer, Mock(spec=LightningModule))


def told_by(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]


def test_a_logger_that_fails_is_told_of_once_and_tried_again_at_the_end(
    tmp_path, caplog, capsys
) -> None:
    caplog.set_level("INFO", "cifarlab")
    broken, tracking = tracked(tmp_path, True, False, True, True, True, True)
    train(tracking)
    line = (
        "logger=mine: [Errno 28] No space left on device; the run goes on without it, and tries it "
        "again at its end"
    )
    assert told_by(caplog) == [line]
    tracking.finish({"final/val_acc": 0.5}, 8)
    assert told_by(caplog) == [line, "logger=mine: works again, and now has all epochs"]
    begun, first, second, last, end = broken.said
    assert begun == ("begin", None) and end == ("finished",)
    assert (dict(first)["epoch"], dict(second)["epoch"]) == (1, 2)
    assert dict(last) == {"final/val_acc": 0.5}
    assert capsys.readouterr() == ("", ""), "libraries are not heard"


def test_a_logger_that_never_works_is_told_of_once(tmp_path, caplog) -> None:
    broken, tracking = tracked(tmp_path, *[False] * 9)
    train(tracking)
    tracking.fail(RuntimeError("of the run"))
    tracking.finish({}, 8)
    assert len(told_by(caplog)) == 1 and broken.said == []


def test_an_interrupted_run_goes_on_where_the_logger_is(tmp_path) -> None:
    broken, tracking = tracked(tmp_path, *[True] * 9)
    train(tracking)
    tracking.fail(KeyboardInterrupt())
    assert broken.said[-1] == ("interrupted",)
    again, tracking = tracked(tmp_path, *[True] * 9)
    train(tracking)
    tracking.finish({}, 8)
    assert again.said == [("begin", "id"), (), ("finished",)], "no epoch twice"
    (tmp_path / LOGGERS).write_text("[]")
    with pytest.raises(UserError, match="loggers.json"):
        tracked(tmp_path)


def test_other_processes_tell_nothing(tmp_path) -> None:
    broken, tracking = tracked(tmp_path)
    trainer = Mock(spec=Trainer, is_global_zero=False)
    for hook in (tracking.on_fit_start, tracking.on_train_epoch_end):
        hook(trainer, Mock(spec=LightningModule))
    assert broken.said == [] and not (tmp_path / LOGGERS).exists()


def test_a_disk_that_is_full_and_a_server_that_is_away(
    tmp_path, monkeypatch, caplog, cache
) -> None:
    """The run ends as without them."""
    full = tmp_path / "full"
    full.write_text("a file where a folder should be")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    options = ["logger=[csv,mlflow]", "logger.mlflow.uri=http://127.0.0.1:9", "max_epochs=1"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "csv").write_text("a file where a folder should be")
    launch(tmp_path / "run", cache, *options)
    assert RunRecord.load(tmp_path / "run").epochs_run == 1
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [line.partition(":")[0] for line in warned] == ["logger=csv", "logger=mlflow"]
    assert not any("\n" in line for line in warned)


def test_a_run_that_fails_at_once_leaves_nothing_of_its_loggers(tmp_path, cache) -> None:
    with pytest.raises(UserError, match="diverged in epoch 1"):
        launch(tmp_path / "run", cache, "logger=csv", "optimizer.lr=1e30")
    assert not (tmp_path / "run").exists()


def test_trackio_says_what_it_cannot_write(folder, monkeypatch) -> None:
    """Which by itself it does in a thread, in a warning."""
    import trackio

    tracker = Trackio(dir="where it was imported")
    told = Told.of(plain(), folder, is_cell=False)
    with _quietly():
        tracker.begin(told, None)
        with monkeypatch.context() as patch:
            patch.setattr(trackio.SQLiteStorage, "bulk_log", Mock(side_effect=OSError("disk full")))
            with pytest.raises(OSError, match="trackio failed to flush .*: disk full"):
                tracker.log({"a": 1.0}, 1)
        tracker.log({"a": 1.0}, 1)
        trackio.Api().runs("cifarlab")
        tracker.end("interrupted")


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
@pytest.mark.parametrize("there", ["nothing", "a folder"])
def test_a_package_that_is_missing(name: str, there: str, monkeypatch) -> None:
    config = plain(f"logger=[csv,{name}]")
    find = importlib.util.find_spec
    spec = None if there == "nothing" else ModuleSpec(name, None, is_package=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: spec if n == name else find(n))
    line = rf"^logger={name}: {name} is not installed: pip install -e '\.\[{name}\]'$"
    for check in (lambda: check_config(config), lambda: build_loggers(config, Path())):
        with pytest.raises(UserError, match=line):
            check()


def test_loggers_compose_as_a_list() -> None:
    config = check_config(plain("logger=[tensorboard,csv,mlflow]", "output_root=x"))
    assert list(config["logger"]) == ["tensorboard", "csv", "mlflow"]
    assert config["logger"]["mlflow"]["uri"] == "sqlite:///x/mlflow/mlflow.db"
    assert config_hash(config) == config_hash(check_config(plain("logger=none")))
    with pytest.raises(UserError, match="logger.wandb.mode=sometimes: must be one of offline"):
        check_config(plain("logger=wandb", "logger.wandb.mode=sometimes"))


def test_a_configuration_of_before_there_could_be_several(tmp_path) -> None:
    board = {"_target_": "cifarlab.callbacks.TensorBoard", "_partial_": True, "images_every": 3}
    assert loggers_of({"logger": board}) == {"tensorboard": board}
    assert loggers_of({"logger": {}}) == loggers_of({"logger": None}) == {}
    ((made,), trackers) = build_loggers({"logger": board | {"graph": False}}, tmp_path)
    assert made.images_every == 3 and not made.graph and not trackers
    config = check_config(plain() | {"logger": board})
    assert config["logger"] == {"tensorboard": board}


@pytest.mark.parametrize("key", ["images_every", "graph", "_target_"])
def test_a_key_that_has_moved(key: str) -> None:
    with pytest.raises(ConfigCompositionException) as caught:
        plain(f"logger.{key}=1")
    line = _explain(caught.value, CONF)
    assert line is not None and re.fullmatch(rf"logger.{key}: is \+?logger.*.{key} now", line)


def test_a_logger_of_ones_own(tmp_path) -> None:
    own = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    loggers, trackers = build_loggers({"logger": {"mine": own}}, tmp_path)
    assert type(loggers[0]).__name__ == "CSVLogger" and not trackers
    with pytest.raises(UserError, match="logger.mine=torch.nn.ReLU: makes no logger"):
        build_loggers({"logger": {"mine": {"_target_": "torch.nn.ReLU"}}}, tmp_path)
