"""Against torchvision's own forward with the same weights; files of right and wrong shapes."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from cifarlab.base.errors import UserError
from cifarlab.models.pretrained import Resize, Timm, Torchvision, last_block_of
from cifarlab.models.vgg import VGG


def reference(name: str) -> nn.Module:
    """torchvision's, with batch-norm statistics that are not those of a new net."""
    torch.manual_seed(1)
    net = models.get_model(name).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files as torchvision's, 1000 classes, with random numbers in them."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {name: folder / f"{name}.pth" for name in ("resnet18", "vgg11_bn", "densenet121")}
    for name, path in paths.items():
        torch.save(reference(name).state_dict(), path)
    return paths


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn"])
def test_same_logits_as_torchvision(name: str, files: dict[str, Path]) -> None:
    theirs = reference(name)
    ours = Torchvision(name, weights=str(files[name]), num_classes=1000, resize=64).eval()
    dense = theirs.fc if name == "resnet18" else theirs.classifier[-1]
    ours.head.fc.load_state_dict(dense.state_dict())
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images))


def test_vgg_at_32_pixels_has_torchvisions_features(files: dict[str, Path]) -> None:
    theirs, ours = reference("vgg11_bn"), VGG(11, weights=str(files["vgg11_bn"])).eval()
    images = torch.randn(2, 3, 32, 32)
    features = theirs.features(images)
    assert features.shape == (2, 512, 1, 1)
    torch.testing.assert_close(ours.features(images), features)
    head = ours.head
    expected = head.fc2(head.bn1(head.fc1(features.flatten(1))).relu())
    torch.testing.assert_close(ours(images), expected)
    assert [(m.in_features, m.out_features) for m in (head.fc1, head.fc2)] == [
        (512, 256),
        (256, 10),
    ]


def test_random_vgg_is_drawn_as_torchvisions() -> None:
    torch.manual_seed(0)
    ours, theirs = VGG(13).backbone.features, models.vgg13_bn().features
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert mine.shape == other.shape
        if mine.ndim == 4:
            assert mine.std().item() == pytest.approx(other.std().item(), rel=0.05), name
        else:
            assert torch.equal(mine, other), name


def test_resize_is_bilinear_on_the_batch() -> None:
    images = torch.rand(2, 3, 32, 32)
    resized = Resize(224)(images)
    expected = nn.functional.interpolate(images, size=(224, 224), mode="bilinear")
    assert torch.equal(resized, expected)
    assert Resize(None)(images) is images and Resize(32)(images) is images
    assert Resize(16)(images).shape == (2, 3, 16, 16)
    with pytest.raises(UserError, match="model.resize=0: must be a number of pixels, or null"):
        Resize(0)


def names(net: nn.Module, modules: list[nn.Module]) -> list[str]:
    known = {id(module): name for name, module in net.named_modules()}
    return [known[id(module)] for module in modules]


def test_the_last_block() -> None:
    """ResNet's layer4; VGG's convolutions between its last two poolings, and what follows."""
    resnet = Torchvision("resnet18")
    assert names(resnet.backbone, resnet.last_block()) == ["layer4", "avgpool", "fc"]
    vgg = VGG(11)
    expected = [f"features.{place}" for place in range(22, 29)] + ["pool"]
    assert names(vgg.backbone, vgg.last_block()) == expected
    assert isinstance(vgg.backbone.features[21], nn.MaxPool2d)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("densenet121", ["features", "denseblock4"]),
        ("convnext_tiny", ["features", "7"]),
        ("vit_b_32", ["encoder", "layers", "encoder_layer_11"]),
        ("regnet_y_400mf", ["trunk_output", "block4"]),
        ("shufflenet_v2_x0_5", ["stage4"]),
        ("googlenet", ["inception5b"]),
        ("mobilenet_v3_small", ["features", "12"]),
    ],
)
def test_the_last_block_of_other_families(name: str, path: list[str]) -> None:
    net = Torchvision(name)
    assert last_block_of(net.backbone) == path
    last = [p for module in net.last_block() for p in module.parameters()]
    assert 0 < len(last) < len(list(net.backbone.parameters()))
    assert len({id(p) for p in last}) == len(last), "the modules are disjoint"


def test_densenet_files_have_other_names(files: dict[str, Path], tmp_path: Path) -> None:
    """Those that torchvision ships are older than its modules: norm.1 for norm1."""
    state = torch.load(files["densenet121"], weights_only=True)
    for kind in ("norm", "conv"):
        state = {
            key.replace(f".{kind}1.", f".{kind}.1.").replace(f".{kind}2.", f".{kind}.2."): value
            for key, value in state.items()
        }
    torch.save(state, tmp_path / "densenet121.pth")
    net = Torchvision("densenet121", weights=str(tmp_path / "densenet121.pth"))
    theirs = reference("densenet121").features.denseblock2.denselayer3.norm2.running_mean
    assert torch.equal(net.backbone.features.denseblock2.denselayer3.norm2.running_mean, theirs)


def test_imagenet_weights_come_from_torchs_cache(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    cached = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(files["resnet18"].read_bytes())
    net = Torchvision("resnet18", weights="imagenet")
    assert torch.equal(net.backbone.conv1.weight, reference("resnet18").conv1.weight)
    again = Torchvision("resnet18", weights="IMAGENET1K_V1")
    assert torch.equal(again.backbone.layer4[0].conv1.weight, net.backbone.layer4[0].conv1.weight)


def test_without_network_one_line_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    expected = (
        r"ImageNet weights of resnet18: resnet18-f37072fd.pth could not be had \(network is .*\); "
        r"put it into .*checkpoints, or give its place: model.weights=<folder>/resnet18-f37072fd"
    )
    with pytest.raises(UserError, match=expected) as caught:
        Torchvision("resnet18", weights="imagenet")
    assert "\n" not in str(caught.value)


def test_wrong_files(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="weights=nowhere.pth: no such file; null, imagenet, IMAGE"):
        Torchvision("resnet18", weights="nowhere.pth")
    with pytest.raises(UserError, match=r"not weights of resnet18: conv1.weight is missing there"):
        Torchvision("resnet18", weights=str(files["vgg11_bn"]))
    with pytest.raises(UserError, match=r"layer1.0.conv1.weight is \(64, 64, 3, 3\) there and"):
        Torchvision("resnet50", weights=str(files["resnet18"]))
    junk = tmp_path / "junk.pth"
    junk.write_bytes(b"junk")
    with pytest.raises(UserError, match="junk.pth: not a file of weights"):
        VGG(weights=str(junk))
    torch.save([1], junk)
    with pytest.raises(
        UserError, match="junk.pth: not a file of weights .it holds no weights by name"
    ):
        VGG(weights=str(junk))


def test_unknown_names() -> None:
    with pytest.raises(
        UserError, match="model.name=resnet19: torchvision has no .*; near it: resn"
    ):
        Torchvision("resnet19")
    with pytest.raises(UserError, match="model.name=squeezenet1_1: does not end in a dense layer"):
        Torchvision("squeezenet1_1")
    with pytest.raises(UserError, match="model.name=resnt18: timm has no such classifier; near it"):
        Timm("resnt18")
    with pytest.raises(UserError, match="VGG.depth=12: must be one of 11, 13, 16, 19"):
        VGG(12)


def test_timm_reads_a_file(tmp_path: Path) -> None:
    import timm

    theirs = timm.create_model("resnet18", num_classes=1000).eval()
    torch.save(theirs.state_dict(), tmp_path / "timm.pth")
    ours = Timm("resnet18", weights=str(tmp_path / "timm.pth"), resize=None).eval()
    images = torch.randn(2, 3, 64, 64)
    expected = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
    torch.testing.assert_close(ours.features(images), expected)


def test_timm_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UserError, match="timm is not installed: pip install timm"):
        Timm("resnet18")


def test_dropout_is_set_where_the_architecture_has_it() -> None:
    places = [m.p for m in Torchvision("vgg11", dropout=0.3).modules() if isinstance(m, nn.Dropout)]
    assert places == [0.3, 0.3]
    own = [m.p for m in Torchvision("vgg11").modules() if isinstance(m, nn.Dropout)]
    assert own == [0.5, 0.5]
    assert Torchvision("resnet18", dropout=0.3).head.drop.p == 0.3
