"""Made-up studies, published."""

import re
import shutil
from pathlib import Path

import pytest

from cifarlab.errors import UserError
from cifarlab.report.publish import command, gather, page, write_page
from cifarlab.report.study import read_study
from tests.report.test_study import CELLS, CONTENT, row, write
from tests.test_docs import LINK


def typed(*overrides: str) -> dict:
    return CONTENT | {"typed": ["study=s", *overrides]}


@pytest.fixture
def sweeps(tmp_path: Path) -> Path:
    """One study with a run that has not ended, one that was shortened, one without runs."""
    folder = write(tmp_path / "sweeps" / "s", typed("seed=0,1,2", "logger=none"), CELLS)
    (folder / "a_0_0" / "predictions.npz").write_bytes(b"large")
    (folder / "b_2_0" / "result.json").unlink()
    short = dict([row("a", 0.1, 0, 0.4, "study.scale=0.5")])
    write(tmp_path / "sweeps" / "s__scale-0.5", typed("study.scale=0.5", "seed=0"), short)
    write(tmp_path / "sweeps" / "t", CONTENT, {})
    return tmp_path / "sweeps"


def test_only_records_of_finished_runs_are_kept(sweeps: Path, tmp_path: Path) -> None:
    published = tmp_path / "docs" / "results"
    assert gather(sweeps, published) == 6
    names = {path.name for path in published.rglob("*") if path.is_file()}
    assert names == {"study.yaml", "config.yaml", "result.json"}  # these runs have no epochs
    assert {path.name for path in published.iterdir()} == {"s", "s__scale-0.5"}
    assert not (published / "s" / "b_2_0").exists()


def test_more_runs_are_added_to_those_that_are_published(sweeps: Path, tmp_path: Path) -> None:
    published = tmp_path / "results"
    gather(sweeps, published)
    before = page(published)
    assert gather(sweeps, published) == 0 and page(published) == before
    assert gather(tmp_path / "nowhere", published) == 0, "the page can be written without the runs"
    shutil.rmtree(sweeps / "s")
    write(sweeps / "s", typed("seed=3"), dict([row("a", 0.1, 3, 0.63)]))
    assert gather(sweeps, published) == 1
    results = read_study(published / "s")
    assert [len(line.runs) for line in results.lines] == [4, 2, 0]
    assert command(results) == "python train.py -m study=s 'study.only=[a,b]' seed=0,1,2,3"


def test_two_runs_of_the_same_are_refused(sweeps: Path, tmp_path: Path) -> None:
    gather(sweeps, tmp_path / "results")
    cells = {f"new_{name}": cell for name, cell in CELLS.items()}
    shutil.rmtree(sweeps / "s")
    write(sweeps / "s", CONTENT, cells)
    with pytest.raises(UserError, match=r"results/s: another run has the same values as .*delete"):
        gather(sweeps, tmp_path / "results")


def test_nothing_to_publish(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run of a study below it"):
        gather(tmp_path, tmp_path / "results")
    with pytest.raises(UserError, match=r"path=.*/results: the folder of what is published"):
        gather(tmp_path / "results", tmp_path / "sub" / ".." / "results")


def test_the_page(sweeps: Path, tmp_path: Path) -> None:
    published = tmp_path / "results"
    gather(sweeps, published)
    (published / "remarks.md").write_text("Of a toaster.\n")
    (published / "s" / "remarks.md").write_text("Row a surprised.\n")
    path = write_page(published)
    assert path == tmp_path / "results.md"
    text = path.read_text()
    assert text == page(published)
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert titles == ["Made up", "Made up: shortened to 50% of the epochs"]
    first, _, second = text.partition(f"## {titles[1]}")
    assert "Of a toaster." in first and "### Remarks\n\nRow a surprised." in first
    assert re.search(r"a +\| test accuracy .*60.00 ± 2.48 .*\| agrees", first)
    assert "    python train.py -m study=s 'study.only=[a,b]' seed=0,1,2\n" in first
    assert "Not the source's experiment: shortened to 50% of the epochs" in second
    assert "not comparable" in second and "agrees" not in second
    assert text.count("Intervals are each claim's own") == 1, "how to read a table is said once"
    slugs = [f"#{re.sub(r'[^a-z0-9 -]', '', t.lower()).replace(' ', '-')}" for t in titles]
    assert LINK.findall(text) == slugs
