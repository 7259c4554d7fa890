"""Kills at random times, until it is done: a run, a sweep and a cell end as if nothing had been.

``CIFARLAB_KILLS=100 pytest tests/test_kills.py`` kills as often as docs/reliability.md says; of
sweeps a third of it. The times are drawn from a seed, what they meet is not the same twice.
"""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from cifarlab.store.record import CONFIG, RunRecord, is_finished
from tests import programs
from tests.conftest import ROOT, TINY
from tests.test_resume import same

KILLS = int(os.environ.get("CIFARLAB_KILLS", "3"))
# data and cache 0.5 s, training 4 s, measuring and drawing 2 s
RUN = [*TINY, "model=tbmi26_cnn", "data.num_train=2000", "max_epochs=3", "dropout=0.2"]
RUN += ["aug=crop_flip", "evaluation=true", "logger.tensorboard.images_every=1"]
SWEEP = ["-m", *RUN, "seed=0,1", "sweep=x", "evaluation=false", "max_epochs=2"]


def start(folder: Path, arguments: list[str]) -> programs.Program:
    return programs.start(ROOT / "train.py", *arguments, cwd=folder, session=True, together=True)


def kill_or_finish(process: programs.Program, after: float, *, group: bool) -> bool:
    """SIGKILL after so many seconds, to the process or to all that it has started; whether it
    hit. What ends before must end well."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        out, _ = process.communicate(timeout=after)
        assert process.returncode == 0 and "Traceback" not in out, out
        return False
    if group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()
    return True


def orphans(folder: Path) -> list[str]:
    """Processes that were started in a folder and are there still."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").resolve() == folder.resolve():
                found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


def test_runs(tmp_path: Path) -> None:
    """Each goes on until it is done, into a cache of its own."""
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    assert not kill_or_finish(start(whole, [*RUN, "hydra.run.dir=run"]), 300, group=False)
    length = time.monotonic() - began
    draw, hits, number = random.Random(KILLS), 0, 0
    while hits < KILLS:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        number += 1
        while not is_finished(folder / "run") or not drawn(folder / "run"):
            begun = (folder / "run" / CONFIG).is_file()
            arguments = ["resume=run"] if begun else [*RUN, "hydra.run.dir=run"]
            process = start(folder, arguments)
            after = draw.uniform(0, 1.1 * length) if hits < KILLS else 300
            hits += kill_or_finish(process, after, group=True)
        same(whole / "run", folder / "run", cuts=hits)
        assert not list((folder / "run").rglob("*.tmp*")), "half a file"
    print(f"{hits} kills of {number} runs of {length:.1f} s")


def drawn(run: Path) -> bool:
    return (run / "figures" / "evaluation.png").is_file()


def test_sweeps(tmp_path: Path) -> None:
    """The same command, typed until it says that all is done; no process is left behind."""
    whole = tmp_path / "whole"
    whole.mkdir()
    began = time.monotonic()
    assert not kill_or_finish(start(whole, SWEEP), 300, group=False)
    length = time.monotonic() - began
    draw, hits, number, least = random.Random(KILLS), 0, 0, max(1, KILLS // 3)
    while hits < least:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        number += 1
        hit = True
        while hit:
            after = draw.uniform(0, 1.1 * length) if hits < least else 300
            hit = kill_or_finish(start(folder, SWEEP), after, group=draw.random() < 0.5)
            hits += hit
            end = time.monotonic() + 20
            while left := orphans(folder):
                assert time.monotonic() < end, left
                time.sleep(0.1)
        for cell in sorted((whole / "outputs/sweeps/x").glob("*/result.json")):
            same(cell.parent, folder / "outputs/sweeps/x" / cell.parent.name, cuts=hits)
        records = [RunRecord.load(path.parent) for path in folder.rglob("result.json")]
        seeds = [record.seed for record in records]
        assert sorted(seeds) == [0, 1]
    print(f"{hits} kills of {number} sweeps of {length:.1f} s")
