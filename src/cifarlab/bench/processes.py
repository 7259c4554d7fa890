"""Whole commands: what they compute and how much memory they take, from start to end."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cifarlab.base.errors import UserError
from cifarlab.bench.timing import Case

LIBRARIES = "import torch, torchvision, lightning.pytorch"
RUN = ("data=synthetic", "data.num_train=300", "data.num_test=100", "model=mlp", "max_epochs=1")
CELLS = 4


class Used(NamedTuple):
    """Seconds computed by a command and the processes it waited for, on all cores; its memory."""

    seconds: float
    mebibytes: float


# A process between, as small as can be: the highest use of memory that the kernel tells of a child
# begins with its parent's
_BETWEEN = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def run(command: Sequence[str], folder: Path, code: int = 0) -> Used:
    """Raises ``UserError`` where the command does not end with ``code``."""
    between = [sys.executable, "-S", "-c", _BETWEEN, *command]
    ended, seconds, mebibytes = subprocess.check_output(between, cwd=folder).split()
    if int(ended) != code:
        raise UserError(f"{' '.join(command)}: ended with {int(ended)}, not {code}")
    return Used(float(seconds), float(mebibytes))


def train(program: Path, *overrides: str, code: int = 0) -> Used:
    """``python train.py <overrides>`` in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return run([sys.executable, str(program), *overrides], Path(folder), code)


def libraries() -> Used:
    return run([sys.executable, "-c", LIBRARIES], Path.cwd())


def start(program: Path) -> list[Case]:
    """What is computed before there is an answer."""
    alone: Callable[[], float] = lambda: libraries().seconds  # noqa: E731
    return [
        Case("--help", "s", {"ours": lambda: train(program, "--help").seconds}),
        Case("a misspelt key", "s", {"ours": lambda: train(program, "sed=1", code=2).seconds}),
        Case(
            "a run of 4 steps",
            "s",
            {"ours": lambda: train(program, *RUN).seconds, "importing torch and Lightning": alone},
        ),
    ]


def memory(program: Path, overrides: Sequence[str]) -> Case:
    """At most in use at one time, the data set and its cache with it."""
    return Case(
        "a run",
        "MiB",
        {
            "ours": lambda: train(program, *overrides).mebibytes,
            "importing torch and Lightning": lambda: libraries().mebibytes,
        },
    )


def sweep(program: Path) -> Case:
    """Cells of a sweep beside as many commands, seconds on the wall: the sweep's processes go on
    after it, and what they computed is nobody's."""
    seeds = ",".join(str(seed) for seed in range(CELLS))

    def on_the_wall(*commands: Sequence[str]) -> float:
        began = time.perf_counter()
        for overrides in commands:
            train(program, *overrides, *RUN)
        return time.perf_counter() - began

    ways = {
        "one sweep": lambda: on_the_wall(("-m", f"seed={seeds}")),
        "as many commands": lambda: on_the_wall(*((f"seed={s}",) for s in range(CELLS))),
    }
    return Case(f"{CELLS} cells of 4 steps", "s", ways)
