"""Where we may not write or read: one line that names the path, and nothing half written.

Root is let into everything, so what these programs run with is less than root's: without the
capabilities that pass over permissions.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cifarlab.store.lock import RunLock, is_held
from cifarlab.store.record import CONFIG, RESULT
from tests.conftest import ROOT, TINY, launch
from tests.programs import run

SEEDS = ["-m", *TINY, "logger=none", "seed=0,1"]
Start = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")


@pytest.fixture(scope="module", autouse=True)
def permissions_bite(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("probe")
    (folder / "writes.py").write_text(f"open('{folder}/closed/x', 'w')")
    (folder / "closed").mkdir(mode=0o555)
    done = run(folder / "writes.py", cwd=folder, bound=True)
    if "cannot be given up" in done.stderr:
        pytest.skip("this user is let into everything, and cannot give it up")
    assert done.returncode == 1 and "PermissionError" in done.stderr


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Start:
    here = tmp_path / "here"
    here.mkdir()
    return lambda program, *typed: run(ROOT / program, *typed, cwd=here, bound=True)


@pytest.fixture(scope="module")
def made(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, side by side."""
    folder = tmp_path_factory.mktemp("made")
    for seed in (0, 1):
        launch(folder / f"{seed}", cache, f"seed={seed}", "model=tbmi26_cnn")
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "runs")


def closed(folder: Path) -> Path:
    """Read-only, with all that is in it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def refused(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert done.returncode == 2, done.stderr + done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line == f"error: {path}: permission denied"


PROGRAMS = {
    "train": (["train.py", *TINY, "output_root={}"], "runs"),
    "sweep": (["train.py", *SEEDS, "output_root={}"], "sweeps"),
    "predict": (
        ["scripts/predict.py", "run={run}", "images={image}", "output={}"], "predictions.csv",
    ),
    "export": (["scripts/export.py", "run={run}", "format=torch_export", "output={}"], "model.pt2"),
    "visualize": (["scripts/visualize.py", "run={run}", "out={}"], "first_layer.png"),
    "compare": (["scripts/compare.py", "a={run}", "b={other}", "out={}/x"], "x"),
    "side by side": (["scripts/report.py", "path=[{run},{other}]", "out={}/x"], "x"),
    "describe": (["scripts/describe.py", "model=mlp", "output_root={}"], "sheets"),
    "lr_find": (["scripts/lr_find.py", *TINY, "output_root={}"], "lr_find"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_where_it_may_not_write(name: str, runs: Path, cache: Path, start, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    (program, *arguments), path = PROGRAMS[name]
    names = {"run": runs / "0", "other": runs / "1", "image": tmp_path / "x.png"}
    there = closed(tmp_path / "there")
    filled = [item.format(there, **names) for item in arguments]
    before = contents(runs)
    filled += [f"data.cache_dir={cache}"] if program == "train.py" or name == "lr_find" else []
    refused(start(program, *filled), there / path)
    assert list(there.iterdir()) == list((tmp_path / "here").iterdir()) == []
    assert contents(runs) == before


def test_a_run_that_may_not_be_written(runs: Path, start, tmp_path: Path) -> None:
    """Nor can it be reported or resumed; what only reads it works, while others train there too."""
    (runs / "1" / RESULT).unlink()
    closed(runs)
    before = contents(runs)
    refused(start("scripts/report.py", f"path={runs}/0"), runs / "0" / "figures" / "evaluation.png")
    refused(start("scripts/report.py", f"path={runs}"), runs / "results.csv")
    refused(start("train.py", f"resume={runs}/1"), runs / "1" / ".lock")
    out = tmp_path / "out"
    done = start("scripts/shifts.py", f"run={runs}", f"out={out}", "images=10", "most=1")
    assert done.returncode == 0, done.stderr
    assert (out / "shifts.md").is_file() and contents(runs) == before


@pytest.mark.slow  # a run that may not be written says the same
def test_a_cell_that_may_not_be_written(cache: Path, train, start, tmp_path: Path) -> None:
    sweep = [*SEEDS, f"data.cache_dir={cache}", "sweep=s", f"output_root={tmp_path}"]
    assert train(*sweep).returncode == 0
    cell, other = sorted((tmp_path / "sweeps" / "s").glob("*/"))[:2]
    for made in (cell, other):
        (made / RESULT).unlink()
    cell.chmod(0o555)
    done = start("train.py", *sweep)
    assert done.returncode == 1 and done.stderr == "", "one of two is trained"
    assert f"{cell / CONFIG}: permission denied\n" in done.stdout
    assert "Traceback" not in done.stdout and (other / RESULT).is_file()
    cell.chmod(0o755)
    for path in (cell / "checkpoints").glob("*.ckpt"):
        path.unlink()
    (cell / "checkpoints").chmod(0o555)
    done = start("train.py", *sweep)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    line = f"{cell / 'checkpoints' / 'initial.ckpt'}: permission denied"
    assert f"failed: {cell.name}: {line}" in done.stdout
    (cell / "checkpoints").chmod(0o755)
    assert start("train.py", *sweep).returncode == 0


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "result.json", "checkpoints/SHA256SUMS"])
def test_what_may_not_be_read(name: str, runs: Path, start, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    (runs / "0" / name).chmod(0)
    done = start("scripts/predict.py", f"run={runs}/0", f"images={tmp_path}/x.png", "output=out")
    refused(done, runs / "0" / name)
    assert not (tmp_path / "here" / "out").exists()


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/last.ckpt", "metrics.csv"])
def test_a_run_that_may_not_be_read_does_not_go_on(name: str, runs: Path, start) -> None:
    (runs / "0" / RESULT).unlink()
    (runs / "0" / name).chmod(0)
    refused(start("train.py", f"resume={runs}/0"), runs / "0" / name)
    assert (runs / "0" / "checkpoints" / "last.ckpt").is_file(), "nothing is discarded"


def test_an_image_that_may_not_be_read(runs: Path, start, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name in ("x.png", "y.png"):
        Image.new("RGB", (32, 32)).save(images / name)
    (images / "y.png").chmod(0)
    done = start("scripts/predict.py", f"run={runs}/0", f"images={images}", "output=out")
    assert done.returncode == 3 and "1 predicted, 1 skipped" in done.stdout
    assert (
        done.stderr.count("\n") == 1
        and f"{images}/y.png is not an image that can be" in done.stderr
    )


def test_a_lock_that_may_only_be_read(tmp_path: Path, monkeypatch) -> None:
    """As it is asked for in a folder of somebody else."""
    with RunLock(tmp_path):
        assert is_held(tmp_path)
        monkeypatch.setattr("cifarlab.store.lock.FileLock.acquire", denied)
        assert is_held(tmp_path)
        monkeypatch.undo()
    monkeypatch.setattr("cifarlab.store.lock.FileLock.acquire", denied)
    assert not is_held(tmp_path)


def denied(*_, **__) -> None:
    raise PermissionError(13, "Permission denied")
