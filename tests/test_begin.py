"""What a run begins with: weights of another run, and of files as people have them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.base.weights import fitted
from cifarlab.models.pretrained import Torchvision, torchvision_net
from cifarlab.store.checkpoint import BEST, begin_from, load_run, net_weights, read_checkpoint


class Net(nn.Module):
    def __init__(self, classes: int = 3, width: int = 4) -> None:
        super().__init__()
        self.model = nn.Linear(2, width)  # a name that is a prefix elsewhere
        self.norm = nn.BatchNorm1d(width)
        self.fc = nn.Linear(width, classes)


def under(state: dict, prefix: str) -> dict:
    return {f"{prefix}{name}": value for name, value in state.items()}


WRAPPED = {
    "alone": lambda s: s,
    "state_dict": lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"lr": 0.1}},
    "model": lambda s: {"model": s},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": 0.5},
    "module.": lambda s: under(s, "module."),
    "module._orig_mod.": lambda s: {"state_dict": under(s, "module._orig_mod.")},
    "of a Lightning module": lambda s: {"state_dict": under(s, "net.") | {"loss.w": s["fc.bias"]}},
    "model.": lambda s: under(s, "model."),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_whatever_is_around_the_weights(how: str, tmp_path: Path) -> None:
    state, path = Net().state_dict(), tmp_path / "x.pth"
    torch.save(WRAPPED[how](state), path)
    net = Net()
    said = begin_from(net, path)
    assert said == f"{len(state)} of {len(state)} tensors of {path}"
    for name, value in net.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_safetensors(tmp_path: Path) -> None:
    state = Net().state_dict()
    save_file(under(state, "module."), tmp_path / "x.safetensors")
    net = Net()
    begin_from(net, tmp_path / "x.safetensors")
    assert torch.equal(net.fc.weight, state["fc.weight"])
    (tmp_path / "y.safetensors").write_bytes(b"hello" * 10)
    with pytest.raises(UserError, match=r"y.safetensors: not a file of weights \(no safetensors: "):
        begin_from(net, tmp_path / "y.safetensors")


def test_another_head_stays_new(tmp_path: Path) -> None:
    state, net = Net(classes=7).state_dict(), Net()
    before = net.fc.weight.clone()
    torch.save(state | {"aux.weight": torch.zeros(2)}, tmp_path / "x.pth")
    said = begin_from(net, tmp_path / "x.pth")
    assert "new: fc.weight is (7, 4) there and (3, 4) in the net; fc.bias is (7,)" in said
    assert said.endswith("not used: aux.weight") and said.startswith("7 of 9 tensors")
    assert torch.equal(net.model.weight, state["model.weight"])
    assert torch.equal(net.fc.weight, before)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    torch.save(Net(width=5).state_dict(), tmp_path / "x.pth")
    with pytest.raises(UserError) as raised:
        begin_from(Net(), tmp_path / "x.pth")
    words = (
        "not weights of this Net: model.weight is (5, 2) there and (4, 2) in the net; model.bias"
    )
    assert words in str(raised.value) and str(raised.value).endswith(", and 3 more")
    for what, message in (({"a": 1}, "it holds no weights by name"), (None, "neither a run's")):
        path = tmp_path / f"{message[:3]}.pth"
        if what:
            torch.save(what, path)
        with pytest.raises(UserError, match=message):
            begin_from(Net(), path)


def test_imagenet_weights_as_people_have_them(tmp_path: Path) -> None:
    net = torchvision_net("mobilenet_v3_small", None)
    torch.save({"model": under(net.state_dict(), "module.")}, tmp_path / "x.pth")
    made = Torchvision("mobilenet_v3_small", weights=str(tmp_path / "x.pth"))
    name = "features.0.0.weight"
    assert torch.equal(made.backbone.state_dict()[name], net.state_dict()[name])


def test_a_run_begins_where_another_ended(trained: Path, run_here, tmp_path: Path) -> None:
    folder = run_here(
        tmp_path / "run",
        *("model=tbmi26_cnn", f"init_from={trained}", "data.classes=[disk,star]", "max_epochs=1"),
        "optimizer.lr=1e-12",
    )
    theirs = net_weights(read_checkpoint(trained / BEST))
    ours = load_run(folder).net.state_dict()
    same = [name for name, value in ours.items() if torch.equal(value, theirs[name])]
    convolutions = [name for name, value in ours.items() if value.ndim == 4]
    assert convolutions and set(convolutions) <= set(same)
    assert load_run(folder).classes == ("disk", "star")


def test_the_prefix_that_fits_most() -> None:
    state = {"model.weight": torch.zeros(1), "model.model.weight": torch.zeros(1)}
    assert fitted(state, {"model.weight"}) is state
