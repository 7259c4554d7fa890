"""What a run is trained on, and in which precision."""

import contextlib
import ctypes
import importlib.metadata
import itertools
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from cifarlab.base.config import RunConfig

_PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "hydra-core", "numpy", "cifarlab")


@contextlib.contextmanager
def share(config: RunConfig, jobs: int, folder: Path) -> Iterator[RunConfig]:
    """This process's part of a machine that ``jobs`` like it use at once.

    The cores are shared out evenly, unless OMP_NUM_THREADS is set; each GPU goes to
    ``config["jobs_per_gpu"]`` processes, further ones wait for a place. Yields the configuration
    with ``trainer.devices`` as the GPU found. A place is a lock in ``folder``, the sweep's.
    """
    trainer = config["trainer"]
    if jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, _cores() // jobs))
    wants_gpu = trainer["accelerator"] in ("auto", "gpu", "cuda") and trainer["devices"] == 1
    if jobs == 1 or not wants_gpu or not torch.cuda.is_available():
        yield config
        return
    places = itertools.product(range(config["jobs_per_gpu"]), range(torch.cuda.device_count()))
    locks = [(gpu, FileLock(folder / f".gpu-{gpu}-{place}.lock")) for place, gpu in places]
    for gpu, lock in itertools.cycle(locks):
        with contextlib.suppress(Timeout), lock.acquire(blocking=False):
            yield {**config, "trainer": {**trainer, "devices": [gpu]}}
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
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": device.type,
        "name": name,
        "devices": devices,
        "cpu": _cpu_name(),
        "cpu_cores": _cores(),
        "threads": torch.get_num_threads(),
        "precision": precision,
    }


def versions() -> dict[str, str]:
    """The ``versions`` entry of the run record."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | found


def git_state(folder: Path) -> dict[str, Any]:
    """``sha`` of the checked-out commit and whether the files differ from it (``dirty``); both
    ``None`` outside a git repository."""
    command = ["git", "-C", str(folder)]
    try:
        sha = subprocess.check_output([*command, "rev-parse", "HEAD"], stderr=subprocess.DEVNULL)
        changes = subprocess.check_output([*command, "status", "--porcelain"])
    except (OSError, subprocess.CalledProcessError):
        return {"sha": None, "dirty": None}
    return {"sha": sha.decode().strip(), "dirty": bool(changes.strip())}


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


def _cpu_name() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()
