"""The figures of a run, from their arrays, and what is told beside them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.data.pictures import decode
from cifarlab.figures import curves
from cifarlab.store.checkpoint import INITIAL, LoadedNet, load_run, read_initial
from cifarlab.use import visualize as visualizing
from cifarlab.use.visualize import Options, of_model
from tests.conftest import ROOT, launch, plain

SAMPLE = decode(ROOT / "examples" / "photo.png", "photo.png")
SMALL = ["model=baseline", "max_epochs=1", "logger=none"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, cache) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch(folder, cache, *SMALL)
    return folder


@pytest.fixture
def drawn(monkeypatch) -> dict[str, Figure]:
    """Figures by the name of their file; nothing is written."""
    found: dict[str, Figure] = {}
    monkeypatch.setattr(curves, "save", lambda figure, path: found.update({path.name: figure}))
    return found


def picture(figure: Figure, panel: int, layer: int = 0) -> np.ndarray:
    return np.asarray(figure.axes[panel].images[layer].get_array())


def visualize(
    net: LoadedNet, image: Image.Image, options: Options, out: Path = Path("nowhere")
) -> list[str]:
    return list(visualizing.visualize(net, image, options, out))


def loaded(net: nn.Module, size: int = 12) -> LoadedNet:
    """Any net, images in [0, 1] not normalised."""
    classes = ("cat", "dog", "big ship")
    return LoadedNet(net, "net", classes, size, (0.0,) * 3, (1.0,) * 3, "untrained")


@pytest.fixture
def identity() -> LoadedNet:
    """Three filters that pass a colour each on, and one that never answers."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    nn.init.zeros_(net[0].weight)
    nn.init.dirac_(net[0].weight.data[:3])
    net[0].bias.data = torch.tensor([0.0, 0.0, 0.0, -1.0])
    return loaded(net)


def test_an_identity_filter_and_a_dead_one(identity, drawn) -> None:
    options = Options(filters=[2, 0, 3], maps=[1, 3], label="dog")
    lines = visualize(identity, SAMPLE, options)
    assert lines[1:3] == ["dead filters on the photo alone: 1 of 4", "  0: 3"]
    assert list(drawn) == ["first_layer.png", "filters.png", "feature_maps.png", "gradcam_dog.png"]
    figure = drawn["filters.png"]
    photo = picture(figure, 0)
    assert photo.shape == (12, 12, 3) and photo.std() > 20, "the sample, as small as the net's"
    np.testing.assert_allclose(picture(figure, 2), photo[:, :, 2] / 255, atol=1e-6)
    np.testing.assert_allclose(picture(figure, 4), photo[:, :, 0] / 255, atol=1e-6)
    weights = picture(figure, 1)
    assert weights[1, 1].tolist() == [0.5, 0.5, 1.0] and (weights[0] == 0.5).all()
    assert [figure.axes[i].get_title() for i in (1, 3, 5)] == ["2", "0", "3 dead"]
    np.testing.assert_allclose(
        picture(drawn["feature_maps.png"], 1), photo[:, :, 1] / 255, atol=1e-6
    )
    assert drawn["feature_maps.png"].axes[3].get_title() == "3 dead"
    assert drawn["first_layer.png"].axes[0].lines, "the dead one is crossed out"
    assert "\u201cdog\u201d" in drawn["gradcam_dog.png"].get_suptitle()


def test_before_and_after_training(folder, drawn) -> None:
    lines = visualize(load_run(folder), SAMPLE, Options())
    assert lines[0].startswith("baseline, best epoch, 1: ")
    assert lines[1].startswith("dead filters on the photo and 30 validation images: ")
    figure = drawn["first_layer.png"]
    assert [axes.get_title() for axes in figure.axes] == ["before training", "best epoch, 1"]
    before, after = picture(figure, 0), picture(figure, 1)
    assert before.shape == after.shape and not np.allclose(before, after)
    torch.manual_seed(99)
    fresh = of_model(plain(*SMALL)["model"], "baseline").net  # of seed 0, as the run's
    started = read_initial(folder, "features.conv1")
    assert torch.equal(fresh.features.conv1.weight, started)


def test_everything_is_written_for_a_run_with_any_layer(folder, tmp_path) -> None:
    options = Options(layer="features.conv2", label=3, val_images=0)
    *_, last = visualize(load_run(folder), SAMPLE, options, tmp_path)
    assert last == str(tmp_path / "gradcam_frame.png")
    found = {path.name: decode(path, path.name).size for path in tmp_path.iterdir()}
    assert found.keys() == {
        "first_layer.png", "filters.png", "feature_maps_features.conv2.png", "gradcam_frame.png",
    }  # fmt: skip
    assert all(min(size) > 200 and max(size) < 2000 for size in found.values())


def test_a_dense_layer_has_bars_and_a_net_without_convolutions_no_maps(drawn) -> None:
    mlp = of_model(plain("model=mlp")["model"], "mlp")
    lines = visualize(mlp, SAMPLE, Options())
    assert list(drawn) == ["first_layer.png"]
    assert [line.split(" ")[1][:-1] for line in lines if line.startswith("no ")] == [
        "filters.png",
        "feature_maps.png",
        "gradcam.png",
    ]
    assert "dead filters: none to be found, no activation follows a convolution" in lines
    assert picture(drawn["first_layer.png"], 0).shape == (14 * 33 - 1, 15 * 33 - 1, 3)
    drawn.clear()
    visualize(mlp, SAMPLE, Options(layer="layers.fc1"))
    assert len(drawn["feature_maps_layers.fc1.png"].axes[1].patches) == 200


def test_imagenet_weights_from_a_file(tmp_path, drawn) -> None:
    from torchvision.models import mobilenet_v3_small

    path = tmp_path / "weights.pth"
    net = mobilenet_v3_small()
    torch.save(net.state_dict(), path)
    weights = net.features[0][0].weight.detach()
    model = plain("model=torchvision", "model.name=mobilenet_v3_small")["model"]
    there = of_model(model | {"weights": str(path)}, "torchvision")
    assert there.image_size == 224 and there.weights == "ImageNet weights"
    visualize(there, SAMPLE, Options(filters=[3]))
    figure = drawn["filters.png"]
    assert picture(figure, 0).shape == (224, 224, 3) and picture(figure, 2).shape == (112, 112)
    expected = 0.5 + weights[3] / (2 * weights[3].abs().max())
    np.testing.assert_allclose(picture(figure, 1), expected.permute(1, 2, 0), atol=1e-6)


def photo(path: Path, kind: str) -> None:
    """A grey square with its left half dark, stored in one way or another."""
    pixels = np.full((40, 60, 3), 200, dtype=np.uint8)
    pixels[:, :30] = 50
    image = Image.fromarray(pixels)
    if kind == "exif":
        exif = Image.Exif()
        exif[274] = 6  # turn by 90 degrees clockwise to see it upright
        image.rotate(90, expand=True).save(path.with_suffix(".png"), exif=exif)
    elif kind == "16 bits":
        Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257).save(path.with_suffix(".png"))
    elif kind == "jpeg":
        image.save(path.with_suffix(".jpg"), quality=95)
    else:
        image.convert(kind).save(path.with_suffix(".png"))


@pytest.mark.parametrize("kind", ["RGB", "L", "LA", "P", "RGBA", "exif", "16 bits", "jpeg"])
def test_photos_of_any_kind(identity, tmp_path, drawn, kind: str) -> None:
    photo(tmp_path / "photo", kind)
    (path,) = tmp_path.glob("photo.*")
    visualize(identity, decode(path, "photo"), Options())
    seen = picture(drawn["filters.png"], 0).astype(int)
    assert np.abs(seen[:, :5] - 50).max() < 5 and np.abs(seen[:, 7:] - 200).max() < 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(filters=[0, 4]), r"^filters=4: 0 has 4, numbered 0 to 3$"),
        (Options(filters=[True]), r"^filters=True: 0 has 4, numbered 0 to 3$"),
        (Options(maps=[-1]), r"^maps=-1: 1 has 4, numbered 0 to 3$"),
        (Options(maps=[]), r"^maps=\[\]: needs a number at least$"),
        (Options(layer="conv9"), r"^layer=conv9: no such layer; allowed: 0, 1, 2, 3, 4$"),
        (Options(label="fish"), "^class=fish: must be one of cat, dog, big ship, or 0 to 2$"),
        (Options(label=3), "^class=3: must be one of cat, dog, big ship, or 0 to 2$"),
    ],
)
def test_wrong_options_are_told_in_a_line(identity, drawn, options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        visualize(identity, SAMPLE, options)
    assert not drawn, "nothing is drawn before all is checked"


def test_a_net_with_nothing_to_show_is_told() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UserError, match="^net: has neither a convolution nor a dense layer"):
        visualize(loaded(net), SAMPLE, Options())


def test_a_run_whose_data_is_gone_is_told(folder, drawn) -> None:
    there = load_run(folder)
    data = there.config["data"] | {"val_size": 5000}
    there = replace(there, config={**there.config, "data": data})
    with pytest.raises(UserError, match="^validation images of the run: .*val_images=0"):
        visualize(there, SAMPLE, Options())
    assert visualize(there, SAMPLE, Options(val_images=0))


def test_a_run_of_before_kept_no_initial_weights(folder, drawn, tmp_path) -> None:
    older = shutil.copytree(folder, tmp_path / "older")
    (older / INITIAL).unlink()
    lines = visualize(load_run(older), SAMPLE, Options(val_images=0))
    assert any(line.startswith("the run kept no initial weights") for line in lines)
    assert len(drawn["first_layer.png"].axes) == 1
