"""Made-up studies, published."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from cifarlab.base.errors import UserError
from cifarlab.report.page import write_report
from cifarlab.report.study.evidence import every_row, found
from cifarlab.report.study.publish import (
    appendix,
    command,
    gather,
    page,
    read_published,
    renew,
    write_page,
)
from cifarlab.report.study.results import read_study
from cifarlab.report.sweep.results import collect
from cifarlab.store.record import ROBUSTNESS
from cifarlab.studies.schema import parse_study
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
    before = page(published, read_published(published))
    assert gather(sweeps, published) == 0 and page(published, read_published(published)) == before
    assert gather(tmp_path / "nowhere", published) == 0, "the page can be written without the runs"
    shutil.rmtree(sweeps / "s")
    write(sweeps / "s", typed("seed=3"), dict([row("a", 0.1, 3, 0.63)]))
    assert gather(sweeps, published) == 1
    results = read_study(collect(published / "s"))
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


def test_the_page_and_its_appendix(sweeps: Path, tmp_path: Path) -> None:
    """Whole runs have verdicts; shortened ones are elsewhere, until the whole row is there."""
    published = tmp_path / "results"
    gather(sweeps, published)
    (published / "remarks.md").write_text("Of a toaster.\n")
    (published / "s" / "remarks.md").write_text("Row a surprised.\n")
    path = write_page(published)
    assert path == tmp_path / "results.md"
    text = path.read_text()
    assert text == page(published, read_published(published))
    assert re.findall(r"^## (.*)$", text, re.M) == ["By study", "Made up", "Methods and hardware"]
    assert "Of a toaster." in text and "### Remarks\n\nRow a surprised." in text
    assert re.search(r"a +\| test accuracy .*60.00 ± 2.48 .*\| uninformative", text)
    assert "    python train.py -m study=s 'study.only=[a,b]' seed=0,1,2\n" in text
    assert text.count("claims are not corrected for each other") == 1, (
        "how to read a table is said once"
    )
    assert LINK.findall(text) == [
        "results/reported_and_ours.png", "study_pages.md", "#made-up", "#made-up",
    ]  # fmt: skip

    other = (tmp_path / "results_appendix.md").read_text()
    assert other == appendix(read_published(published)) and "Made up" not in other, (
        "row a is whole in the page"
    )
    for run in (published / "s").glob("a_*"):
        shutil.rmtree(run)
    other = appendix(read_published(published))
    assert re.findall(r"^## (.*)$", other, re.M) == ["Made up: shortened to 50% of the epochs"]
    assert "python train.py -m study=s study.scale=0.5 'study.only=[a]' seed=0" in other
    assert re.search(r"^\| a +\| 1 \| 40.00", other, re.M) and not re.search(r"^\| b ", other, re.M)
    assert "uninformative" not in other and "not comparable" not in other


def test_a_campaign_publishes_its_own_folders(sweeps: Path, tmp_path: Path) -> None:
    assert gather(sweeps, tmp_path / "results", ["s"]) == 5
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["s"]


def test_a_dry_run_writes_nothing(
    sweeps: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = tmp_path / "results"
    assert gather(sweeps, published, dry_run=True) == 6 and not published.exists()
    gather(sweeps, published, ["s"])
    (published / "s" / "a_0_0" / "result.json").write_text("{}")
    before = {path: path.read_bytes() for path in published.rglob("*") if path.is_file()}
    with caplog.at_level("INFO", "cifarlab"):
        assert gather(sweeps, published, dry_run=True) == 1
    assert {p: p.read_bytes() for p in published.rglob("*") if p.is_file()} == before
    lines = [line.replace(str(published), "") for line in caplog.messages]
    assert sorted(lines) == [
        "changed /s/a_0_0: result.json",
        "new /s__scale-0.5/a_0_1study.scale=0.5: config.yaml, result.json",
    ]


def test_a_copy_that_breaks_off_is_no_finished_run(
    sweeps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, read = tmp_path / "results", Path.read_bytes

    def broken(path: Path) -> bytes:
        if path == sweeps / "s" / "a_0_0" / "config.yaml":
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(KeyboardInterrupt):
        gather(sweeps, published)
    assert not list(published.rglob("a_0_0/*"))
    monkeypatch.undo()
    assert gather(sweeps, published) == 6, "all are new still"


def test_of_another_run_nothing_stays(sweeps: Path, tmp_path: Path) -> None:
    """Such as one of an earlier version, or a damaged one, with what was measured on it."""
    published = tmp_path / "results"
    gather(sweeps, published)
    old = published / "s" / "a_0_0"
    (old / ROBUSTNESS).write_text("{}")
    gather(sweeps, published)
    assert (old / ROBUSTNESS).is_file(), "of the same run"
    (old / "result.json").write_text("{}")
    gather(sweeps, published)
    assert {path.name for path in old.iterdir()} == {"config.yaml", "result.json"}


def test_refused_data(sweeps: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a_0_0: data=cifar10 is not published"):
        gather(sweeps, tmp_path / "results", refused=["cifar10"])
    assert not (tmp_path / "results").exists()


def test_all_rows_of_the_reports_at_a_glance(sweeps: Path, tmp_path: Path) -> None:
    """Whole, shortened and open rows, each with the figure that stands for it."""
    other = CONTENT | {"id": "o", "title": "Other", "claims": [], "rows": [
        {"id": "x", "reported": {"val_acc": 70, "train_acc": 99}},
        {"id": "y"},
    ]}  # fmt: skip
    ours = other | {"id": "mine", "source": "ours"}
    published = tmp_path / "results"
    gather(sweeps, published)
    shutil.rmtree(published / "s" / "b_0_0")
    shutil.rmtree(published / "s" / "b_1_0")
    known = [parse_study(plain) for plain in (CONTENT, other, ours)]
    rows = every_row(known, read_published(published))
    assert [(r.row.id, r.reported.quantity.name, r.status) for r in rows] == [
        ("a", "test_acc", "whole"),
        ("x", "val_acc", "not run"),
    ]
    text = found(rows)
    assert "figures for 2 rows. 1 of them are measured at full length, 0 only shortened" in text
    assert "prints it: of 1 number 0 are compatible, 0 differ, and 1 cannot be told with so" in text
    assert "On average ours are 0.0 points above the reports'; they are below in 0 of 1. " in text
    path = write_page(published, known)
    assert (published / "reported_and_ours.png").read_bytes().startswith(b"\x89PNG")
    page_ = path.read_text()
    assert re.search(
        r"^\| \[a\]\(#made-up\) +\| 60.00 % +\| 60.00 ± 2.48 \| 3 \| ± 4.97 +\| uninformative +"
        r"\| test accuracy ",
        page_,
        re.M,
    )
    assert re.search(r"^\| x +\| 70.00 % +\| not run +\| validation accuracy", page_, re.M)
    assert page_.index("reported_and_ours.png") < page_.index("## By study")
    for run in (published / "s").glob("a_*"):
        shutil.rmtree(run)
    rows = every_row(known, read_published(published))
    assert [(r.row.id, r.status) for r in rows] == [("a", "shortened"), ("x", "not run")]
    assert "[a](results_appendix.md)" in page(published, read_published(published), known)


def test_bounds_are_counted_apart_and_one_experiment_is_told(sweeps: Path, tmp_path: Path) -> None:
    """Of a, 60.00 % in the mean, two reports print a number; b is at least half."""
    content = CONTENT | {"claims": [], "rows": [
        CONTENT["rows"][0],
        {"id": "again", "like": "a", "reported": {"test_acc": 75}},
        {"id": "b", "overrides": ["dropout=0.2"], "reported": {"test_acc": [20, None]}},
    ]}  # fmt: skip
    study = parse_study(content)
    folder = write(tmp_path / "own" / "s", content, CELLS)
    text = found(every_row([study], [read_study(collect(folder))]))
    assert (
        "prints it: of 2 numbers 0 are compatible, 1 differ, and 1 cannot be told with so few "
        "seeds; "
        "of 1 bound 1 is reached, 0 not, and 0 cannot be told"
    ) in text
    assert "below in 1 of 2 (from 1 experiment; for some, two reports print a figure)" in text


def test_the_index_opens_with_the_rows_and_the_curves_follow(tmp_path: Path) -> None:
    folder = write(tmp_path / "sweeps" / "s", CONTENT, CELLS)
    for run in folder.glob("*/result.json"):
        lines = ["epoch,train_acc,val_acc,train_loss,val_loss", "1,0.5,0.6,1.0,1.0"]
        (run.parent / "metrics.csv").write_text("\n".join(lines) + "\n")
    write_report(tmp_path / "sweeps", [parse_study(CONTENT)])
    text = (tmp_path / "sweeps" / "index.md").read_text()
    places = [text.index(part) for part in ("reported_and_ours.png", "| row ", "curves.png")]
    assert places == sorted(places)


def test_the_index_has_every_row_of_the_reports(sweeps: Path) -> None:
    """Whole ones with ours, shortened ones with their link, others as not run."""
    more = CONTENT | {"id": "other", "rows": [{"id": "far", "reported": {"test_acc": 70}}]}
    other = parse_study({k: v for k, v in more.items() if k not in ("claims", "axis")})
    shown = write_report(sweeps, [other])
    assert re.search(r"^\| \[a\]\(s/report.html\) .* uninformative ", shown, re.M)
    assert re.search(r"^\| far .* not run ", shown, re.M)
    page = (sweeps / "index.html").read_text()
    assert page.count("<img") == 1 and (sweeps / "figures" / "reported_and_ours.png").is_file()
    assert 'href="s/report.html"' in page and ">Studies<" in page
    assert "sweeps.md" not in page, "there is no such page"
    sweeps.with_suffix(".md").write_text("# Results\n")
    write_report(sweeps, [other])
    assert '<a href="../sweeps.md">sweeps.md</a>' in (sweeps / "index.html").read_text()
    write_report(sweeps, [other], "../results.html")
    assert "[results.html](../results.html)" in (sweeps / "index.md").read_text()


def test_claims_are_brought_up_to_date_and_recipes_are_not(sweeps: Path, tmp_path: Path) -> None:
    published, files = tmp_path / "results", tmp_path / "study"
    gather(sweeps, published)
    files.mkdir()
    today = {k: v for k, v in CONTENT.items() if k not in ("id", "kind", "typed")}
    file = files / f"{CONTENT['id']}.yaml"
    file.write_text(yaml.safe_dump(today | {"slips": ["A new one."]}))
    assert renew(published, files) == ["s", "s__scale-0.5"]
    study = read_study(collect(published / "s")).study
    assert study.slips == ("A new one.",) and study.typed == (
        "study=s",
        "seed=0,1,2",
        "logger=none",
    )
    assert renew(published, files) == [], "once"
    rows = [row | {"overrides": ["model=vgg11_bn"]} for row in CONTENT["rows"]]
    file.write_text(yaml.safe_dump(today | {"slips": ["Newer."], "rows": rows}))
    assert renew(published, files) == [], "the runs are of other recipes"
    rows = [*CONTENT["rows"], {"id": "since"}]
    file.write_text(yaml.safe_dump(today | {"rows": rows}))
    assert renew(published, files) == ["s", "s__scale-0.5"]
    assert read_study(collect(published / "s")).lines[-1].absent == "not run"
    file.unlink()
    assert renew(published, files) == []
