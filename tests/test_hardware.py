import subprocess

import torch

from cifarlab import hardware
from cifarlab.build import precision


def test_precision_follows_the_hardware(monkeypatch) -> None:
    options = {"precision": "auto", "accelerator": "cpu"}
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: {"avx512_bf16"})
    assert precision(options) == "bf16-mixed"
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: {"avx512f"})
    assert precision(options) == "32-true"
    assert precision(options | {"precision": "bf16-mixed"}) == "bf16-mixed", "overridable"


def test_precision_on_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in (((7, 5), "32-true"), ((8, 0), "bf16-mixed")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert precision({"precision": "auto", "accelerator": "auto"}) == expected


def test_git_state(tmp_path) -> None:
    assert hardware.git_state(tmp_path) == {"sha": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    state = hardware.git_state(tmp_path)
    assert len(state["sha"]) == 40 and state["dirty"] is False
    (tmp_path / "new.py").write_text("")
    assert hardware.git_state(tmp_path)["dirty"] is True


def test_describe() -> None:
    found = hardware.describe(torch.device("cpu"), 1, "32-true")
    assert found["device"] == "cpu" and found["name"] and found["cpu_cores"] >= 1
