"""Counters of energy, made up: they begin anew, are not to be read, or are not there."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from cifarlab.base import energy
from cifarlab.base.energy import Meter


def rapl(folder: Path, *microjoules: int) -> list[Path]:
    """A counter for each, and a part of the first, which must not count again."""
    names = [f"intel-rapl:{i}" for i in range(len(microjoules))]
    for name, value in zip([*names, "intel-rapl:0:0"], [*microjoules, 7], strict=True):
        (folder / name).mkdir(parents=True)
        (folder / name / "energy_uj").write_text(f"{value}\n")
        (folder / name / "max_energy_range_uj").write_text("1000000000\n")
    return [folder / name / "energy_uj" for name in names]


def test_processors_are_summed_and_begin_anew(tmp_path) -> None:
    first, second = rapl(tmp_path, 5_000_000, 999_000_000)
    meter = Meter(rapl=tmp_path)
    first.write_text("25000000\n")
    second.write_text("3000000\n")
    assert meter.read() == {"cpu_j": 20.0 + 4.0}


def test_a_counter_that_cannot_be_read_leaves_none(tmp_path) -> None:
    _, second = rapl(tmp_path, 5_000_000, 999_000_000)
    meter = Meter(rapl=tmp_path)
    second.unlink()
    assert meter.read() is None, "not the half of it"
    assert Meter(rapl=tmp_path / "none").read() is None


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("pynvml")
    made.NVMLError = type("NVMLError", (Exception,), {})
    made.counted = {"GPU-0": 1_000, "GPU-1": 5_000}
    made.nvmlInit = lambda: None
    made.nvmlDeviceGetHandleByUUID = lambda uuid: uuid
    made.nvmlDeviceGetTotalEnergyConsumption = lambda handle: made.counted[handle]
    made.nvmlSystemGetDriverVersion = lambda: b"570.1"
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(energy, "_uuid", lambda gpu: f"GPU-{gpu}")
    return made


def test_gpus_are_those_of_the_run(tmp_path, nvml) -> None:
    meter = Meter([1], rapl=tmp_path)
    nvml.counted |= {"GPU-0": 9_000, "GPU-1": 17_500}
    assert meter.read() == {"gpu_j": 12.5}
    assert energy.driver() == "570.1"


def test_without_a_driver_there_is_nothing(tmp_path, nvml) -> None:
    def missing() -> None:
        raise nvml.NVMLError

    nvml.nvmlInit = missing
    assert Meter([0], rapl=tmp_path).read() is None and energy.driver() is None
