"""A run that was cut off, wherever, ends as if it had not been."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler

from cifarlab.base.errors import UserError
from cifarlab.store.checkpoint import BEST, LAST, read_checkpoint
from cifarlab.store.record import RunRecord
from cifarlab.store.robustness import Robustness
from cifarlab.store.run import Run
from tests import programs
from tests.conftest import ROOT, TINY, launch, without_sums

OPTIONS = [
    "model=baseline",
    "model.batchnorm=true",
    "dropout=0.3",
    "aug=crop_flip",
    "optimizer.momentum=0.9",
    "optimizer.lr=0.01",
    "scheduler=onecycle",
    "max_epochs=4",
]


class Cut(Exception):
    """Stands for a power cut."""


def same(one: Path, two: Path, *, cuts: int = 0) -> None:
    """Weights, optimizer, metrics and records of two runs are equal to the last bit.

    cuts: how often the second may have been cut off while the test set was read, which counts.
    """
    a, b = read_checkpoint(one / LAST), read_checkpoint(two / LAST)
    assert a["global_step"] == b["global_step"]
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name
    states = (c["optimizer_states"][0]["state"] for c in (a, b))
    for one_state, other in zip(*(state.values() for state in states), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one_state.items())
    assert a["lr_schedulers"] == b["lr_schedulers"]
    first, second = RunRecord.load(one), RunRecord.load(two)
    assert first.metrics == second.metrics
    assert (first.status, first.epochs_run, first.best_epoch) == (
        second.status, second.epochs_run, second.best_epoch,
    )  # fmt: skip
    assert first.test_reads <= second.test_reads <= first.test_reads + cuts
    metrics = [
        [line.split(",")[:7] for line in (folder / "metrics.csv").read_text().splitlines()]
        for folder in (one, two)
    ]
    assert metrics[0] == metrics[1]


@pytest.fixture
def resumed(cache) -> Callable[..., None]:
    """``resumed(folder, *overrides)``: ``python train.py resume=<folder>`` in this process."""

    def start(folder: Path, *overrides: str) -> None:
        launch(folder, cache, f"resume={folder}", *overrides, tiny=False)

    return start


@pytest.fixture
def undisturbed(run_here, tmp_path) -> Path:
    return run_here(tmp_path / "undisturbed", *OPTIONS)


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_end", "on_train_epoch_end"])
@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_cut_anywhere(run_here, tmp_path, undisturbed, monkeypatch, hook: str, epoch: int) -> None:
    from cifarlab.callbacks import SeedEachStep

    def cut(self, trainer, *_) -> None:
        if trainer.current_epoch == epoch and trainer.global_step % 4 in (0, 2):
            raise Cut

    folder = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, hook, cut, raising=False)
        try:
            run_here(folder, *OPTIONS)
        except Cut:
            pass
        else:
            raise AssertionError("the run was not cut")
    assert not (folder / "result.json").exists()
    if epoch > 0:
        assert (folder / LAST).exists()
    run_here(folder, *OPTIONS)
    same(undisturbed, folder)


def test_cut_in_the_middle_of_an_epoch_with_a_checkpoint_there(
    run_here, tmp_path, undisturbed, monkeypatch
) -> None:
    """As Slurm's time limit does it: the checkpoint is written between two steps."""
    from cifarlab.callbacks import SeedEachStep

    folder = tmp_path / "cut"

    def cut(self: Callback, trainer, *_) -> None:
        if trainer.current_epoch == 1 and trainer.global_step == 6:
            trainer.save_checkpoint(folder / LAST)
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, "on_train_batch_end", cut, raising=False)
        with pytest.raises(Cut):
            run_here(folder, *OPTIONS)
    run_here(folder, *OPTIONS)
    a, b = read_checkpoint(undisturbed / LAST), read_checkpoint(folder / LAST)
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name


@pytest.mark.parametrize("trainer", ["limit_train_batches=3", "overfit_batches=2", "max_steps=99"])
@pytest.mark.parametrize("at", ["on_train_epoch_start", "on_train_batch_end"])
def test_cut_where_the_trainer_counts_batches_or_steps(
    run_here, tmp_path, monkeypatch, trainer: str, at: str
) -> None:
    """An epoch that has ended must not look as if it had some of the loader's batches to go, nor
    one that has not begun as if it had ended."""
    from cifarlab.callbacks import SeedEachStep

    def cut(self: Callback, trainer, *_) -> None:
        if trainer.current_epoch == 2:
            if at == "on_train_batch_end":
                trainer.save_checkpoint(folder / LAST)
            raise Cut

    options = [*OPTIONS, f"+trainer.{trainer}"]
    whole, folder = run_here(tmp_path / "whole", *options), tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, at, cut, raising=False)
        with pytest.raises(Cut):
            run_here(folder, *options)
    run_here(folder, *options)
    same(whole, folder)


def test_overfitting_sees_the_same_batches_each_epoch(run_here, tmp_path, monkeypatch) -> None:
    from cifarlab.callbacks import SeedEachStep

    def note(self: Callback, trainer, module, batch, number) -> None:
        seen.setdefault(trainer.current_epoch, []).append(batch[0].double().sum().item())

    def epochs(*options: str) -> list[list[float]]:
        seen.clear()
        run_here(tmp_path / str(len(options)), "max_epochs=3", "batch_size=32", *options)
        return list(seen.values())

    seen: dict[int, list[float]] = {}
    monkeypatch.setattr(SeedEachStep, "on_train_batch_start", note)
    one, two, three = epochs()
    assert len(one) == 8 and not {*one} & {*two} and not {*two} & {*three}
    few = epochs("+trainer.overfit_batches=2")
    assert few == [one[:2]] * 3


@pytest.mark.parametrize(
    "hook", ["on_train_batch_end", "on_validation_batch_start", "on_train_epoch_end"]
)
def test_a_signal_at_any_time(run_here, tmp_path, undisturbed, monkeypatch, hook: str) -> None:
    """Lightning has handlers of its own, which end a run in the middle of a validation."""
    from cifarlab.callbacks import SeedEachStep

    def ask(self: Callback, trainer, *_) -> None:
        if trainer.current_epoch == 1 and not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    asked: list[bool] = []
    folder = tmp_path / "asked"
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, hook, ask, raising=False)
        with pytest.raises(SystemExit) as end:
            run_here(folder, *OPTIONS)
    assert end.value.code == 128 + signal.SIGTERM and (folder / LAST).exists()
    run_here(folder, *OPTIONS)
    same(undisturbed, folder)


def test_a_signal_to_a_run_that_is_being_measured(run_here, tmp_path, monkeypatch) -> None:
    from cifarlab.run.session import Session

    evaluate = Session._evaluate

    def ask(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(self)

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Session, "_evaluate", ask)
            assert RunRecord.load(run_here(tmp_path / "run")).test_reads == 1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_cut_after_early_stopping_decided(run_here, tmp_path, monkeypatch) -> None:
    from cifarlab.run.session import Session

    options = ["max_epochs=20", "optimizer.lr=3", "callbacks.early_stopping.patience=2"]
    whole = RunRecord.load(run_here(tmp_path / "whole", *options))
    assert whole.status == "early_stopped"

    def cut(self) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Session, "finish", cut)
        with pytest.raises(Cut):
            run_here(tmp_path / "cut", *options)
    resumed = RunRecord.load(run_here(tmp_path / "cut", *options))
    assert (resumed.status, resumed.epochs_run) == (whole.status, whole.epochs_run)
    assert resumed.metrics == whole.metrics


def test_a_second_reading_of_the_test_set_is_counted(run_here, tmp_path, monkeypatch) -> None:
    from cifarlab.run.session import Session

    def cut(self, *_) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_save_predictions", cut)
        with pytest.raises(Cut):
            run_here(tmp_path / "run")
    record = RunRecord.load(run_here(tmp_path / "run"))
    assert record.test_reads == 2
    assert not (tmp_path / "run" / ".test_reads").exists()


def test_killed_for_real_and_resumed_by_command(cache, train, tmp_path) -> None:
    """SIGKILL in the middle, then ``python train.py resume=<folder>``, against an untouched run."""
    # slow enough to be hit: a few seconds of training
    options = [*TINY, *OPTIONS, f"data.cache_dir={cache}", "data.num_train=1000"]
    killed = tmp_path / "killed"
    process = programs.start(ROOT / "train.py", *options, f"hydra.run.dir={killed}", cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (killed / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (killed / "result.json").exists()
    done = train(f"resume={killed}")
    assert done.returncode == 0, done.stderr
    assert "resume" in done.stdout
    whole = tmp_path / "whole"
    assert train(*options, f"hydra.run.dir={whole}").returncode == 0
    same(whole, killed)
    again = train(f"resume={killed}")
    assert again.returncode == 0 and "already finished" in again.stdout


def test_interrupted_by_the_keyboard(cache, tmp_path) -> None:
    """It stops after a step, whose checkpoint is written, and not wherever it is: in the lock of a
    thread, for instance, which then waits for two minutes."""
    options = [*TINY, f"data.cache_dir={cache}", "data.num_train=3000", "max_epochs=1000"]
    folder = tmp_path / "run"
    process = programs.start(ROOT / "train.py", *options, f"hydra.run.dir={folder}", cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (folder / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; to go on: python train.py resume=run" in out
    assert "Traceback" not in err
    assert read_checkpoint(folder / LAST)["global_step"] >= 2700 // 64


@pytest.mark.parametrize("step", [7, 8, 16])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_lose_no_step(
    run_here, undisturbed, tmp_path, monkeypatch, signum: int, step: int
) -> None:
    """Within an epoch, in its last step, in the last of all; then the signal does again what it
    did before. SIGTERM is too late there: the run is measured and finished."""
    from cifarlab.callbacks import SeedEachStep

    def send(self: Callback, trainer, *_) -> None:
        if trainer.global_step == step:
            signal.raise_signal(signum)

    folder, before = tmp_path / "cut", signal.getsignal(signum)
    is_late = step == 16 and signum == signal.SIGTERM
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, "on_train_batch_end", send, raising=False)
        ends = (
            contextlib.nullcontext()
            if is_late
            else pytest.raises(SystemExit, match=str(128 + signum))
        )
        with ends:
            run_here(folder, *OPTIONS)
    assert signal.getsignal(signum) is before
    assert (folder / "result.json").exists() == is_late
    assert read_checkpoint(folder / LAST)["global_step"] == step
    run_here(folder, *OPTIONS)
    same(undisturbed, folder)


class TwoFromSecondEpoch(GradientAccumulationScheduler):
    def __init__(self) -> None:
        super().__init__({0: 1, 1: 2})


@pytest.mark.filterwarnings("ignore:When using `Trainer")
@pytest.mark.parametrize(
    ("option", "step"),
    [
        ("+trainer.limit_train_batches=1", 2),  # no step but the last of an epoch
        # whose schedule would by itself begin only with the next epoch
        ("+callbacks.two._target_=tests.test_resume.TwoFromSecondEpoch", 5),
    ],
)
def test_a_signal_between_uncommon_steps(
    run_here, tmp_path, monkeypatch, option: str, step: int
) -> None:
    from cifarlab.callbacks import SeedEachStep

    def send(self: Callback, trainer, *_) -> None:
        if trainer.global_step == step:
            signal.raise_signal(signal.SIGTERM)

    whole, folder = run_here(tmp_path / "whole", *OPTIONS, option), tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, "on_train_batch_end", send, raising=False)
        with pytest.raises(SystemExit):
            run_here(folder, *OPTIONS, option)
    assert read_checkpoint(folder / LAST)["global_step"] == step
    run_here(folder, *OPTIONS, option)
    same(whole, folder)


def test_ctrl_c_stays_ignored_where_it_was(run_here, tmp_path, monkeypatch) -> None:
    """As in what a script starts with ``&``."""
    from cifarlab.callbacks import SeedEachStep

    def send(self: Callback, trainer, *_) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SeedEachStep, "on_train_batch_end", send, raising=False)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_here(tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "run" / "result.json").exists()


def test_a_second_ctrl_c_ends_the_process_at_once(tmp_path) -> None:
    script = tmp_path / "twice.py"
    script.write_text(
        "import signal\n"
        "from pathlib import Path\n"
        "from cifarlab.callbacks import StopOnSignal\n"
        "stop = StopOnSignal(Path('last.ckpt'))\n"
        "signal.signal(signal.SIGINT, stop._note)\n"
        "try:\n"
        "    for _ in range(2):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        print('goes on', flush=True)\n"
        "finally:\n"
        "    print('tidies up', flush=True)\n"
    )
    done = programs.run(script, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "goes on\n", "")


def test_resume_takes_no_other_overrides(train, run_here, tmp_path) -> None:
    folder = run_here(tmp_path / "run")
    (folder / "result.json").unlink()
    for state in ("unfinished", "finished"):
        done = train(f"resume={folder}", "max_epochs=50", "dropout=0.1", "seed=1")
        assert done.returncode == 2, state
        assert "leave out dropout=0.1 seed=1\n" in done.stderr
        (folder / "result.json").write_text("{}")


SAME = ("metrics", "epochs_run", "best_epoch", "status", "config_hash")


@pytest.mark.parametrize(
    "scheduler",
    [
        pytest.param("none", marks=pytest.mark.slow),
        "step",
        pytest.param("plateau", marks=pytest.mark.slow),
    ],
)
def test_a_finished_run_goes_on_for_more_epochs(
    resumed, run_here, tmp_path, scheduler: str
) -> None:
    """It is then what it would have been with as many from the beginning, and says how often the
    test set was read."""
    options = [*OPTIONS, f"scheduler={scheduler}", "evaluation=true"]
    if scheduler == "step":
        options.append("scheduler.every=3")
    whole = run_here(tmp_path / "whole", *options)
    folder = run_here(tmp_path / "run", *options, "max_epochs=2")
    sheet = (folder / "figures" / "evaluation.png").read_bytes()
    Robustness({"fog": [0.5]}, [1], 0.5, 100, 0).save(folder)  # of the weights so far
    resumed(folder, "max_epochs=4")
    assert Run.finished(folder).robustness is None
    one, two = RunRecord.load(whole), RunRecord.load(folder)
    assert [getattr(one, name) for name in SAME] == [getattr(two, name) for name in SAME]
    assert (one.test_reads, two.test_reads) == (1, 2)
    a, b = read_checkpoint(whole / LAST), read_checkpoint(folder / LAST)
    assert all(torch.equal(value, b["state_dict"][k]) for k, value in a["state_dict"].items())
    assert "max_epochs=4" in two.overrides and "max_epochs=2" not in two.overrides
    assert (folder / "figures" / "evaluation.png").read_bytes() != sheet
    resumed(folder, "max_epochs=4")
    assert RunRecord.load(folder) == two, "already finished"


def test_cut_while_it_goes_on_for_more_epochs(resumed, run_here, tmp_path, monkeypatch) -> None:
    from cifarlab.callbacks import SeedEachStep

    def cut(self: Callback, trainer, *_) -> None:
        if trainer.current_epoch == at:
            raise Cut

    options = [*OPTIONS, "scheduler=none"]
    whole = run_here(tmp_path / "whole", *options)
    for at in (2, 3):
        folder = run_here(tmp_path / f"cut{at}", *options, "max_epochs=2")
        with monkeypatch.context() as patch:
            patch.setattr(SeedEachStep, "on_train_epoch_start", cut, raising=False)
            with pytest.raises(Cut):
                resumed(folder, "max_epochs=4")
        assert not (folder / "result.json").exists()
        resumed(folder)
        assert RunRecord.load(folder).metrics == RunRecord.load(whole).metrics
        assert RunRecord.load(folder).test_reads == 2


def test_what_cannot_go_on_for_more_epochs(resumed, run_here, tmp_path) -> None:
    def refuses(folder: Path, *typed: str) -> str:
        before = (folder / "result.json").read_bytes(), (folder / "config.yaml").read_bytes()
        with pytest.raises(UserError) as error:
            resumed(folder, *typed)
        now = (folder / "result.json").read_bytes(), (folder / "config.yaml").read_bytes()
        assert now == before
        return str(error.value)

    plain = run_here(tmp_path / "plain")
    message = refuses(plain, "max_epochs=1")
    assert message == (
        "max_epochs=1: the run has max_epochs=2; it can go on for longer, not be made shorter"
    )
    (tmp_path / "cells.json").write_text("{}")
    assert "is a cell of a sweep, which is named after its conf" in refuses(plain, "max_epochs=3")
    (tmp_path / "cells.json").unlink()
    (plain / LAST).unlink()
    assert "last.ckpt is missing, so there is nothing to go on" in refuses(plain, "max_epochs=3")
    for name in ("cosine", "onecycle"):
        folder = run_here(tmp_path / name, f"scheduler={name}")
        message = refuses(folder, "max_epochs=3")
        assert f"{name}, was drawn for max_epochs=2 and is over then; start another" in message
    lookahead = run_here(tmp_path / "lookahead", "scheduler=none", "callbacks=lookahead")
    assert "callbacks.lookahead of " in refuses(lookahead, "max_epochs=3")
    every = "+trainer.check_val_every_n_epoch=2"
    second = run_here(tmp_path / "second", "scheduler=none", "max_epochs=2", every)
    assert "must be a multiple of 2" in refuses(second, "max_epochs=3")
    options = ["max_epochs=20", "optimizer.lr=3", "callbacks.early_stopping.patience=1"]
    stopped = run_here(tmp_path / "stopped", *options)
    message = refuses(stopped, "max_epochs=30")
    assert "has early stopped before its 20 epochs; more of them would change nothing" in message


def test_a_finished_run_that_cannot_go_on_stays_finished(
    resumed, run_here, tmp_path, monkeypatch
) -> None:
    """Its data, or its teacher, are gone, say."""

    def refuse(*_: object) -> None:
        raise UserError("no data")

    folder = run_here(tmp_path / "run", "scheduler=none")
    before = (folder / "result.json").read_bytes(), (folder / "config.yaml").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("cifarlab.run.runner.Session", refuse)
        with pytest.raises(UserError, match="no data"):
            resumed(folder, "max_epochs=4")
    assert ((folder / "result.json").read_bytes(), (folder / "config.yaml").read_bytes()) == before


def test_a_configuration_edited_to_more_epochs(resumed, run_here, tmp_path, monkeypatch) -> None:
    """The same rules hold for it."""
    folder = without_sums(run_here(tmp_path / "run", "scheduler=cosine"))
    (folder / "result.json").unlink()
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("max_epochs: 2", "max_epochs: 3"))
    with pytest.raises(UserError, match="cosine, was drawn for"):
        resumed(folder)


@pytest.mark.parametrize("model", ["baseline", "sapienza_convnet"])
def test_a_checkpoint_of_another_model(run_here, tmp_path, model: str) -> None:
    other = run_here(tmp_path / "other", "max_epochs=1")
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(other / LAST, folder / LAST)
    with pytest.raises(UserError, match="a checkpoint of another model: features"):
        run_here(folder, f"model={model}")
    assert (folder / LAST).exists(), "what was there before is left alone"


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize("summed", [True, False], ids=["", "earlier version"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_damaged_last_checkpoint(run_here, tmp_path, share: float, summed: bool, caplog) -> None:
    """The best one is the last of its epoch: the run goes on from there, to the same end."""
    options = ["max_epochs=3", "optimizer.lr=1", "seed=2"]
    folder = run_here(tmp_path / "run", *options)
    whole = RunRecord.load(folder)
    assert whole.best_epoch < 3
    (folder / "result.json").unlink()
    if not summed:
        without_sums(folder)
    cut(folder / LAST, share)
    caplog.set_level("INFO")
    run_here(folder, *options)
    again = RunRecord.load(folder)
    assert (again.metrics, again.best_epoch) == (whole.metrics, whole.best_epoch)
    assert again.epochs_run == 3 and read_checkpoint(folder / LAST)["epoch"] == 2
    (line,) = [line for line in caplog.messages if "going on from" in line]
    assert line.startswith(f"{folder / LAST}: ") and "\n" not in line
    assert line.endswith(f"; going on from {folder / BEST}, epoch {whole.best_epoch}")


@pytest.mark.parametrize("names", [[BEST], [BEST, LAST]])
def test_a_damaged_best_checkpoint(names: list[Path], run_here, tmp_path) -> None:
    """Told when the run is resumed, not when it has ended."""
    folder = run_here(tmp_path / "run", "max_epochs=1")
    (folder / "result.json").unlink()
    for name in names:
        cut(folder / name, 0.9)
    before = (folder / "metrics.csv").read_bytes()
    anew = "delete the run's folder to start it anew"
    with pytest.raises(UserError, match=rf"best.ckpt: not as it was .* that count: {anew}$"):
        run_here(folder, "max_epochs=2")
    (folder / BEST).unlink()
    cut(folder / LAST, 0.8)
    with pytest.raises(UserError, match=rf"last.ckpt: .* no other to go on from: {anew}$"):
        run_here(folder, "max_epochs=2")
    assert (folder / "metrics.csv").read_bytes() == before


def test_a_checkpoint_that_is_not_ours(tmp_path) -> None:
    torch.save({"weights": torch.zeros(1)}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of cifarlab"):
        read_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "y.ckpt")


def test_a_checkpoint_is_never_half_written(tmp_path, monkeypatch) -> None:
    from cifarlab.store.checkpoint import AtomicCheckpointIO

    writer, path = AtomicCheckpointIO(), tmp_path / "checkpoints" / "last.ckpt"
    writer.save_checkpoint({"cifarlab": {}, "state_dict": {}, "epoch": 1}, path)

    def dies(*_: object, **__: object) -> None:
        raise Cut

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(Cut):
        writer.save_checkpoint({"epoch": 2}, path)
    monkeypatch.undo()
    assert read_checkpoint(path)["epoch"] == 1


def test_the_last_checkpoint_is_of_the_last_epoch(run_here, tmp_path) -> None:
    """A learning rate too high to get better: the best epoch is the first."""
    folder = run_here(tmp_path / "run", "optimizer.lr=3", "max_epochs=3", "callbacks=none")
    best, last = read_checkpoint(folder / BEST), read_checkpoint(folder / LAST)
    assert best["epoch"] < 2, "else this test tests nothing"
    assert last["epoch"] == 2
