"""Quantised and pruned nets: what is written, what is measured, what is refused."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from cifarlab.base.checks import check_config, check_quantize
from cifarlab.base.errors import UserError
from cifarlab.figures import pruning
from cifarlab.report.smaller import quantization_table, write_pruning
from cifarlab.store.checkpoint import LoadedNet, load_run
from cifarlab.use.export import export
from cifarlab.use.own_images import own_images
from cifarlab.use.prune import LAYERS, check_amounts, measure, pruned, right_on, zeros
from cifarlab.use.quantize import quantize
from tests.conftest import launch, plain


@pytest.fixture(scope="module")
def run(trained: Path) -> LoadedNet:
    return load_run(trained)


def test_quantised(run: LoadedNet, tmp_path: Path, monkeypatch) -> None:
    """A file that onnxruntime runs alone, nearly as right, smaller, and what it was asked."""
    onnx = pytest.importorskip("onnx", reason="pip install -e '.[export]'")
    import onnxruntime

    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)
    exported = export(run, "onnx", tmp_path)
    found = quantize(run, exported, 50)
    assert found.images == 50 and found.size["int8"] < found.size["float32"] / 2
    weights = onnx.load(found.path).graph.initializer
    assert sum(w.data_type == onnx.TensorProto.INT8 and len(w.dims) == 4 for w in weights) > 1
    pixels, labels = own_images(run, "test", None, torch.device("cpu"))
    session = onnxruntime.InferenceSession(found.path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"pixels": pixels.numpy()})
    np.testing.assert_array_equal(logits.argmax(1) == labels.numpy(), found.right["test"]["int8"])
    stored = run.run.answers
    for split, of in (("val", stored.val), ("test", stored.test)):
        assert (found.right[split]["float32"] == of.is_right).mean() > 0.95
        assert (found.right[split]["float32"] == found.right[split]["int8"]).mean() > 0.9
    assert set(found.ms) == {"float32", "int8"} and all(ms > 0 for ms in found.ms.values())
    about = json.loads(found.description.read_text(encoding="utf-8"))
    assert about["test_reads"] == found.test_reads == 2, "the run's, and this one"
    assert quantize(run, exported, 50).test_reads == 3
    table = quantization_table(found.size, found.right, found.ms, found.test_reads)
    assert "| val acc" in table and "| test acc" in table and "read 2 times" in table


def test_the_smallest_weights_are_gone(run: LoadedNet) -> None:
    net, before = pruned(run, 0.7), dict(run.net.named_modules())
    kept, lost = [], []
    for name, layer in net.named_modules():
        if isinstance(layer, LAYERS):
            old, new = before[name].weight, layer.weight
            assert torch.equal(new[new != 0], old[new != 0]), "the others are as they were"
            kept.append(old[new != 0].abs().flatten())
            lost.append(old[new == 0].abs().flatten())
            assert torch.equal(layer.bias, before[name].bias)
    assert torch.cat(lost).max() <= torch.cat(kept).min(), "over all layers"
    count, weights = zeros(net)
    assert count == round(0.7 * weights)
    assert net.state_dict().keys() == run.net.state_dict().keys(), "no masks"


def test_pruning_is_measured_and_written(run: LoadedNet, tmp_path: Path) -> None:
    found = measure(run, [0.9, 0.5])
    assert [each.amount for each in found] == [0, 0.5, 0.9] and found[0].zeros == 0
    assert (found[0].right == run.run.answers.val.is_right).mean() > 0.95
    rows = [(p.amount, p.zeros, p.weights, p.right) for p in found]
    right = [right_on(run, net, "test") for net in (run.net, pruned(run, 0.5))]
    said = write_pruning(run.title, rows, (0.5, *right, 2), tmp_path)
    assert "50.0%" in said and "The test set was read 2 times." in said
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".png", ".csv"}
    assert "The test set" not in write_pruning(run.title, rows, None, tmp_path / "again")


def test_a_net_that_has_all_right_may_still_err(tmp_path: Path, monkeypatch) -> None:
    """Of 20 images: the interval of the picture ends at 1, and begins below it."""
    drawn: list[tuple[float, float]] = []
    original = pruning.draw
    monkeypatch.setattr(pruning, "draw", lambda *of: drawn.extend(of[2]) or original(*of))
    write_pruning(
        "net", [(0, 0, 9, np.ones(20, bool)), (0.5, 4, 9, np.ones(20, bool))], None, tmp_path
    )
    assert drawn == [(pytest.approx(0.8389, abs=1e-4), pytest.approx(1))] * 2


def test_zeros_stay(run: LoadedNet, run_here, tmp_path: Path) -> None:
    """Also in a run that goes on, and with an optimizer that changes what has no gradient."""
    net = pruned(run, 0.8)
    torch.save(net.state_dict(), tmp_path / "pruned.pt")
    gone = {name: value == 0 for name, value in net.state_dict().items()}
    typed = [
        "model=tbmi26_cnn",
        f"init_from={tmp_path / 'pruned.pt'}",
        "callbacks=[default,ema,keep_zeros]",
        "optimizer=muon",
    ]
    folder = run_here(tmp_path / "run", *typed, "max_epochs=1")
    launch(folder, tmp_path, f"resume={folder}", "max_epochs=2", tiny=False)
    after = load_run(folder)
    assert zeros(after.net) == zeros(net)
    for name, value in after.net.state_dict().items():
        if name.endswith("weight"):
            assert (value[gone[name]] == 0).all()
            assert not torch.equal(value, net.state_dict()[name])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_amounts([0.5, 1.0], None), r"amount=1.0: must be a number in \(0, 1\)"),
        (lambda: check_amounts([0.5, 0.5], None), "must be one number"),
        (lambda: check_amounts([0.5], 0.6), r"chosen=0.6: must be one of amount=\[0.5\]"),
        (lambda: check_config(plain("callbacks=keep_zeros")), "goes with init_from=<pruned.pt>"),
        (lambda: check_quantize("int4", "onnx"), "quantize=int4: must be int8, or null"),
        (lambda: check_quantize("int8", "torch_export"), "goes with format=onnx, not torch_export"),
    ],
)
def test_refused(check, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check()
