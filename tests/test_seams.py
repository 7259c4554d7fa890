"""What is held by private names of torch, Lightning and Hydra still does what we hold it for."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import scalar

from cifarlab.base import seams
from tests.conftest import ROOT
from tests.test_imports import loaded_by


def test_hydra_lists_options_from_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra._internal import config_loader_impl
    from hydra._internal.utils import create_config_search_path

    monkeypatch.setattr(  # what the seam sets is put back after the test
        config_loader_impl.ConfigLoaderImpl,
        name := "_parse_overrides_and_create_caching_repo",
        getattr(config_loader_impl.ConfigLoaderImpl, name),
    )
    made: list[Any] = []
    copied = config_loader_impl.CachingConfigRepository.__init__

    def copy(self: Any, delegate: Any) -> None:
        made.append(delegate)
        copied(self, delegate)

    monkeypatch.setattr(config_loader_impl.CachingConfigRepository, "__init__", copy)

    def listed() -> dict[str, list[str]]:
        made.clear()
        path = create_config_search_path(str(ROOT / "conf"))
        loader = config_loader_impl.ConfigLoaderImpl(path)
        found = {group: loader.get_group_options(group) for group in loader.list_groups("")}
        (override,) = loader.load_configuration("run", ["model=mlp"], "RUN").hydra.overrides.task
        return found | {"overrides": [override]}

    by_itself, copies = listed(), len(made)
    seams.list_options_once()
    assert listed() == by_itself
    assert by_itself["overrides"] == ["model=mlp"] and "vgg11_bn" in by_itself["model"]
    assert copies > 10 and len(made) == 2, "one to list, one to compose"


def test_gamma_is_drawn_by_the_generator_alone() -> None:
    shape = torch.full((20_000,), 3.0)
    first = seams.standard_gamma(shape, torch.Generator().manual_seed(1))
    torch.rand(5)
    assert torch.equal(first, seams.standard_gamma(shape, torch.Generator().manual_seed(1)))
    assert first.mean().item() == pytest.approx(3.0, abs=0.1)
    assert first.var().item() == pytest.approx(3.0, abs=0.2)


def test_the_average_of_lightnings_callback() -> None:
    class Net(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

    callback, net = WeightAveraging(), Net()
    assert seams.average_of(callback) is None
    trainer = Trainer(logger=False, accelerator="cpu", enable_checkpointing=False, barebones=True)
    callback.setup(trainer, net, "fit")
    average = seams.average_of(callback)
    assert average is not None and average.n_averaged == 0
    assert torch.equal(average.module.layer.weight, net.layer.weight)


def test_a_trainer_with_steps_goes_on_by_epochs() -> None:
    trainer = Trainer(max_steps=9, logger=False, accelerator="cpu", barebones=True)
    loop = trainer.fit_loop
    loop.restarting = True
    assert loop.restarting, "by itself: though no epoch is unfinished"
    seams.go_on_by_epochs(trainer)
    loop.restarting = True
    assert not loop.restarting


def shown(folder: Path) -> list[float]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.value for event in events.Scalars("a")]


def test_what_is_purged_is_not_shown(tmp_path: Path) -> None:
    for session, step in enumerate((None, 1)):
        logger = TensorBoardLogger(tmp_path, name="", version="")
        if step is not None:
            seams.purge_from(logger, step)
        for later in range(step or 0, 3):
            logger.log_metrics({"a": session}, step=later)
        logger.finalize("success")
    assert shown(tmp_path) == [0, 1, 1]


def test_a_summary_is_written_even_after_closing(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    writer.close()
    seams.file_writer(writer).add_summary(scalar("a", 2.0), 0)
    writer.close()
    assert shown(tmp_path) == [2.0]


def target(size: int = 1) -> int:
    """Of ``test_a_refused_call``."""
    return range(0, 9, size)[1] + len(None if size == 3 else "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options, refused",
    [
        ({"wrong": 1}, True),
        ({"_args_": [1, 2]}, True),
        ({"size": 0}, False),  # ValueError
        ({"size": "x"}, False),  # TypeError, but of what the target does
        ({"size": 3}, False),
    ],
)
def test_a_refused_call(options: dict, refused: bool) -> None:
    with pytest.raises(InstantiationException) as caught:
        instantiate({"_target_": f"{__name__}.target", **options})
    assert seams.is_refused_call(caught.value) is refused


def passes_on(**options: Any) -> int:
    """Of ``test_a_refused_call_that_is_passed_on``."""
    return target(**options) if options else target(sise=1)  # type: ignore[call-arg]


def test_a_refused_call_that_is_passed_on() -> None:
    for options, refused in (({"wrong": 1}, True), ({}, False)):
        with pytest.raises(InstantiationException) as caught:
            instantiate({"_target_": f"{__name__}.passes_on", **options})
        assert seams.is_refused_call(caught.value) is refused


def test_a_refused_call_of_the_trainer() -> None:
    """Lightning wraps its constructor, so the refusal comes from within."""
    with pytest.raises(InstantiationException) as caught:
        instantiate({"_target_": "lightning.pytorch.Trainer", "wrong": 1})
    assert seams.is_refused_call(caught.value)
    assert not seams.is_refused_call(ValueError()), "no error of Hydra's"


def test_the_module_is_light() -> None:
    assert not loaded_by("import cifarlab.base.seams") & {"torch", "lightning", "optuna", "hydra"}
    assert "torch" in sys.modules


def test_what_compilers_raise_is_of_the_class() -> None:
    from torch._inductor.exc import InductorError, TritonMissing

    assert issubclass(InductorError, seams.compile_errors())
    assert issubclass(TritonMissing, seams.compile_errors())


class DemoModule(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.zeroed = nn.Linear(3, 1), 0

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layer(batch).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        self.zeroed += 1


class Counts(Callback):
    def __init__(self) -> None:
        self.begun = 0

    def on_train_batch_start(self, *_: Any) -> None:
        self.begun += 1


def test_hooks_that_do_nothing_are_passed_over(tmp_path: Path) -> None:
    """Those of a user's own are called, also where they belong to one object only."""
    ended: list[int] = []
    told = LambdaCallback(on_train_batch_end=lambda *args: ended.append(args[-1]))
    counts = Counts()
    each_epoch = ModelCheckpoint(tmp_path / "epochs")
    each_step = ModelCheckpoint(tmp_path / "steps", every_n_train_steps=2, save_top_k=-1)
    each_second = ModelCheckpoint(tmp_path / "seconds", train_time_interval=timedelta(0))
    callbacks = [counts, told, each_epoch, each_step, each_second]
    module = DemoModule()
    seams.skip_idle_hooks([*callbacks, module])
    idle = {
        type(part).__name__: {hook for hook in seams.STEP_HOOKS if getattr(part, hook) is None}
        for part in (counts, told, each_step, module)
    }
    whole = set(seams.STEP_HOOKS)
    assert idle["Counts"] == whole - {"on_train_batch_start"}
    assert idle["LambdaCallback"] == idle["ModelCheckpoint"] == whole - {"on_train_batch_end"}
    assert idle["DemoModule"] == whole - {"on_before_zero_grad"}
    assert each_epoch.on_train_batch_end is None
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=4, logger=False, callbacks=callbacks,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.randn(4, 3))
    assert counts.begun == module.zeroed == 4 and ended == [0, 1, 2, 3]
    assert [len([*(tmp_path / n).iterdir()]) for n in ("epochs", "steps", "seconds")] == [1, 2, 1]
