"""``trainer.compile``: the same training through torch.compile, and checkpoints like any other."""

import csv
import os
import shutil
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import Tensor

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.inspection import count_macs
from cifarlab.lit import Compiled
from cifarlab.run import runner
from cifarlab.store.checkpoint import BEST, LAST, load_run, net_weights, read_checkpoint
from cifarlab.store.configs import leaves
from cifarlab.store.record import RunRecord, config_hash
from cifarlab.store.run import stored_config
from tests.conftest import plain
from tests.lit.test_transfer import fit, module, moved

CXX = [os.environ.get("CXX", "g++"), "clang++", "cl"]
pytestmark = pytest.mark.skipif(not any(map(shutil.which, CXX)), reason="no C++ compiler")
COMPILED = "trainer.compile=true"
# Nothing is random, so that it can be compared with a run without: dropout draws other numbers
OPTIONS = ["model=tbmi26_cnn", "model.batchnorm=true", "dropout=0", "optimizer.lr=0.01"]
Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _no_checks_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of ``--jaxtyping-packages`` fail on what torch traces with."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def graphs() -> dict[str, int]:
    """``graphs["unique_graphs"]``: how many were compiled in the test."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    return counters["stats"]


def weights(folder: Path, which: Path = LAST) -> Weights:
    return net_weights(read_checkpoint(folder / which))


def close(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=name)


def equal(found: Weights, expected: Weights) -> bool:
    return all(torch.equal(found[name], value) for name, value in expected.items())


def rows(folder: Path) -> list[list[float]]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    return [[float(row[name]) for name in ("train_loss", "val_loss")] for row in found]


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        pytest.param("true", [], id="true-plain"),
        pytest.param("reduce-overhead", ["callbacks=[default,ema]"], id="reduce-overhead-ema"),
        pytest.param("true", ["callbacks=[default,ema]"], id="true-ema", marks=pytest.mark.slow),
        pytest.param("reduce-overhead", [], id="reduce-overhead-plain", marks=pytest.mark.slow),
    ],
)
def test_a_run_is_the_same_but_for_rounding(
    mode: str, more: list[str], run_here, tmp_path, graphs
) -> None:
    """One compilation: validation and measuring, in batches of 30, 100 and 270, have none."""
    typed = [*OPTIONS, *more, "data.eval_batch_size=80"]
    folder = run_here(tmp_path / "compiled", *typed, f"trainer.compile={mode}")
    assert graphs["unique_graphs"] == 1
    other = run_here(tmp_path / "plain", *typed)
    assert graphs["unique_graphs"] == 1
    for which in (BEST, LAST):
        close(weights(folder, which), weights(other, which))
    assert rows(folder) == [pytest.approx(row, rel=1e-4) for row in rows(other)]
    assert not any("_orig_mod" in name for name in read_checkpoint(folder / LAST)["state_dict"])
    record, expected = RunRecord.load(folder), RunRecord.load(other)
    assert record.metrics["test"]["loss"] == pytest.approx(expected.metrics["test"]["loss"], 1e-4)
    assert (record.macs, record.num_params) == (expected.macs, expected.num_params)
    loaded = load_run(folder).net
    assert equal(dict(loaded.state_dict()), weights(folder, BEST))
    assert count_macs(loaded, 32) == record.macs


@pytest.mark.parametrize("then", [True, False])
def test_it_is_resumed(then: bool, run_here, tmp_path, cache) -> None:
    """With dropout, compiled again: to the last bit. The checkpoint serves a run without, too."""
    typed = ["model=tbmi26_cnn", "dropout=0.3", "optimizer.lr=0.01", "optimizer.momentum=0.9"]
    whole = run_here(tmp_path / "whole", *typed, COMPILED, "max_epochs=3")
    folder = run_here(tmp_path / "parts", *typed, COMPILED, "max_epochs=2")
    config = stored_config(folder) | {"max_epochs": 3}
    config["trainer"] |= {"max_epochs": 3, "compile": then}
    record = runner.train(config, folder)
    assert record is not None and record.epochs_run == 3
    assert equal(weights(folder), weights(whole)) == then


# on purpose: the frozen parts are
@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
def test_parts_train_as_they_are_told(tmp_path, graphs) -> None:
    subject = module(last_block_from=2, backbone_from=3)
    subject.compiled = Compiled(True)
    start = {name: value.clone() for name, value in subject.net.state_dict().items()}
    states = [start, *fit(subject, tmp_path).states]
    changes = [moved(before, after) for before, after in zip(states, states[1:], strict=False)]
    first, second = "backbone.first", "backbone.second"
    assert changes == [{"head"}, {"head", second}, {"head", second, first}]
    assert 1 <= graphs["unique_graphs"] <= 3


def test_cached_features(tmp_path, graphs) -> None:
    subject = module(cache_features=True).train()
    subject.compiled = Compiled(True)
    features = torch.randn(8, 4, 1, 1)
    assert subject(features).shape == (8, 2) and graphs["unique_graphs"] == 1
    subject.eval()
    assert torch.equal(subject(features), subject.net.head(features))
    assert graphs["unique_graphs"] == 1


def test_networks_in_turn_do_not_use_up_the_limit(graphs) -> None:
    """Torch compiles a function 8 times and then leaves it as it is."""
    for width in range(1, 11):
        assert Compiled(True)(torch.nn.Linear(3, width), torch.ones(2, 3)).shape == (2, width)
    assert graphs["unique_graphs"] == 10


def test_no_compiler_is_one_line(train, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    smallest = ["experiment=smoke", "trainer=cpu", "logger=none", "max_epochs=1"]
    done = train(*smallest, COMPILED)
    assert done.returncode == 2
    told = "error: trainer.compile=true: torch cannot compile the net here (InvalidCxxCompiler: "
    assert done.stderr.splitlines()[-1].startswith(told)
    assert done.stderr.splitlines()[-1].endswith("; take trainer.compile=false")
    assert not list(tmp_path.glob("outputs/runs/smoke/*")), "nothing is left behind"


def test_no_torch_compile_is_one_line(monkeypatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise RuntimeError("torch.compile is not supported on Python 3.99+")

    monkeypatch.setattr(torch, "compile", refuses)
    with pytest.raises(UserError, match=r"compile=max-autotune: .* \(torch.compile is not .*\); "):
        Compiled("max-autotune")


def test_accumulation_goes_without_cuda_graphs() -> None:
    check_config(plain(COMPILED, "trainer.accumulate_grad_batches=2"))
    with pytest.raises(UserError, match="trainer.compile=max-autotune: its CUDA graphs"):
        check_config(plain("trainer.compile=max-autotune", "trainer.accumulate_grad_batches=2"))


def test_runs_without_mean_what_they_did_before_there_was_the_key() -> None:
    config, compiled = plain(), plain(COMPILED)
    earlier = config | {"trainer": {k: v for k, v in config["trainer"].items() if k != "compile"}}
    assert config_hash(config) == config_hash(earlier) != config_hash(compiled)
    assert dict(leaves(config)) == dict(leaves(earlier))
    assert dict(leaves(compiled))["trainer.compile"] == "true"
