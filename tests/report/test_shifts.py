import csv
from pathlib import Path

from cifarlab.report.compare.selection import labels
from cifarlab.report.shifts import write_shifts
from cifarlab.store.run import Run
from tests.report.folders import finished


def test_seeds_are_one_row(tmp_path) -> None:
    rows = [
        {"label": f"lr={lr}", "run": f"{lr}{seed}", "seed": seed, "images": 100, "shift": shift}
        | {"acc": 0.5 + 0.1 * seed, "same": 1.0, "features": 0.1 * shift, "logits": 0.2}
        for lr, seeds in ((1, (0, 1, 2)), (2, (0,)), (3, (0, 1)))
        for seed in seeds
        for shift in (0, 1, 3)
    ]
    run = Run.finished(finished(tmp_path / "run", ["lr=1", "seed=0"], 0.5))
    text = write_shifts(rows, tmp_path, "black", [run])
    assert "| lr=1 | 1          | 3 | 60.00% ± 24.84% | 100.00% ± 0.00%  | 10.00% ± 0.00% |" in text
    assert "| lr=2 | 0          | 1 | 50.00%          |" in text and "| 3  " not in text
    assert "| lr=3 | 0          | 2 | 50.00%, 60.00%  |" in text, "two have no interval"
    assert "100 validation images moved right, left, down and up, edges filled: black." in text
    with (tmp_path / "shifts.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 18
    page = (tmp_path / "shifts.html").read_text()
    assert "<h1>Shifts</h1>" in page and "<figcaption>Means over seeds" in page
    assert "Typed: lr=1" in page and "commit " in page, "where it comes from"
    assert (tmp_path / "shifts.png").read_bytes().startswith(b"\x89PNG")


def test_names_of_configurations(tmp_path: Path) -> None:
    folders = [
        finished(tmp_path / "a", ["lr=1", "seed=0"], 0.5),
        finished(tmp_path / "b", ["lr=1", "seed=1"], 0.5),
        finished(tmp_path / "c", ["lr=2", "seed=0"], 0.5),
        finished(tmp_path / "d", ["lr=2", "seed=1"], 0.5, {"depth": 2}),
    ]
    assert labels([Run.finished(folder) for folder in folders]) == [
        "lr=1", "lr=1", "lr=2 (1)", "lr=2 (2)",
    ]  # fmt: skip
    assert labels([Run.finished(folders[0])]) == ["baseline"]


def test_rows_of_studies_are_names_among_themselves(tmp_path: Path) -> None:
    row = ["lr=1", "study.row=a"], ["lr=2", "study.row=b"]
    a, b = (Run.finished(finished(tmp_path / typed[1], [*typed, "seed=0"], 0.5)) for typed in row)
    other = Run.finished(finished(tmp_path / "c", ["lr=3", "seed=0"], 0.5))
    assert labels([a, b]) == ["lr=1 study.row=a", "lr=2 study.row=b"]
    assert labels([a, b, other]) == ["lr=1", "lr=2", "lr=3"]
