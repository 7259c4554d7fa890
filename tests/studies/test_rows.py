"""Layers of overrides, shortened runs, ladders."""

import math
import re
from collections.abc import Iterator, Mapping

import pytest
import yaml

from cifarlab.base.errors import UserError
from cifarlab.studies.ladder import expand
from cifarlab.studies.rows import merged, replaced, scaled, selected
from cifarlab.studies.schema import OURS, Row, Study, parse_study
from tests.conftest import CONF, options

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
    assert merged(["trainer.precision=32-true"], ["trainer=gpu"]) == [
        "trainer.precision=32-true", "trainer=gpu",
    ], "and a precision of any trainer"  # fmt: skip
    assert merged(["+a.b=1", "~c"], ["a.b=2", "+c=3"]) == ["a.b=2", "+c=3"], "added or not"
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
        "scheduler": {"every": 1, "warmup_epochs": 2.0, "gamma": 0.95},
        "transfer": {"last_block_from": None, "backbone_from": False},
    }
    assert scaled(config, 0.2, []) == [
        "max_epochs=2", "callbacks.early_stopping.patience=1", "scheduler.warmup_epochs=0.4",
    ]  # fmt: skip
    assert scaled(config, 0.01, ["callbacks.early_stopping.patience=2"])[0] == "max_epochs=1"
    assert "max_epochs=2" not in scaled(config, 0.2, ["max_epochs=7"]), "what is typed stays"
    assert scaled(config, 0.25, [])[0] == "max_epochs=2", "2.5 epochs cannot be trained"
    assert scaled(config, 1, []) == []


def leaves(node: Mapping) -> Iterator[str]:
    """Dotted keys of what is no mapping."""
    for key, value in node.items():
        below = leaves(value) if isinstance(value, Mapping) else [""]
        yield from (f"{key}.{rest}".rstrip(".") for rest in below)


def test_every_option_that_counts_epochs_is_shortened() -> None:
    """Those of the shipped groups, known by their names."""
    counts = re.compile(r"epoch|patience|^every$|half_cycle|_from$")
    config: dict = {"max_epochs": 10}
    for group in ("callbacks", "scheduler", "transfer"):
        for option in options(group):
            content = yaml.safe_load((CONF / group / f"{option}.yaml").read_text()) or {}
            for key in leaves({group: content.get(group, content)}):  # transfer's is global
                *above, last = key.split(".")
                node = config
                for part in above:
                    node = node.setdefault(part, {})
                if counts.search(last):
                    node[last] = [1, 11] if last == "from_epochs" else 10
    found = list(leaves(config))
    assert len(found) > 5
    shorter = {key: "[1,6]" if key.endswith("from_epochs") else 5 for key in found}
    assert sorted(scaled(config, 0.5, [])) == sorted(f"{k}={v}" for k, v in shorter.items())


def test_the_last_epoch_of_a_shortened_run_is_validated() -> None:
    config = {"max_epochs": 14, "trainer": {"check_val_every_n_epoch": 2}}
    every = "trainer.check_val_every_n_epoch"
    assert scaled(config, 0.05, []) == ["max_epochs=1", f"++{every}=1"]
    assert scaled(config, 0.8, []) == ["max_epochs=11", f"++{every}=1"]
    assert scaled(config, 0.7, []) == ["max_epochs=10", f"++{every}=1"]
    assert scaled(config, 0.85, []) == ["max_epochs=12"]
    assert scaled(config, 0.5, ["max_epochs=6", f"{every}=3"]) == []


@pytest.mark.parametrize(
    ("firsts", "scale", "expected"),
    [
        ([1, 7], 0.5, [1, 4]),
        ([1, 4, 5], 0.2, [1, 2, 3]),
        ([1, 2], 0.1, None),
        ([1], 0.5, None),
    ],
)
def test_phases_stay_apart(firsts: list[int], scale: float, expected: list[int] | None) -> None:
    config = {"callbacks": {"progressive": {"from_epochs": firsts}}}
    changes = [f"callbacks.progressive.from_epochs={expected}".replace(" ", "")]
    assert scaled(config, scale, []) == ([] if expected is None else changes)


def test_rows() -> None:
    study = parse_study(PLAIN)
    assert [row.id for row in selected(study, None)] == ["lab.a", "lab.b"], "c is trained as a"
    assert [row.id for row in selected(study, ["lab.c"])] == ["lab.a"]
    assert [row.id for row in selected(study, ["lab.b"])] == ["lab.b"]
    with pytest.raises(UserError, match=r"^study.only=x: no such row; rows: lab.a, lab.b, lab.c$"):
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


def test_everything_in_a_study() -> None:
    row = {"id": "a", "overrides": ["b=1"], "reported": {"test_loss": 0.7, "val_acc": [60, 62]}}
    row |= {"images": {"test": 500, "val": 50}, "params": 7, "note": "n", "needs": "a GPU"}
    rest = {"about": "x", "assumptions": ["y"], "slips": ["z"], "kind": "ablation", "typed": ["w"]}
    rest |= {"axis": {"name": "rate", "values": {"a": "1e-3"}}}
    study = parse_study(PLAIN | {"rows": [row, {"id": "b", "like": "a"}]} | rest)
    assert (study.id, study.title, study.source) == ("s", "t", OURS)
    assert (study.about, study.kind, study.typed) == ("x", "ablation", ("w",))
    assert (study.assumptions, study.slips) == (("y",), ("z",))
    assert study.axis is not None and (study.axis.name, study.axis.values) == ("rate", {"a": 0.001})
    first, second = study.rows
    assert first.overrides == ("optimizer=sgd", "optimizer.lr=0.1", "b=1")
    assert (first.params, first.note, first.needs, first.like) == (7, "n", "a GPU", "")
    assert (second.params, second.note, second.needs, second.like) == (None, "", "", "a")
    loss, acc = first.reported
    assert (loss.low, loss.images, loss.is_range, loss.shown) == (0.7, 500, False, "0.700")
    assert (acc.low, acc.high, acc.images, acc.is_range) == (0.6, 0.62, 50, True)


def test_what_a_study_may_leave_out() -> None:
    study = parse_study({"id": "s", "title": "t", "source": "a report", "rows": [{"id": "a"}]})
    assert study.rows == (Row("a", ()),) and study.axis is None and study.steps == ()
    assert (study.kind, study.typed, study.about) == ("study", (), "")
    assert Study("s", "t", OURS, "", (), (), (), (), None, ()).kind == "study"
    row = Row("a", ())
    assert (row.reported, row.params, row.note, row.needs, row.like) == ((), None, "", "", "")


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0, 0, 0, "0.00"),
        (1, 0.01, 0.01, "1.00"),
        ([60, 62], 0.6, 0.62, "60.00 to 62.00"),
        ([None, 62], -math.inf, 0.62, "≤ 62.00"),
        ([60, None], 0.6, math.inf, "≥ 60.00"),
    ],
)
def test_figures_of_a_report(value: object, low: float, high: float, shown: str) -> None:
    study = parse_study(PLAIN | {"rows": [{"id": "a", "reported": {"val_acc": value}}]})
    (figure,) = study.rows[0].reported
    assert (figure.low, figure.high, figure.shown, figure.images) == (low, high, shown, None)


KEYS = (
    "about, assumed, assumptions, axis, claims, common, id, kind, ladder, rows, slips, source, "
    "title, typed"
)
NO_RANGE = "must be a number or [low, high]"


def reports(**figures: object) -> dict:
    return {"rows": [{"id": "a", "reported": figures}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, ": rows is missing"),
        ({"title": ""}, ": title is missing"),
        ({"source": None}, ": source is missing"),
        ({"row": 1, "clams": []}, f": row, clams: no such key; {KEYS}"),
        ({"common": {"override": []}}, ", common: override: no such key; images, overrides"),
        (
            {"rows": [{"id": "a", "lik": "b"}]},
            ", row a: lik: no such key; assumed, id, images, like, needs, note, overrides, params, "
            "reported",
        ),
        ({"axis": {"name": "x", "value": {}}}, ", axis: value: no such key; name, values"),
        ({"rows": [{"id": "b"}, {"id": "a"}, {"id": "a"}]}, ": two rows are called a"),
        (
            {"rows": [{"id": "a b"}]},
            ", row a b: an id is of letters, digits, _ . + -; it names folders",
        ),
        (
            {"rows": [{"id": "a", "overrides": ["x"]}]},
            ", row a: overrides: 'x' is not <key>=<value>",
        ),
        ({"rows": [{"id": "a", "overrides": [1]}]}, ", row a: overrides: 1 is not <key>=<value>"),
        (reports(val_acc=0.7), ", row a: reported.val_acc=0.7: accuracies are in per cent"),
        (
            reports(val_acc=[0.5, 62]),
            ", row a: reported.val_acc=[0.5, 62]: accuracies are in per cent",
        ),
        (reports(gap=[1]), f", row a: reported.gap=[1]: {NO_RANGE}"),
        (reports(gap=[1, 2, 3]), f", row a: reported.gap=[1, 2, 3]: {NO_RANGE}"),
        (reports(gap=[None, None]), f", row a: reported.gap=[None, None]: {NO_RANGE}"),
        (reports(gap=["1", 2]), f", row a: reported.gap=['1', 2]: {NO_RANGE}"),
        (reports(gap=True), f", row a: reported.gap=True: {NO_RANGE}"),
        (
            {"rows": [{"id": "a", "like": "b"}, {"id": "c"}]},
            ", row a, like: no such row: b; rows: a, c",
        ),
        (
            {"axis": {"name": "x", "values": {"z": 1, "lab.a": 2}}},
            ", axis: no such row: z; rows: lab.a, lab.b, lab.c",
        ),
        (
            {"claims": [{"quote": "q", "check": {"kind": "overfits", "a": list("zyxwv")}}]},
            ", claim “q”: no such row: v, w, x, y, z; rows: lab.a, lab.b, lab.c",
        ),
        (
            {"claims": [{"quote": "q"}]},
            ", claim 1: needs quote (or asked, if it is ours) and check, may have note; "
            "got ['quote']",
        ),
    ],
)
def test_mistakes_in_a_study(change: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_study(PLAIN | change)
    assert str(error.value) == f"study s{message}"


def test_a_figure_of_a_quantity_that_there_is_not() -> None:
    with pytest.raises(UserError, match="^study s, row a: reported.acc: no such quantity; train_a"):
        parse_study(PLAIN | reports(acc=1))
    with pytest.raises(UserError, match="^study None: id is missing$"):
        parse_study({key: value for key, value in PLAIN.items() if key != "id"})


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
    four = parse_study(expand("l", LADDER | {"ingredients": LADDER["ingredients"] | {"4": []}}))
    assert four.steps[-1].row == "plus_three", "without the fourth"


def test_words_of_a_ladder() -> None:
    words = {"title": "T", "source": "a report", "about": "A", "assumptions": ["B"]}
    study = parse_study(expand("l", LADDER | words))
    assert (study.id, study.title, study.source, study.about) == ("l", "T", "a report", "A")
    assert study.assumptions == ("B",)
    bare = parse_study(expand("l", {"ingredients": {"one": ["a=1"]}}))
    assert (bare.title, bare.source, bare.about, bare.assumptions) == ("l", OURS, "", ())
    assert bare.rows[0].overrides == ()
    assert expand("l", {"ingredients": {"one": ["a=1"]}})["about"] == "", (
        "as the folder's copy has it"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            dict.fromkeys("hgfedcba"),
            "ablation l: a, b, c, d, e, f, g, h: no such key; ['about', 'assumptions', 'base', "
            "'ingredients', 'mode', 'source', 'title']",
        ),
        (
            {"mode": "up"},
            "ablation.mode=up: must be one of cumulative, leave_one_out, both",
        ),
        ({"ingredients": None}, "ablation l: ingredients is empty"),
    ],
)
def test_mistakes_in_a_ladder(change: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        expand("l", LADDER | change)
    assert str(error.value) == message
