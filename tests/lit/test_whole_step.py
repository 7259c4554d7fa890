"""``trainer.compile=whole-step``: what is recorded is replayed on the same memory, and is the same
training. There are no CUDA graphs here, so an ATen trace of the step stands for one: its operations
run again on the tensors that they ran on, and no Python between them. The graphs themselves are
tested by ``tests/gpu``."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from lightning.pytorch.callbacks import LambdaCallback
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.lit import whole_step
from cifarlab.run import lr_find
from cifarlab.run.batch_find import Clock, find_batch_size
from cifarlab.run.session import Session
from cifarlab.store.checkpoint import LAST, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord
from tests.conftest import TINY, plain

WHOLE = "trainer.compile=whole-step"
NET = ["model=tbmi26_cnn", "model.batchnorm=true"]


class Traced(whole_step.Recorder):
    """Records on the CPU."""

    def __init__(self, *, replays: bool = True) -> None:
        self.replays, self.recorded = replays, 0

    def beside(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()

    def record(self, step: Any, *inputs: Tensor) -> tuple[Callable[[], None], Any]:
        self.recorded += 1
        outputs = [torch.zeros(()), torch.zeros(())]

        def keep(found: tuple[Tensor, Tensor]) -> None:
            for ours, value in zip(outputs, found, strict=True):
                ours.resize_(value.shape).copy_(value)

        if not self.replays:
            return lambda: keep(step(*inputs)), outputs
        with undone(step.__self__):  # a trace computes, which a recording does not
            trace = make_fx(lambda *given: step(*given))(*inputs)

        def replay() -> None:
            with torch.no_grad(), torch.autocast("cpu", enabled=False):  # both are in the trace
                keep(trace(*inputs))

        return replay, outputs


@contextlib.contextmanager
def undone(module: Any) -> Iterator[None]:
    """Put weights, buffers, the optimizer's state and the generator back afterwards."""
    (optimizer,) = module.trainer.optimizers
    tensors = [*module.net.state_dict().values()]
    tensors += [t for state in optimizer.state.values() for t in state.values()]
    kept, generator = [tensor.clone() for tensor in tensors], torch.get_rng_state()
    yield
    with torch.no_grad():
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
    torch.set_rng_state(generator)


@pytest.fixture(autouse=True)
def _no_checks_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def train(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Session, Traced]]:
    """Trains in a folder of its own, or goes on in it, and returns what recorded it."""

    def run(name: str, *overrides: str, replays: bool = True) -> tuple[Session, Traced]:
        recorder = Traced(replays=replays)
        monkeypatch.setitem(whole_step.RECORDERS, "cpu", recorder)
        tiny = ["data=synthetic", "data.num_train=300", "data.num_test=100", "logger=none"]
        tiny += ["trainer.precision=32-true", "max_epochs=2", "batch_size=27", "trainer=cpu"]
        tiny += ["scheduler=linear", "aug=crop_flip"]
        config = check_config(plain(*tiny, f"data.cache_dir={cache}", *overrides))
        (tmp_path / name).mkdir(exist_ok=True)
        trained = Session(config, tmp_path / name)
        trained.fit()
        return trained, recorder

    return run


def weights(trained: Session) -> dict[str, Tensor]:
    return net_weights(read_checkpoint(trained.folder / LAST))


def same(one: Session, other: Session) -> bool:
    found, expected = weights(one), weights(other)
    return all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["optimizer.momentum=0.9", "decay_all=false", "dropout=0.2"], id="sgd"),
        pytest.param(
            ["optimizer=adamw", "trainer.gradient_clip_val=0.5", "trainer.precision=bf16-mixed"],
            id="adamw-clipped-bf16",
        ),
        pytest.param(
            ["optimizer=muon", "callbacks=[default,ema,lookahead]", "label_smoothing=0.1"],
            id="muon-averages",
        ),
        pytest.param(["optimizer=adam"], id="adam", marks=pytest.mark.slow),
        pytest.param(
            ["optimizer=muon", "optimizer.normalize=true", "optimizer.adamw_bias_lr=0.01"],
            id="muon-normalised",
            marks=pytest.mark.slow,
        ),
        pytest.param(["aug=mixup", "callbacks=none"], id="mixup", marks=pytest.mark.slow),
    ],
)
def test_what_is_replayed_is_what_is_computed_without(train, options: list[str]) -> None:
    """To the bit where nothing is replayed but all else is alike, learning rates that change from
    step to step and what is drawn included; but for rounding where ``trainer.compile=false``."""
    options = [*NET, *options]
    replayed, recorder = train("replayed", WHOLE, *options)
    assert recorder.recorded == 1 and replayed.trainer.global_step == 20
    computed, _ = train("computed", WHOLE, *options, replays=False)
    assert same(replayed, computed)
    assert replayed.recorder.rows[-1]["train_loss"] == computed.recorder.rows[-1]["train_loss"]
    ordinary, _ = train("ordinary", *options)
    for row, expected in zip(replayed.recorder.rows, ordinary.recorder.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=2e-3)
        assert row["lr"] == expected["lr"]
    assert not same(replayed, train("other", WHOLE, "seed=1", *options)[0])


def test_rates_and_records_are_as_ever(train) -> None:
    (replayed, _), (ordinary, _) = train("a", WHOLE, *NET), train("b", *NET)
    rows, expected = replayed.recorder.rows, ordinary.recorder.rows
    assert [row["lr"] for row in rows] == [row["lr"] for row in expected]
    assert type(replayed.trainer.optimizers[0].param_groups[0]["lr"]) is float
    record = replayed.finish()
    assert isinstance(record, RunRecord)
    assert record.config_hash != ordinary.finish().config_hash


def test_each_state_of_the_net_is_recorded_by_itself(train) -> None:
    """Smaller images, then larger ones; a part that trains no more from the second epoch on."""
    growing = ["callbacks=[progressive]", "callbacks.progressive.sizes=[16,32]"]
    growing += ["callbacks.progressive.from_epochs=[1,2]", "model=resnet18"]
    growing += ["model.widths=[8,8,8,8]"]
    frozen = [*NET, "callbacks=[freeze]", "callbacks.freeze.parameters=[features.conv1]"]
    frozen += ["callbacks.freeze.from_epoch=2"]
    for name, options in (("growing", growing), ("frozen", frozen)):
        one, recorder = train(name, WHOLE, *options)
        assert recorder.recorded == 2
        assert same(one, train(f"{name}-computed", WHOLE, *options, replays=False)[0])


def test_a_run_that_goes_on_ends_with_the_same_bits(train) -> None:
    options = [WHOLE, *NET, "optimizer=adam", "scheduler=none", "dropout=0.2"]
    whole, _ = train("whole", *options)
    train("parts", *options, "max_epochs=1")
    parts, recorder = train("parts", *options)
    assert recorder.recorded == 1 and same(whole, parts)


def test_where_there_are_no_graphs(train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_step, "EAGER", 1)
    with pytest.raises(UserError, match="ASGD cannot be recorded, but sgd, adam, adamw, muon can"):
        train("asgd", WHOLE, *NET, "optimizer=asgd")
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x * float(x.mean() > -9))
    with pytest.raises(UserError, match=r"compile=whole-step: this step cannot be recorded \("):
        train("reads", WHOLE, *NET, "dropout=0.2")


def test_the_cpu_has_none(cache: Path, tmp_path: Path) -> None:
    tiny = ["data=synthetic", "data.num_train=300", "logger=none", f"data.cache_dir={cache}"]
    config = check_config(plain(*tiny, "model=mlp", "trainer=cpu", WHOLE))
    with pytest.raises(UserError, match="is of CUDA GPUs, and this run is on the cpu; take"):
        Session(config, tmp_path).fit()


@pytest.mark.parametrize(
    "option, told",
    [
        ("trainer.accumulate_grad_batches=2", "goes with trainer.accumulate_grad_batches=1"),
        ("trainer.devices=2", "is of one device"),
        ("trainer.num_nodes=2", "is of one device"),
        ("trainer.precision=16-mixed", "take trainer.precision=bf16-mixed"),
    ],
)
def test_what_it_does_not_go_with(option: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_config(plain(WHOLE, option))


def test_another_optimizer_is_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a module that is fitted again, as the search for a batch size does."""
    recorder = Traced(replays=False)
    monkeypatch.setitem(whole_step.RECORDERS, "cpu", recorder)
    net, whole = nn.Linear(3, 2), whole_step.WholeStep()
    images, labels = torch.randn(4, 3), torch.zeros(4, dtype=torch.long)
    for count in (1, 2):
        optimizer = torch.optim.Adam(net.parameters())

        def step(x: Tensor, y: Tensor, own: Any = optimizer) -> tuple[Tensor, Tensor]:
            logits = net(x)
            loss = nn.functional.cross_entropy(logits, y)
            own.zero_grad()
            loss.backward()
            own.step()
            return loss.detach(), logits.detach()

        for _ in range(6):
            whole(step, net, optimizer, images, labels)
        assert recorder.recorded == count
        assert optimizer.state[net.bias]["step"] == 6


def test_what_wants_to_be_called_within_a_step(train, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = "+callbacks.mine._target_=lightning.pytorch.callbacks.LambdaCallback"
    train("outside", WHOLE, "model=mlp", "max_epochs=1", "callbacks=none", callback)
    monkeypatch.setattr(LambdaCallback, "on_before_optimizer_step", lambda *arguments: None)
    with pytest.raises(UserError, match="LambdaCallback.on_before_optimizer_step is to be called"):
        train("within", WHOLE, "model=mlp", "max_epochs=1", "callbacks=none", callback)
    scheduled = "+callbacks.mine._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler"
    with pytest.raises(UserError, match="goes without GradientAccumulationScheduler"):
        train(
            "by",
            WHOLE,
            "model=mlp",
            "callbacks=none",
            scheduled,
            "+callbacks.mine.scheduling={0:2}",
        )


def test_the_programs_that_look_for_a_rate_and_a_batch(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Traced()
    monkeypatch.setitem(whole_step.RECORDERS, "cpu", recorder)
    config = plain(*TINY, f"data.cache_dir={cache}", WHOLE, "optimizer=adam")
    monkeypatch.setattr(lr_find, "STEPS", 30)
    lr_find.find_lr(config, tmp_path)
    assert recorder.recorded == 1
    recorded = []  # when the clock begins for the last time

    def began(self: Clock, *arguments: Any) -> None:
        was = self.__dict__.get("began")
        start(self, *arguments)
        if self.began != was:
            recorded.append(recorder.recorded)

    start = Clock.on_train_batch_start
    monkeypatch.setattr(Clock, "on_train_batch_start", began)
    find_batch_size(config, tmp_path, 16)
    assert recorder.recorded == 2 and recorded[-1] == 2, "the recording is not timed"


def test_a_recording_that_memory_is_too_small_for(train, monkeypatch: pytest.MonkeyPatch) -> None:
    def record(self: Traced, step: Any, *inputs: Tensor) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Traced, "record", record)
    with pytest.raises(UserError, match="batch_size=27: out of memory; python scripts/batch_find"):
        train("large", WHOLE, *NET)
