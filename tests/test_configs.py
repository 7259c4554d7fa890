"""Every option of every group composes and builds, found by glob."""

import itertools

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cifarlab.base import cli
from cifarlab.base.checks import check_config
from cifarlab.base.config import RunConfig
from cifarlab.store.checkpoint import build_net
from cifarlab.store.configs import leaves
from cifarlab.store.record import NEUTRAL_KEYS, config_hash
from tests.conftest import CONF, options, plain

ELSEWHERE = ("hydra", "study", "ablation")  # the last two: tests/studies/test_conf.py, row by row
GROUPS = sorted(
    path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ELSEWHERE
)
NEEDS = {  # values without a default, and what an option goes with
    "data=image_folder": ["data.root=."],
    "callbacks=freeze": ["callbacks.freeze.parameters=[features]"],
    "callbacks=keep_zeros": ["init_from=pruned.pt"],
    "loss=distillation": ["loss.teacher=."],
    "transfer=frozen": ["model=vgg11_bn"],
    "transfer=last_block": ["model=vgg11_bn"],
    "transfer=finetune": ["model=torchvision"],
}


def cells() -> list[str]:
    return [f"{group}={option}" for group in GROUPS for option in options(group)]


def test_there_are_cells() -> None:
    assert {"model=baseline", "aug=crop_flip", "optimizer=asgd", "data=cifar100"} <= set(cells())


@pytest.mark.parametrize("cell", cells())
def test_cell_composes_and_passes_the_checks(cell: str) -> None:
    config = check_config(plain(cell, *NEEDS.get(cell, [])))
    assert config.keys() >= RunConfig.__required_keys__, "as it is typed"


@pytest.mark.parametrize("cell", cells())
def test_cell_builds(cell: str) -> None:
    config = plain(cell, *NEEDS.get(cell, []))
    data = instantiate(config["data"], _convert_="all")
    assert data.name == config["data"]["name"]
    net = build_net(config["model"], num_classes=10, image_size=32, pretrained=False)
    optimizer = instantiate(config["optimizer"], _convert_="all")(net.parameters())
    scheduler = instantiate(config["scheduler"], _convert_="all")
    scheduler(optimizer=optimizer, total_steps=10, steps_per_epoch=5)
    if "gpu" not in cell:
        trainer = dict(config["trainer"], precision="32-true", logger=False)
        del trainer["compile"]  # the module's
        instantiate(trainer, enable_checkpointing=False, enable_model_summary=False)
    for callback in config["callbacks"].values():
        instantiate(callback)


def test_groups_compose_with_each_other() -> None:
    """Each model with a few augmentations in turn, all of them together."""
    optimizers, augs = itertools.cycle(options("optimizer")), options("aug")
    models = enumerate(options("model"))
    pairs = [(model, augs[(4 * i + j) % len(augs)]) for i, model in models for j in range(4)]
    assert {aug for _, aug in pairs} == set(augs)
    hashes = set()
    for (model, aug), optimizer in zip(pairs, optimizers, strict=False):
        config = plain(f"model={model}", f"optimizer={optimizer}", f"aug={aug}", "dropout=0.1")
        assert config["model"]["dropout"] == 0.1
        hashes.add(config_hash(config))
    assert len(hashes) == len(pairs), "every combination is a configuration of its own"


def test_augmentations_compose_as_a_list() -> None:
    config = plain("aug=[crop,hflip]", "aug.hflip.p=0.3")
    assert list(config["data"]["augment"]) == ["crop", "hflip"]
    assert config["data"]["augment"]["hflip"]["p"] == 0.3
    assert list(plain("aug=[hflip,crop]")["data"]["augment"]) == ["hflip", "crop"]
    named = plain("aug=crop_flip")["data"]["augment"]
    assert named == plain("aug=[crop,hflip]")["data"]["augment"]
    longer = plain("aug=[crop_flip,randaugment,mixup]", "aug.mixup.alpha=0.2")["data"]["augment"]
    assert list(longer) == ["crop", "hflip", "randaugment", "mixup"]
    assert longer["mixup"]["alpha"] == 0.2
    assert longer == plain("aug=[crop,hflip,randaugment,mixup]", "aug.mixup.alpha=0.2")["aug"]


def test_dropout_null_is_the_models_own_default() -> None:
    assert plain()["model"]["dropout"] is None
    net = build_net(plain()["model"], num_classes=10, image_size=32)
    assert not any(isinstance(module, torch.nn.Dropout) for module in net.modules())


def test_the_hash_sees_how_many_devices_not_which() -> None:
    one = config_hash(plain())
    assert (
        config_hash(plain("trainer.devices=[0]"))
        == one
        == config_hash(plain("trainer.devices=[3]"))
    )
    two = config_hash(plain("trainer.devices=2"))
    assert two != one and two == config_hash(plain("trainer.devices=[0,3]"))
    assert dict(leaves(plain("trainer.devices=[0,3]"))) == dict(leaves(plain("trainer.devices=2")))


@pytest.mark.parametrize("override", ["seed=1", "dropout=0.1", "data.split_seed=1", "model=mlp"])
def test_the_hash_sees_what_changes_results(override: str) -> None:
    assert config_hash(plain(override)) != config_hash(plain())


@pytest.mark.parametrize(
    "override",
    [
        "name=x",
        "output_root=x",
        "logger=none",
        "data.cache_dir=x",
        "evaluation=false",
    ],
)
def test_the_hash_does_not_see_what_does_not(override: str) -> None:
    assert override.partition("=")[0] in NEUTRAL_KEYS
    assert config_hash(plain(override)) == config_hash(plain())


@pytest.mark.parametrize("program", [path.stem for path in CONF.glob("*.yaml")])
def test_a_program_keeps_a_log_only_in_a_folder_of_its_own(program: str) -> None:
    if program in ("program", "run"):
        return  # parts of the others
    cli.register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(program, return_hydra_config=True)
    raw = OmegaConf.to_container(config.hydra)
    handlers = (raw["job_logging"].get("root") or {}).get("handlers", [])
    assert raw["run"]["dir"] != "." or "file" not in handlers
