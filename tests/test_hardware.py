import os
import platform
import subprocess
import sys

import pytest
import torch

from cifarlab.base import hardware
from cifarlab.run.build import precision, syncs_batchnorm


def test_precision_follows_the_hardware(monkeypatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: {"avx512_bf16"})
    assert precision("auto", cpu) == "bf16-mixed"
    monkeypatch.setattr(hardware, "_cpu_flags", lambda: {"avx512f"})
    assert precision("auto", cpu) == "32-true"
    assert precision("bf16-mixed", cpu) == "bf16-mixed", "overridable"


def test_precision_on_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for capability, expected in (((7, 5), "32-true"), ((8, 0), "bf16-mixed")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert precision("auto", hardware.find_device("auto")) == expected


@pytest.mark.parametrize("gpu", [False, True])
def test_batch_norm_is_of_all_gpus(monkeypatch, gpu: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    for accelerator, on_gpu in (("auto", gpu), ("gpu", gpu), ("cpu", False)):
        device = hardware.find_device(accelerator)
        assert syncs_batchnorm({}, device) is on_gpu
        assert not syncs_batchnorm({"sync_batchnorm": False}, device)


def test_git_state(tmp_path) -> None:
    assert hardware.git_state(tmp_path) == {"sha": None, "dirty": None, "lock": None}
    assert hardware.changes(tmp_path) == b""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    state = hardware.git_state(tmp_path)
    assert len(state["sha"]) == 40 and state["dirty"] is False
    (tmp_path / "new.py").write_text("")
    (tmp_path / "requirements.lock").write_text("torch==2.15.0")
    state = hardware.git_state(tmp_path)
    assert state["dirty"] is True and len(state["lock"]) == 12
    assert hardware.changes(tmp_path) == b"", "git does not know the file"
    subprocess.run([*git, "add", "new.py"], check=True)
    assert hardware.changes(tmp_path).startswith(b"diff --git a/new.py b/new.py")


def test_describe() -> None:
    found = hardware.describe(torch.device("cpu"), 1, "32-true")
    assert found["device"] == "cpu" and found["name"] and found["cpu_cores"] >= 1


# page faults of taking and freeing 64 MiB ten times, once that has been done often enough for the
# aligned blocks to have found their places
FAULTS = """
import resource, sys
import torch
from cifarlab.base.hardware import keep_freed_memory

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(2**24)
before = faults()
for _ in range(10):
    torch.zeros(2**24)
print(kept, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))
    }

    def faults(how: str, **more: str) -> tuple[str, int]:
        command = [sys.executable, "-c", FAULTS, how]
        said = subprocess.run(
            command, env=plain | more, capture_output=True, text=True, check=True
        ).stdout
        return said.split()[0], int(said.split()[1])

    kept, few = faults("keep")
    assert kept == "True"
    assert few * 10 < faults("leave")[1]
    assert faults("keep", MALLOC_ARENA_MAX="2")[0] == "False", "the user's settings stand"
