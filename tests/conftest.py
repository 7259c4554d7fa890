"""What several test files need: composed configurations, runs in this process, runs as a user's."""

import os
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from cifarlab.base import cli
from cifarlab.base.compose import plain as to_plain
from cifarlab.store.files import SUMS
from tests import programs

os.environ["CIFARLAB_LABS"] = ""  # not those of whoever tests

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

# A run that takes a second or two: small images of the drawn classes, a net without convolutions
TINY = [
    "data=synthetic",
    "data.num_train=300",
    "data.num_test=100",
    "model=mlp",
    "max_epochs=2",
    "trainer=cpu",
    "trainer.precision=32-true",
    "evaluation=false",
]


def options(group: str) -> list[str]:
    """Every option of a config group, found by glob, so that a new one cannot be forgotten."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    """The configuration of ``python train.py <overrides>``, with its ``hydra`` part."""
    cli.register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config


def plain(*overrides: str) -> dict:
    """The same, resolved, without ``hydra``."""
    config = composed(*overrides)
    with open_dict(config):
        del config["hydra"]
    return to_plain(config)


# What the machine is said to have, slurm and browser: a test that is skipped for want of it fails
EXPECTED = {name for name in os.environ.get("CIFARLAB_EXPECT", "").split(",") if name}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    wanted = EXPECTED & {mark.name for mark in item.iter_markers()}
    if report.skipped and wanted:
        report.outcome = "failed"
        report.longrepr = f"skipped, but CIFARLAB_EXPECT has {', '.join(wanted)}: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of decoded images for all tests."""
    return tmp_path_factory.mktemp("cache")


def launch(folder: Path, cache: Path, *overrides: str, tiny: bool = True) -> float | None:
    """A tiny run in this process, into ``folder``; returns what a search would be given.

    tiny: ``False`` types nothing but ``overrides``.
    """
    from cifarlab.run.runner import run
    from train import draw_evaluation

    typed = [*TINY, f"data.cache_dir={cache}", *overrides] if tiny else overrides
    config = composed(*typed, "hydra.mode=RUN")
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        job = config.copy()
        del job["hydra"]
    folder.mkdir(parents=True, exist_ok=True)
    return run(to_plain(job), draw_evaluation)


def without_sums(folder: Path) -> Path:
    """A run's folder with files that may be rewritten, as a stranger or an earlier version has."""
    for path in folder.rglob(SUMS):
        path.unlink()
    return folder


@pytest.fixture
def run_here(cache: Path) -> Callable[..., Path]:
    """``run_here(folder, *overrides)``: a tiny run in this process; returns its folder."""

    def start(folder: Path, *overrides: str) -> Path:
        launch(folder, cache, *overrides)
        return folder

    return start


@pytest.fixture(scope="session")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small CNN, for tests that use one and leave it as it is."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    launch(folder, cache, "model=tbmi26_cnn")
    return folder


@pytest.fixture
def train(cache: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``train(*arguments)``: ``python train.py`` as a user types it, in an empty folder."""

    def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
        return programs.run(ROOT / "train.py", *arguments, cwd=tmp_path)

    return launch


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    # a shell's background job, tests too, ignores Ctrl-C, and so would all that is tested
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    HydraConfig.instance().cfg = None
