"""Who trains in a folder: one process, and a dead one does not count."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cifarlab.base.errors import UserError
from cifarlab.store.lock import RunLock, is_held

HOLDER = """
import sys, time
from cifarlab.store.lock import RunLock
lock = RunLock(sys.argv[1])
assert lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the lock of ``tmp_path / "run"``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_asking_creates_nothing(tmp_path: Path) -> None:
    assert not is_held(tmp_path) and not is_held(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_held_from_entering_to_leaving(tmp_path: Path) -> None:
    with RunLock(tmp_path / "run"):
        assert is_held(tmp_path / "run"), "by this process too"
    assert not is_held(tmp_path / "run")


def test_one_at_a_time(holder: subprocess.Popen, tmp_path: Path) -> None:
    assert is_held(tmp_path / "run")
    assert not RunLock(tmp_path / "run").acquire()
    with pytest.raises(UserError, match="another process trains here"), RunLock(tmp_path / "run"):
        pass
    assert is_held(tmp_path / "run"), "being refused takes nothing from the holder"


def test_a_killed_holder_leaves_it_free(holder: subprocess.Popen, tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / ".lock").exists()
    assert not is_held(tmp_path / "run")
    assert RunLock(tmp_path / "run").acquire()


def test_asking_does_not_disturb(tmp_path: Path) -> None:
    """Many ask while one takes and gives back: never refused, and no asker hinders another."""
    lock = RunLock(tmp_path)
    assert lock.acquire()
    lock.release()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: is_held(tmp_path), range(100)))
        assert not any(answers)
        asked = [pool.submit(is_held, tmp_path) for _ in range(100)]
        for _ in range(20):
            assert lock.acquire()
            lock.release()
        assert len([future.result() for future in asked]) == 100
