"""What a run is trained on, and in which precision."""

import contextlib
import ctypes
import hashlib
import importlib.metadata
import itertools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from cifarlab.base.config import RunConfig
from cifarlab.base.energy import driver
from cifarlab.base.plain import device_count

_GPUS = "CIFARLAB_GPUS"  # environment variable: a run's, for the processes that it starts
_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "cifarlab")


@contextlib.contextmanager
def share(config: RunConfig, jobs: int, folder: Path) -> Iterator[RunConfig]:
    """This cell's part of a machine that ``jobs`` like it use at once.

    The cores are shared out evenly, unless OMP_NUM_THREADS is set; each GPU goes to
    ``config["jobs_per_gpu"]`` cells, further ones wait for a place. A cell of several devices gets
    GPUs that are neighbours. Yields the configuration with ``trainer.devices`` as the GPUs found,
    in all processes of the cell. A place is a lock in ``folder``, the sweep's.
    """
    trainer = config["trainer"]
    number = device_count(trainer["devices"])
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, _cores() // (jobs * number))
        torch.set_num_threads(threads)
        if number > 1:  # else Lightning shares out all cores among this cell's processes
            os.environ["OMP_NUM_THREADS"] = str(threads)
    given = os.environ.get(_GPUS)
    if given and os.environ.get("LOCAL_RANK", "0") != "0":  # Lightning started it for this cell
        yield {**config, "trainer": {**trainer, "devices": [int(gpu) for gpu in given.split(",")]}}
        return
    wants_gpus = trainer["accelerator"] in ("auto", "gpu", "cuda")
    if jobs == 1 or not wants_gpus or isinstance(trainer["devices"], list):
        yield config
        return
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number > available:  # Lightning says what is missing
        yield config
        return
    with _place(available, number, config["jobs_per_gpu"], folder) as gpus:
        if number > 1:
            os.environ[_GPUS] = ",".join(map(str, gpus))
        try:
            yield {**config, "trainer": {**trainer, "devices": gpus}}
        finally:
            os.environ.pop(_GPUS, None)


@contextlib.contextmanager
def _place(available: int, number: int, jobs_per_gpu: int, folder: Path) -> Iterator[list[int]]:
    """Wait until ``number`` GPUs side by side have a place each, and hold those."""
    blocks = [
        list(range(first, first + number)) for first in range(0, available - number + 1, number)
    ]
    for place, gpus in itertools.cycle(itertools.product(range(jobs_per_gpu), blocks)):
        with contextlib.suppress(Timeout), contextlib.ExitStack() as held:
            for gpu in gpus:
                lock = FileLock(folder / f".gpu-{gpu}-{place}.lock")
                held.enter_context(lock.acquire(blocking=False))
            yield gpus
            return
        time.sleep(0.2)


def find_device(accelerator: str) -> torch.device:
    """What ``trainer.accelerator`` trains on: ``auto``, ``gpu``, ``cuda``, ``mps`` or ``cpu``; the
    CPU where there is no such thing."""
    if accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("gpu", "mps", "auto") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def wait(device: torch.device) -> None:
    """Until the device has done what it was given: a GPU is given work long before it does it, and
    a clock that is read meanwhile is read too early."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def keep_freed_memory() -> bool:
    """Have this process keep the memory it frees, for the next step; whether it now does.

    Each training step on a CPU takes and frees the same large blocks. glibc gives those back to the
    system, which zeroes every page of the next ones again. Only glibc is told, and not where the
    environment has settings for it (``MALLOC_...``, ``GLIBC_TUNABLES``) or another allocator
    (``LD_PRELOAD``).
    """
    settled = any(name.startswith("MALLOC_") for name in os.environ)
    if settled or {"GLIBC_TUNABLES", "LD_PRELOAD"} & os.environ.keys():
        return False
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    # M_MMAP_MAX: no block straight from the system; M_TRIM_THRESHOLD: the heap's end is kept
    return bool(libc.mallopt(-4, 0) and libc.mallopt(-1, -1))


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware.

    On a GPU from compute capability 8.0 (Ampere) on: torch's own ``is_bf16_supported`` is also true
    where bf16 is emulated.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool({"avx512_bf16", "amx_bf16", "bf16"} & _cpu_flags())
    return False


def describe(device: torch.device, devices: int, precision: str) -> dict[str, Any]:
    """The ``hardware`` entry of the run record."""
    on_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if on_gpu else processor(),
        "devices": devices,
        "cpu": processor(),
        "cpu_cores": _cores(),
        "threads": torch.get_num_threads(),
        "precision": precision,
    } | ({"driver": driver()} if on_gpu else {})


def versions() -> dict[str, str]:
    """The ``versions`` entry of the run record."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | found


def git_state(folder: Path) -> dict[str, Any]:
    """``sha`` of the checked-out commit, whether the files differ from it (``dirty``), and the
    first digits of the SHA-256 of ``requirements.lock`` (``lock``); all ``None`` outside a git
    repository."""
    command = ["git", "-C", str(folder)]
    try:
        place = ["rev-parse", "HEAD", "--show-toplevel"]
        said = subprocess.check_output([*command, *place], stderr=subprocess.DEVNULL)
        status = subprocess.check_output([*command, "status", "--porcelain"])
    except (OSError, subprocess.CalledProcessError):
        return {"sha": None, "dirty": None, "lock": None}
    sha, top = said.decode().split("\n")[:2]
    lock = Path(top) / "requirements.lock"
    digits = hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.is_file() else None
    return {"sha": sha, "dirty": bool(status.strip()), "lock": digits}


def changes(folder: Path) -> bytes:
    """What ``git apply`` needs to make the files of today of those of the commit, without files
    that git does not know; empty where there is nothing, and outside a git repository."""
    command = ["git", "-C", str(folder), "diff", "--binary", "HEAD"]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return b""


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _cpu_flags() -> set[str]:
    return set((_cpuinfo("flags") or _cpuinfo("Features")).split())


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The name of the processor, as the system tells it."""
    return _cpuinfo("model name") or _sysctl() or platform.processor() or platform.machine()


def _sysctl() -> str:
    """A Mac's processor, ``Apple M2``: what ``platform`` says there is ``arm``."""
    if sys.platform != "darwin":
        return ""
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.check_output(command, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
