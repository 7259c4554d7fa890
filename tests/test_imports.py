"""Which room may import which, and what a quick command must not import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SRC = ROOT / "src"
# room: the rooms of ours it may import, besides itself and base, which anyone may
ALLOWED: dict[str, set[str]] = {
    "base": set(),
    "inspection": set(),
    "theory": {"inspection"},
    "stats": set(),
    "figures": set(),
    "models": set(),
    "data": set(),
    "lit": {"stats"},
    "store": {"stats"},
    "studies": {"stats", "store"},
    "callbacks": {"figures", "inspection", "stats", "store"},
    "run": {"callbacks", "figures", "inspection", "lit", "stats", "store"},
    "bench": {"data", "lit", "run", "store"},
    "sweep": {"callbacks", "run", "store"},
    "use": {"data", "figures", "inspection", "store"},
    "report": {"data", "figures", "inspection", "stats", "store", "studies"},
    "dashboard": {"figures", "report", "store", "sweep", "use"},
    "campaign": {"inspection", "report", "run", "stats", "store", "studies"},
    "hydra_plugins": {"report", "store", "studies", "sweep"},
    "train.py": {"report", "run", "store", "sweep"},
    "scripts": {
        "bench",
        "campaign",
        "dashboard",
        "data",
        "figures",
        "report",
        "run",
        "store",
        "studies",
        "theory",
    }
    | {"studies", "theory", "use"},
}
RESTRICTED = {
    "matplotlib": {"figures"},
    "hydra": {"base", "hydra_plugins", "report", "run", "scripts", "store", "sweep"}
    | {"bench", "train.py", "use"},
}


def imports(source: str) -> set[str]:
    """Full names of all imported modules, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    if parts[0] != "src":
        return parts[0]
    return parts[1] if parts[1] == "hydra_plugins" else parts[2].removesuffix(".py")


def files() -> list[Path]:
    found = [*SRC.rglob("*.py"), ROOT / "train.py", *(ROOT / "scripts").glob("*.py")]
    return [path for path in found if path.parent.name != "cifarlab" or path.name != "__init__.py"]


def forbidden(where: str, names: set[str]) -> list[str]:
    wrong = []
    for name in sorted(names):
        parts = name.split(".")
        if parts[0] == "cifarlab":
            target = parts[1] if len(parts) > 1 else ""
            if target not in ALLOWED[where] | {"base", where}:
                wrong.append(name)
        elif where not in RESTRICTED.get(parts[0], {where}):
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_direction(path: Path) -> None:
    assert forbidden(room(path), imports(path.read_text())) == []


def test_the_guard_can_fail() -> None:
    assert forbidden("models", imports("from cifarlab.data.splits import split")) != []
    assert forbidden("theory_", set()) == []
    assert forbidden("lit", imports("def f():\n    import matplotlib.pyplot")) != []
    assert forbidden("data", imports("from hydra.utils import instantiate")) != []
    assert forbidden("models", imports("from cifarlab.base.errors import UserError")) == []


def test_every_room_is_under_the_guard() -> None:
    assert {room(path) for path in files()} == set(ALLOWED)


def test_the_rooms_are_in_storeys() -> None:
    """No circles: each room imports only rooms above it in the list."""
    rooms = list(ALLOWED)
    for where, allowed in ALLOWED.items():
        assert all(rooms.index(room) < rooms.index(where) for room in allowed), where


def loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport sys; print(*sys.modules)"
    out = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    return {name.partition(".")[0] for name in out.split("\n")[-2].split()}


@pytest.mark.parametrize("argument", ["--help", "--cfg job", "droput=0.1", "dropout=1.5"])
def test_quick_answers_do_not_import_torch(argument: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv = ['train.py', *{argument.split()!r}, 'output_root={tmp_path}']
import train
try:
    train.main()
except SystemExit:
    pass
"""
    loaded = loaded_by(code)
    assert "hydra" in loaded
    assert not loaded & {"torch", "torchvision", "lightning", "matplotlib", "numpy"}


def test_the_check_above_can_fail() -> None:
    assert "torch" in loaded_by("import cifarlab.lit")


def test_theory_is_arithmetic() -> None:
    loaded = loaded_by("from cifarlab.theory.questions import answer; answer('reports', {})")
    assert not loaded & {"torch", "numpy", "hydra", "omegaconf"}


def test_the_package_itself_is_light() -> None:
    loaded = loaded_by("import cifarlab; assert {'load', 'Predictor'} <= set(dir(cifarlab))")
    assert not loaded & {"torch", "numpy", "hydra", "PIL"}
    assert "torch" in loaded_by("import cifarlab; cifarlab.load")


def test_records_need_the_standard_library_only() -> None:
    loaded = loaded_by("import cifarlab.store.record, cifarlab.base.errors, cifarlab.base.checks")
    assert not loaded & {"torch", "numpy", "hydra", "omegaconf", "yaml"}
