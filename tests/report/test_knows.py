"""The pages of scripts/knows.py on tiny runs, and the numbers in them by other ways."""

import csv
import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import binomtest

from cifarlab.base.errors import UserError
from cifarlab.report.knows.audit import out_of_fold, write_audit
from cifarlab.report.knows.conformal import write_conformal
from cifarlab.report.knows.differences import by_place, write_differences
from cifarlab.report.knows.disagreements import correlation, write_disagreements
from cifarlab.report.knows.embeddings import neighbours, pca, tsne, write_embeddings
from cifarlab.report.knows.landscape import write_landscape
from cifarlab.report.knows.similarity import write_similarity
from cifarlab.stats.answers import Predictions
from cifarlab.store.predictions import save
from cifarlab.store.run import Run
from tests.conftest import launch
from tests.scripts.test_scripts import start


@pytest.fixture(scope="module")
def other(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another seed on the same split, which has learnt less."""
    folder = tmp_path_factory.mktemp("knows") / "other"
    launch(folder, cache, "model=tbmi26_cnn", "seed=1", "max_epochs=1")
    return folder


@pytest.fixture(autouse=True)
def _each_page_says_of_which_runs_it_is(tmp_path: Path) -> Iterator[None]:
    yield
    for page in tmp_path.rglob("report.md"):
        said = page.read_text(encoding="utf-8")
        assert re.search(r"Trained on .* commit .* Split \w+; seed", said, re.S), page


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_conformal(trained: Path, tmp_path: Path) -> None:
    run = Run.finished(trained)
    text = write_conformal(run, 0.25, tmp_path)
    val, test = (softmax(part.logits, axis=1) for part in (run.answers.val, run.answers.test))
    scores = np.sort(1 - val[np.arange(len(val)), run.answers.val.labels])
    threshold = scores[int(np.ceil(31 * 0.75)) - 1]
    inside = 1 - test <= threshold
    covered = inside[np.arange(len(test)), run.answers.test.labels]
    shown = f"| LAC | {covered.mean():.2%} "
    assert len(val) == 30 and shown in text
    assert (tmp_path / "figures" / "conformal.png").read_bytes().startswith(b"\x89PNG")
    assert "Promised: 0.75 of the sets" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_differences(trained: Path, other: Path, tmp_path: Path) -> None:
    text = write_differences([trained, other], tmp_path)
    assert f"| {other}" in text and "places differ by more than chance" in text
    with pytest.raises(UserError, match="names a run twice"):
        write_differences([trained, trained], tmp_path)


def test_a_place_is_tested_on_the_images_that_one_net_puts_there() -> None:
    """Of 20 images of class 0 the first net answers 12 with 1, the second none."""
    labels = np.repeat([0, 1], 20)
    first, second = np.eye(3)[labels], np.eye(3)[labels]
    first[:12] = [0, 1, 0]
    p = by_place(Predictions(first, labels), Predictions(second, labels))
    alone = binomtest(12, 12, 0.5).pvalue
    assert p[0, :2] == pytest.approx([6 * alone] * 2), "Holm's over six places"
    assert p[0, 2] == 1 and p[1].tolist() == [1, 1, 1] and np.isnan(p[2]).all()


def test_embeddings(trained: Path, tmp_path: Path) -> None:
    text = write_embeddings(Run.finished(trained), "pca", 25, 0, tmp_path)
    assert "25 validation images" in text
    (tensors,) = tmp_path.glob("projector/*/features/tensors.tsv")
    vectors = np.loadtxt(tensors)
    said = (tensors.parent / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    assert said[0].split("\t") == ["label", "answer", "is"]
    assert len(vectors) == len(said) - 1 == 25 and f"all {vectors.shape[1]} features" in text
    three = np.repeat(np.eye(3) * 9, 40, axis=0) + np.random.default_rng(0).normal(size=(120, 3))
    places = tsne(three, 0)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    own = np.equal.outer(np.arange(120) // 40, np.arange(120) // 40)
    assert apart[own].max() < apart[~own].min(), "three heaps stay three"
    with pytest.raises(UserError, match="method=umap: must be one of pca, tsne"):
        write_embeddings(Run.finished(trained), "umap", 25, 0, tmp_path)
    with pytest.raises(UserError, match="method=pca: needs 11 validation images or more, not 5"):
        write_embeddings(Run.finished(trained), "pca", 5, 0, tmp_path)


def test_a_plane_and_neighbours_by_hand() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 2)) @ [[3.0, 0.0, 1.0], [0.0, 1.0, 0.0]] + 7
    places, _, words = pca(features)
    assert words == "PCA: 100% of the variance"
    apart = np.linalg.norm(features[:, None] - features, axis=2)
    assert np.allclose(np.linalg.norm(places[:, None] - places, axis=2), apart)
    line = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.5]])
    assert neighbours(line, np.array([0, 0, 0, 1, 1, 1]), 2) == 1
    assert neighbours(line, np.array([0, 0, 1, 1, 1, 1]), 2) == pytest.approx(5 / 6)


def test_layers_of_two_runs(trained: Path, other: Path, tmp_path: Path) -> None:
    text = write_similarity([trained, other], 20, tmp_path)
    values = {(row["a"], row["b"]): float(row["cka"]) for row in rows(tmp_path / "cka.csv")}
    names = {a for a, _ in values}
    assert len(values) == len(names) ** 2 and all(value <= 1 + 1e-9 for value in values.values())
    assert "Linear CKA on 20 validation images" in text
    with pytest.raises(UserError, match="images=3: what=cka needs at least 4"):
        write_similarity([trained, other], 3, tmp_path)


def test_disagreements(trained: Path, other: Path, tmp_path: Path) -> None:
    text = write_disagreements([trained, other], 30, 2, 16, 8, tmp_path)
    one, two = (Run.finished(folder).answers.val for folder in (trained, other))
    differ = one.answers != two.answers
    assert f"{int(one.is_right[differ].sum())} of {differ.sum()}" in text
    with pytest.raises(UserError, match="patch=33: images have 32 pixels a side"):
        write_disagreements([trained, other], 30, 2, 33, 8, tmp_path)


def test_two_maps_that_say_the_same() -> None:
    """A map of 6 x 6 on an image of that size: squares of 2 pixels, 2 apart, have these means."""
    cam = np.random.default_rng(0).random((6, 6))
    means = cam.reshape(3, 2, 3, 2).mean(axis=(1, 3))
    assert correlation(cam, means**3, 6, 2, 2) == pytest.approx(1)
    assert correlation(cam, -means, 6, 2, 2) == pytest.approx(-1)
    assert np.isnan(correlation(np.zeros((2, 2)), means, 6, 2, 2))


def test_landscape(trained: Path, tmp_path: Path) -> None:
    run = Run.finished(trained)
    write_landscape(run, 20, 3, 0.5, 0, tmp_path)
    found = {
        (row["first"], row["second"]): float(row["loss"])
        for row in rows(tmp_path / "landscape.csv")
    }
    val = run.answers.val
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(val.logits[:20]), torch.from_numpy(val.labels[:20])
    )
    assert len(found) == 9
    assert found["0.0", "0.0"] == pytest.approx(float(expected), abs=0.01)
    with pytest.raises(UserError, match="steps=4: must be an odd number from 3"):
        write_landscape(run, 20, 4, 0.5, 0, tmp_path)


def test_audit(trained: Path, other: Path, tmp_path: Path) -> None:
    """Two runs of one split: both judge the same 30 images."""
    runs = [Run.finished(trained), Run.finished(other)]
    places, probabilities, votes = out_of_fold(runs)
    each = [softmax(run.answers.val.logits, axis=1) for run in runs]
    assert np.array_equal(places, runs[0].answers.val_indices) and votes.tolist() == [2] * 30
    assert np.allclose(probabilities, (each[0] + each[1]) / 2)
    text = write_audit(runs, 4, tmp_path)
    assert "30 of 300" in text and "2, at least 2 an image" in text
    if (tmp_path / "suspects.csv").exists():
        suspects = rows(tmp_path / "suspects.csv")
        assert all(row["label"] != row["nets_say"] for row in suspects)
        assert (tmp_path / "figures" / "suspects.png").is_file()


def test_an_audit_of_other_classes_with_the_same_labels(trained: Path, tmp_path: Path) -> None:
    run = Run.finished(shutil.copytree(trained, tmp_path / "run"))
    save(run.folder, dataclasses.replace(run.answers, classes=tuple("abcdefghij")))
    with pytest.raises(UserError, match="of another data set than"):
        write_audit([Run.finished(trained), Run.finished(run.folder)], 4, tmp_path / "audit")


def test_the_program(trained: Path, tmp_path: Path) -> None:
    done = start("knows.py", "what=conformal", f"run={trained}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / done.stdout.strip().splitlines()[-1]
    assert page.name == "report.html" and page.is_relative_to(tmp_path / "outputs" / "knows")
    alone = start("knows.py", "what=cka", f"run={trained}", cwd=tmp_path)
    assert alone.returncode == 2
    assert alone.stderr == "error: what=cka: is about two runs; add other=<run folder>\n"
