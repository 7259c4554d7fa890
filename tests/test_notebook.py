"""examples/tour.ipynb runs from top to bottom and says what it should."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
TOUR = ROOT / "examples" / "tour.ipynb"


def test_it_is_kept_with_what_it_printed() -> None:
    cells = [c for c in nbformat.read(TOUR, as_version=4).cells if c.cell_type == "code"]
    assert len(cells) == 11, "the first one installs"
    assert all(cell.outputs and cell.execution_count for cell in cells[2:])
    assert "Validation: a is better than b" in cells[10].outputs[0].text, "a settled difference"
    assert "sys.path.append" in cells[0].source, "an editable install is not seen by the kernel"
    text = TOUR.read_text(encoding="utf-8")
    assert "it/s" not in text and str(Path.home()) not in text and "/tmp/" not in text


@pytest.mark.filterwarnings("default")
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").mkdir()
    for name in ("train.py", "conf", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    python = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{python}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(TOUR, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "examples")}}
    )
    client.execute()
    said = [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    said = said[1:]  # without the cell that installs
    assert "38,042 by formula" in said[2] and "38,042 parameters, as in theory" in said[4]
    assert re.search(r"^test +\d+\.\d\d% +\d\.\d{4}\s", said[3], re.M)
    assert "Predictor(tbmi26_cnn; 10 classes" in said[4]
    assert said[5].count("predicted") == 10
    assert said[8].count("val_acc") == 6
    assert re.search(r"## Verdict\s+Validation: a is better than b .*over 3 shared", said[9])
    assert "it/s" not in "".join(said), "no progress bars"
    shown = [o for cell in notebook.cells for o in cell.get("outputs", []) if "data" in o]
    assert sum("image/png" in output.data for output in shown) == 3
