"""``cifarlab.load`` and what it returns."""

import csv
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.data.pictures import find
from cifarlab.data.synthetic import CLASSES, draw
from cifarlab.store.checkpoint import load_run
from cifarlab.use.files import predict_files, write_csv
from cifarlab.use.predictor import PixelsToLogits, Prediction, Predictor

TEST_IMAGES, _ = draw(100, seed=2)  # the test images of data.num_test=100


@pytest.fixture(scope="module")
def model(trained: Path) -> Predictor:
    return cifarlab.load(trained, device="cpu")


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def test_it_predicts_what_the_run_predicted(model: Predictor, trained: Path) -> None:
    with np.load(trained / "predictions.npz") as stored:
        expected = softmax(stored["test_logits"].astype(np.float64))
    assert np.abs(model(TEST_IMAGES) - expected).max() < 2e-3, "logits are stored in 16 bits"
    assert np.abs(model(TEST_IMAGES[::-1]) - expected).max() > 0.01


def test_every_form_of_an_image(model: Predictor, tmp_path: Path) -> None:
    pixels = TEST_IMAGES[3]
    path = tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    expected = model(pixels[None])
    assert expected.shape == (1, 10) and expected.sum() == pytest.approx(1)
    for form in (pixels, Image.fromarray(pixels), path, str(path)):
        assert np.array_equal(model(form), expected)
        assert isinstance(model.predict(form), Prediction)
    several = model.predict([path, pixels])
    assert [prediction.label for prediction in several] == [CLASSES[expected[0].argmax()]] * 2
    grey = pixels[:, :, :1]
    assert np.array_equal(model(grey), model(np.repeat(grey, 3, axis=2)))
    assert np.array_equal(model(grey), model(grey[:, :, 0]))
    large = Image.fromarray(pixels).resize((200, 100))
    assert model.pixels(large).shape == (32, 32, 3)
    assert model([]).shape == (0, 10) and model.predict([]) == []


def test_a_prediction(model: Predictor) -> None:
    prediction = model.predict(TEST_IMAGES[0])
    shares = list(prediction.probabilities.values())
    assert shares == sorted(shares, reverse=True) and set(prediction.probabilities) == set(CLASSES)
    assert prediction.top(2) == list(prediction.probabilities.items())[:2]
    assert (prediction.label, prediction.probability) == prediction.top()[0]
    assert repr(prediction).startswith(f"Prediction({prediction.label} ")


def test_several_runs_average_their_probabilities(trained: Path, model: Predictor) -> None:
    run = load_run(trained)
    torch.manual_seed(1)
    other = dataclasses.replace(run, net=torch.nn.Sequential(torch.nn.Flatten(), fresh(3072)))
    both, alone = Predictor([run, other], "cpu"), Predictor([other], "cpu")
    expected = (model(TEST_IMAGES) + alone(TEST_IMAGES)) / 2
    assert np.abs(both(TEST_IMAGES) - expected).max() < 1e-6
    assert "tbmi26_cnn, tbmi26_cnn" in repr(both)
    for change in ({"classes": run.classes[::-1]}, {"image_size": 64}):
        with pytest.raises(UserError, match="cannot be averaged: run has 10 classes|cannot be av"):
            Predictor([run, dataclasses.replace(run, **change)])


def fresh(inputs: int) -> torch.nn.Module:
    return torch.nn.Linear(inputs, 10)


def test_normalisation() -> None:
    module = PixelsToLogits(torch.nn.Identity(), mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 0.25))
    pixels = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 2, 2)
    expected = torch.tensor([[-1.0, 1.0], [0.0, 1.0], [-4.0, 0.0]])
    assert torch.allclose(module.normalize(pixels)[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.png", "nowhere.png: no such file"),
        (np.zeros((4, 4)), r"an image of float64 values of shape \(4, 4\): must be uint8"),
        (
            np.zeros((3, 32, 32), np.uint8),
            r"of shape \(3, 32, 32\): must be uint8, \(height, width\)",
        ),
    ],
)
def test_no_image(model: Predictor, image: str | np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        model.predict(image)


def test_what_cannot_be_loaded(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run here"):
        cifarlab.load(tmp_path)
    with pytest.raises(UserError, match="needs a run folder"):
        cifarlab.load()
    with pytest.raises(UserError, match="device=mps: not on this machine"):
        cifarlab.load(trained, device="mps")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """20 images, every other one in a zip file, a damaged one and a damaged archive."""
    for number, pixels in enumerate(TEST_IMAGES[:20]):
        folder = tmp_path / ("in" if number % 2 else "packed")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    shutil.make_archive(str(tmp_path / "in" / "07-even"), "zip", tmp_path / "packed")
    (tmp_path / "in" / "05.png").write_bytes(b"nothing")
    (tmp_path / "in" / "99.tar").write_bytes(b"nothing")
    return tmp_path / "in"


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_files_in_order_without_those_that_cannot_be_read(
    model: Predictor, files: Path, batch_size: int, tmp_path: Path
) -> None:
    skipped: list[str] = []
    found = list(predict_files(model, find([files]), batch_size, lambda e: skipped.append(str(e))))
    numbers = [int(Path(item.path).stem) for item in found]
    odd, even = [1, 3, 7, 9, 11, 13, 15, 17, 19], list(range(0, 20, 2))
    assert sorted(numbers) == sorted(odd + even) and [n for n in numbers if n % 2] == odd
    assert numbers[2:12] != odd[2:] and set(numbers[2:12]) == set(even), "archives in their place"
    assert "05.png is not an image that can be read" in skipped[0]
    assert "99.tar: the archive is damaged" in skipped[1] and len(skipped) == 2
    for number, item in zip(numbers, found, strict=True):
        assert np.array_equal(item.pixels, TEST_IMAGES[number])
        expected = model.predict(TEST_IMAGES[number]).probability
        assert item.prediction.probability == pytest.approx(expected, abs=1e-6)
    write_csv(tmp_path / "p.csv", [(i.path, i.prediction) for i in found], len(model.classes))
    with (tmp_path / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = "path label probability label_2 probability_2 label_3 probability_3"
    assert list(rows[0]) == names.split() and len(rows) == len(found)
    label, share = found[5].prediction.top(3)[2]
    assert (rows[5]["label_3"], float(rows[5]["probability_3"])) == (
        label,
        pytest.approx(share, abs=1e-6),
    )


def test_two_classes_have_no_third(tmp_path: Path) -> None:
    write_csv(tmp_path / "p.csv", [("a, b.png", Prediction({"cat": 0.75, "dog": 0.25}))], 2)
    text = 'path,label,probability,label_2,probability_2\n"a, b.png",cat,0.750000,dog,0.250000\n'
    assert (tmp_path / "p.csv").read_text() == text
