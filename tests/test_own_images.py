"""A set of one's own from the folder to the page: parts, one channel, uneven classes, many
classes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.classics import SVHN
from cifarlab.figures import charts, confusion, sheet
from cifarlab.figures.curves import png
from cifarlab.inspection import calls, grad_cam, last_maps
from cifarlab.report.evaluation import class_table, evaluate, images_of_each_class
from cifarlab.report.page import results
from cifarlab.run.session import flips
from cifarlab.stats.answers import balanced_accuracy
from cifarlab.store.checkpoint import build_net, load_run
from cifarlab.store.record import LATER_KEYS, config_hash
from cifarlab.store.run import Run
from cifarlab.use.export import export
from cifarlab.use.predictor import Predictor, load
from tests.conftest import launch, options, plain
from tests.models.test_contract import SMALL

COUNTS = {"cat": 12, "dog": 30, "eel": 20}
SMALL_NET = ["model=tbmi26_cnn", "optimizer.lr=0.01", "max_epochs=1", "batch_size=16"]


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flat folder of grey images, wider than high."""
    root, random = tmp_path_factory.mktemp("own") / "photos", np.random.RandomState(0)
    for shade, (label, count) in enumerate(COUNTS.items()):
        (root / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.randint(60 * shade, 60 * shade + 90, (24, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02}.png")
    return root


def typed(flat: Path) -> list[str]:
    return [
        *("data=image_folder", f"data.root={flat}", "data.image_size=28", "data.channels=1"),
        *("data.val_size=0.2", *SMALL_NET, "trainer=cpu", "trainer.precision=32-true"),
    ]


@pytest.fixture(scope="module")
def run(flat: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    more = ["evaluation=false", "logger=none", f"data.cache_dir={cache}"]
    launch(folder, cache, *typed(flat), *more, tiny=False)
    return Run.finished(folder)


def test_the_record_says_how_the_test_part_was_held_out(run: Run) -> None:
    data = run.result.data
    assert (data["num_train"], data["num_val"], data["num_test"]) == (40, 10, 12)
    assert data["layout"] == (
        "flat; 62 of 62 images squashed to squares (data.resize=squash); all images are grey; 0.2 "
        "of each class held out for test (data.test_size=0.2 data.test_seed=0); 1 channel"
    )
    assert run.answers.train_counts.sum() == 40


def test_no_other_seed_changes_the_test_part(run: Run, flat: Path, cache: Path) -> None:
    from hydra.utils import instantiate

    def test_images(*more: str) -> np.ndarray:
        keys = plain(*typed(flat), f"data.cache_dir={cache}", *more)["data"]
        data = instantiate(keys, _convert_="all")
        data.setup()
        assert len(data.images.test_labels) + len(data.images.train_labels) == 62
        return data.images.test_images

    first = test_images()
    assert np.array_equal(test_images("seed=3", "data.split_seed=4"), first)
    assert not np.array_equal(test_images("data.test_seed=1"), first)


def test_uneven_classes_are_measured_and_shown(run: Run) -> None:
    counts = evaluate(run.answers).counts
    measured = run.result.metrics["test"]
    assert measured["balanced_acc"] == pytest.approx(balanced_accuracy(counts))
    header, *_, test = results(run.result)
    assert header[3] == "balanced accuracy" and test[3] == f"{measured['balanced_acc']:.2%}"
    (bars,) = images_of_each_class(run)
    assert bars.png.startswith(b"\x89PNG") and "uneven" in bars.caption


def test_a_net_of_one_channel_is_used_as_any(run: Run, flat: Path, tmp_path: Path) -> None:
    """It takes RGB images in any case, and of colours what they are in grey."""
    loaded = load_run(run.folder)
    first = next(m for m in loaded.net.modules() if isinstance(m, torch.nn.Conv2d))
    assert first.in_channels == 1
    exported = export(loaded, "torch_export", tmp_path)
    assert exported.difference < 1e-4
    model = load(run.folder, device="cpu")
    colours = np.random.RandomState(0).randint(0, 256, (28, 28, 3), np.uint8)
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    assert model(colours) == pytest.approx(model(grey), abs=5e-3)
    layer = last_maps(calls(loaded.net, 28))
    image = torch.randn(3, 28, 28)
    assert grad_cam(loaded.net, image, layer.name, 1).shape[-1] >= 1
    whole = np.asarray(Image.open(flat / "cat" / "00.png").resize((28, 28), 2))
    assert np.array_equal(model.pixels(flat / "cat" / "00.png")[..., 0], whole), "squashed, too"


def test_images_of_a_run_before_there_was_a_choice_are_squashed(run: Run) -> None:
    from dataclasses import replace

    loaded = load_run(run.folder)
    assert loaded.resize == "squash"
    data = {k: v for k, v in loaded.config["data"].items() if k != "resize"}
    older = replace(loaded, config={**loaded.config, "data": data})
    assert older.resize == "squash"
    cropped = replace(loaded, config={**loaded.config, "data": {**data, "resize": "crop"}})
    assert cropped.resize == "crop"
    assert replace(loaded, config={"data": data | {"image_size": None}}).resize == "crop"
    with pytest.raises(UserError, match=r"cannot be averaged: .* squash; .* crop"):
        Predictor([loaded, cropped])


def test_what_came_later_leaves_older_hashes_as_they_are() -> None:
    config = plain("data=image_folder", "data.root=.")
    older = {k: v for k, v in config["data"].items() if f"data.{k}" not in LATER_KEYS}
    source = {k: v for k, v in older["source"].items() if f"data.source.{k}" not in LATER_KEYS}
    assert {*source} == {"_target_", "root", "image_size"} and "resize" not in older
    assert config_hash({**config, "data": {**older, "source": source}}) == config_hash(config)
    for key in ("channels=1", "validation=split", "resize=crop", "test_size=0.3", "test_seed=1"):
        other = plain("data=image_folder", "data.root=.", f"data.{key}")
        assert config_hash(other) != config_hash(config), key


def test_a_flip_is_said_to_harm_digits() -> None:
    assert SVHN.mirrored is False
    for typed, said in (("aug=crop_flip", True), ("aug=crop", False), ("tta=flip", True)):
        assert flips(plain("data=svhn", typed)) is said


@pytest.mark.parametrize("model", options("model"))
def test_models_of_one_channel(model: str) -> None:
    """With the same names and layers as any; those that cannot say so."""
    config = plain(f"model={model}", *SMALL.get(model, []))["model"]
    if model in ("torchvision", "timm", "vgg11_bn", "vgg13_bn", "vgg16_bn"):
        with pytest.raises(UserError, match=r"data.channels=1: .* takes images of 3 channels"):
            build_net(config, 3, 32, pretrained=False, channels=1)
        return
    net = build_net(config, 3, 32, channels=1).eval()
    assert not any(name.startswith(("net.", "0.")) for name in net.state_dict()), "as any"
    images = torch.rand(2, 3, 32, 32)
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    with torch.inference_mode():
        assert torch.allclose(net(images), net(grey.expand(-1, 3, -1, -1)), atol=1e-4)


@pytest.fixture(scope="module")
def thousand() -> tuple[np.ndarray, list[str]]:
    """A confusion matrix of 1,000 classes, in which one is always taken for another."""
    counts = np.diag(np.arange(1000) % 7 + 1)
    counts[3, 999] = 50
    return counts, [f"class {number}" for number in range(1000)]


def test_the_page_of_a_thousand_classes(thousand: tuple[np.ndarray, list[str]]) -> None:
    counts, names = thousand
    assert confusion.most_confused(counts, 9) == [(3, 999, 50)]
    assert png(confusion.draw(counts, names)).startswith(b"\x89PNG")
    chart = charts.confusion(counts, names)
    assert [row["pair"] for row in chart["data"]["values"]] == ["class 3 as class 999"]
    recall = np.diag(counts) / counts.sum(1)
    assert len(charts.classes(recall, recall, names)["data"]["values"]) == 2 * confusion.MOST
    table = class_table(counts, recall, recall, names)
    assert len(table) == 1 + confusion.MOST and table[1][0] == "class 3"
    assert table[1][4] == "class 999 (50)"
    bars = sheet.bars_by_class({"train": list(range(1000))}, names, "sets")
    assert bars.get_size_inches()[1] < 20
    assert re.search("50 largest and smallest of 1,000", bars.get_suptitle())
