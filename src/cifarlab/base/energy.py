"""Energy that a run has taken, by the counters of GPUs (NVML) and of processors (RAPL).

Both count since the machine was started, whatever runs on it: what else it did meanwhile is in the
number. NVML's counter is there from Volta on, with the package ``nvidia-ml-py``; RAPL's files can
often be read by root alone.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RAPL = Path("/sys/class/powercap")


class Meter:
    """Counts from when it is made.

    Args:
        gpus: numbers of the GPUs of the run, as CUDA counts them.
        rapl: the folder of the processors' counters.
    """

    def __init__(self, gpus: Sequence[int] = (), rapl: Path = RAPL) -> None:
        self._nvml, self._handles = _nvml(gpus)
        self._packages = _packages(rapl)
        self._gpus_before = self._of_gpus()
        self._before = [_read(package / "energy_uj") for package in self._packages]

    def read(self) -> dict[str, float] | None:
        """``gpu_j`` and ``cpu_j``, joules since the beginning; a counter that cannot be read is
        left out, and ``None`` is returned if none can."""
        found = {}
        now = self._of_gpus()
        if self._gpus_before is not None and now is not None:
            found["gpu_j"] = (now - self._gpus_before) / 1e3
        joules = [
            _passed(before, _read(package / "energy_uj"), _read(package / "max_energy_range_uj"))
            for package, before in zip(self._packages, self._before, strict=True)
        ]
        known = [one for one in joules if one is not None]
        if known and len(known) == len(joules):
            found["cpu_j"] = sum(known)
        return {name: round(value, 1) for name, value in found.items()} or None

    def _of_gpus(self) -> float | None:
        """Millijoules of all GPUs together."""
        if not self._handles:
            return None
        try:
            return float(sum(map(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._handles)))
        except self._nvml.NVMLError:
            return None


def driver() -> str | None:
    """The version of NVIDIA's driver; ``None`` where there is none, or no ``nvidia-ml-py``."""
    nvml = _nvml([])[0]
    if nvml is None:
        return None
    found = nvml.nvmlSystemGetDriverVersion()
    return found.decode() if isinstance(found, bytes) else str(found)


def _nvml(gpus: Sequence[int]) -> tuple[Any, list[Any]]:
    """NVIDIA's library, ready to be asked, with the handles of the GPUs; ``None`` without one."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, []
    try:
        nvml.nvmlInit()
        return nvml, [nvml.nvmlDeviceGetHandleByUUID(_uuid(gpu)) for gpu in gpus]
    except (nvml.NVMLError, AssertionError, RuntimeError):  # no driver, no such GPU
        return None, []


def _uuid(gpu: int) -> str:
    """What NVML, which does not know of CUDA_VISIBLE_DEVICES, calls a GPU."""
    import torch

    return f"GPU-{torch.cuda.get_device_properties(gpu).uuid}"


def _packages(rapl: Path) -> list[Path]:
    """The folders of whole processors; their parts (``intel-rapl:0:0``) are in them already."""
    return [path for path in sorted(rapl.glob("intel-rapl:*")) if path.name.count(":") == 1]


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _passed(before: int | None, now: int | None, most: int | None) -> float | None:
    """Joules between two readings in microjoules, where the counter begins anew once at most."""
    if before is None or now is None:
        return None
    if now < before:
        if most is None:
            return None
        now += most
    return (now - before) / 1e6
