"""Layers of overrides, shortened runs, ladders."""

import pytest

from cifarlab.base.errors import UserError
from cifarlab.studies.ladder import expand
from cifarlab.studies.rows import merged, replaced, scaled, selected
from cifarlab.studies.schema import parse_study

PLAIN = {
    "id": "s",
    "title": "t",
    "source": "ours",
    "common": {"overrides": ["optimizer=sgd", "optimizer.lr=0.1"], "images": {"test": 1000}},
    "rows": [
        {"id": "lab.a", "reported": {"test_acc": 83.5, "best_epoch": 11}},
        {"id": "lab.b", "overrides": ["optimizer=adam"], "reported": {"val_acc": [62, None]}},
        {"id": "lab.c", "like": "lab.a"},
    ],
}


def test_the_last_word_counts() -> None:
    assert merged(["dropout=0.1", "seed=1"], ["dropout=0.2"]) == ["seed=1", "dropout=0.2"]
    row = ["optimizer=sgd", "optimizer.lr=0.1", "aug=hflip", "aug.hflip.p=0.3"]
    assert merged(row, ["optimizer=adam"]) == ["aug=hflip", "aug.hflip.p=0.3", "optimizer=adam"]
    assert merged(row, ["optimizer.lr=1", "optimizer=adam"])[-2:] == [
        "optimizer.lr=1", "optimizer=adam",
    ], "of what is typed together nothing goes, whatever the order"  # fmt: skip
    assert merged(["data.split=tail"], ["data=cifar100"]) == ["data.split=tail", "data=cifar100"], (
        "a split is of any data"
    )
    assert merged([*row, "optimizer=adam", "optimizer.lr=3e-4"])[2:] == [
        "optimizer=adam", "optimizer.lr=3e-4",
    ], "a row's own after the common ones"  # fmt: skip


def test_what_is_typed_in_a_rows_place_is_told() -> None:
    study = parse_study(PLAIN)
    assert replaced(study.rows[0], ["optimizer=adam"]) == ["optimizer=sgd", "optimizer.lr=0.1"]
    assert replaced(study.rows[0], ["seed=1", "optimizer.momentum=0.9"]) == []


def test_scale_shortens_what_counts_epochs() -> None:
    config = {
        "max_epochs": 10,
        "callbacks": {"early_stopping": {"patience": 2, "min_delta": 0.0}},
        "scheduler": {"every": 1, "warmup_epochs": 1.0, "gamma": 0.95},
        "transfer": {"last_block_from": None},
    }
    assert scaled(config, 0.2, []) == [
        "max_epochs=2", "callbacks.early_stopping.patience=1", "scheduler.warmup_epochs=0.2",
    ]  # fmt: skip
    assert scaled(config, 0.01, ["callbacks.early_stopping.patience=2"])[0] == "max_epochs=1"
    assert "max_epochs=2" not in scaled(config, 0.2, ["max_epochs=7"]), "what is typed stays"
    assert scaled(config, 1, []) == []


def test_rows() -> None:
    study = parse_study(PLAIN)
    assert [row.id for row in selected(study, None)] == ["lab.a", "lab.b"], "c is trained as a"
    assert [row.id for row in selected(study, ["lab.c"])] == ["lab.a"]
    with pytest.raises(UserError, match=r"study.only=x: no such row; rows: lab.a, lab.b, lab.c"):
        selected(study, ["x"])
    first, second = study.rows[0].reported
    assert (first.low, first.images, first.shown) == (0.835, 1000, "83.50")
    assert (second.low, second.images, second.shown) == (11, None, "11")
    assert study.rows[1].reported[0].shown == "≥ 62.00"
    assert study.short("lab.b") == "b"
    twice = parse_study(PLAIN | {"rows": [{"id": "lab.a"}, {"id": "den.a"}]})
    assert twice.short("lab.a") == "lab.a", "needed to tell them apart"
    versions = parse_study(PLAIN | {"rows": [{"id": "dropout_0.1"}]})
    assert versions.short("dropout_0.1") == "dropout_0.1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, "study s: rows is missing"),
        ({"row": 1}, "row: no such key"),
        ({"rows": [{"id": "a"}, {"id": "a"}]}, "two rows are called a"),
        ({"rows": [{"id": "a b"}]}, "an id is of letters"),
        ({"rows": [{"id": "a", "overrides": ["x"]}]}, "'x' is not <key>=<value>"),
        ({"rows": [{"id": "a", "reported": {"acc": 1}}]}, "reported.acc: no such quantity"),
        ({"rows": [{"id": "a", "reported": {"val_acc": 0.7}}]}, "accuracies are in per cent"),
        ({"rows": [{"id": "a", "reported": {"gap": [1]}}]}, r"must be a number or \[low, high\]"),
        ({"rows": [{"id": "a", "like": "b"}]}, "no such row: b; rows: a"),
        ({"axis": {"name": "x", "values": {"z": 1}}}, "axis: no such row: z"),
        (
            {"claims": [{"quote": "q", "check": {"kind": "overfits", "a": "z"}}]},
            "claim “q”: no such row: z",
        ),
        ({"claims": [{"quote": "q"}]}, "claim 1: needs quote and check"),
    ],
)
def test_mistakes_in_a_study(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_study(PLAIN | change)


LADDER = {
    "base": ["x=0"],
    "ingredients": {"one": ["a=1"], "two": ["b=1"], "three": ["c=1"]},
}


def test_a_ladder_by_hand() -> None:
    study = parse_study(expand("l", LADDER))
    assert {row.id: row.overrides for row in study.rows} == {
        "base": ("x=0",),
        "plus_one": ("x=0", "a=1"),
        "plus_two": ("x=0", "a=1", "b=1"),
        "all": ("x=0", "a=1", "b=1", "c=1"),
        "without_one": ("x=0", "b=1", "c=1"),
        "without_two": ("x=0", "a=1", "c=1"),
    }, "without three there is already"
    assert [(s.row, s.against, s.removed) for s in study.steps] == [
        ("plus_one", "base", False), ("plus_two", "plus_one", False), ("all", "plus_two", False),
        ("without_one", "all", True), ("without_two", "all", True), ("plus_two", "all", True),
    ]  # fmt: skip


def test_parts_of_a_ladder() -> None:
    up = parse_study(expand("l", LADDER | {"mode": "cumulative"}))
    assert [row.id for row in up.rows] == ["base", "plus_one", "plus_two", "all"]
    out = parse_study(expand("l", LADDER | {"mode": "leave_one_out"}))
    assert [row.id for row in out.rows] == ["all", "without_one", "without_two", "without_three"]
    assert [step.ingredient for step in out.steps] == ["one", "two", "three"]
    one = parse_study(expand("l", {"ingredients": {"one": ["a=1"]}}))
    assert [row.id for row in one.rows] == ["base", "all"] and one.steps[1].row == "base"
    with pytest.raises(UserError, match="ablation.mode=up: must be one of cumulative"):
        expand("l", LADDER | {"mode": "up"})
    with pytest.raises(UserError, match="ingredients is empty"):
        expand("l", {})
