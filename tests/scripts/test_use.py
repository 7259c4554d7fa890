"""predict.py and export.py, as a user starts them."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import cifarlab
from cifarlab.data.synthetic import draw
from tests.scripts.test_scripts import start


def test_predict(trained: Path, tmp_path: Path) -> None:
    """Two runs on average; one file of five is damaged and told; exit code 3 says so."""
    (tmp_path / "in").mkdir()
    images, _ = draw(4, seed=2)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "2b.png").write_bytes(b"nothing")
    again = shutil.copytree(trained, tmp_path / "again")
    done = start(
        "predict.py", f"run=[{trained},{again}]", "images=in", "output=out", "sheet=3", cwd=tmp_path
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("skipped: in/2b.png is not an image that can be read")
    assert "\n4 predicted, 1 skipped\nout/predictions.csv\nout/predictions.png\n" in done.stdout
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"in/{number}.png" for number in range(4)]
    model = cifarlab.load(trained, device="cpu")
    assert [row["label"] for row in rows] == [p.label for p in model.predict(list(images))]
    assert done.stdout.startswith(f"in/0.png: {model.predict(images[0])}\n")
    assert (tmp_path / "out" / "predictions.png").read_bytes().startswith(b"\x89PNG")


def test_predict_nothing(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"nothing")
    done = start("predict.py", f"run={trained}", "images=x.jpg", "output=out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("error: images=x.jpg: no image that can be read\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("predict.py", ["run=x", "images=nowhere"], "images=nowhere: no such file or folder"),
        ("predict.py", ["run=x", "images=.", "sheet=-1"], "sheet=-1: must be a whole number"),
        ("predict.py", ["run=x", "images=a=b.png"], "not understood .* has to be in quotes"),
        ("export.py", ["run=x", "format=tflite"], "format=tflite: must be one of onnx"),
        ("web.py", ["run=x", "port=web"], "port=web: must be a whole number"),
    ],
)
def test_mistakes_are_told_at_once(
    script: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = start(script, *arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)


def test_export(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    done = start("export.py", "run=run", "format=torch_export", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("run/export/model.pt2  ") and lines[0].endswith(" MB")
    assert lines[1] == "run/export/model.pt2.json"
    assert lines[2].startswith("verified: logits differ from the net's by at most ")
    assert {path.name for path in (run / "export").iterdir()} == {
        "model.pt2",
        "model.pt2.json",
        "README.md",
    }
