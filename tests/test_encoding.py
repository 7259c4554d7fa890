"""Names in any letters, whatever the terminal's encoding and the system's."""

import ast
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, TINY

NAME = "caf\u00e9-\u732b"


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param("ascii", marks=pytest.mark.slow),
        "ascii:strict",
        pytest.param("latin-1", marks=pytest.mark.slow),
    ],
)
def test_a_terminal_without_the_letters(cache, tmp_path, encoding: str) -> None:
    """They are escaped on the screen, and right in the files."""
    folder = tmp_path / "outputs" / "sweeps" / NAME
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", *TINY, f"data.cache_dir={cache}",
         "max_epochs=1", f"sweep='{NAME}'", f"name='{NAME}'"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "LANG": "C", "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accent = b"\xe9" if encoding == "latin-1" else b"\\xe9"
    assert b"sweep outputs/sweeps/caf" + accent + b"-\\u732b: 1 cells" in done.stdout
    assert b"Error" not in done.stderr
    assert b"outputs/sweeps/caf" + accent + b"-\\u732b/report.html" in done.stdout
    assert NAME in (folder / "report.md").read_text(encoding="utf-8")
    (log,) = folder.glob("*/run.log")
    assert "epoch 1/1" in log.read_text(encoding="utf-8")


def test_text_files_are_utf_8_wherever() -> None:
    """Every file that is opened as text says so; the default is the system's."""
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name, given = node.func.attr, {keyword.arg for keyword in node.keywords}
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            is_text = name in ("read_text", "write_text") or (
                name == "open" and any(mode in ("r", "w", "a") for mode in modes)
            )
            assert not is_text or "encoding" in given, f"{path.name}:{node.lineno}"
