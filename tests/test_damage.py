"""Files of a run that were damaged or edited are told in one line, and never half believed."""

import errno
import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.run.runner import _configure as configure
from cifarlab.store.checkpoint import BEST, LAST
from cifarlab.store.files import SUMS, SUMS_LOCK
from cifarlab.store.record import RESULT, RunRecord, read_metrics
from cifarlab.store.run import Run
from tests.conftest import ROOT, TINY, without_sums
from tests.scripts.test_scripts import start

HEADER = "epoch,step,lr,train_loss,train_acc,val_loss,val_acc,epoch_s,images_per_s\n"
ROW = "{},4,0.05,2.4,0.06,2.3,0.15,0.2,658.9\n"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return without_sums(shutil.copytree(trained, tmp_path / "run"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["metrics"]["val"].update(acc=7.5), "metrics.val.acc=7.5"),
        (lambda r: r["metrics"]["test"].update(acc=float("nan")), "metrics.test.acc=nan"),
        (lambda r: r["metrics"]["val"].update(loss=-1), "metrics.val.loss=-1"),
        (lambda r: r["metrics"]["val"].update(acc="high"), "must be real number"),
        (lambda r: r["metrics"].pop("val"), "'val' is missing"),
        (lambda r: r["metrics"]["train"].pop("acc"), "'acc' is missing"),
        (lambda r: r.update(metrics=[]), "not a run record"),
        (lambda r: r.update(best_epoch=9), "best_epoch=9 of epochs_run=2"),
        (lambda r: r.update(status="fine"), "not a run record"),
        (lambda r: r.pop("seed"), "seed"),
    ],
)
def test_a_record_that_cannot_be(change, said: str, copy: Path) -> None:
    record = json.loads((copy / RESULT).read_text())
    change(record)
    (copy / RESULT).write_text(json.dumps(record))
    with pytest.raises(UserError, match="result.json: not a run record") as raised:
        RunRecord.load(copy)
    assert said in str(raised.value)
    run = Run.read(copy)
    assert run.status == "damaged" and said in run.reason, "a row of its sweep says so"


@pytest.mark.parametrize("content", ["[]", "3", "{", "", '"x"', "\x00\x01"])
def test_a_record_that_is_none(content: str, copy: Path) -> None:
    (copy / RESULT).write_text(content)
    with pytest.raises(UserError, match="result.json: not a run record"):
        RunRecord.load(copy)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROW.format(1), ROW.format(3)], "the epochs are 1, 3"),
        ([ROW.format(2), ROW.format(3)], "the epochs are 2, 3"),
        ([ROW.format(1), ROW.format(1)], "the epochs are 1, 1"),
        ([ROW.format(1).replace("2.4", "2.x")], "could not convert string to float: '2.x'"),
        (["1,4\n", ROW.format(2)], "damaged"),
        ([ROW.format(1).replace("\n", ",9\n")], "damaged"),
    ],
)
def test_damaged_epochs(rows: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(HEADER + "".join(rows))
    with pytest.raises(UserError, match="metrics.csv: damaged") as raised:
        read_metrics(tmp_path / "metrics.csv")
    assert said in str(raised.value)


@pytest.mark.parametrize("cut", range(1, len(ROW.format(2))))
def test_a_row_that_is_being_written_is_left_out(cut: int, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(HEADER + ROW.format(1) + ROW.format(2)[:-cut])
    assert [row["epoch"] for row in read_metrics(tmp_path / "metrics.csv")] == [1]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(HEADER.encode() + b"\xff\xfe\n")
    with pytest.raises(UserError, match="metrics.csv: damaged"):
        read_metrics(tmp_path / "metrics.csv")


def test_an_edited_configuration_is_not_half_obeyed(copy: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    again = configure({"resume": str(copy)}, copy, longer=False)
    assert again == config
    config["optimizer"]["lr"] = 0.5
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"optimizer.lr=0.5, but the run began with 0.05"):
        configure({"resume": str(copy)}, copy, longer=False)


BILLION = "a: &a [0,0,0,0,0,0,0,0,0,0]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{name}'] * 10)}]\n"
    for name, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("content", ["a: [", "- 1", "", "3", BILLION, "a: &a [*a]"])
def test_a_damaged_configuration(content: str, copy: Path) -> None:
    (copy / "config.yaml").write_text(content)
    with pytest.raises(UserError, match="config.yaml: missing or damaged"):
        configure({"resume": str(copy)}, copy, longer=False)


USES = {
    "predict": ["images=x.png"],
    "export": ["format=torch_export"],
    "visualize": [],
    "shifts": [],
    "robustness": [],
}


@pytest.mark.parametrize("program", USES)
def test_a_flipped_byte_is_not_predicted_with(program: str, trained: Path, tmp_path: Path) -> None:
    """Of a weight: such a file loads."""
    copy = shutil.copytree(trained, tmp_path / "run")
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    content = bytearray((copy / BEST).read_bytes())
    content[len(content) // 2] ^= 0x40
    (copy / BEST).write_bytes(content)
    assert "state_dict" in torch.load(copy / BEST, weights_only=True)
    before = sorted(copy.rglob("*"))
    done = start(f"{program}.py", "run=run", *USES[program], cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: run/{BEST}: not as it was written (its checksum is not that of")
    assert sorted(copy.rglob("*")) == before


def test_epochs_that_the_checkpoint_does_not_know(run_here, tmp_path: Path) -> None:
    folder = run_here(tmp_path / "run", "+trainer.max_steps=8")
    (folder / RESULT).unlink()
    assert torch.load(folder / LAST, weights_only=True)["epoch"] == 1
    lines = (folder / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "metrics.csv").write_text("".join(lines[:2]))
    with pytest.raises(UserError, match="has 1 epochs where the checkpoint has 2"):
        run_here(folder, "max_epochs=3")


def test_a_full_disk(train, tmp_path: Path, monkeypatch) -> None:
    """Files of at most 100 kB: the checkpoint, 2.5 MB, does not fit. Nothing is left of it."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, str(ROOT / "train.py"), *TINY, "data.cache_dir=cache", "logger=none"]
    train(*TINY, "data.cache_dir=cache", "logger=none", "name=first")
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=limited
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ") and line.endswith(".ckpt: file too large")
    assert [path.name for path in (tmp_path / "outputs/runs").iterdir()] == ["first"]


def test_a_run_goes_on_after_a_full_disk(run_here, tmp_path: Path, monkeypatch) -> None:
    whole = run_here(tmp_path / "whole", "max_epochs=3")
    written = []

    def fills(write):
        def full(*arguments, **options) -> None:
            written.append(write(*arguments, **options))
            if len(written) == 5:  # the first layer, then twice an epoch
                raise OSError(errno.ENOSPC, "No space left on device")

        return full

    monkeypatch.setattr(torch, "save", fills(torch.save))
    monkeypatch.setattr(shutil, "copyfileobj", fills(shutil.copyfileobj))
    folder = tmp_path / "run"
    with pytest.raises(OSError, match=r"No space left.*checkpoints/last.ckpt"):
        run_here(folder, "max_epochs=3")
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        SUMS_LOCK, SUMS, "best.ckpt", "initial.ckpt", "last.ckpt",
    ], "no half a file"  # fmt: skip
    monkeypatch.undo()
    run_here(folder, "max_epochs=3")
    assert RunRecord.load(folder).metrics == RunRecord.load(whole).metrics


@pytest.mark.parametrize("typed", [["output_root=there"], ["-m", "output_root=there", "seed=0,1"]])
def test_a_file_in_the_way(typed: list[str], train, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    done = train(*typed, *TINY)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "there" in line and ("not a directory" in line or "file exists" in line)
    assert (tmp_path / "there").read_text() == "precious"
