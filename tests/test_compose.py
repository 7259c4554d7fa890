"""The configurations of a sweep's many cells, composed as Hydra composes each."""

from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import Composer, cell_config
from tests.conftest import CONF

CELLS = [  # and how many of Hydra's compositions they take
    ([["seed=1"], ["seed=2"], ["seed=0"]], 1),
    ([["seed=1", "model=mlp"], ["seed=2", "model=mlp"], ["seed=1", "model=resnet18"]], 2),
    ([["dropout=0.1", "seed=3"], ["dropout=null", "seed=4"]], 1),
    ([["optimizer.lr=0.1", "max_epochs=3"], ["optimizer.lr=1e-3", "max_epochs=4"]], 1),
    ([["name='a b'", "data.normalize=half"], ['name="c,d"', "data.normalize=imagenet"]], 1),
    ([["model.hidden=[3,4]"], ["model.hidden=[5]"], ["model.hidden=[]"]], 1),
    ([["+trainer.min_epochs=2"], ["+trainer.min_epochs=3"]], 2),
    ([["aug=[crop,hflip]", "aug.crop.padding=2"], ["aug=[crop,hflip]", "aug.crop.padding=3"]], 1),
    ([["seed=1", "~logger"], ["seed=2", "~logger"]], 1),
    ([["model.blocks=[{filters:2}]"], ["model.blocks=[{filters:3},{filters:4}]"]], 2),
    ([["optimizer={lr:1}", "optimizer.lr=2"], ["optimizer={lr:1}", "optimizer.lr=3"]], 1),
]  # fmt: skip


@pytest.fixture
def master() -> Iterator[DictConfig]:
    cli.register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", ["hydra.mode=MULTIRUN"], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        yield config


@pytest.mark.parametrize(("cells", "compositions"), CELLS)
def test_as_hydra_composes_each(
    cells: list[list[str]], compositions: int, master: DictConfig
) -> None:
    loader = GlobalHydra.instance().config_loader()
    composer = Composer(loader, master)
    for cell in [*cells, *reversed(cells)]:
        assert composer(cell) == cell_config(loader, master, cell)
    assert len(composer.shared) == compositions


def test_what_does_not_compose_says_so_each_time(master: DictConfig) -> None:
    loader = GlobalHydra.instance().config_loader()
    composer = Composer(loader, master)
    composer(["seed=1"])
    for cell in (["sead=1"], ["model=nothing"], ["model.hidden.x=1"], ["seed=1", "sead=1"]):
        with pytest.raises(Exception) as expected:
            cell_config(loader, master, cell)
        for _ in range(2):
            with pytest.raises(type(expected.value)) as found:
                composer(cell)
            assert str(found.value) == str(expected.value)
