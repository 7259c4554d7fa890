"""The programs beside train.py, as a user starts them."""

import csv
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.conftest import ROOT, TINY, launch

SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))


def start(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return programs.run(ROOT / "scripts" / name, *arguments, cwd=cwd)


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
    assert page.count("data:image/png;base64,") == 6
    assert (folder / "figures" / "evaluation.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing left where it was called"
    several = start("report.py", f"path=[{folder},{tmp_path}/nowhere]", cwd=tmp_path)
    assert several.returncode == 2 and "nowhere: no finished run here" in several.stderr
    out = start("report.py", f"path={folder}", "out=x", cwd=tmp_path)
    assert out.returncode == 2 and out.stderr.startswith("error: out=x: goes with several runs")


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
    assert {path.suffix for path in page.parent.iterdir()} == {".md", ".html", ".json", ".png"}
    wrong = start("compare.py", f"a=[{pair[0]},{pair[1]}]", f"b={pair[1]}", cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert "choose one with where_a=optimizer.lr:0.01" in wrong.stderr


def test_shifts(pair: list[Path], tmp_path: Path) -> None:
    done = start("shifts.py", f"run={pair[0].parent}/0*", "most=2", "images=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| optimizer.lr=0.05 | 0          | 1 |" in done.stdout
    assert len((tmp_path / "outputs" / "shifts" / "shifts.csv").read_text().splitlines()) == 7


def test_robustness(pair: list[Path], tmp_path: Path) -> None:
    asked = [f"run={pair[0].parent}/0*", "images=20", "corruptions=[noise,fog]", "severities=[1,5]"]
    done = start("robustness.py", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| optimizer.lr=0.05 | 1 |" in done.stdout and "20 test images" in done.stdout
    written = tmp_path / "outputs" / "robustness" / "robustness.csv"
    assert len(written.read_text(encoding="utf-8").splitlines()) == 1 + 2 * (1 + 4 * 2)
    assert not (pair[0] / "robustness.json").exists(), "a part is not kept"


def test_all_of_it_is_kept_and_not_measured_twice(pair: list[Path], tmp_path: Path) -> None:
    asked = [f"run={pair[0]}", "out=here"]
    done = start("robustness.py", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = json.loads((pair[0] / "robustness.json").read_text(encoding="utf-8"))
    assert kept["images"] == 100 and len(kept["acc"]) == 15
    assert "measured before" not in done.stdout + done.stderr
    again = start("robustness.py", *asked, cwd=tmp_path)
    assert "measured before" in again.stdout + again.stderr
    first, second = (out.stdout.splitlines() for out in (done, again))
    assert second[-6:] == first[-6:], "the same table"


def test_benchmark(cache: Path, tmp_path: Path) -> None:
    arguments = [*TINY, f"data.cache_dir={cache}", "data.num_train=3000", "aug=crop_flip"]
    arguments += ["rounds=1", "steps=25", "warmup=0", "workers=1", "threads=1"]
    done = start("benchmark.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("outputs/benchmarks/*/benchmark.json")
    result = json.loads(path.read_text())
    (case,) = result["cases"]
    assert case["case"] == "mlp crop_flip, 1 worker" and case["unit"] == "s an epoch"
    assert case["values"]["ours"][0] > 0 and case["values"]["textbook"][0] > 0
    assert result["hardware"]["threads"] == 1
    # of another time, when ours was ten times as quick
    case["values"]["ours"][0] /= 10
    before = tmp_path / "before.json"
    before.write_text(json.dumps(result))
    slower = start("benchmark.py", *arguments, f"compare={before}", cwd=tmp_path)
    assert slower.returncode == 2 and "slower than in" in slower.stderr
    case["case"] = "another"
    before.write_text(json.dumps(result))
    other = start("benchmark.py", *arguments, f"compare={before}", cwd=tmp_path)
    assert other.returncode == 2 and "has none of the cases timed here" in other.stderr
    before.write_text(json.dumps(result | {"what": "step"}))
    elsewhere = start("benchmark.py", *arguments, f"compare={before}", cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert f"is of what=step; must be of what={result['what']}" in elsewhere.stderr
    none = start("benchmark.py", f"compare={tmp_path / 'x'}", cwd=tmp_path)
    assert none.returncode == 2 and "is no benchmark.json" in none.stderr


@pytest.mark.parametrize("names", ["crop,hflip,grayscale", "crop,mixup,cutmix"])
def test_describe_an_augmentation(names: str, cache: Path, tmp_path: Path) -> None:
    arguments = [*TINY[:3], f"data.cache_dir={cache}", f"aug=[{names}]"]
    done = start("describe.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "outputs" / "sheets" / "aug" / f"{names.replace(',', '-')}.png"
    assert done.stdout.strip() == str(path.relative_to(tmp_path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_describe_a_model(tmp_path: Path) -> None:
    arguments = ["model=mlp", "model.hidden=[8]", "num_classes=3", "image_size=4"]
    done = start("describe.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "model=mlp model.hidden=[8]: 3x4x4 pixels to 3 classes" in done.stdout
    assert "parameters: 419 by formula, 419 counted in the layers, 419 in the net" in done.stdout
    folder = tmp_path / "outputs" / "sheets" / "model"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["mlp_hidden=8.csv", "mlp_hidden=8.md"]
    with (folder / "mlp_hidden=8.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["parameters"]) for row in rows) == 48 * 8 + 8 + 8 * 3 + 3
    assert "| 48*8 + 8" in (folder / "mlp_hidden=8.md").read_text()


def test_describe_data_and_a_model_for_it(cache: Path, tmp_path: Path) -> None:
    arguments = [*TINY[:3], f"data.cache_dir={cache}"]
    done = start("describe.py", *arguments, "per_class=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "measured on the 270 training images" in done.stdout
    assert re.search(r"^all +270 +30 +100$", done.stdout, re.M)
    folder = tmp_path / "outputs" / "sheets" / "data"
    for picture in ("synthetic_images.png", "synthetic_counts.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
        assert f"({picture})" in (folder / "synthetic.md").read_text()
    with (folder / "synthetic_counts.csv").open() as file:
        assert sum(int(row["train"]) for row in csv.DictReader(file)) == 270


def test_describe_nothing(tmp_path: Path) -> None:
    done = start("describe.py", "dropout=0.1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nothing to describe: ask for model=<m>")
    assert done.stderr.count("\n") == 1
    assert start("describe.py", "aug=crop", "rounds=0", cwd=tmp_path).returncode == 2


def test_theory(tmp_path: Path) -> None:
    done = start("theory.py", "ask=layers", "layers=conv5x5-32 p2 | relu | maxpool2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "32x16x16" in done.stdout and "2,432" in done.stdout
    matrices = ["image=[[1,0,2],[3,2,0]]", "kernel=[[-1,0,1]]"]
    done = start("theory.py", "ask=convolve", *matrices, cwd=tmp_path)
    assert "(2,1)  0·(-1) + 3·0 + 2·1 = 2" in done.stdout
    wrong = start("theory.py", "ask=kernel", "input=3", cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: ask=kernel: needs output=")
    assert list(tmp_path.iterdir()) == []
