"""Files where weights are expected: one line in our own words, and nothing in them is run."""

import io
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_safetensors

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.base.weights import read_weights
from cifarlab.models.pretrained import Timm, Torchvision
from cifarlab.models.vgg import VGG
from cifarlab.store.checkpoint import BEST, INITIAL, LAST, AtomicCheckpointIO, read_initial
from tests.conftest import without_sums

WORDS = "(cut short, of another format, or with objects in it that are never loaded)"


class Evil:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("it-ran",)


def saved(what: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(what, file, **options)
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), file)
    return file.getvalue()


def bomb() -> bytes:
    """A checkpoint of one tensor of a GB, deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x/data/0", "w") as member:
            for _ in range(600):
                member.write(bytes(1 << 20))
        archive.writestr("x/data.pkl", pickle.dumps({}))
    return file.getvalue()


STATE = {"features.0.weight": torch.zeros(2)}
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "malicious": (lambda: saved({"state_dict": Evil()}), WORDS),
    "malicious, legacy": (
        lambda: saved({"state_dict": Evil()}, _use_new_zipfile_serialization=False),
        WORDS,
    ),
    "pickle": (lambda: pickle.dumps({"state_dict": [1.0]}), WORDS),
    "malicious pickle": (lambda: pickle.dumps(Evil()), WORDS),
    "old pickle": (lambda: pickle.dumps(Evil(), protocol=0), WORDS),
    "whole module": (lambda: saved(torch.nn.Linear(2, 2)), WORDS),
    "safetensors": (lambda: save_safetensors(STATE), WORDS),
    "text": (lambda: b"hello, world\n" * 10, WORDS),
    "JSON": (lambda: b'{"state_dict": {}}', WORDS),
    "nothing": (lambda: b"", WORDS),
    "cut": (lambda: saved(STATE)[:-100], WORDS),
    "cut, legacy": (lambda: saved(STATE, _use_new_zipfile_serialization=False)[:-10], WORDS),
    "a zip": (lambda: _zip({"x.txt": b"hello"}), WORDS),
    "a huge size": (
        lambda: saved(STATE).replace(struct.pack("<BB", 75, 2), struct.pack("<BB", 75, 255)),
        WORDS,
    ),
    "TorchScript": (script, "(a TorchScript program)"),
}


def _zip(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", FILES)
def test_one_line_of_our_own(kind: str, here: Path, trained: Path) -> None:
    """Wherever a file of weights is read: a run's checkpoints, and those that begin a run."""
    make, words = FILES[kind]
    data = make()
    run = without_sums(shutil.copytree(trained, here / "run"))
    for name in (BEST, LAST, INITIAL):
        (run / name).write_bytes(data)
    (here / "x.pth").write_bytes(data)
    damaged, none = "the checkpoint is damaged", "model.weights=x.pth: not a file of weights"
    for start, read in (
        (f"{run / BEST}: {damaged}", lambda: cifarlab.load(run)),
        (f"{run / INITIAL}: {damaged}", lambda: read_initial(run, "conv")),
        (f"{run / LAST}: {damaged}", lambda: AtomicCheckpointIO().load_checkpoint(run / LAST)),
        (none, lambda: VGG(weights="x.pth")),
        (none, lambda: Torchvision("resnet18", weights="x.pth")),
        (none, lambda: Timm("resnet18", weights="x.pth")),
    ):
        with pytest.raises(UserError) as raised:
            read()
        assert str(raised.value) == f"{start} {words}"
    assert not (here / "it-ran").exists()


def test_weights_that_unpack_to_too_much(here: Path) -> None:
    (here / "x.pth").write_bytes(bomb())
    with pytest.raises(UserError, match=r"^x.pth: unpacks to 629.1 MB or more from .* limit is"):
        read_weights(Path("x.pth"), "x.pth: no weights")


def test_weights_are_read_in_both_formats(here: Path) -> None:
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        (here / "x.pth").write_bytes(saved(STATE, **options))
        assert torch.equal(read_weights(here / "x.pth", "")["features.0.weight"], torch.zeros(2))


def test_a_damaged_file_in_torchs_cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(here))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    cached = here / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(saved(Evil()))
    with pytest.raises(UserError) as raised:
        Torchvision("resnet18", weights="imagenet")
    assert str(raised.value) == f"ImageNet weights of resnet18: {cached} is damaged {WORDS}"
    assert not (here / "it-ran").exists()


def test_a_run_does_not_go_on_from_a_malicious_checkpoint(
    here: Path, trained: Path, train: Callable
) -> None:
    run = shutil.copytree(trained, here / "run")
    (run / "result.json").unlink()
    without_sums(run)
    (run / LAST).write_bytes(saved({"state_dict": Evil()}))
    done = train("resume=run")
    assert done.returncode == 0, done.stderr
    assert f"{run / LAST}: the checkpoint is damaged {WORDS}; going on from" in done.stdout
    (run / "result.json").unlink()
    (run / BEST).write_bytes(saved({"state_dict": Evil()}))
    done = train("resume=run")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {run / BEST}: the checkpoint is damaged {WORDS}; it has")
    assert not (here / "it-ran").exists()
