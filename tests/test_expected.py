"""Tests that are skipped for want of something that is expected to be there fail."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPPED = """
import pytest
from tests.conftest import pytest_runtest_makereport

@pytest.mark.slurm
def test_it():
    pytest.skip("none here")
"""


@pytest.mark.parametrize(("expected", "code"), [("", 0), ("browser", 0), ("browser,slurm", 1)])
def test_a_skip_where_it_is_expected(
    expected: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conftest.py").write_text(SKIPPED.split("@")[0])
    (tmp_path / "test_it.py").write_text(SKIPPED)
    monkeypatch.setenv("CIFARLAB_EXPECT", expected)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("skipped, but CIFARLAB_EXPECT has slurm" in done.stdout) == bool(code)
