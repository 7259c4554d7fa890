"""Programs of ours as a user starts them, without waiting for the same imports each time.

Of the five seconds of a tiny run four are imports of libraries. ``start`` has a process that did
them become the program: a new process with its own arguments, environment, folder, output and exit
code, which runs the script from its first line. Where the start itself is what is tested, tests
call ``subprocess`` as usual, and ``CIFARLAB_STARTS=real`` makes all do so.
"""

import array
import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path

ROOT = Path(__file__).parents[1]
_STARTING = threading.Lock()
# The starter becomes only what Python and the libraries would have started in just the same way
_READ_EARLY = (
    "PYTHON", "LD_", "MALLOC_", "OMP_", "MKL_", "LANG", "LC_", "COVERAGE_",
    "CXX", "MPL", "HOME", "XDG_",
)  # fmt: skip
_AT = os.environ | {"OMP_NUM_THREADS": "1"}


class Program:
    """A program that was started; the methods are those of ``subprocess.Popen``."""

    def __init__(self, told: int, arguments: list[str], files: list[int]) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._told, self._files = told, files
        weakref.finalize(self, _close, told, *set(files))
        self._said = b""
        self.pid = self._number(0)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.returncode = self._number(1)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (os.pread(file, os.fstat(file).st_size, 0).decode() for file in self._files)
        return out, err

    def _number(self, index: int) -> int:
        while self._said.count(b" ") <= index:
            got = os.read(self._told, 64)
            assert got, "the process between this one and the program was killed"
            self._said += got
        return int(self._said.split()[index])

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    script: Path | str,
    *arguments: str,
    cwd: Path,
    environment: dict[str, str] | None = None,
    session: bool = False,
    together: bool = False,
    bound: bool = False,
) -> Program | subprocess.Popen[str]:
    """Start a script of ours with one thread.

    environment: what is other than in this process.
    session: as ``start_new_session`` of ``subprocess.Popen``.
    together: stderr goes where stdout goes.
    bound: permissions of files hold also if it is root who runs this; Linux only.
    """
    whole = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
    typed = [str(script), *arguments]
    if _is_real(whole) and not bound:
        return subprocess.Popen(
            [sys.executable, *typed], cwd=cwd, env=whole, text=True, start_new_session=session,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT if together else subprocess.PIPE,
        )  # fmt: skip
    what = {
        "arguments": typed, "cwd": str(cwd), "environment": whole,
        "session": session, "bound": bound,
    }  # fmt: skip
    out = _file()
    err = out if together else _file()
    ours, theirs = socket.socketpair()
    descriptors = array.array("i", [out, err, theirs.fileno()])
    with _STARTING, theirs:
        starter().sendmsg(
            [json.dumps(what).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
        )
    return Program(ours.detach(), typed, [out, err])


def _file() -> int:
    """A file without a name, for what a program prints."""
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def _close(*files: int) -> None:
    for file in files:
        os.close(file)


def run(
    script: Path | str,
    *arguments: str,
    cwd: Path,
    environment: dict[str, str] | None = None,
    timeout: float = 300,
    bound: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a script of ours to its end; see ``start``."""
    program = start(script, *arguments, cwd=cwd, environment=environment, bound=bound)
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise
    assert program.returncode is not None
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def _is_real(environment: dict[str, str]) -> bool:
    def early(found: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in found.items() if key.startswith(_READ_EARLY)}

    return (
        sys.platform != "linux"  # libraries of others do not survive a fork
        or environment.get("CIFARLAB_STARTS") == "real"
        or early(environment) != early(_AT)
    )


@functools.cache
def starter() -> socket.socket:
    """The connection to the process that becomes others; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tempfile.TemporaryFile() as said:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "starter.py"), str(theirs.fileno())],
                env=_AT, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        atexit.register(process.wait)
        atexit.register(ours.close)
        ready = ours.recv(16)
        said.seek(0)
        printed = said.read().decode()
    assert ready == b"ready" and not printed, f"the libraries speak when imported: {printed}"
    return ours
