"""Made-up studies: tables, figures, the index."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cifarlab.base.errors import UserError
from cifarlab.report.page import write_report
from cifarlab.report.study.nets import best_row, first_layer, pictures
from cifarlab.report.study.page import winner
from cifarlab.report.study.results import read_study
from cifarlab.report.sweep.results import collect
from cifarlab.store.checkpoint import BEST, INITIAL
from cifarlab.store.files import SUMS
from tests.conftest import without_sums
from tests.report.folders import finished, plan, predicted

COMMON = ["model=mlp", "study.id=s"]
DATA = {"name": "cifar10", "num_train": 9, "num_val": 1, "num_test": 2, "split_hash": "0"}
CONTENT = {
    "id": "s",
    "title": "Made up",
    "source": "a report",
    "common": {"overrides": ["model=mlp"]},
    "rows": [
        {"id": "a", "overrides": ["dropout=0.1"], "reported": {"test_acc": 60, "val_acc": 90}},
        {"id": "b", "overrides": ["dropout=0.2"]},
        {"id": "c", "needs": "weights"},
    ],
    "claims": [
        {"quote": "a > b", "check": {"kind": "greater", "a": "a", "b": "b", "metric": "val_acc"}}
    ],
}


def write(folder: Path, content: dict, cells: dict[str, tuple[list[str], float]]) -> Path:
    plan(folder, {name: [*COMMON, *typed] for name, (typed, _) in cells.items()})
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    for name, (typed, acc) in cells.items():
        finished(folder / name, [*COMMON, *typed], acc, data=DATA, hardware={"name": "cpu"})
    return folder


def row(name: str, dropout: float, seed: int, acc: float, *more: str):
    typed = [f"study.row={name}", f"dropout={dropout}", f"seed={seed}", *more]
    return f"{name}_{seed}_{len(more)}{'_'.join(more)}", (typed, acc)


CELLS = dict(
    [row("a", 0.1, s, acc) for s, acc in enumerate((0.60, 0.61, 0.62))]
    + [row("b", 0.2, s, acc) for s, acc in enumerate((0.50, 0.51, 0.521))]
)


def test_tables(tmp_path: Path) -> None:
    """Test is a hundredth below validation (see folders)."""
    text = write_report(write(tmp_path / "s", CONTENT, CELLS))
    assert re.search(
        r"a +\| test accuracy +\| % .*60.00 +\| 60.00 ± 2.48 .*\| ± 4.97 +\| uninformative", text
    )
    assert re.search(r"\| validation accuracy .*90.00 +\| 61.00 ± 2.48 .*\| report is higher", text)
    assert re.search(r"“a > b” .*\+9.97 ± 0.14 +\| 3 +\| supported", text)
    assert re.search(r"^\| c +\| 0 .*not measured: not run; needs weights", text, re.M)
    assert "Not the source's" not in text
    assert "Validation accuracy chooses a (61.00%; test 60.00%). a has the highest test" in text


def test_narrow_figures_and_ties(tmp_path: Path) -> None:
    """Of a the interval for one more run is +- 1.99 points; b lies 0.1 +- 2.5 points below."""
    near = dict(
        [row("a", 0.1, s, acc) for s, acc in enumerate((0.606, 0.610, 0.614))]
        + [row("b", 0.2, s, acc) for s, acc in enumerate((0.600, 0.609, 0.618))]
    )
    text = write_report(write(tmp_path / "s", CONTENT, near))
    assert re.search(r"a +\| test accuracy .*60.00 ± 0.99 .*\| ± 1.99 +\| compatible", text)
    assert "test 60.00%). These seeds cannot tell it from b. a has" in text


def test_ties_by_holm_over_the_rows(tmp_path: Path) -> None:
    """b lies 0.025 +- 0.0248 below a, p = 0.049: alone told apart, beside another row not; a row
    that is ahead of the first by the seeds of both is not told to be lower."""
    cells = [row("a", 0.1, s, acc) for s, acc in enumerate((0.69, 0.78, 0.88))]
    cells += [row("b", 0.2, s, acc) for s, acc in enumerate((0.655, 0.755, 0.865))]
    text = write_report(write(tmp_path / "s", CONTENT, dict(cells)))
    assert "chooses a" in text and "cannot tell it from" not in text
    near = [row("c", 0.3, s, acc) for s, acc in enumerate((0.689, 0.785, 0.87))]
    text = write_report(write(tmp_path / "t", CONTENT, dict(cells + near)))
    assert "These seeds cannot tell it from b, c. a has" in text
    later = [row("c", 0.3, s, acc) for s, acc in ((0, 0.7), (1, 0.791), (2, 0.889), (3, 0.1))]
    text = write_report(write(tmp_path / "u", CONTENT, dict(cells + later)))
    assert "chooses a" in text and "These seeds cannot tell it from c. a has" in text


def test_what_is_ours_of_a_recipe(tmp_path: Path) -> None:
    first, *others = CONTENT["rows"]
    rows = [first | {"assumed": ["pooling"]}, *others]
    claims = [{"quote": "b > a", "check": CONTENT["claims"][0]["check"] | {"a": "b", "b": "a"}}]
    content = CONTENT | {"assumed": ["split"], "rows": rows, "claims": claims}
    text = write_report(write(tmp_path / "s", content, CELLS))
    assert "Not given by the source, and so ours: split; in a pooling. A difference" in text
    text = (tmp_path / "s" / "report.md").read_text()
    assert "“b > a” (not as claimed, on a recipe whose split, pooling are ours)" in text
    assert "| contradicted" not in text


def test_what_we_ask_ourselves_may_be_contradicted_and_a_quote_not(tmp_path: Path) -> None:
    """Of a study of our own all is ours; what is no report's words has no quotation marks."""
    check = CONTENT["claims"][0]["check"] | {"a": "b", "b": "a"}
    for key, verdict, said in (
        ("asked", "contradicted", "| b > a "),
        ("quote", "undecided", "| “b > a” (not as claimed, in an experiment of ours, not the"),
    ):
        content = CONTENT | {"source": "ours", "claims": [{key: "b > a", "check": check}]}
        write_report(write(tmp_path / key, content, CELLS))
        text = (tmp_path / key / "report.md").read_text()
        assert "## What is asked" in text and "source claims" not in text
        assert said in text and f"| {verdict}" in text


def test_rows_of_too_few_seeds_are_no_ties(tmp_path: Path) -> None:
    text = write_report(write(tmp_path / "s", CONTENT, dict([*CELLS.items()][:4])))
    assert "With too few seeds to tell: b. a has the highest" in text
    assert "cannot tell it from" not in text
    cells = dict([*CELLS.items()][2:])  # one run of a
    text = write_report(write(tmp_path / "t", CONTENT, cells))
    assert (
        "chooses a (62.00%; test 61.00%). It has too few seeds to tell it from the others." in text
    )


def test_two_seeds_are_shown_as_they_are(tmp_path: Path) -> None:
    text = write_report(write(tmp_path / "s", CONTENT, dict([*CELLS.items()][:2])))
    assert re.search(
        r"a +\| test accuracy .*\| 59.00, 60.00 +\| 2 .*\| undecided +\| two seeds", text
    )
    assert re.search(r"^\| a +\| 2 \| 60.00, 61.00", text, re.M)


def test_a_part_of_the_images_that_a_study_of_ours_is_about(tmp_path: Path) -> None:
    """A tenth is its own recipe; another part, or of a report's study any, is not."""
    tenth = "data.fraction=0.1"
    own = CONTENT | {"source": "ours", "common": {"overrides": ["model=mlp", tenth]}}
    for content, fraction, told in (
        (own, 0.1, []),
        (own, 0.2, ["20% of the training images"]),
        (own, 1.0, ["100% of the training images"]),
        (CONTENT, 0.1, ["10% of the training images"]),
    ):
        folder = write(tmp_path / f"{len(told)}{fraction}{content['source']}", content, CELLS)
        for path in folder.glob("*/config.yaml"):
            config = yaml.safe_load(path.read_text())
            config.setdefault("data", {})["fraction"] = fraction
            path.write_text(yaml.safe_dump(config))
        assert read_study(collect(without_sums(folder))).caveats == told, (content, fraction)


def test_what_else_was_swept_makes_lines(tmp_path: Path) -> None:
    more = dict(
        row(name, dropout, seed, 0.7, "optimizer.lr=0.3")
        for name, dropout in (("a", 0.1), ("b", 0.2))
        for seed in (0, 1)
    )
    less = {name: ([*typed, "optimizer.lr=0.1"], acc) for name, (typed, acc) in CELLS.items()}
    results = read_study(collect(write(tmp_path, CONTENT, less | more)))
    assert [(line.label, len(line.runs)) for line in results.lines] == [
        ("a optimizer.lr=0.1", 3), ("a optimizer.lr=0.3", 2),
        ("b optimizer.lr=0.1", 3), ("b optimizer.lr=0.3", 2), ("c", 0),
    ]  # fmt: skip
    assert results.caveats == ["optimizer.lr=0.1 typed", "optimizer.lr=0.3 typed"]
    assert "report is higher" not in write_report(tmp_path), "no verdict on another experiment"


def test_when_test_disagrees_validation_chooses(tmp_path: Path) -> None:
    folder = write(tmp_path, CONTENT, CELLS)
    for path in folder.glob("b_*/result.json"):
        (path.parent / SUMS).unlink()
        path.write_text(re.sub(r'("test": {[^}]*"acc": )[0-9.]+', r"\g<1>0.99", path.read_text()))
    text = winner(read_study(collect(folder)))
    assert text.startswith("Validation accuracy chooses a (")
    assert "Test disagrees: b has 99.00% there, 39.00 points more." in text


def test_the_nets_of_the_row_that_validation_chooses(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", CONTENT, CELLS)
    right = {0: [1, 1, 0], 1: [1, 0, 0], 2: [1, 1, 1]}
    for seed, answers in right.items():
        predicted(folder / f"a_{seed}_0", val=np.ones(3, bool), test=np.array(answers, bool))
    before, after = torch.zeros(4, 3, 5, 5), torch.ones(4, 3, 5, 5)
    (folder / "a_0_0" / "checkpoints").mkdir()
    for path, weight in ((INITIAL, before), (BEST, after)):
        kept = {"cifarlab": {}, "layer": "conv", "state_dict": {"net.conv.weight": weight}}
        torch.save(kept, folder / "a_0_0" / path)
    results = read_study(collect(folder))
    line = best_row(results)
    assert line is not None and line.label == "a"
    found = first_layer(line.runs[0])
    assert found is not None and [part.mean() for part in found] == [0, 1]
    assert first_layer(line.runs[1]) is None
    drawn = {one.name: one.figure for one in pictures(results)}
    assert drawn.keys() == {"confusion.png", "filters.png"}
    numbers = [text.get_text() for text in drawn["confusion.png"].axes[0].texts]
    assert numbers == ["3", "0", "0", "0", "2", "1", "2", "0", "1"], "over the three seeds"


def test_before_and_while_it_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", CONTENT, {})
    assert "not run" in write_report(folder)
    write(tmp_path / "t", CONTENT, dict([row("a", 0.1, 0, 0.6)]))
    text = write_report(tmp_path / "t")
    assert "one seed" in text and "no run of b" in text


def test_the_rows_of_an_axis_are_drawn_once_there_are_some(tmp_path: Path) -> None:
    """Else, with ``study.only`` of the others, there is nothing to draw."""
    content = CONTENT | {"axis": {"name": "dropout", "values": {"b": 0.2, "c": 0.3}}}
    write_report(write(tmp_path / "a", content, dict([row("a", 0.1, 0, 0.6)])))
    assert (tmp_path / "a" / "figures" / "reported.png").exists()
    assert not (tmp_path / "a" / "figures" / "swept.png").exists()
    write_report(write(tmp_path / "b", content, dict([row("b", 0.2, 0, 0.6)])))
    assert (tmp_path / "b" / "figures" / "swept.png").exists()


def test_index(tmp_path: Path) -> None:
    write(tmp_path / "s", CONTENT, CELLS)
    write(tmp_path / "t", CONTENT | {"title": "Another", "source": "ours"}, {})
    text = write_report(tmp_path)
    assert re.search(
        r"\[Made up\]\(s/report.html\).*\| 2 of 3 +\| 2 with 3 +\| 0 +\| 1 +\| 1 +\| 1 ", text
    )
    assert text.index("Made up") < text.index("Another"), "the reports' first"
    assert (tmp_path / "s" / "report.html").exists()
    assert 'href="s/report.html"' in (tmp_path / "index.html").read_text()


def test_a_shortened_study_of_our_own_has_no_source_to_differ_from(tmp_path: Path) -> None:
    short = dict([row("a", 0.1, 0, 0.6, "study.scale=0.5")])
    write(tmp_path / "t", CONTENT | {"source": "ours"}, short)
    text = write_report(tmp_path / "t")
    assert "Not the study as it is written: shortened to 50% of the epochs. Claims" in text
    assert "are not judged by such runs" in text
    assert "the source's experiment" not in text
    assert "ours; not as it is written: shortened to 50%" in write_report(tmp_path)


def test_a_copy_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("rows: [")
    with pytest.raises(UserError, match=r"study.yaml: not a study .* type its sweep again"):
        read_study(collect(tmp_path))
    (tmp_path / "study.yaml").write_text("id: x")
    with pytest.raises(UserError, match="study x: title is missing"):
        read_study(collect(tmp_path))
