"""What a Mac and Windows do not have, as far as Linux can tell."""

import os
import re
import select
import signal
import subprocess
import sys

import pytest

from cifarlab.base import hardware
from cifarlab.sweep import launching
from tests.conftest import ROOT


class Started(subprocess.Popen):
    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.pid, self.returncode = 7, 0


def test_cells_are_forked_on_linux_only(monkeypatch, tmp_path) -> None:
    """Metal and Accelerate may crash in a process that was forked after they were loaded."""
    config = {"trainer": {"devices": 1}}
    monkeypatch.setattr(
        launching.multiprocessing,
        "get_context",
        lambda method: pytest.fail(f"{method} on {sys.platform}"),
    )
    monkeypatch.setattr(launching.subprocess, "Popen", Started)
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        child = launching.start(tmp_path, config, 1, None)
        assert child.pid == 7
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(pytest.fail.Exception, match="forkserver on linux"):
        launching.start(tmp_path, config, 1, None)


ORPHAN = """
import subprocess, sys
child = '''
import sys, time
from cifarlab.sweep import worker
sys.platform = "darwin"  # no prctl
worker._die_with_parent()
print("following", flush=True)
time.sleep(60)
'''
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE, text=True)
print(process.stdout.readline().strip(), process.pid, flush=True)
input()
"""


def test_no_cell_trains_on_unseen_on_a_mac() -> None:
    command = [sys.executable, "-c", ORPHAN]
    where = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=where) as sweep:
        assert sweep.stdout is not None
        word, pid = sweep.stdout.readline().split()
        assert word == "following"
        cell = os.pidfd_open(int(pid))
        sweep.kill()
    ended = bool(select.select([cell], [], [], 20)[0])
    if not ended:
        signal.pidfd_send_signal(cell, signal.SIGKILL)
    os.close(cell)
    assert ended, "it lives on"


def test_the_processor_of_a_mac(monkeypatch) -> None:
    monkeypatch.setattr(hardware, "_cpuinfo", lambda key: "")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(hardware.subprocess, "check_output", lambda *a, **k: b"Apple M2\n")
    assert hardware.processor() == "Apple M2"


def test_a_mac_without_an_answer(monkeypatch) -> None:
    def missing(*arguments, **more):
        raise FileNotFoundError("sysctl")

    monkeypatch.setattr(hardware, "_cpuinfo", lambda key: "")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(hardware.subprocess, "check_output", missing)
    monkeypatch.setattr(hardware.platform, "processor", lambda: "arm")
    assert hardware.processor() == "arm"


# 64 bits on the CPU or on CUDA, never on a Mac's GPU: what these compute is put there by them
ELSEWHERE = {"data/corruptions.py", "data/draws.py", "models/speednet.py"} | {
    f"use/{name}.py" for name in ("robustness", "shifts")
}


def test_64_bits_are_not_asked_of_a_macs_gpu() -> None:
    """Metal has no float64: what a net says leaves the device before it becomes that."""
    source = ROOT / "src" / "cifarlab"
    found = [
        f"{path.relative_to(source)}: {line.strip()}"
        for path in sorted(source.rglob("*.py"))
        if str(path.relative_to(source)) not in ELSEWHERE
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(?<!\.cpu\(\))\.double\(\)|\.to\(torch\.float64\)", line)
    ]
    assert found == []
