"""CSV files for people: a spreadsheet runs nothing of them, and numbers stay numbers."""

import csv
import re
from pathlib import Path

import pytest

from cifarlab.store.tables import write_csv
from cifarlab.use.files import write_csv as write_predictions
from cifarlab.use.predictor import Prediction
from tests.conftest import ROOT


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://evil.example")',
        "+1+1",
        "-1+1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1+1",
        "\n=1+1",
        "＝1+1",
        "-0.3 %",
    ],
)
def test_no_text_is_a_formula(text: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"name": text, text: "x"}])
    assert cells(tmp_path / "t.csv") == [["name", f"'{text}"], [f"'{text}", "x"]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-1.5, "-1.5"),
        (-3, "-3"),
        (float("-inf"), "-inf"),
        ("-1.5e-3", "-1.5e-3"),
        ("+0.5", "+0.5"),
        ("-inf", "-inf"),
        ("-", "-"),
        ("a=b", "a=b"),
        ("'=1", "'=1"),
        ("", ""),
        (None, ""),
        ("a\nb, c", "a\nb, c"),
        ("\r=1+1", "\\r=1+1"),
        ("a\r\n=1+1", "a\\r\n=1+1"),
        (True, "True"),
    ],
)
def test_what_is_none_stays_as_it_is(value: object, shown: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"name": value, "n": 1}])
    assert cells(tmp_path / "t.csv") == [["name", "n"], [shown, "1"]]


def test_predictions(tmp_path: Path) -> None:
    """Names of files and of classes; a name that is no text is written out."""
    rows = [
        ("=1+1.png", Prediction({"@cat": 0.75, "dog": 0.25})),
        ("\udcff.png", Prediction({"dog": 0.5, "@cat": 0.5})),
    ]
    write_predictions(tmp_path / "p.csv", rows, 2)
    assert cells(tmp_path / "p.csv")[1:] == [
        ["'=1+1.png", "'@cat", "0.750000", "dog", "0.250000"],
        ["\\udcff.png", "dog", "0.500000", "'@cat", "0.500000"],
    ]


def test_there_is_one_writer_for_people() -> None:
    """The others write numbers alone: ``metrics.csv``, which we read again, and ``lr_find.csv``."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
        if re.search(r"csv\.(Dict)?[Ww]riter|to_csv|savetxt", path.read_text())
    }
    assert found == {
        "src/cifarlab/store/tables.py",
        "src/cifarlab/callbacks/epochs.py",
        "src/cifarlab/run/lr_find.py",
    }
