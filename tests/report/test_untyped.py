"""What follows from the overrides is no column, what changed unasked is one: on real configs."""

import copy
from typing import Any

import pytest

from cifarlab.base.plain import select
from cifarlab.store.configs import GLOBAL_GROUPS, together, untyped
from tests.conftest import CONF, plain

Typed = dict[str, str]


def typed(*overrides: str) -> Typed:
    return dict(item.split("=", 1) for item in overrides)


def found(cells: list[tuple[Typed, dict[str, Any]]]) -> list[str]:
    keys = dict.fromkeys(key for given, _ in cells for key in given)
    varying = [k for k in keys if len({given[k] for given, _ in cells}) > 1]
    return untyped(varying, [given for given, _ in cells], [config for _, config in cells])


def grid(*rows: tuple[str, ...]) -> list[tuple[Typed, dict[str, Any]]]:
    return [(typed(*row), copy.deepcopy(plain(*row))) for row in rows]


GRIDS = {
    "a value and its interpolations": [
        ("model=mlp", f"dropout={p}", f"seed={s}") for p in (0.1, 0.3) for s in (0, 1)
    ],
    "groups, one with an interpolation": [
        (f"model={m}", f"dropout={p}")
        for m in ("mlp", "baseline", "sapienza_convnet", "torchvision")
        for p in (0.1, 0.3)
    ],
    "lists and names of policies": [
        (f"aug={a}", f"dropout={p}")
        for a in ("none", "[crop,hflip]", "[crop]", "crop_flip_gray")
        for p in (0.1, 0.2)
    ],
    "a nested key of a policy": [
        ("aug=crop_flip", f"aug.hflip.p={p}", f"batch_size={b}")
        for p in (0.1, 0.5)
        for b in (32, 64)
    ],
    "a list as a value": [("model=mlp", f"model.hidden={h}") for h in ("[200]", "[100,100]")],
    "groups that set keys anywhere": [
        (f"transfer={t}", "model=vgg11_bn", f"aug={a}")
        for t in ("scratch", "frozen", "finetune")
        for a in ("none", "crop")
    ],
    "experiments": [(f"experiment={e}", f"seed={s}") for e in ("smoke", "short") for s in (0, 1)],
    "groups of one word": [
        (f"optimizer={o}", f"scheduler={s}", f"callbacks={c}", f"data={d}", f"max_epochs={n}")
        for o, s, c, d, n in (
            ("sgd", "none", "none", "cifar10", 3), ("adam", "onecycle", "default", "synthetic", 5),
            ("sgd", "onecycle", "none", "synthetic", 3), ("adam", "none", "default", "cifar10", 5),
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize("rows", GRIDS.values(), ids=list(GRIDS))
def test_what_follows_is_no_column(rows: list[tuple[str, ...]]) -> None:
    assert found(grid(*rows)) == []


@pytest.mark.parametrize("rows", GRIDS.values(), ids=list(GRIDS))
def test_a_change_between_cells_of_the_same_overrides_is(rows: list[tuple[str, ...]]) -> None:
    """Every cell again, after ``data.val_size`` and something of the net changed."""
    old, new = grid(*rows), grid(*rows)
    for _, config in new:
        config["data"]["val_size"] = 0.2
        config["model"]["activation"] = "new"
    assert set(found(old + new)) == {"data.val_size", "model.activation"}


def test_a_change_along_with_a_swept_value_is() -> None:
    """No two cells were typed alike, but nothing leads from ``dropout`` or a net to the split."""
    cells = grid(
        ("model=mlp", "dropout=0.1", "seed=0"), ("model=baseline", "dropout=0.3", "seed=1")
    )
    cells[1][1]["data"]["val_size"] = 0.2
    assert found(cells) == ["data.val_size"]


def test_a_change_of_the_net_along_with_a_value_is() -> None:
    """``model=`` reaches ``model.depth``, but a net is one net."""
    cells = grid(*((f"model={m}", f"dropout={p}") for m in ("mlp", "baseline") for p in (0.1, 0.3)))
    for given, config in cells:
        if given == {"model": "mlp", "dropout": "0.3"}:
            config["model"]["init"] = "new"
            config["model"]["batchnorm"] = "new"  # two that change together explain nothing
    assert set(found(cells)) == {"model.batchnorm", "model.init"}


def test_a_key_that_only_some_have_is() -> None:
    cells = grid(("dropout=0.1",), ("dropout=0.3",))
    del cells[0][1]["tta"], cells[0][1]["decay_all"]
    assert set(found(cells)) == {"tta", "decay_all"}


def test_neutral_keys_are_not() -> None:
    cells = grid(("dropout=0.1",), ("dropout=0.1",))
    cells[1][1]["data"]["cache_dir"] = cells[1][1]["name"] = "elsewhere"
    assert found(cells) == []


def test_keys_that_part_the_cells_alike_are_together() -> None:
    rows = [{"a": "1", "b": "-", "c": "x"}, {"a": "2", "b": "y", "c": "x"}]
    rows.append({"a": "1", "b": "-", "c": "z"})
    assert together(["a", "b", "c"], rows) == [["a", "b"], ["c"]]


def test_the_groups_that_set_keys_anywhere_are_all_named() -> None:
    """And no others: their options are taken to explain any difference."""
    files = [path for path in CONF.glob("*/*.yaml") if "@package _global_" in path.read_text()]
    assert {path.parent.name for path in files} <= GLOBAL_GROUPS
    assert select(plain(), "data.val_size") == 0.1, "the key that the tests above change"
