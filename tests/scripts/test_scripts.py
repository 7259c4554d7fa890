"""The programs beside train.py, as a user starts them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY

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
