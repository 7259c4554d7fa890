"""What a comparison says, from made-up runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.report.compare.selection import Side, read_side
from cifarlab.report.compare.sentences import agreement, interval, p_is, points
from cifarlab.report.compare.write import folder_name, write_comparison
from tests.report.folders import finished, predicted
from tests.test_record import RECORD

N = 300


def runs(folder: Path, name: str, accuracies: dict[int, float], **fields: object) -> Side:
    """A run for each seed: ``accuracies`` on validation, a hundredth less on test. On the images
    each has the first so many right, but of class ``dog`` only a without errors."""
    for seed, acc in accuracies.items():
        typed = [f"dropout={0.1 if name == 'a' else 0.3}", f"seed={seed}"]
        config = {"model": {"dropout": 0.1 if name == "a" else 0.3}, "name": name}
        path = finished(folder / name / str(seed), typed, acc, config, **fields)
        order = np.random.default_rng(seed).permutation(N)
        right = order < round(N * acc)
        right[1::3] = name == "a"
        predicted(path, val=right, test=right)
    return read_side(name, [str(folder / name)], [])


def told(folder: Path, a: Side, b: Side) -> tuple[str, dict]:
    text = write_comparison(a, b, folder / "out", 0.005)
    assert (folder / "out" / "compare.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "out" / "compare.md").read_text()
    parts = re.split(r"\n(?=## )", text.rpartition("\n")[0])
    assert all(part in page for part in parts[1:])
    assert parts[-1].startswith("## Verdict") and page.count("## ") == len(parts) - 1
    assert page.index("## Verdict") < page.index("## Configuration"), "first on the page"
    assert "<h1>a and b compared</h1>" in (folder / "out" / "compare.html").read_text()
    assert "best" not in text, "nothing is the best for what it does on test"
    return text, json.loads((folder / "out" / "compare.json").read_text())


def test_clear_over_seeds(tmp_path) -> None:
    """Differences of 0.10, 0.11 and 0.12: 0.11 +- 4.302653 * 0.01 / sqrt(3), p = 0.0027."""
    a = runs(tmp_path, "a", {0: 0.80, 1: 0.82, 2: 0.81})
    b = runs(tmp_path, "b", {0: 0.70, 1: 0.71, 2: 0.69})
    text, found = told(tmp_path, a, b)
    assert (
        "Validation: a is better than b by 11.00 points, 95 % interval 8.52 to 13.48, over 3 "
        "shared seeds (paired t, p = 0.0027)."
    ) in text
    assert "agree: both favour a." in text and found["how"] == "paired"
    assert found["configuration"] == [{"key": "dropout", "a": "0.1", "b": "0.3", "typed": True}]
    assert "Following from these: model.dropout." in text, "and nothing of the name"
    assert found["metrics"]["val_acc"]["seeds"]["low"] == pytest.approx(0.0851586, abs=1e-6)
    dog = found["classes"]["test"][1]
    assert dog["name"] == "dog" and (dog["a"], dog["b"]) == (1, 0)
    assert found["alone"]["val"][0]["only_a"] >= 100
    assert (tmp_path / "out" / "compare.md").read_text().count("](compare.png)\n") == 1


def test_undecided_says_what_would_settle_it(tmp_path) -> None:
    """Differences of 0.03, -0.01 and 0.01, d = 0.5: of 34 pairs the power is 0.8, with 64 half the
    interval is below 0.005."""
    a = runs(tmp_path, "a", {0: 0.73, 1: 0.70, 2: 0.71})
    b = runs(tmp_path, "b", {0: 0.70, 1: 0.71, 2: 0.70})
    text, _ = told(tmp_path, a, b)
    assert "Validation: undecided: a is ahead by 1.00 points; a - b has the 95 % interval" in text
    assert "about 31 more seeds each would settle a difference of this size" in text
    assert "61 more would bring the interval to ± 0.50 points" in text


def test_one_run_each_says_nothing_about_seeds(tmp_path) -> None:
    a, b = runs(tmp_path, "a", {0: 0.9}, test_reads=2), runs(tmp_path, "b", {0: 0.3})
    text, found = told(tmp_path, a, b)
    assert "Validation: a is ahead by 60.00 points on these images, 95 % interval over im" in text
    assert "(McNemar's p < 0.001)" in text and "is better than b by" not in text
    assert "One run each says nothing about the spread over seeds" in text
    assert f"The test set was read more than once for {tmp_path / 'a' / '0'} (2 times)." in text
    assert found["metrics"]["val_acc"]["seeds"]["low"] is None
    assert [c["name"] for c in found["classes"]["val"] if c["p_holm"] < 0.05][-1] == "eel"


def test_nets_that_agree_on_every_image_have_no_interval(tmp_path) -> None:
    sides = []
    for name in ("a", "b"):
        path = finished(tmp_path / name, [f"dropout={0.1 if name == 'a' else 0.3}", "seed=0"], 0.5)
        predicted(path, val=np.arange(N) < 150, test=np.arange(N) < 147)
        sides.append(read_side(name, [str(path)], []))
    text = write_comparison(*sides, tmp_path / "out", 0.005)
    assert (
        "Validation: a and b are level on these images; a alone is right on 0, b alone on 0 "
        "(McNemar's p = 1)."
    ) in text
    assert "0.00 to 0.00" not in text


def test_own_metrics_are_compared_where_both_have_them(tmp_path) -> None:
    """And two runs without predictions are compared, though nothing has an interval to draw."""

    def side(name: str, first: float) -> Side:
        measured = {
            s: {"loss": 1.0, "acc": first, "f1": first / 2} for s in ("train", "val", "test")
        }
        finished(tmp_path / name / "0", [f"dropout={first}", "seed=0"], 0.5, metrics=measured)
        return read_side(name, [str(tmp_path / name / "0")], [])

    text = write_comparison(side("a", 0.8), side("b", 0.6), tmp_path / "out", 0.005)
    assert "| test f1 | 0.4000 | 0.3000 | 0.1000 |" in " ".join(text.split()).replace("- |", "")
    assert not (tmp_path / "out" / "compare.png").exists()
    without = finished(tmp_path / "c", ["dropout=0.1", "seed=0"], 0.5)
    (without / "metrics.csv").write_text("epoch,step,val_loss,val_acc\n1,2,1,0.5\n")
    other = read_side("c", [str(without)], [])
    assert "f1" not in write_comparison(side("d", 0.8), other, tmp_path / "out", 0.005)


def test_samples_without_common_seeds(tmp_path) -> None:
    a, b = runs(tmp_path, "a", {0: 0.9, 1: 0.8}), runs(tmp_path, "b", {2: 0.3, 3: 0.35, 4: 0.3})
    text, found = told(tmp_path, a, b)
    assert "over 2 and 3 seeds (Welch's t, p = " in text and "## Images" not in text
    assert found["how"] == "welch" and found["alone"] == {"val": [], "test": []}


def test_no_interval_goes_beyond_100_points(tmp_path) -> None:
    """Of two seeds Student's t is 12.7: 40 +- 127 points."""
    a, b = runs(tmp_path, "a", {0: 0.9, 1: 0.9}), runs(tmp_path, "b", {0: 0.6, 1: 0.4})
    text, found = told(tmp_path, a, b)
    assert "a - b has the 95 % interval -87.06 to 100.00, over 2 shared seeds" in text
    both = [found["metrics"][f"{split}_acc"] for split in ("val", "test")]
    ends = [one[of] for one in both for of in ("seeds", "together")]
    ends += [one["difference"] for split in ("val", "test") for one in found["classes"][split]]
    there = [one for one in ends if one["low"] is not None]
    assert len(there) > 4 and all(-1 <= one["low"] < one["high"] <= 1 for one in there)
    assert max(one["high"] for one in there) == 1


def test_disagreement_of_validation_and_test(tmp_path) -> None:
    metrics = {s: {"loss": 1.0, "acc": x} for s, x in (("train", 1), ("val", 0.9), ("test", 0.2))}
    a = runs(tmp_path, "a", {0: 0.9, 1: 0.9}, metrics=metrics)
    b = runs(tmp_path, "b", {0: 0.8, 1: 0.8})
    text, _ = told(tmp_path, a, b)
    assert "Validation and test disagree (validation: a, test: b): validation chooses." in text
    assert "undecided: a is ahead by 10.00 points with each seed, to the image" in text


def test_without_predictions_only_seeds(tmp_path) -> None:
    a, b = runs(tmp_path, "a", {0: 0.8, 1: 0.82}), runs(tmp_path, "b", {0: 0.7, 1: 0.73})
    (tmp_path / "b" / "1" / "predictions.npz").unlink()
    text, found = told(tmp_path, a, b)
    assert "Nothing over images and classes for val and test" in text
    assert "## Classes" not in text and found["metrics"]["val_acc"]["images"] is None


def test_folds_are_pairs_and_validate_on_different_images(tmp_path) -> None:
    sides = []
    for name, more in (("a", 0.1), ("b", 0.0)):
        for fold in (0, 1, 2):
            typed = [f"lr={name}", f"data.fold={fold}"]
            facts = RECORD.data | {"split_hash": f"0{fold}"}
            path = finished(tmp_path / name / str(fold), typed, 0.5 + more * fold, data=facts)
            predicted(path, val=np.ones(N + fold, bool), test=np.arange(N) % (fold + 2) > 0)
        sides.append(read_side(name, [str(tmp_path / name)], []))
    text, found = told(tmp_path, *sides)
    assert "over 3 shared seeds and folds (paired t" in text
    assert "Nothing over images and classes for val:" in text and set(found["classes"]) == {"test"}


def test_what_is_refused(tmp_path) -> None:
    a, b = runs(tmp_path, "a", {0: 0.8}), runs(tmp_path, "b", {0: 0.7})
    with pytest.raises(UserError, match="a/0 is on both sides; choose by where_a and where_b"):
        write_comparison(a, a, tmp_path / "out", 0.005)
    right = {"val": np.ones(N, bool), "test": np.ones(N, bool)}
    others = [right | {"test": np.ones(N + 1, bool)}, right | {"classes": ["ant", "bee", "fly"]}]
    for other in others:
        predicted(tmp_path / "b" / "0", **other)
        with pytest.raises(UserError, match=r"not the same test images \(their labels or classes"):
            write_comparison(a, read_side("b", [str(tmp_path / "b")], []), tmp_path / "out", 0.005)
    (tmp_path / "b" / "0" / "predictions.npz").write_bytes(b"PK cut")
    b = read_side("b", [str(tmp_path / "b")], [])  # a run is read once
    with pytest.raises(UserError, match="predictions.npz: damaged"):
        write_comparison(a, b, tmp_path / "out", 0.005)
    assert not (tmp_path / "out").exists()


def test_words() -> None:
    assert points(-0.000001) == "0.00" and points(0.0123) == "1.23"
    assert p_is(0.0004) == "p < 0.001" and p_is(0.0312) == "p = 0.031"
    assert interval(None) == ""
    assert agreement(0.1, 0.0, "x", "y").startswith("Validation and test disagree (validation: x, ")


def test_the_folder_is_named_by_what_was_asked(tmp_path) -> None:
    a, b = runs(tmp_path, "a", {0: 0.8}), runs(tmp_path, "b", {0: 0.7})
    assert folder_name(a, b) == "a_vs_b"
    long = read_side("a", [f"{tmp_path}/a"], ["dropout:0.1"] * 12)
    assert len(folder_name(long, b)) == 100
