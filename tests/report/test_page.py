import dataclasses
import re

import pytest

from cifarlab.base.errors import UserError
from cifarlab.report.page import write_report
from tests.report.folders import failed, finished, plan
from tests.test_record import RECORD


def test_of_a_run(tmp_path) -> None:
    RECORD.save(tmp_path)
    record = dataclasses.replace(
        RECORD, hardware={"name": "<cpu>", "precision": "32-true", "devices": 1}
    )
    record.save(tmp_path)
    text = write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "| test  | 50.00%   | 1.0000 |" in text and "390,410" in text
    assert "&lt;cpu&gt;" in page and "<cpu>" not in page, "escaped"
    assert not re.search(r'(src|href)="(?!data:)', page), "self-contained"


def test_views_are_told_apart(tmp_path) -> None:
    tta = {"views": "flip", "val": {"loss": 0.25, "acc": 0.75}, "test": {"loss": 0.5, "acc": 0.625}}
    hardware = {"name": "cpu", "precision": "32-true", "devices": 1}
    dataclasses.replace(RECORD, tta=tta, hardware=hardware).save(tmp_path)
    text = write_report(tmp_path)
    assert re.search(r"^\| test, tta=flip +\| 62.50% +\| 0.5000 ", text, re.M)
    assert re.search(r"^\| test +\| 50.00% +\| 1.0000 ", text, re.M), "the plain score stays"


def test_of_a_sweep(tmp_path) -> None:
    for seed, acc in enumerate((0.5, 0.6)):
        cell = tmp_path / f"{seed}_x"
        cell.mkdir()
        metrics = RECORD.metrics | {"test": {"loss": 1.0, "acc": acc}}
        dataclasses.replace(
            RECORD, seed=seed, metrics=metrics, overrides=["model=mlp", f"seed={seed}"]
        ).save(cell)
    text = write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    for shown in (text, page):
        assert "55.00% (50.00, 60.00)" in shown, "two runs have no interval"
    assert '<a href="0_x/">0</a> <a href="1_x/">1</a>' in page and "0_x" not in text
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d. Data: x .*commit .*seeds 0, 1", page)
    assert "Typed for all: model=mlp<" in page
    assert (tmp_path / "results.csv").exists()


def test_of_a_sweep_under_way(tmp_path) -> None:
    """Before anything is finished, and with a failure, a missing cell and figures."""
    plan(tmp_path, {f"<{i}>": ["model=mlp", f"dropout=0.{i}"] for i in range(1, 5)})
    assert "No finished cell yet." in write_report(tmp_path)
    for i in (1, 2):
        finished(tmp_path / f"<{i}>", ["model=mlp", f"dropout=0.{i}"], 0.5)
    failed(tmp_path / "<3>", "X", "<y>")
    text, page = write_report(tmp_path), (tmp_path / "report.html").read_text()
    assert "## Failed: 1" in text and "## Missing: 1\n\n<4>" in text
    assert "<h2>Missing: 1</h2><p>&lt;4&gt;</p>" in page and "X: &lt;y&gt;" in page
    assert page.count("data:image/png;base64,") == 1
    assert not re.search(r'(src|href)="(?!data:|%3C\d%3E/)', page), "self-contained"
    pictures = re.findall(r"!\[.*\]\((.*)\)", (tmp_path / "report.md").read_text())
    assert len(pictures) == 1 and all((tmp_path / name).exists() for name in pictures)


def test_of_a_folder_of_folders(tmp_path) -> None:
    """Sweeps, searches and single runs, however deep; cells are not runs of their own."""
    plan(tmp_path / "sweeps" / "grid", {"a": ["dropout=0.1"], "b": ["dropout=0.2"]})
    finished(tmp_path / "sweeps" / "grid" / "a", ["dropout=0.1"], 0.5)
    finished(tmp_path / "runs" / "mine" / "now", [], 0.7)
    text, page = write_report(tmp_path), (tmp_path / "index.html").read_text()
    assert text.rstrip().endswith("index.html")
    assert '<a href="sweeps/grid/report.html">grid</a>' in page and "1 of 2" in page
    assert '<a href="runs/mine/now">mine/now</a>' in page and "grid/a" not in page
    assert (tmp_path / "sweeps" / "grid" / "report.html").is_file()


def test_of_nothing(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="neither a finished run nor a sweep"):
            write_report(path)
