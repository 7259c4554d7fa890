"""``python train.py -m study=<id>``: rows times seeds, verdicts, going on, what is typed beside."""

import csv
import json
import re
import shutil
import textwrap
from pathlib import Path

import pytest
import yaml

from tests import programs
from tests.conftest import ROOT, TINY

STUDY = f"""
title: A tiny study
source: a report
about: Two rows.
common:
  overrides: [{", ".join(TINY)}, callbacks=none, logger=none]
rows:
  - id: lab.slow
    overrides: [optimizer.lr=0.001]
    reported: {{test_acc: 10.5, val_acc: [0, 100]}}
    params: 616610
  - id: lab.fast
    overrides: [optimizer.lr=0.05, dropout=0.1]
    reported: {{test_acc: 99.9}}
  - id: lab.again
    like: lab.slow
    reported: {{test_acc: 99.9}}
  - id: lab.never
    overrides: [model=vgg11_bn, transfer=frozen, model.weights=/no/such/file]
    needs: a file
axis: {{name: learning rate, values: {{lab.slow: 0.001, lab.fast: 0.05}}}}
claims:
  - quote: fast is faster
    check: {{kind: greater, a: lab.fast, b: lab.slow, metric: train_acc}}
  - quote: it never stops
    check: {{kind: about, a: lab.slow, metric: epochs_run, value: 2, within: 0.5}}
  - quote: never is best
    check: {{kind: greater, a: lab.never, b: lab.slow, metric: val_acc}}
assumptions: [everything]
slips: ["1 + 1 = 3"]
"""


@pytest.fixture
def study(train, cache: Path, tmp_path: Path):
    (tmp_path / "conf" / "study").mkdir(parents=True)
    (tmp_path / "conf" / "study" / "tiny.yaml").write_text(textwrap.dedent(STUDY))
    options = ["--config-dir", str(tmp_path / "conf"), "-m", "study=tiny"]

    def launch(*arguments: str):
        return train(*options, f"data.cache_dir={cache}", *arguments)

    return launch


def cells(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/result.json")}


def test_from_end_to_end(study, tmp_path: Path) -> None:
    done = study("seed=0,1", "study.only=[lab.slow,lab.fast]", "sweep=x")  # later: all rows
    folder = tmp_path / "outputs" / "sweeps" / "x"
    assert done.returncode == 0, done.stderr
    assert "4 cells, 4 to run" in done.stdout
    first = cells(folder)
    names = {re.sub(r"_[0-9a-f]{8}$", "", cell) for cell in first}
    assert names == {"lab.slow_0", "lab.slow_1", "lab.fast_0", "lab.fast_1"}
    planned = json.loads((folder / "cells.json").read_text())
    assert [item.split("_")[0] for item in planned] == ["lab.slow", "lab.fast"] * 2, "seed by seed"
    assert all("study.row=lab." in " ".join(typed) for typed in planned.values())
    config = yaml.safe_load((folder / next(iter(planned)) / "config.yaml").read_text())
    assert config["study"] == {"id": "tiny", "row": "lab.slow", "scale": 1.0, "only": None}
    with (folder / "results.csv").open() as file:
        assert {row["study.row"] for row in csv.DictReader(file)} == {"lab.slow", "lab.fast"}

    text = done.stdout[done.stdout.index("# A tiny study") :]
    assert "**Not the source's experiment: data=synthetic." in text
    compared = [line for line in text.splitlines() if "not comparable" in line]
    assert len(compared) == 4, "that of the row that is like another, too"
    claims = text[text.index("## What the source claims") :]
    assert re.search(r"it never stops.*\| slow in \[1.5, 2.5\] epochs.*not judged", claims)
    assert re.search(r"never is best.*no run of never.*not measured", claims)
    assert re.search(r"never +\| 0 .*not measured: not run; needs a file", text)
    page = (folder / "report.html").read_text()
    drawn = {path.name for path in (folder / "figures").glob("*.png")}
    assert {"confusion.png", "filters.png", "curves_acc.png"} <= drawn
    assert page.count("data:image/png;base64,") == len(drawn) == 7
    assert not re.search(r'src="(?!data:)', page), "self-contained"
    links = re.findall(r'href="(?!data:|#)([^"]*)"', page)
    assert links and all((folder / link).exists() for link in links), "to the runs"
    assert "1 + 1 = 3" in page and "python train.py -m study=tiny" in page

    # typed again, it goes on; a row that cannot be measured says why, and so does the exit code
    lost = sorted(first)[0]
    (folder / lost / "result.json").unlink()
    again = study("seed=0,1", "sweep=x")
    assert again.returncode == 1 and "6 cells, 3 to run" in again.stdout
    assert cells(folder) == first
    assert re.search(r"not measured: .*/no/such/file", again.stdout)


def test_what_is_typed_takes_a_rows_place(study, tmp_path: Path) -> None:
    """Shortened, with an option of its own: both are told, above the tables and in them."""
    done = study("study.scale=0.5", "dropout=0.3", "study.only=[lab.fast]")
    assert done.returncode == 0, done.stderr
    assert "typed, so not as the study has it: dropout=0.1" in done.stdout
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert folder.name.startswith("tiny__scale-0.5__") and folder.name.endswith("dropout-0.3")
    (cell,) = folder.glob("lab.fast_0_*/config.yaml")  # as it is called when seeds are swept
    config = yaml.safe_load(cell.read_text())
    assert (config["max_epochs"], config["dropout"], config["optimizer"]["lr"]) == (1, 0.3, 0.05)
    assert "shortened to 50% of the epochs" in done.stdout and "dropout=0.3 typed" in done.stdout


def test_published_runs_are_not_trained_again(study, tmp_path: Path) -> None:
    one = ("study.only=[lab.slow]", "seed=0")
    study(*one)
    program = ROOT / "scripts" / "publish.py"
    refused = programs.run(program, cwd=tmp_path)
    assert refused.returncode == 2 and "data=synthetic is not published" in refused.stderr
    unknown = programs.run(program, "drawn=true", "only=[x]", cwd=tmp_path)
    assert unknown.returncode == 2 and "only=x: not in outputs/sweeps; tiny" in unknown.stderr
    nowhere = programs.run(program, "drawn=true", "path=nowhere", cwd=tmp_path)
    assert nowhere.returncode == 2 and nowhere.stderr == "error: path=nowhere: no such folder\n"
    done = programs.run(program, "drawn=true", cwd=tmp_path)
    assert done.stdout == "1 new runs in docs/results\ndocs/results.md\n"
    other = (tmp_path / "docs/results_appendix.md").read_text()
    assert "## A tiny study: data=synthetic" in other
    assert "A tiny study" not in (tmp_path / "docs/results.md").read_text()
    shutil.rmtree(tmp_path / "outputs")
    shutil.copytree(tmp_path / "docs" / "results", tmp_path / "outputs" / "sweeps")
    again = study(*one)
    assert again.returncode == 0 and "1 cells, 0 to run" in again.stdout, again.stderr
    assert re.search(r"^\| slow +\| 1 ", again.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study=baseline"], "study=baseline: is many runs, add -m"),
        (["-m", "study=baseline,momentum"], "study=baseline,momentum: one a sweep"),
        (["-m", "study=baseline", "study.scale=2"], "study.scale=2: must be a number in (0, 1]"),
        (["-m", "study=baseline", "study.only=x"], "study.only=x: must be a list of rows"),
        (["-m", "ablation=elfarri", "study=baseline"], "choose one of them"),
        (["-m", "seed=0", "study.scale=0.5"], "study.scale: goes with study=<id>"),
    ],
)
def test_mistakes(train, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = train(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.yaml")), "nothing is left"
