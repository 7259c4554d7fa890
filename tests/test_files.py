"""Files with checksums: what is damaged is refused, what a kill leaves is not."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cifarlab.base.errors import UserError
from cifarlab.report.study.results import read_study
from cifarlab.report.sweep.results import collect
from cifarlab.run.session import TEST_READS, _read_count
from cifarlab.store import files, predictions
from cifarlab.store.checkpoint import BEST, INITIAL, LAST, AtomicCheckpointIO, read_checkpoint
from cifarlab.store.files import SUMS, copy_whole, read_checked, remove, write_atomic
from cifarlab.store.record import (
    CELLS,
    CONFIG,
    EPOCHS,
    FAILURE,
    PREDICTIONS,
    PRUNED,
    RESULT,
    STUDY,
    RunRecord,
    read_metrics,
    read_pruned,
    write_failure,
)
from cifarlab.store.run import Run, stored_config
from cifarlab.store.sweep import read_plan
from tests.conftest import ROOT, without_sums

FLIPS = 60  # places in each file


def write(path: Path, text: str) -> None:
    write_atomic(path, text, summed=True)


def test_sums_are_those_of_the_usual_tool(tmp_path: Path) -> None:
    for text in ("one", "two"):
        write(tmp_path / "a.txt", text)
        write(tmp_path / "b c.txt", text * 2)
    lines = (tmp_path / SUMS).read_text().splitlines()
    of = {text: hashlib.sha256(text.encode()).hexdigest() for text in ("one", "two", "oneone")}
    assert lines[:2] == [f"{of['two']}  a.txt", f"# {of['one']}  a.txt"]
    assert lines[3] == f"# {of['oneone']}  b c.txt"
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    check = ["sha256sum", "--check", "--strict", SUMS]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "a.txt: OK\nb c.txt: OK\n", done.stderr
    (tmp_path / "a.txt").write_text("twp")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_damaged_and_edited_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, "one")
    path.write_text("onf")
    with pytest.raises(UserError, match=r"a.txt: not as it was written .* damaged, or edited; if"):
        read_checked(path)
    (tmp_path / SUMS).write_text("")
    assert read_checked(path) == b"onf", "edited on purpose"
    write(path, "two")
    assert read_checked(path) == b"two"
    (tmp_path / SUMS).unlink()
    assert read_checked(path) == b"two", "of an earlier version"


def test_what_was_damaged_is_not_let_in_by_the_next_writing(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    write(path, "one")
    path.write_text("onf")

    def dies(*_) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda s, t: dies() if t == path else s.rename(t))
        write(path, "two")
    with pytest.raises(UserError, match="not as it was written"):
        read_checked(path)
    write(path, "two")
    assert read_checked(path) == b"two"


def test_a_copy_has_the_checksum_of_what_it_copies(tmp_path: Path) -> None:
    first, second = tmp_path / "best", tmp_path / "last"
    write(second, "before")
    write(first, "text")
    copy_whole(first, second)
    assert read_checked(second) == b"text" and second.stat().st_ino != first.stat().st_ino
    first.write_text("texu")
    assert read_checked(second) == b"text", "one may go on where the other is damaged"
    with pytest.raises(UserError, match="not as it was written"):
        read_checked(first)


def test_a_checkpoint_is_a_copy_only_of_the_same(tmp_path: Path, monkeypatch) -> None:
    saved: list[str] = []
    monkeypatch.setattr(torch, "save", lambda state, file: saved.append(file.name))
    io, folder = AtomicCheckpointIO(), tmp_path / "checkpoints"
    state = {"epoch": 1, "global_step": 8, "state_dict": {}}
    for name, checkpoint, writes in (
        ("best.ckpt", state, 1),
        ("last.ckpt", state, 1),  # copied
        ("last.ckpt", state | {"global_step": 9}, 2),
        ("best.ckpt", state, 3),
        ("last.ckpt", state | {"optimizer_states": []}, 4),
    ):
        io.save_checkpoint(checkpoint, folder / name)
        assert len(saved) == writes


def test_a_file_that_this_process_wrote_is_not_read_again_for_its_sum(
    tmp_path: Path, monkeypatch
) -> None:
    read: list[str] = []
    original = files._digest
    monkeypatch.setattr(files, "_digest", lambda p: read.append(p.name) or original(p))
    path = tmp_path / "a.txt"
    for text in ("one", "two", "three"):
        write(path, text)
    assert len(read) == 3 and path.name not in read, "each of the new ones, before it is renamed"
    path.write_text("another's")
    write(path, "four")
    assert read[-1] == path.name


def test_a_removed_file_has_no_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, name)
    remove(tmp_path / "a")
    remove(tmp_path / "nothing")
    assert not (tmp_path / "a").exists() and " a" not in (tmp_path / SUMS).read_text()
    assert read_checked(tmp_path / "b") == b"b"


KILLS = """
import os, pathlib, sys
from cifarlab.base.errors import UserError
from cifarlab.store.files import read_checked, write_atomic
folder = pathlib.Path(sys.argv[1])

def killed_at(moment, path, text):
    "Whether a process that writes is killed at its ``moment``-th step, before or after it."
    child = os.fork()
    if child == 0:
        steps = [0]
        def counted(call):
            def step(*args, **options):
                steps[0] += 1
                if 2 * steps[0] - 1 == moment:
                    os._exit(9)
                result = call(*args, **options)
                if 2 * steps[0] == moment:
                    os._exit(9)
                return result
            return step
        os.fsync, os.replace = counted(os.fsync), counted(os.replace)
        write_atomic(path, text, summed=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

count, first = 0, 1
while True:
    second, any_first = 1, False
    while True:
        path = folder / f"{first}-{second}.txt"
        write_atomic(path, "one", summed=True)
        any_first = killed_at(first, path, "two")
        assert read_checked(path) in (b"one", b"two"), path
        any_second = killed_at(second, path, "three")
        assert read_checked(path) in (b"one", b"two", b"three"), path
        write_atomic(path, "four", summed=True)
        assert read_checked(path) == b"four"
        count, second = count + 1, second + 1
        if not any_second:
            break
    first += 1
    if not any_first:
        break
print(count)
"""


def test_a_kill_at_any_step_leaves_a_file_that_is_read(tmp_path: Path) -> None:
    """Two kills one after the other, each before or after every fsync and rename of a writing."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 9 * 9, "four steps before and after each, and none"


def test_readers_and_other_writers_meanwhile(tmp_path: Path) -> None:
    wrong: list[BaseException] = []
    write(tmp_path / "read", "0")
    over = threading.Event()

    def writes(name: str) -> None:
        for number in range(60):
            write(tmp_path / name, str(number))

    def reads() -> None:
        while not over.is_set():
            try:
                int(read_checked(tmp_path / "read"))
            except BaseException as error:
                wrong.append(error)

    reader = threading.Thread(target=reads)
    writers = [threading.Thread(target=writes, args=(name,)) for name in ("read", "a", "b")]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    reader.join()
    assert wrong == []
    assert [read_checked(tmp_path / name) for name in ("read", "a", "b")] == [b"59"] * 3


@pytest.fixture(scope="module")
def folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has every file that is read again, and those of a sweep beside them."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("files") / "run")
    write_failure(folder, RuntimeError("no memory"), "")
    write(folder / PRUNED, json.dumps({"message": "pruned", "epoch": 1, "val_acc": 0.5}))
    write(folder / TEST_READS, "1")
    write(folder / CELLS, json.dumps({"a": ["seed=0"], "b": ["seed=1", "dropout=0.1"]}))
    study = yaml.safe_load((ROOT / "conf/study/group14_models.yaml").read_text())
    write(folder / STUDY, yaml.safe_dump(study | {"id": "group14_models"}))
    return folder


def reason(folder: Path) -> str:
    """Of a cell that failed."""
    for name in (RESULT, PRUNED):
        (folder / name).unlink(missing_ok=True)
    said = Run.read(folder).reason
    if said == "failure.json cannot be read":
        raise UserError(f"{folder / FAILURE}: {said}")
    return said


READERS: dict[str, Callable[[Path], Any]] = {
    CONFIG: stored_config,
    EPOCHS: lambda folder: read_metrics(folder / EPOCHS),
    RESULT: RunRecord.load,
    PREDICTIONS: predictions.load,
    str(BEST): lambda folder: read_checkpoint(folder / BEST),
    str(LAST): lambda folder: read_checkpoint(folder / LAST),
    str(INITIAL): lambda folder: read_checkpoint(folder / INITIAL),
    FAILURE: reason,
    PRUNED: read_pruned,
    TEST_READS: lambda folder: _read_count(folder / TEST_READS),
    CELLS: read_plan,
    STUDY: lambda folder: read_study(collect(folder)),
}


def flipped(path: Path, place: int, mask: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= mask
    path.write_bytes(content)


def places(path: Path) -> list[tuple[int, int]]:
    """Where to flip which bits of a byte, seeded; the ends of the file among them."""
    draw = random.Random(path.name)
    size = path.stat().st_size
    found = [draw.randrange(size) for _ in range(FLIPS - 2)]
    return [(place, draw.randrange(1, 256)) for place in [0, size - 1, *found]]


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_byte(name: str, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "run")
    whole = (copy / name).read_bytes()
    READERS[name](copy)
    for place, mask in places(copy / name):
        flipped(copy / name, place, mask)
        with pytest.raises(UserError) as raised:
            READERS[name](copy)
        assert Path(name).name in str(raised.value) and "\n" not in str(raised.value), place
        (copy / name).write_bytes(whole)
    READERS[name](copy)


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, b"{", b"[]", b"NaN", b"PK", b"\xff\xfe"])
@pytest.mark.parametrize("name", READERS)
def test_cut_off_and_garbage(name: str, damage: bytes, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "run")
    whole = (copy / name).read_bytes()
    for content in (damage, whole[: len(whole) // 2], whole[:-1]):
        (copy / name).write_bytes(content)
        with pytest.raises(UserError, match=Path(name).name) as raised:
            READERS[name](copy)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", READERS)
def test_a_flipped_byte_of_an_earlier_version(name: str, folder: Path, tmp_path: Path) -> None:
    """Without checksums it may pass; where it does not, it is a line."""
    copy = without_sums(shutil.copytree(folder, tmp_path / "run"))
    whole = (copy / name).read_bytes()
    for place, mask in places(copy / name):
        flipped(copy / name, place, mask)
        try:
            READERS[name](copy)
        except UserError as error:
            assert Path(name).name in str(error) and "\n" not in str(error), place
        (copy / name).write_bytes(whole)


@pytest.mark.parametrize("name", [RESULT, str(BEST)])
def test_flipped_bytes_of_the_sums(name: str, folder: Path, tmp_path: Path) -> None:
    """What it is about is refused, or is what it was."""
    copy = shutil.copytree(folder, tmp_path / "run")
    sums = (copy / name).parent / SUMS
    whole, content, refused = sums.read_bytes(), (copy / name).read_bytes(), 0
    for place in range(len(whole)):
        flipped(sums, place, 1)
        try:
            assert read_checked(copy / name) == content
        except UserError as error:
            assert "\n" not in str(error)
            refused += 1
        sums.write_bytes(whole)
    assert 20 < refused <= 64, "another digit is another sum; with g for f it is none"
