"""What is open, what it costs, in which order, and the queue, with made-up runs and processes."""

import dataclasses
import errno
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifarlab.campaign.campaign import Campaign, _macs
from cifarlab.campaign.cost import Costs, Machine, What, epochs, train_images
from cifarlab.campaign.queue import Queue, estimates
from cifarlab.campaign.rows import Item, agrees, open_items, worth
from cifarlab.store.files import SUMS, remove, write_atomic
from cifarlab.store.lock import RunLock
from cifarlab.store.record import RunRecord, is_finished
from cifarlab.store.sweep import Sweep
from cifarlab.studies.schema import parse_study
from tests.report.folders import finished
from tests.test_record import RECORD

HERE = Machine("cpu", "a toaster", "32-true", 1)


def record(model: str, seconds: float, where: Machine = HERE, **fields: object) -> RunRecord:
    """Of a run that takes ``seconds`` an epoch of 1,000 images."""
    hardware = {"device": where.device, "name": where.name, "precision": where.precision}
    hardware["threads"] = where.threads
    changes = {"model": model, "hardware": hardware, "epochs_run": 2, "overrides": []} | fields
    time_ = {"fit_s": 2 * seconds, "total_s": 0.0, "images_per_s": 1.0}
    data = RECORD.data | {"num_train": 1000}
    return dataclasses.replace(RECORD, time=time_, data=data, **changes)


def item(row: str, worth_: float = 1.0, **fields: object) -> Item:
    config = {
        "choices": {"model": row, "transfer": "scratch"},
        "batch_size": 64,
        "max_epochs": 10,
        "data": {"val_size": 0.1, "fraction": 1.0, "folds": None},
    }
    return Item("s", row, (0, 1, 2), config, worth_, (), **fields)


def test_costs() -> None:
    there = Machine("cpu", "a kettle", "bf16-mixed", 1)
    known = [
        record("mlp", 1, macs=100), record("mlp", 3, macs=100), record("mlp", 2, macs=100),
        record("mlp", 1, there, macs=100), record("cnn", 10, there, macs=1000),
        record("mlp", 7, there, macs=100, overrides=["batch_size=2"]),
    ]  # fmt: skip
    costs = Costs(known, HERE)
    assert costs.is_measured and not Costs(known, Machine("cuda", "x", "16", 0)).is_measured

    def cost(costs: Costs, model: str, macs: int, batch: int = 64, kind: str = "scratch") -> float:
        return costs.seconds(What(model, batch, kind, macs), 1000)

    assert cost(costs, "mlp", 100) == pytest.approx(2), "the median here"
    assert cost(costs, "cnn", 1000) == pytest.approx(20), "twice as slow as there"
    assert cost(costs, "mlp", 100, batch=2) == pytest.approx(14), "batches of 2 are another thing"
    assert cost(costs, "mlp", 300) == pytest.approx(6), "the same model with other options"
    line = Costs([record("a", 1.1, macs=100), record("b", 2.1, macs=200)], HERE)
    assert cost(line, "vgg", 400) == pytest.approx(4.1), "0.1 s and 1 s for 100 MACs"
    assert cost(Costs([], HERE), "vgg", 400) > 0
    head = record("a", 0.01, macs=100, overrides=["transfer=frozen"])
    both = Costs([record("a", 1, macs=100), head], HERE)
    assert cost(both, "a", 100) == pytest.approx(1), "a head alone is another thing than the net"
    assert cost(both, "a", 200, kind="frozen") == pytest.approx(0.02)


def test_a_run_has_as_many_epochs_and_images_as_it_says() -> None:
    config = item("a").config
    assert epochs(config, []) == 10
    assert epochs(config, [record("a", 1), record("a", 1, epochs_run=5)]) == 3.5
    assert train_images(config, 50_000) == 45_000
    sizes = {"val_size": 1000, "fraction": 0.5, "folds": None}
    assert train_images({"data": sizes}, 50_000) == 24_500
    assert train_images({"data": sizes | {"folds": 5, "fraction": 1.0}}, 50_000) == 40_000


def test_the_most_worth_for_its_time_comes_first() -> None:
    costs = Costs([record("cheap", 1), record("dear", 10)], HERE)
    items = [item("dear", 5.0), item("cheap", 1.0), item("unknown", 1e-3)]
    macs = {"unknown": 10**9}
    found = estimates(items, costs, lambda i: macs.get(i.row, RECORD.macs), 50_000)
    assert [e.item.row for e in found[:2]] == ["cheap", "dear"]
    cheap = found[0]
    assert cheap.seconds == pytest.approx(3 * 10 * 45)  # seeds, epochs, thousands of images
    assert cheap.rate == pytest.approx(3600 / cheap.seconds)


STUDY = {
    "id": "s",
    "title": "S",
    "source": "a report",
    "rows": [
        {"id": "a", "overrides": ["lr=1"], "reported": {"test_acc": 70}},
        {"id": "b", "overrides": ["lr=2"]},
        {"id": "same", "like": "a", "reported": {"test_acc": 60, "val_acc": 60}},
        {"id": "far", "needs": "a rocket"},
    ],
    "claims": [{"quote": "q", "check": {"kind": "greater", "a": "a", "b": "b", "metric": "gap"}}],
}


def compose(overrides: list[str]) -> dict:
    typed = dict(o.split("=") for o in overrides)
    seed = int(typed["seed"])
    return {"seed": seed, "data": {"seed": seed, "root": "data"}, "lr": typed["lr"], "new": 1}


def found(folder: Path, row: str, seed: int, lr: str) -> None:
    config = {"seed": seed, "data": {"seed": seed, "root": "data"}, "lr": lr, "gone": 3}
    overrides = [f"study.row={row}", f"seed={seed}"]
    finished(folder / f"{row}_{seed}_{lr}", overrides, 0.5, config)


def test_what_is_open(tmp_path: Path) -> None:
    study = parse_study(STUDY)
    own = parse_study(STUDY | {"id": "own", "source": "ours", "rows": STUDY["rows"][:2]})
    assert [worth(study, row) for row in study.rows[:2]] == [4, 1]
    assert [worth(own, row) for row in own.rows] == [1, 0.5]
    found(tmp_path, "a", 0, "1")
    found(tmp_path, "a", 2, "1")
    found(tmp_path, "b", 0, "9")  # of another recipe than the study has now
    items, waiting = open_items(
        [study, own],
        lambda s: Sweep.read(tmp_path).runs if s is study else [],
        [0, 1, 2],
        [],
        compose,
    )
    assert [(i.study, i.row, i.seeds, i.worth) for i in items] == [
        ("s", "a", (1,), 4),
        ("s", "b", (0, 1, 2), 1.5),
        ("own", "a", (0, 1, 2), 1),
    ]
    assert items[1].twins == (("own", "b"),), "the same experiment, trained once"
    assert [r.seed for r in items[0].finished] == [0, 2]
    assert [(w.row, w.reason) for w in waiting] == [("far", "a rocket")]


def test_a_row_waits_for_weights_only_until_they_are_there(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    needs = {"id": "far", "needs": "the weights", "overrides": [f"weights={path}", "lr=3"]}
    study = parse_study(STUDY | {"rows": [*STUDY["rows"][:3], needs]})

    def rows() -> tuple[list[str], list[str]]:
        items, waiting = open_items([study], lambda _: [], [0], [], compose)
        return [item.row for item in items], [other.row for other in waiting]

    assert rows() == (["a", "b"], ["far"])
    path.touch()
    assert rows() == (["a", "b", "far"], [])


def test_a_key_that_came_since_makes_no_other_run() -> None:
    old, new = compose(["seed=1", "lr=1"]), compose(["seed=2", "lr=1"])
    assert agrees(old, new) and agrees({**old, "name": "x"}, {**new, "name": "y"})
    assert agrees(old, new | {"loss": "focal"})
    assert not agrees(old, new | {"lr": "2"})
    assert not agrees(old, new | {"data": {"seed": 2, "root": "elsewhere"}})


def program(folder: Path, code: str):
    """Of an item: a process that leaves a file named after its row, then runs ``code``."""

    def command(item: Item) -> list[str]:
        start = f"import os, pathlib, sys, time; row = {item.row!r}"
        start += f"; pathlib.Path({str(folder)!r}, row).write_text(repr(dict(os.environ)))"
        return [sys.executable, "-c", f"{start}\n{code}"]

    return command


def started(folder: Path) -> list[str]:
    paths = [path for path in folder.iterdir() if path.is_file()]
    return [path.name for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]


def test_the_queue_goes_through_its_items(tmp_path: Path) -> None:
    ended = []
    code = "sys.exit(row == 'bad')"
    queue = Queue(program(tmp_path, code), tmp_path / "logs", jobs=1, seconds=60, gpus=2)
    items = [item("one", twins=(("t", "twin"),)), item("bad"), item("three"), item("four")]

    def then(which: Item, rest: list[Item]) -> list[Item]:
        ended.append(which.row)
        return list(reversed(rest)) if which.row == "bad" else rest

    queue.run(items, then)
    assert ended == started(tmp_path) == ["one", "twin", "bad", "four", "three"]
    assert [i.row for i in queue.failed] == ["bad"]
    assert "'CUDA_VISIBLE_DEVICES': '0'" in (tmp_path / "one").read_text()
    assert (tmp_path / "logs" / "s.one.log").exists()


def test_several_at_once_share_gpus_and_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    others = f"[pathlib.Path({str(tmp_path)!r}, name) for name in 'abc']"
    code = f"""
end = time.monotonic() + 30
while not all(path.exists() for path in {others}) and time.monotonic() < end:
    time.sleep(0.01)
sys.exit(time.monotonic() >= end)
"""
    queue = Queue(program(tmp_path, code), tmp_path / "logs", jobs=3, seconds=60, gpus=2)
    queue.run([item(name) for name in "abc"], lambda _, rest: rest)
    assert not queue.failed, "side by side: each has seen the others"
    seen = [eval((tmp_path / name).read_text()) for name in "abc"]
    assert [env["CUDA_VISIBLE_DEVICES"] for env in seen] == ["0", "1", "0"]
    assert int(seen[0]["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 3)


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are weighed on Linux only")
def test_a_run_gives_way_to_other_sessions_too(tmp_path: Path) -> None:
    code = f"""
group = pathlib.Path('/proc/self/autogroup')
end = time.monotonic() + 10
while os.getpriority(os.PRIO_PROCESS, 0) != 5 and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.2)
said = group.read_text() if group.exists() else 'nice 5'
own = os.getpriority(os.PRIO_PROCESS, 0)
pathlib.Path({str(tmp_path / "said")!r}).write_text(f'{{own}} {{said}}')
"""
    queue = Queue(program(tmp_path, code), tmp_path / "logs", jobs=1, seconds=60, nice=5)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    queue.run([item("one")], lambda _, rest: rest)
    said = (tmp_path / "said").read_text().split()
    assert said[0] == "5" and said[-2:] == ["nice", "5"]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize("signum", [None, signal.SIGINT, signal.SIGTERM])
def test_when_the_time_is_up_what_runs_is_asked_to_stop(
    tmp_path: Path, signum: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    code = f"""
import signal
def stop(*_):
    os.replace(folder / row, folder / 'stopped')
    sys.exit(143)
folder = pathlib.Path({str(tmp_path)!r})
signal.signal(signal.SIGTERM, stop)
(folder / 'ready').touch()
time.sleep(60)
"""
    ended = []
    seconds = 3 if signum is None else 60
    queue = Queue(program(tmp_path, code), tmp_path / "logs", jobs=1, seconds=seconds)

    def send() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signum)

    if signum is not None:
        threading.Thread(target=send).start()
    with caplog.at_level(logging.INFO, "cifarlab"):
        queue.run([item("one"), item("two")], lambda which, rest: ended.append(which) or rest)
    assert set(started(tmp_path)) == {"ready", "stopped"} and not ended
    assert queue.stopped == signum
    assert "s/one: interrupted, goes on next time" in caplog.messages
    assert signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.default_int_handler)


def test_a_published_run_takes_the_place_of_an_interrupted_one(tmp_path: Path) -> None:
    """Whose checksums are of other files."""
    published, sweep = tmp_path / "results", tmp_path / "sweeps" / "s"
    found(published / "s", "a", 0, "1")
    (published / "s" / "a_0_1" / SUMS).unlink()
    found(sweep, "a", 0, "1")
    write_atomic(sweep / "a_0_1" / "config.yaml", "seed: 0\n", summed=True)
    remove(sweep / "a_0_1" / "result.json")
    Campaign._take_up_published(SimpleNamespace(folders={"s": sweep}, published=published), [])
    (run,) = Sweep.read(sweep).runs
    assert run.status == "early_stopped" and run.config is not None and run.config["lr"] == "1"


def test_published_runs_that_do_not_count_are_not_taken_up(tmp_path: Path) -> None:
    """Else the sweep would find its cells finished, and their rows would stay open for ever."""
    published, sweep = tmp_path / "results", tmp_path / "sweeps" / "s"
    names = [f"a_{seed}_1" for seed in range(5)]
    for seed in range(5):
        found(published / "s", "a", seed, "1")
    remove(published / "s" / "a_1_1" / "config.yaml")
    write_atomic(published / "s" / "a_2_1" / "result.json", "{", summed=True)
    open_ = [dataclasses.replace(item("b"), twins=(("s", "a"),), seeds=(3,))]  # of another recipe
    (sweep / "a_4_1").mkdir(parents=True)
    with RunLock(sweep / "a_4_1"):  # in training
        campaign = SimpleNamespace(folders={"s": sweep}, published=published)
        Campaign._take_up_published(campaign, open_)
        assert [name for name in names if is_finished(sweep / name)] == ["a_0_1"]
        assert [path.name for path in (sweep / "a_4_1").iterdir()] == [".lock"]


def test_what_ends_the_queue_ends_what_it_started(tmp_path: Path) -> None:
    """Also where that is an error in what is done between two items."""
    code = "time.sleep(60 if row == 'long' else 0.5)"
    queue = Queue(program(tmp_path, code), tmp_path / "logs", jobs=2, seconds=60)
    begun, start = [], queue._start

    def noted(*of: object) -> object:
        begun.append(start(*of))
        return begun[-1]

    def full(*_: object) -> list[Item]:
        raise OSError(errno.ENOSPC, "No space left on device")

    queue._start = noted
    with pytest.raises(OSError, match="No space left"):
        queue.run([item("long"), item("short")], full)
    assert [job.process.poll() for job in begun] == [-signal.SIGTERM, 0]
    assert [i.row for i in queue.ended] == ["short"]


def test_what_cannot_be_published_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    found(tmp_path / "s", "a", 0, "1")
    monkeypatch.setattr("cifarlab.campaign.campaign.gather", lambda *_: 1)
    monkeypatch.setattr("cifarlab.campaign.campaign.write_page", full)
    folders = {"s": tmp_path / "s"}
    Campaign._publish(
        SimpleNamespace(
            options={"publish": True}, folders=folders, sweeps=tmp_path, published=tmp_path,
            known=(),
        )
    )  # fmt: skip
    assert "not published: [Errno 28] No space left on device" in caplog.messages


@pytest.mark.parametrize(
    "fields",
    [
        {"hardware": {}},
        {"time": {"fit_s": 0.0}},
        {"epochs_run": 0},
        {"data": {"name": "x"}},
        {"overrides": ["batch_size=${x}"]},
    ],
    ids=str,
)
def test_a_record_that_does_not_tell_its_speed(fields: dict) -> None:
    odd = dataclasses.replace(record("mlp", 1, macs=100), **fields)
    costs = Costs([odd, record("mlp", 2, macs=100)], HERE)
    assert costs.seconds(What("mlp", 64, "scratch", 100), 1000) == pytest.approx(2)
    assert not Costs([odd], HERE).is_measured


def test_a_net_that_cannot_be_built_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    model = {"_target_": "cifarlab.models.mlp.MLP", "hidden": [-1]}
    broken = dataclasses.replace(item("a"), config=item("a").config | {"model": model})
    known = Costs([record("a", 1, macs=100), record("b", 2, macs=200)], HERE)
    (estimate,) = estimates([broken], known, _macs, 50_000)
    assert estimate.seconds > 0 and estimate.rate > 0
    (line,) = caplog.messages
    assert line.startswith("cost unknown, the net cannot be built") and "\n" not in line
