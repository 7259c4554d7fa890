"""A run once more: the same, near or not."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cifarlab.base.errors import UserError
from cifarlab.campaign.reproduce import circumstances, command_of, compare, recorded_row
from cifarlab.store.run import Run
from tests.conftest import ROOT, plain, without_sums
from tests.report.test_verdicts import T2, runs
from tests.scripts.test_scripts import start

PUBLISHED = ROOT / "docs" / "results"


def test_it_is_the_same(trained: Path, tmp_path: Path) -> None:
    """As a user starts it: on this machine to the last logit."""
    done = start("reproduce.py", f"run={trained}", f"out={tmp_path / 'out'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "same: every number of the record, to the last digit" in done.stdout
    folder = Path(done.stdout.splitlines()[-1])
    again, recorded = Run.finished(folder), Run.finished(trained)
    assert again.result.metrics == recorded.result.metrics and folder != trained
    assert again.result.config_hash == recorded.result.config_hash
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    other = dataclasses.replace(recorded.result, metrics=runs(0.5)[0].result.metrics)
    assert compare(dataclasses.replace(recorded, record=other), again).verdict == "no interval"


def test_near_and_far() -> None:
    """Seeds at 0.80, 0.81, 0.82: one more run is within T2 x 0.01 x sqrt(4/3) of 0.81."""
    seeds = runs(0.80, 0.81, 0.82)
    half = T2 * 0.01 * (4 / 3) ** 0.5
    near, far = runs(0.81 + half - 1e-6, 0.81 - half - 1e-6)
    assert (found := compare(seeds[0], near, seeds)).verdict == "compatible"
    assert found.half == pytest.approx(half) and "± 4.97 points" in found.says
    assert compare(seeds[0], far, seeds).verdict == "different"
    assert compare(seeds[0], far, seeds[:2]).verdict == "no interval"
    assert compare(seeds[0], seeds[0], seeds).verdict == "same"
    rows = {label: values for label, *values in found.table}
    assert rows["test accuracy"] == ["80.00%", "85.97%"]


def test_published_rows(tmp_path: Path) -> None:
    run, seeds = recorded_row(PUBLISHED, "tbmi26.cnn", 1)
    assert run.result.seed == 1 and len(seeds) >= 3 and run in seeds
    overrides = command_of(run, lambda typed: plain(*typed), tmp_path)
    assert "model=tbmi26_cnn" in overrides and f"output_root={tmp_path}" in overrides
    assert f"trainer.precision={run.result.hardware['precision']}" in overrides
    assert not [o for o in overrides if o.startswith("study.")]
    with pytest.raises(
        UserError,
        match=r"row=tbmi26: not published at full length; did you mean tbmi26_mlp\? allowed: ",
    ):
        recorded_row(PUBLISHED, "tbmi26", 0)
    with pytest.raises(UserError, match=r"seed=99: of tbmi26.cnn there are 0, 1, 2"):
        recorded_row(PUBLISHED, "tbmi26.cnn", 99)


def test_words_that_mean_something_else_today(trained: Path, tmp_path: Path) -> None:
    folder = without_sums(Path(shutil.copytree(trained, tmp_path / "run")))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["batch_size"] = 99
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = (folder / "result.json").read_text()
    made = re.sub(r'"config_hash": "\w+"', '"config_hash": "0000000000000000"', text)
    (folder / "result.json").write_text(made)
    said = r"make another configuration today \(batch_size was 99, is 64.*\); git checkout"
    with pytest.raises(UserError, match=said):
        command_of(Run.finished(folder), lambda typed: plain(*typed), tmp_path)


def test_what_is_other_here(trained: Path) -> None:
    record = Run.finished(trained)
    versions = record.result.versions | {"torch": "1.0"}
    then = dataclasses.replace(record, record=dataclasses.replace(record.result, versions=versions))
    rows = {key: values for key, *values in circumstances(then)}
    assert rows["torch"] == ["1.0", record.result.versions["torch"]] and "numpy" not in rows


@pytest.mark.parametrize("typed", [[], ["run=x", "row=y"]])
def test_one_of_the_two(typed: list[str], tmp_path: Path, capfd: Callable) -> None:
    done = start("reproduce.py", *typed, cwd=tmp_path)
    assert done.returncode == 2 and "run=<folder> or row=<row of a study>" in done.stderr
