"""The programs beside train.py, as a user starts them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY, launch

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def start(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help(script: Path, tmp_path: Path) -> None:
    done = start(script.name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"scripts/{script.name}" in done.stdout


def test_report(run_here, tmp_path: Path) -> None:
    folder = run_here(tmp_path / "run")
    done = start("report.py", f"path={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mlp on synthetic" in done.stdout
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing left where it was called"
    nothing = start("report.py", f"path={tmp_path}/nowhere", cwd=tmp_path)
    assert nothing.returncode == 2 and nothing.stderr.startswith("error: path=")


@pytest.fixture(scope="module")
def pair(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ in the learning rate."""
    folder = tmp_path_factory.mktemp("pair")
    rates = ("0.05", "0.01")
    for rate in rates:
        launch(folder / rate, cache, "max_epochs=1", "logger=none", f"optimizer.lr={rate}")
    return [folder / rate for rate in rates]


def test_compare(pair: list[Path], tmp_path: Path) -> None:
    arguments = [f"a={pair[0].parent}", "where_a=optimizer.lr:0.05"]
    done = start("compare.py", *arguments, "where_b=optimizer.lr:0.01", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| optimizer.lr | 0.05 | 0.01 | yes   |" in done.stdout
    assert "McNemar's p" in done.stdout and "| stripes  |" in done.stdout
    page = tmp_path / done.stdout.strip().splitlines()[-1]
    assert {path.suffix for path in page.parent.iterdir()} == {".md", ".json", ".png"}
    wrong = start("compare.py", f"a=[{pair[0]},{pair[1]}]", f"b={pair[1]}", cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert "choose one with where_a=optimizer.lr:0.01" in wrong.stderr


def test_shifts(pair: list[Path], tmp_path: Path) -> None:
    done = start("shifts.py", f"run={pair[0].parent}/0*", "most=2", "images=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| optimizer.lr=0.05 | 0          | 1 |" in done.stdout
    assert len((tmp_path / "outputs" / "shifts" / "shifts.csv").read_text().splitlines()) == 7


def test_benchmark(cache: Path, tmp_path: Path) -> None:
    done = start(
        "benchmark.py",
        *TINY,
        f"data.cache_dir={cache}",
        "data.num_train=1000",
        "aug=crop_flip",
        "rounds=1",
        "steps=8",
        "warmup=2",
        "workers=1",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.glob("outputs/benchmarks/*/benchmark.json")
    rates = json.loads(result.read_text())["images_per_s"]
    assert rates["ours"][0] > 0 and rates["textbook"][0] > 0


@pytest.mark.parametrize("names", ["crop,hflip,grayscale", "crop,mixup,cutmix"])
def test_describe_an_augmentation(names: str, cache: Path, tmp_path: Path) -> None:
    arguments = [*TINY[:3], f"data.cache_dir={cache}", f"aug=[{names}]"]
    done = start("describe.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "outputs" / "sheets" / f"{names.replace(',', '-')}.png"
    assert done.stdout.strip() == str(path.relative_to(tmp_path))
    assert path.read_bytes().startswith(b"\x89PNG")
