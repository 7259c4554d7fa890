"""The sheet and the page of a run, from the files of its folder."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_confusion_matrix

from cifarlab.base.errors import UserError
from cifarlab.data.sources import Synthetic
from cifarlab.report.document import markdown
from cifarlab.report.evaluation import SHEET, blocks, evaluate, make_sheet
from cifarlab.report.images import images_of
from cifarlab.report.page import write_report
from cifarlab.stats.answers import Predictions
from cifarlab.stats.calibration import reliability
from cifarlab.store.run import Run
from tests.conftest import launch, without_sums

IMAGES = Synthetic(300, 100).read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cache) -> Path:
    """A run that draws its sheet, as single runs do unless told otherwise."""
    folder = tmp_path_factory.mktemp("evaluation") / "run"
    launch(folder, cache, "evaluation=true", "max_epochs=3")
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return without_sums(shutil.copytree(folder, tmp_path / "run"))


def test_a_run_draws_its_sheet(folder: Path) -> None:
    assert (folder / SHEET).read_bytes().startswith(b"\x89PNG")


def test_the_counts_are_those_of_the_predictions(folder: Path) -> None:
    """As torchmetrics counts them, and printed."""
    arrays = np.load(folder / "predictions.npz")
    logits, labels = (torch.from_numpy(arrays[f"test_{k}"]) for k in ("logits", "labels"))
    theirs = multiclass_confusion_matrix(logits.float(), labels, num_classes=10)
    run = Run.finished(folder)
    numbers = evaluate(run.answers)
    assert (numbers.counts == theirs.numpy()).all() and numbers.counts.sum() == 100
    assert np.trace(numbers.counts) / 100 == pytest.approx(run.result.metrics["test"]["acc"])
    text = markdown(blocks(run, numbers, make_sheet(run, numbers)))
    for name, row in zip(IMAGES.classes, numbers.counts, strict=True):
        assert re.search(rf"^\| {name} +\| {row.sum()} ", text, re.M)


def test_the_temperature_is_that_of_validation(folder: Path) -> None:
    """Of logits three times too large there, whatever those of the test images are."""
    run, random = Run.finished(folder), np.random.RandomState(0)
    logits = 2 * random.randn(5000, 10)
    labels = (random.rand(5000, 1) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1).clip(0, 9)
    split = dataclasses.replace(run.answers, val=Predictions(3 * logits, labels))
    numbers = evaluate(split)
    assert numbers.temperature == pytest.approx(3, rel=0.05)
    assert numbers.after.ece == reliability(split.test, numbers.temperature).ece


def test_the_wrong_images_are_the_right_ones(folder: Path) -> None:
    """Each shown image is the test image whose answer is below it, and the order is by hand."""
    run = Run.finished(folder)
    logits = run.answers.test.logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = [i for i in np.argsort(-sure) if logits[i].argmax() != IMAGES.test_labels[i]][:10]
    shown = make_sheet(run, evaluate(run.answers)).wrong
    assert (shown.images == IMAGES.test_images[wrong]).all()
    first = wrong[0]
    answer, truth = (
        IMAGES.classes[logits[first].argmax()],
        IMAGES.classes[IMAGES.test_labels[first]],
    )
    assert shown.captions[0] == f"{answer}\n{sure[first]:.1%}\nis {truth}"


def test_data_that_is_not_there_any_more_is_told(copy: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    gone = {"_target_": "cifarlab.data.sources.ImageFolder", "root": str(tmp_path / "gone")}
    config["data"]["source"] = gone
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    text = write_report(copy)
    assert re.search(r"## Most confidently wrong\n\nthe images are not here: .*gone", text)
    assert "## Classes" in text and IMAGES.classes[0] in text, "the rest is there, with names"


def test_nothing_is_downloaded_for_a_report(copy: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    source = {"_target_": "cifarlab.data.sources.CIFAR10", "root": str(tmp_path / "empty")}
    config["data"] |= {"source": source, "cache_dir": str(tmp_path / "cache")}
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=r"CIFAR-10 is not in .*empty: put"):
        images_of(Run.finished(copy))


def test_other_data_is_not_shown_for_the_runs(copy: Path) -> None:
    config = yaml.safe_load((copy / "config.yaml").read_text())
    config["data"]["source"]["num_test"] = 110
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="the data set is another one now than the run's"):
        images_of(Run.finished(copy))


def test_the_page_has_a_picture_a_panel_and_the_record(copy: Path) -> None:
    text = write_report(copy)
    page = (copy / "report.html").read_text()
    found = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,', page)
    assert found == [
        "curves",
        "confusion",
        "classes",
        "reliability",
        "confidently_wrong",
        "samples",
    ]
    assert not re.search(r'(src|href)="(?!data:|#)', page), "self-contained"
    assert "![evaluation](figures/evaluation.png)" in (copy / "report.md").read_text()
    test = json.loads((copy / "result.json").read_text())["metrics"]["test"]
    assert f"<td>test</td><td>{test['acc']:.2%}</td><td>{test['loss']:.4f}</td>" in page
    assert re.search(rf"\| test +\| {test['acc']:.2%} +\| {test['loss']:.4f}", text)
    missing = set(re.findall(r'href="#([^"]+)"', page)) - set(re.findall(r'id="([^"]+)"', page))
    assert not missing, "every link has its heading"
