"""A data map has an epoch a row, changes no training, and its page counts what is in it."""

import csv
import re

import numpy as np
import pytest
import torch
from scipy.special import softmax

from cifarlab.base.errors import UserError
from cifarlab.callbacks import SeedEachStep
from cifarlab.report.knows.data_map import write_data_map
from cifarlab.run.build import build
from cifarlab.store.checkpoint import LAST, load_weights, read_checkpoint
from cifarlab.store.data_map import DATA_MAP, DataMap
from cifarlab.store.run import Run, stored_config
from tests.test_resume import Cut
from tests.test_resume_options import cut_at

OPTIONS = ["model=mlp", "max_epochs=3", "dropout=0.3", "callbacks=data_map"]


@pytest.fixture(scope="module")
def mapped(cache, tmp_path_factory):
    from tests.conftest import launch

    folder = tmp_path_factory.mktemp("map") / "run"
    launch(folder, cache, *OPTIONS)
    return folder


def test_the_last_row_is_what_the_last_weights_say(mapped) -> None:
    found = DataMap.read(mapped / DATA_MAP)
    assert found.probability.shape == (3, 270) and found.probability.dtype == np.float16
    data, module = build(stored_config(mapped))
    load_weights(module.net, read_checkpoint(mapped / LAST), mapped / LAST)
    module.eval()
    with torch.inference_mode():
        batches = list(data.eval_loader("train", torch.device("cpu")))
        logits = torch.cat([module(images) for images, _ in batches]).double().numpy()
    labels = torch.cat([labels for _, labels in batches]).numpy()
    expected = softmax(logits, axis=1)[np.arange(len(labels)), labels]
    assert found.probability[-1] == pytest.approx(expected, abs=0.02)  # bf16 in the run, perhaps
    assert np.array_equal(found.indices, data.train_indices)
    assert not np.array_equal(found.probability[0], found.probability[1])


def test_averages_are_asked_in_every_epoch(run_here, tmp_path, monkeypatch) -> None:
    """Not the weights that train in all epochs but the last."""
    options = [*OPTIONS[:-1], "callbacks=[ema,data_map]", "callbacks.ema.decay=0.9"]
    whole = run_here(tmp_path / "whole", *options)
    found = DataMap.read(whole / DATA_MAP)
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, *cut_at(8, "on_train_epoch_start"), raising=False)
        with pytest.raises(Cut):
            run_here(tmp_path / "cut", *options)
    data, module = build(stored_config(whole))
    load_weights(module.net, read_checkpoint(tmp_path / "cut" / LAST), tmp_path / "cut" / LAST)
    module.eval()  # its state is the average, of two epochs
    with torch.inference_mode():
        batches = list(data.eval_loader("train", torch.device("cpu")))
        shares = torch.cat([module(images).softmax(1) for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    expected = shares[range(len(labels)), labels].numpy()
    assert found.probability[1] == pytest.approx(expected, abs=0.02)
    cut = run_here(tmp_path / "cut", *options)
    assert np.array_equal(DataMap.read(cut / DATA_MAP).probability, found.probability)


def test_training_is_the_same_and_goes_on(mapped, run_here, tmp_path, monkeypatch) -> None:
    """Without it, and cut off between two epochs."""
    plain = run_here(tmp_path / "plain", *OPTIONS[:-1], "callbacks=none")
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, *cut_at(8, "on_train_epoch_start"), raising=False)
        with pytest.raises(Cut):
            run_here(tmp_path / "cut", *OPTIONS)
    cut = run_here(tmp_path / "cut", *OPTIONS)
    weights = [read_checkpoint(f / LAST)["state_dict"] for f in (mapped, plain, cut)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]) and torch.equal(value, weights[2][name])
    maps = [DataMap.read(folder / DATA_MAP) for folder in (mapped, cut)]
    assert np.array_equal(maps[0].probability, maps[1].probability)


def test_the_page(mapped, tmp_path) -> None:
    text = write_data_map(Run.finished(mapped), 4, tmp_path)
    found = DataMap.read(mapped / DATA_MAP)
    never = int((~found.right).all(axis=0).sum())
    assert re.search(rf"\| never +\| {never} ", text)
    with (tmp_path / "data_map.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = found.probability[:, 0].astype(float)
    assert len(rows) == 270 and float(rows[0]["confidence"]) == pytest.approx(
        first.mean(), abs=1e-4
    )
    assert float(rows[0]["variability"]) == pytest.approx(first.std(), abs=1e-4)
    assert len(list((tmp_path / "figures").glob("*.png"))) == 3


def test_a_run_without_a_map(trained, mapped, tmp_path) -> None:
    with pytest.raises(UserError, match=r"trained with callbacks=\[default,data_map\]"):
        write_data_map(Run.finished(trained), 4, tmp_path)
    one = DataMap.read(mapped / DATA_MAP).until(1)
    assert len(one.right) == 1 and one.variability.max() == 0
    (tmp_path / DATA_MAP).write_bytes(b"PK")
    with pytest.raises(UserError, match="damaged"):
        DataMap.read(tmp_path / DATA_MAP)
