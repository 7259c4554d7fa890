import dataclasses
import re

import pytest

from cifarlab.errors import UserError
from cifarlab.report.page import write_report
from tests.test_record import RECORD


def test_of_a_run(tmp_path) -> None:
    RECORD.save(tmp_path)
    record = dataclasses.replace(
        RECORD, hardware={"name": "<cpu>", "precision": "32-true", "devices": 1}
    )
    record.save(tmp_path)
    text = write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "| test  | 1.0000 | 50.00%   |" in text and "390,410" in text
    assert "&lt;cpu&gt;" in page and "<cpu>" not in page, "escaped"
    assert not re.search(r'(src|href)="(?!data:)', page), "self-contained"


def test_of_a_sweep(tmp_path) -> None:
    for seed, acc in enumerate((0.5, 0.6)):
        cell = tmp_path / f"{seed}_x"
        cell.mkdir()
        metrics = RECORD.metrics | {"test": {"loss": 1.0, "acc": acc}}
        dataclasses.replace(
            RECORD, seed=seed, metrics=metrics, overrides=["model=mlp", f"seed={seed}"]
        ).save(cell)
    text = write_report(tmp_path)
    assert "55.00% ±" in text and "55.00% ±" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "results.csv").exists()


def test_of_nothing(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="neither a finished run nor a sweep"):
            write_report(path)
