"""Options of a run, from the command to the record."""

import json

import numpy as np
import pytest
import torch

from cifarlab.data.datamodule import CIFAR10DataModule
from cifarlab.report.sweep.results import collect, result_rows
from cifarlab.run.runner import summary
from cifarlab.store.checkpoint import LAST, load_run, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord
from tests.conftest import without_sums


def test_tta_is_reported_apart(run_here, tmp_path, monkeypatch) -> None:
    loaders = []
    handed_out = CIFAR10DataModule.eval_loader

    def counted(self, name, *arguments):
        loaders.append(name)
        return handed_out(self, name, *arguments)

    plain = RunRecord.load(run_here(tmp_path / "plain"))
    monkeypatch.setattr(CIFAR10DataModule, "eval_loader", counted)
    folder = run_here(tmp_path / "tta", "tta=flip_shift")
    record = RunRecord.load(folder)
    assert loaders.count("test") == 1 and record.test_reads == 1
    assert plain.tta is None and record.metrics == plain.metrics, "the plain scores are the same"
    assert record.best_epoch == plain.best_epoch
    assert set(record.tta) == {"views", "val", "test"} and record.tta["views"] == "flip_shift"
    assert record.tta["test"] != record.metrics["test"]
    table = summary(record, folder)
    assert f"test*     {record.tta['test']['acc']:12.2%}" in table
    assert "* tta=flip_shift: the same weights" in table and "*" not in summary(plain, folder)


def test_the_score_with_views_is_that_of_the_loaded_net(run_here, tmp_path) -> None:
    from hydra.utils import instantiate

    folder = run_here(tmp_path / "run", "tta=flip")
    run = load_run(folder)
    data = instantiate(run.config["data"], _convert_="all")
    data.setup()
    ((images, labels),) = list(data.test_dataloader())
    with torch.inference_mode():
        logits = (run.net(images) + run.net(images.flip(3))) / 2
    tta = RunRecord.load(folder).tta
    assert tta["test"]["acc"] == (logits.argmax(1) == labels).sum().item() / 100
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert tta["test"]["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_sweep_has_columns_for_views_where_a_cell_has(run_here, tmp_path) -> None:
    run_here(tmp_path / "sweep" / "a", "seed=0")
    assert not any("tta" in name for name in result_rows(collect(tmp_path / "sweep"))[0])
    run_here(tmp_path / "sweep" / "b", "seed=1", "tta=flip")
    rows = result_rows(collect(tmp_path / "sweep"))
    assert list(rows[0]) == list(rows[1])
    tta = RunRecord.load(tmp_path / "sweep" / "b").tta
    found = {row["cell"]: (row["tta_val_acc"], row["tta_test_acc"]) for row in rows}
    assert found == {"a": ("", ""), "b": (tta["val"]["acc"], tta["test"]["acc"])}


def test_records_from_before_tta_load(run_here, tmp_path) -> None:
    folder = without_sums(run_here(tmp_path / "run"))
    fields = json.loads((folder / "result.json").read_text())
    assert fields.pop("tta") is None
    (folder / "result.json").write_text(json.dumps(fields))
    assert RunRecord.load(folder).tta is None


def test_folds_and_fraction_reach_the_record(run_here, tmp_path) -> None:
    folds = [
        run_here(tmp_path / str(k), "data.folds=3", f"data.fold={k}", "data.fraction=0.25")
        for k in range(3)
    ]
    sizes = [RunRecord.load(folder).data for folder in folds]
    assert [(size["num_train"], size["num_val"]) for size in sizes] == [(50, 100)] * 3
    validated = [np.load(folder / "predictions.npz")["val_indices"] for folder in folds]
    assert sorted(np.concatenate(validated)) == list(range(300))


def last(folder) -> dict[str, torch.Tensor]:
    return net_weights(read_checkpoint(folder / LAST))


def test_two_accumulated_batches_of_32_are_one_of_64(run_here, tmp_path) -> None:
    """The mlp has no batch norm, nothing is augmented, and both see the same 256 images."""
    one = run_here(tmp_path / "one", "batch_size=64", "scheduler=cosine")
    halves = ["batch_size=32", "trainer.accumulate_grad_batches=2", "scheduler=cosine"]
    two = run_here(tmp_path / "two", *halves)
    small = run_here(tmp_path / "small", "batch_size=32", "scheduler=cosine")
    for name, value in last(one).items():
        torch.testing.assert_close(last(two)[name], value, rtol=1e-4, atol=1e-6)
    assert any((last(small)[k] - v).abs().max() > 1e-4 for k, v in last(one).items())
    steps = [read_checkpoint(folder / LAST)["global_step"] for folder in (one, two, small)]
    assert steps == [8, 8, 16]


@pytest.mark.parametrize("clip", [None, 0.01])
def test_clipping_bounds_the_update(run_here, tmp_path, clip: float | None) -> None:
    """One step of SGD at learning rate 1 moves the weights by the norm of the gradient."""
    from cifarlab.run.build import build

    once = ["data.num_train=66", "max_epochs=1", "optimizer.lr=1", "callbacks=none"]
    clipped = [] if clip is None else [f"trainer.gradient_clip_val={clip}"]
    folder = run_here(tmp_path / "run", *once, *clipped)
    assert read_checkpoint(folder / LAST)["global_step"] == 1
    _, fresh = build(load_run(folder).config)
    before = fresh.net.state_dict()
    moved = torch.cat([(value - before[name]).flatten() for name, value in last(folder).items()])
    if clip is None:
        assert moved.norm() > 0.1
    else:
        assert moved.norm().item() == pytest.approx(clip, rel=1e-3)
