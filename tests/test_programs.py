"""Programs that are started without their imports are as those that are started with them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="each program is started anew there")
SAYS = """
import os, pathlib, sys
import neighbour
print(sys.argv, __name__, __file__, pathlib.Path.cwd(), os.environ.get("OF_TEST"), neighbour.x)
print("an error", file=sys.stderr)
sys.stdin.read()
if sys.argv[1:] == ["raise"]:
    raise ValueError("what was asked")
if sys.argv[1:] == ["abort"]:
    os.abort()
sys.exit(int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1])
"""


@pytest.mark.parametrize("argument", ["0", "3", "words", "raise", "abort"])
def test_as_python_would(argument: str, tmp_path: Path) -> None:
    script = tmp_path / "programs" / "says.py"
    script.parent.mkdir()
    script.write_text(SAYS)
    (script.parent / "neighbour.py").write_text("x = 5")
    other = {"OF_TEST": "yes"}
    real, made = (
        programs.run(script, argument, cwd=tmp_path, environment=other | more)
        for more in ({"CIFARLAB_STARTS": "real"}, {})
    )
    assert made.stdout == real.stdout and "yes 5" in made.stdout
    assert made.returncode == real.returncode
    assert made.stderr.splitlines()[-1] == real.stderr.splitlines()[-1]


@LINUX
def test_what_is_read_at_the_start_makes_a_real_one(tmp_path: Path) -> None:
    script = tmp_path / "flags.py"
    script.write_text("import sys; print(sys.flags.optimize, sys.orig_argv[-1])")
    assert programs.run(script, cwd=tmp_path).stdout.split()[0] == "0"
    made = programs.run(script, cwd=tmp_path, environment={"PYTHONOPTIMIZE": "1"})
    assert made.stdout == f"1 {script}\n"
    script.write_text("import sys; print('torch' in sys.modules)")
    assert programs.run(script, cwd=tmp_path).stdout == "True\n"
    assert programs.run(script, cwd=tmp_path, environment={"CXX": "none"}).stdout == "False\n"


def test_signals(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text("print('begun', flush=True)\nimport time\ntime.sleep(60)")
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, -2)):
        program = programs.start(script, cwd=tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(timeout=0.2)
        assert program.poll() is None
        program.send_signal(number)
        out, err = program.communicate(timeout=10)
        assert (program.returncode, out) == (code, "begun\n")
        assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


@LINUX
def test_it_does_not_wait_for_imports(tmp_path: Path) -> None:
    script = tmp_path / "imports.py"
    script.write_text("import sys\nprint('torch' in sys.modules, 'cifarlab' in sys.modules)")
    assert programs.run(script, cwd=tmp_path).stdout == "True False\n"
    real = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert real.stdout == "False False\n"
