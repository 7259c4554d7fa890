"""The schema of the configuration: it knows all of ``conf/``, is in words, and what it lets through
trains. Settings are drawn from it and from beyond it."""

import copy
import functools
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from cifarlab.base import kinds
from cifarlab.base.arguments import SCHEMAS
from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError, told
from cifarlab.base.kinds import rule
from cifarlab.base.schema import Key, check_arguments, keys, kinds_of
from cifarlab.run.session import Session
from cifarlab.store.record import config_hash
from scripts.reference import COMMANDS, PAGE, commands, page
from tests.conftest import CONF, TINY, plain

_FILES = [
    path
    for path in sorted(CONF.glob("*/*.yaml"))
    if path.parent.name not in ("search", "study", "ablation")  # not of one run
]


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_target_of_ours_has_a_schema_with_its_keys(path: Path) -> None:
    def targets(node: Any) -> list[dict]:
        if not isinstance(node, dict):
            return []
        below = [found for value in node.values() for found in targets(value)]
        return [node, *below] if "_target_" in node else below

    for node in targets(yaml.safe_load(path.read_text())):
        if path.parent.name == "model" and node["_target_"] not in SCHEMAS:
            continue  # docs/add_a_model.md asks for none
        names = {name for name in node if not name.startswith("_")}
        assert names <= kinds_of(SCHEMAS[node["_target_"]]).keys(), node["_target_"]


@pytest.mark.parametrize(
    ("kind", "words", "right", "wrong"),
    [
        (kinds.Count, "a whole number, 1 or more", [1, 10**9], [0, -1, 1.0, True, "1", None]),
        (kinds.Seed, "a whole number from 0 to 4294967295", [0, 2**32 - 1], [-1, 2**32, 0.5]),
        (kinds.Positive, "a number in (0, 1e+30]", [1, 1e-9], [0, math.nan, math.inf, True, "1"]),
        (kinds.BelowOne, "a number in [0, 1)", [0, 0.999], [1, -0.1, math.nan, "a"]),
        (kinds.Share, "a number in (0, 1]", [1, 0.1], [0, 1.1]),
        (kinds.Count | None, "a whole number, 1 or more; or null", [1, None], [0, "null"]),
        (bool | None, "one of true, false, null", [True, None], [1, "true"]),
        (kinds.Betas, "a list of 2, each a number in [0, 1)", [[0.9, 0]], [[0.9], [0.9, 1], 0.9]),
        (kinds.Ends, "[low, high], 0 < low <= high", [[1, 1.0]], [[2, 1], [0, 1], [1], "1"]),
        (kinds.Odd, "an odd number of pixels", [1, 7], [2, 0, -1, 7.0]),
        (kinds.SixNPlusFour, "6 n + 4: 10, 16, 22, 28, 34, 40, ...", [10, 100], [4, 11, "10"]),
        (kinds.Name, "a name; / may part it, but it has no ..", ["a/b", 0], ["", "/a", None]),
        (
            *(kinds.Time, "days:hours:minutes:seconds above 0, as 00:01:30:00"),
            *(["00:01:30:00"], ["1:30", 90, "00:00:00:00"]),
        ),
        (kinds.Devices, "a list of different devices", [[0], [1, 0]], [[], [0, 0], [-1]]),
    ],
)  # fmt: skip
def test_kinds(kind: Any, words: str, right: list, wrong: list) -> None:
    assert rule(kind) == words
    for value in right:
        Key("key", value, kind).check()
    for value in wrong:
        with pytest.raises(UserError, match=r"key=.*: must be "):
            Key("key", value, kind).check()


def test_arguments_are_checked_as_keys_are() -> None:
    from cifarlab.models.vgg import VGG

    with pytest.raises(UserError, match="^VGG.depth=12: must be one of 11, 13, 16, 19$"):
        check_arguments(VGG, depth=12)
    check_arguments(VGG, depth=11, hidden=(1, 2))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("+compile=true", "compile: no such key; allowed: "),
        ("+batchsize=3", "batchsize: no such key; did you mean batch_size? "),
        ("+optimizer.momentun=0.9", "optimizer.momentun: no such key; did you mean optimizer.mom"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run: no option of a run; a quick look: "),
        ("+trainer.enable_checkpointing=false", "no option of a run; a run keeps its best"),
        ("+trainer.check_val_every_n_epoch=3", "max_epochs=10 must be a multiple of it"),
        ("+trainer.check_val_every_n_epoch=2 scheduler=plateau", "loss of every epoch"),
        ("+trainer.limit_val_batches=0", "limit_val_batches=0: must be a whole number, 1 or more"),
        ("+trainer.frobnicate=1", "trainer.frobnicate: no such key"),
        ("trainer.max_epochs=3", "trainer.max_epochs=3: follows max_epochs=10; give that instead"),
        ("data.batch_size=3", "data.batch_size=3: follows batch_size=64; give that instead"),
        ("trainer.max_time=foo", "trainer.max_time=foo: must be days:hours:minutes:seconds"),
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true: must be one of auto"),
        ("~callbacks.early_stopping._target_", "callbacks.early_stopping: names no class; "),
        ("~optimizer._target_", "optimizer: names no class; optimizer._target_=<class>"),
        ("~data.source._target_", "data.source: names no class"),
        ("~model", "model: needs one of its options, model=<option>"),
        ("~optimizer.lr", "optimizer.lr: missing from the configuration"),
        ("callbacks.early_stopping.mode=max", "the best val/loss is its min"),
        ("callbacks.early_stopping.monitor=val/acc", "mode=min: the best val/acc is its max"),
        ("callbacks.early_stopping.patience=0", "patience=0: must be a whole number, 1 or more"),
        ("optimizer.nesterov=true", "optimizer.nesterov=true: needs optimizer.momentum above 0"),
        ("weights=imagenet model=mlp", "weights=imagenet: model=mlp has no ImageNet weights"),
        ("model=resnet18 model.widths=[8]", "must be as long as each other"),
        ("callbacks=progressive callbacks.progressive.sizes=[1,32]", "each a whole number, 2 or"),
        ("+trainer.min_epochs=20", "trainer.min_epochs=20: must be at most max_epochs=10"),
        ("model.blocks=[{filters:0}]", "model.blocks.0.filters=0: must be a whole number, 1 or"),
        ("model.blocks=[{kernel:3}]", "model.blocks.0.filters: missing from the configuration"),
    ],
)  # fmt: skip
def test_refused(overrides: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        check_config(plain(*overrides.split()))
    assert message in str(caught.value)


def test_groups_left_out_are_empty() -> None:
    without = check_config(plain("~callbacks", "~logger"))
    assert without["callbacks"] == without["logger"] == {}
    assert config_hash(without) == config_hash(check_config(plain("callbacks=none", "logger=none")))


def test_the_reference_page_is_of_today() -> None:
    assert PAGE.read_text() == page(), "python scripts/reference.py"


def test_the_page_of_commands_is_of_today() -> None:
    assert COMMANDS.read_text() == commands(), "python scripts/reference.py"


# What is drawn from beyond a kind: types, ends, and texts that mean something elsewhere
_BEYOND = st.one_of(
    st.sampled_from(
        [-1, 0, 0.0, 1, 2, 1.5, -7, 2**32, 10**6, math.nan, math.inf, -math.inf, 1e-30]
    ),
    st.sampled_from(
        [None, True, False, "", "abc", "auto", "none", "1e-3", "../x", [], [-5], [0], {}]
    ),
    st.lists(st.sampled_from([-1, 0, 0.5, 2, "a", None]), max_size=3),
    st.integers(-3, 5),
    st.floats(-2, 2),
)
_BASES = {  # configurations that together have most keys
    "mlp": ["optimizer=sgd", "scheduler=onecycle", "aug=[crop,rotation,blur,cutout]"],
    "tbmi26_cnn": [
        "optimizer=adamw",
        "scheduler=cosine",
        "aug=[jitter,erasing,mixup]",
        "callbacks=[default,ema]",
    ],
    "resnet18": [
        *("model.widths=[4]", "model.depths=[1]", "optimizer=rmsprop", "scheduler=plateau"),
        *("aug=[hflip,noise,grayscale,augmix]", "callbacks=swa", "callbacks.swa.start_epoch=1"),
    ],
    "densenet": [
        *("model.depth=10", "model.growth=2", "optimizer=muon", "scheduler=step"),
        "aug=[randaugment,cutmix]",
    ],
    "wide_resnet": [
        *("model.depth=10", "model.widen=1", "optimizer=asgd", "scheduler=triangular"),
        "aug=trivialaugment",
    ],
}
_FURTHER = {  # of the trainer, with a value that changes nothing
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "overfit_batches": 0,
    "min_epochs": None,
    "max_steps": -1,
    "detect_anomaly": False,
    "gradient_clip_algorithm": None,
}
_KEPT = {  # where a run writes, on what it runs, and what another key says
    *("output_root", "name", "resume", "sweep", "overrides", "choices", "study", "max_epochs"),
    *("data", "model", "optimizer", "scheduler", "aug", "transfer", "trainer", "callbacks"),
    *(
        "loss",
        "metrics",
        "dry_run",
        "logger",
        "lr_find",
        "data.cache_dir",
        "data.source",
        "data.name",
        "data.augment",
    ),
    *("data.batch_size", "batch_size", "data.num_train", "data.num_test"),
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.max_epochs", "trainer.precision", "trainer.compile"),
}
EXAMPLES = int(os.environ.get("CIFARLAB_EXAMPLES", "60"))


@functools.cache
def base(model: str, cache: Path) -> dict[str, Any]:
    """The configuration of a run of an epoch of three steps."""
    small = [o for o in TINY if not o.startswith(("model=", "data.num", "max_epochs="))]
    config = plain(
        *(*small, "data.num_train=20", "data.num_test=10", "data.val_size=4", "batch_size=6"),
        *("max_epochs=1", f"data.cache_dir={cache}", "logger=none", f"model={model}"),
        *_BASES[model],
    )
    config["trainer"] |= _FURTHER
    return config


@functools.cache
def from_kind(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a kind; none of one that is told by ``doc`` alone."""
    strategy = st.from_type(kind)
    try:
        strategy.validate()
    except InvalidArgument:  # Any
        return st.nothing()
    return strategy


def put(config: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    node: Any = config
    for part in above:
        node = node[int(part)] if isinstance(node, list) else node[part]
    node[int(last) if isinstance(node, list) else last] = value


def is_large(value: Any) -> bool:
    """Whether a size would take more memory or time than a test has."""
    if isinstance(value, list):
        return len(value) > 3 or any(map(is_large, value))
    return isinstance(value, int) and abs(value) > 64


# a run seeds the module that Hypothesis looks at
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_drawn_settings_train_or_are_one_line(
    data: st.DataObject, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = copy.deepcopy(base(data.draw(st.sampled_from(sorted(_BASES))), cache))
    found = {key.path: key for key in keys(config) if key.path not in _KEPT}
    paths = st.lists(st.sampled_from(sorted(found)), min_size=1, max_size=2, unique=True)
    chosen = data.draw(paths)
    for path in sorted(chosen, reverse=True):  # what is inside before what it is in
        value = data.draw(st.one_of(from_kind(found[path].kind), _BEYOND), label=path)
        put(config, path, value)
    try:
        checked = check_config(config)
        if any(is_large(key.value) for key in keys(checked) if key.path in chosen):
            return  # right, and more than a test can train
        session = Session(checked, tmp_path_factory.mktemp("run"))
        session.fit()
        record = session.finish()
    except Exception as error:
        mistake = told(error)
        if not isinstance(mistake, UserError):
            raise
        assert "\n" not in str(mistake) and len(str(mistake)) > 10
    else:
        assert record.epochs_run == 1
        assert all(math.isfinite(value) for value in record.metrics["val"].values())
