import csv
import json
import math
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cifarlab.data.corruptions import CORRUPTIONS, SEVERITIES
from cifarlab.figures import robustness as figure
from cifarlab.figures.axis import Point
from cifarlab.report.compare.selection import read_side
from cifarlab.report.compare.write import write_comparison
from cifarlab.report.robustness import write_new_test, write_robustness
from cifarlab.store.robustness import Robustness
from cifarlab.store.run import Run
from tests.report.folders import finished


def made(acc: float, names: list[str] | None = None) -> Robustness:
    accs = {name: [acc - 0.01 * s for s in SEVERITIES] for name in names or CORRUPTIONS}
    return Robustness(accs, [*SEVERITIES], 0.9, 100, 0)


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two seeds of one configuration, one of another."""
    typed = (["lr=1", "seed=0"], ["lr=1", "seed=1"], ["lr=2", "seed=0"], ["lr=2", "seed=1"])
    accs = (0.80, 0.81, 0.70, 0.74)
    folders = [
        finished(tmp_path / "-".join(each), each, acc)
        for each, acc in zip(typed, accs, strict=True)
    ]
    return [Run.finished(folder) for folder in folders]


def test_seeds_are_one_row(runs: list[Run], tmp_path: Path) -> None:
    found = [made(acc) for acc in (0.63, 0.63, 0.53, 0.53)]
    text = write_robustness(["a", "a", "b", "b"], runs, found, tmp_path / "out")
    row = next(line for line in text.splitlines() if line.startswith("| a "))
    assert [cell.strip() for cell in row.split("|")][1:5] == [
        "a",
        "2",
        "90.00, 90.00",
        "60.00, 60.00",
    ]
    assert row.rstrip(" |").endswith("40.00, 40.00")
    assert "100 test images under 15 corruptions" in text and "frost is drawn" in text
    with (tmp_path / "out" / "robustness.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 76 and rows[0]["corruption"] == "clean"
    written = json.loads((tmp_path / "out" / "robustness.json").read_text(encoding="utf-8"))
    assert [round(each["mce"], 4) for each in written] == [0.4, 0.4, 0.5, 0.5]
    assert (tmp_path / "out" / "robustness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_picture_has_intervals_where_the_table_has(
    seeds: int, runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two seeds Student's t is 12.7."""
    drawn: list[Point] = []

    def draw(severities: list[int], panels: dict, title: str):
        drawn.extend(point for lines in panels.values() for of in lines.values() for point in of)
        return original(severities, panels, title)

    original = figure.draw
    monkeypatch.setattr(figure, "draw", draw)
    found = [made(acc) for acc in (0.63, 0.65, 0.64)][:seeds]
    text = write_robustness(["a"] * seeds, runs[:seeds], found, tmp_path)
    assert {math.isfinite(point.half) for point in drawn} == {seeds == 3}
    assert (" ± " in text.splitlines()[2]) == (seeds == 3)
    assert "over n seeds (Student's t), from 3 on." in text


def test_a_part_has_no_mean_corruption_error(runs: list[Run], tmp_path: Path) -> None:
    text = write_robustness(
        ["a"], runs[:1], [made(0.63, ["fog", "contrast"])], tmp_path, Path("x/C")
    )
    header, _, row = text.splitlines()[:3]
    assert "weather % | digital % | corrupted %" in header and "noise" not in header
    assert row.rstrip(" |").endswith("-") and "Images of C." in text and "drawn" not in text
    assert "under 2 corruptions at" in text and "it is of all fifteen corruptions at all" in text
    (written,) = json.loads((tmp_path / "robustness.json").read_text(encoding="utf-8"))
    assert written["mce"] is None
    page = (tmp_path / "robustness.md").read_text(encoding="utf-8")
    assert "| fog        | weather | 62.00 | 61.00 | 60.00 | 59.00 | 58.00 | 60.00 |" in page


def test_another_test_set(runs: list[Run], tmp_path: Path) -> None:
    source = Path("x/cifar10.1_v6_data.npy")
    text = write_new_test(["a"], runs[:1], [(0.69, 2000)], source, tmp_path)
    assert "| a | 1 | 79.00" in text and "−10.00" in text and "2,000 images of cifar10.1_v6" in text


def test_compare_takes_it(runs: list[Run], tmp_path: Path) -> None:
    def compared() -> str:
        sides = [read_side(s, [str(tmp_path / f"lr={n}*")], []) for s, n in (("a", 1), ("b", 2))]
        return write_comparison(*sides, tmp_path / "compared", 0.005)

    for run, acc in zip(runs[:3], (0.63, 0.65, 0.53), strict=True):
        made(acc).save(run.folder)
    assert "mce" not in compared(), "one run was not measured"
    made(0.57).save(runs[3].folder)
    text = compared()
    assert "| corrupt acc | 61.00  | 52.00  | 9.00 " in text
    assert "| mce         | 39.00  | 48.00  | -9.00 " in text


def test_legends_are_off_the_lines() -> None:
    lines = {name: [Point(acc, math.nan, [acc])] * 2 for name, acc in (("fog", 0.175), ("b", 0.05))}
    drawn = figure.draw([0, 1], {"one": lines, "other": {"frost": lines["fog"]}}, "images")
    FigureCanvasAgg(drawn).draw()
    for axes in drawn.axes:
        legend = axes.get_legend().get_window_extent()
        assert legend.y1 < axes.get_window_extent().y0 and legend.y0 >= 0
    assert drawn.axes[0].yaxis.label.get_window_extent().x0 >= 0, "not pushed out"
