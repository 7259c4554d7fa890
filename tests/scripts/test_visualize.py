from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.scripts.test_scripts import start


def test_with_nothing_but_a_run(run_here, tmp_path: Path) -> None:
    folder = run_here(tmp_path / "run", "model=baseline", "max_epochs=1", "logger=none")
    done = start("visualize.py", f"run={folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    figures = [line for line in done.stdout.splitlines() if line.endswith(".png")]
    assert figures == [
        f"{folder}/figures/{name}.png"
        for name in ("first_layer", "filters", "feature_maps", "gradcam")
    ]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in figures)
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "nothing left where it was called"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: run: has no default; add run=<run folder>, or model=<model> without a run"),
        (["run=torchvision"], "no such folder; for a net without a run: model=torchvision"),
        (["run=nowhere"], "error: run=nowhere: no such folder\n"),
        (["run=.", "model=mlp"], "error: run=.: brings its model; leave out model=... or run=..."),
        (["model=resnet19"], "no such option; did you mean resnet18?"),
        (["model=mlp", "weights=imagenet"], "error: weights=imagenet: goes with a model that has"),
        (["run=.", "size=0"], "error: size=0: must be a whole number, 1 or more"),
        (["run=[.,.]", "out=x"], "error: out=x: runs with the same name would overwrite"),
    ],
    ids=" ".join,
)
def test_mistakes_get_one_line_before_anything_slow(arguments, message, tmp_path) -> None:
    done = start("visualize.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_sample_photo_is_small() -> None:
    assert (ROOT / "examples" / "photo.png").stat().st_size < 200_000
