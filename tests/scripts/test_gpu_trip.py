"""``scripts/gpu_trip.sh``: its parts, with a Python that only notes what it was to run."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from cifarlab.base.checks import check_config
from tests.conftest import ROOT, plain

# Notes its arguments; fails where they have what is in the file "fails"
NOTES = """#!/bin/sh
echo "$*" >> "$WORK/calls"
if [ -s "$WORK/fails" ] && echo "$*" | grep -q -f "$WORK/fails"; then exit 3; fi
echo "here is what it says"
"""


@pytest.fixture
def script(tmp_path: Path):
    """``script(what, **environment)``: what it prints and what it called."""
    python = tmp_path / "python"
    python.write_text(NOTES, encoding="utf-8")
    python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()

    def start(what: str, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        (work / "calls").unlink(missing_ok=True)
        places = {"OUT": str(tmp_path / "out"), "WORK": str(work), "PYTHON": str(python)}
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / "gpu_trip.sh"), *what.split()],
            env=os.environ | places | {"DEVICE": "cpu"} | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        calls = work / "calls"
        return done, calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []

    return start


def test_parts_are_done_once(script, tmp_path: Path) -> None:
    (tmp_path / "work" / "fails").write_text("sweep=families", encoding="utf-8")
    done, calls = script("smoke")
    assert done.returncode == 1
    assert "families: FAILED (3)" in done.stdout and "tests: ok" in done.stdout
    assert "epoch: ok" in done.stdout and "    here is what it says" in done.stdout
    assert any("-m pytest -m gpu tests/gpu" in call for call in calls)
    (tmp_path / "work" / "fails").write_text("", encoding="utf-8")
    done, calls = script("smoke")
    assert done.returncode == 0 and len(calls) == 1 and "sweep=families" in calls[0]
    assert "epoch: done before" in done.stdout
    done, calls = script("all")
    assert done.returncode == 0, done.stderr
    assert [call.split()[0] for call in calls[:3]] == ["scripts/benchmark.py"] * 3
    assert "hydra.launcher.n_jobs=12 jobs_per_gpu=12" in " ".join(calls)
    assert calls[-1].startswith("scripts/campaign.py hours=0.")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "predictions.tar", "results.tgz", "summary.txt",
    ]  # fmt: skip
    with tarfile.open(tmp_path / "out" / "results.tgz") as archive:
        assert {"./summary.txt", "./logs/epoch.log"} <= set(archive.getnames())


@pytest.mark.parametrize("quick", ["", "1"])
def test_what_it_runs_composes(quick: str, script) -> None:
    _, calls = script("all", QUICK=quick, DATA="data=cifar10 data.root=x")
    runs = [call.split()[1:] for call in calls if call.startswith("train.py")]
    assert len(runs) >= 4 and all("data.root=x" in run for run in runs if "-m" not in run)
    for run in runs:
        swept = [item for item in run if "," in item and "[" not in item]
        firsts = [item.partition(",")[0] for item in swept]
        check_config(plain(*(item for item in run if item not in ("-m", *swept)), *firsts))


def test_the_time_is_up(script) -> None:
    done, calls = script("all", MINUTES="0")
    assert not any(call.startswith("train.py") for call in calls)
    assert "epoch: left out, the time is up" in done.stdout


def test_usage(script) -> None:
    done, calls = script("everything")
    assert (done.returncode, calls) == (2, [])
    assert done.stderr.startswith("usage: bash scripts/gpu_trip.sh")
