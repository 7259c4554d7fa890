"""Where the tests of ``pytest -m gpu`` run: on the first GPU, or, to try the tests themselves, with
``CIFARLAB_GPU_TESTS=cpu`` on the CPU."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY

ON_CPU = os.environ.get("CIFARLAB_GPU_TESTS") == "cpu"
# A run of some seconds, but for where it runs and with which net
SMALL = [item for item in TINY if not item.startswith(("trainer", "model="))]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests out unless they are asked for: ``1 passed, 50 deselected``."""
    if "gpu" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def device() -> torch.device:
    if ON_CPU:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.exit("no GPU here; CIFARLAB_GPU_TESTS=cpu runs these tests on the CPU", 2)
    return torch.device("cuda")


@pytest.fixture(scope="session")
def trainer(device: torch.device) -> str:
    """The override that puts a run there."""
    return "trainer=cpu" if device.type == "cpu" else "trainer=gpu"


@pytest.fixture
def wait(device: torch.device) -> Callable[[], None]:
    """Wait until the device has done all it was given."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


@pytest.fixture(scope="session")
def small(cache: Path, trainer: str) -> list[str]:
    return [*SMALL, f"data.cache_dir={cache}", trainer]


@pytest.fixture(scope="session")
def launcher() -> list[str]:
    """What runs two cells at once here, as far as it is installed."""
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher"):
        return ["hydra/launcher=parallel", "hydra.launcher.n_jobs=2"]
    return ["hydra/launcher=local"]
