"""The command line as a user meets it: one line and exit code 2 for each mistake, nothing left."""

import gc
import os
import re
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from PIL import Image

from cifarlab.base import cli
from tests import programs
from tests.conftest import ROOT, TINY

HINT = re.compile(r"^error: [^\n]+\n$")


def refused(done, pattern: str) -> None:
    assert done.returncode == 2, done.stderr
    assert HINT.match(done.stderr), f"one line expected:\n{done.stderr}"
    assert re.search(pattern, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["droput=0.1"], "droput: no such key; did you mean dropout"),
        (["data.vall_size=1"], "did you mean data.val_size"),
        (["model=basline"], "model=basline: no such option; did you mean baseline"),
        (["modle=mlp"], "did you mean model"),
        (["aug=[crop,hflp]"], "aug=hflp: no such option; did you mean hflip"),
        (
            ["model.widht=3"],
            "model.widht: no such key; allowed: _target_, activation",
        ),
        (["dropout=1.5"], r"dropout=1.5: must be a number in \[0, 1\)"),
        (["data.root"], "Error parsing override 'data.root'"),
        (["data=image_folder"], "data.root: has no default; add data.root=<value>"),
        (["resume=nowhere"], "resume=nowhere: not a run folder"),
        (["-m", "dropout=0.1,1.5"], "dropout=1.5: must be"),
        (["-m", "model=mlp,basline"], "did you mean baseline"),
        (["-m", "optimizer.lr=interval(0.1,1)"], "a grid needs a list of values"),
        (["-m", "model=glob(x*)"], r"model=glob\(x\*\): has no values, so there is nothing to run"),
        (["-m", "seed=range(3,3)", "dropout=0.1,0.2"], r"seed=range\(3,3\): has no values"),
        (["-m", "hydra/sweeper=optuna", "batch_size=range(3,3)"], r"range\(3,3\): has no values"),
        (["-m", "hydra/sweeper=optuna", "model=glob(x*)"], r"glob\(x\*\): has no values"),
        (["-m", "--cfg", "job"], "--cfg, --info: show one configuration; leave out -m"),
        (
            ["-m", "model=torchvision,timm", "model.name=resnet18"],
            r"model.name: model is swept, and its default has no such key; write \+\+model.name=",
        ),
        (["-m", "model.nmae=a,b"], "model.nmae: no such key; allowed: _target_, activation"),
        (["hydra/launcher=slurm"], "hydra/launcher=slurm: is for sweeps and searches, add -m"),
        (["hydra.launcher.n_jobs=2", "hydra/launcher=parallel"], "hydra.launcher.n_jobs=2: is for"),
        (["hydra/sweeper=optuna"], "hydra/sweeper=optuna: is for sweeps and searches, add -m"),
        (["sweep=x"], "sweep=x: names a sweep's folder, add -m; a run has name="),
    ],
)
def test_mistakes_known_without_torch(train, tmp_path, arguments, pattern) -> None:
    refused(train(*arguments), pattern)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()], "nothing was written"
    assert not list(tmp_path.glob("outputs/runs/*/*")), "no empty run folder"


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["data=synthetic", "data.val_size=20000"], "takes 20000 of 10000 training images"),
        (
            ["data=synthetic", "+model.hiden=3"],
            "model.hiden: no such key; did you mean model.hidden",
        ),
        (["data=image_folder", "data.root=nowhere"], "data.root=nowhere: no such folder"),
        (["data=synthetic", "aug=hflip", "aug.hflip.p=2"], "aug.hflip.p=2: must be a probability"),
        (["data=synthetic", "data.normalize=dataset"], "no published mean"),
        (["data=synthetic", "trainer=gpu"], "trainer.accelerator=gpu, trainer.devices=1: "),
        (
            ["data=synthetic", "trainer=cpu", "trainer.devices=[1,3]"],
            r"trainer.devices=\[1,3\]: says which GPUs",
        ),
    ],
)
def test_mistakes_known_later(train, tmp_path, arguments, pattern) -> None:
    refused(train(*arguments), pattern)
    assert not list(tmp_path.glob("outputs/runs/*/*")), "no half-made run folder"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (root / folder).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (32, 32), (number, 0, 0)).save(root / folder / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("damage", "pattern"),
    [
        ("cut", r"pets.tar.gz: the archive is damaged or cut short .*; fetch it again"),
        pytest.param(  # tests/data has both
            "undecodable",
            "pets: train/cat/3.png is not an image that can be read",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "missing", "pets: the class folder test/dog is missing", marks=pytest.mark.slow
        ),
        ("cache", r"data/cache/image_folder-\w+.npz: the cached images are damaged .*delete this"),
    ],
)
def test_damaged_data(train, tmp_path, pets, damage, pattern) -> None:
    """Refused in one line; what is left behind is not trusted: mended, the same command runs."""
    arguments = ["data=image_folder", "data.root=pets", "data.val_size=0.5", *TINY[3:]]
    if damage == "cut":
        whole = Path(shutil.make_archive(str(pets), "gztar", pets)).read_bytes()
        (tmp_path / "pets.tar.gz").write_bytes(whole[: len(whole) // 2])
        arguments[1] = "data.root=pets.tar.gz"
    elif damage == "undecodable":
        (pets / "train" / "cat" / "3.png").write_bytes(b"nothing")
    elif damage == "missing":
        shutil.move(pets / "test" / "dog", tmp_path / "aside")
    else:
        assert train(*arguments).returncode == 0
        (cached,) = tmp_path.glob("data/cache/*.npz")
        content = bytearray(cached.read_bytes())
        content[len(content) // 4] ^= 1
        cached.write_bytes(content)
        shutil.rmtree(tmp_path / "outputs")
    refused(train(*arguments), pattern)
    assert not list(tmp_path.glob("outputs/runs/*/*")), "no half-made run folder"
    if damage == "cut":
        (tmp_path / "pets.tar.gz").write_bytes(whole)
    elif damage == "undecodable":
        Image.new("RGB", (32, 32)).save(pets / "train" / "cat" / "3.png")
    elif damage == "missing":
        shutil.move(tmp_path / "aside", pets / "test" / "dog")
    else:
        cached.unlink()
    done = train(*arguments)
    assert done.returncode == 0, done.stderr


def test_full_error_on_request(train, monkeypatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    done = train("dropout=1.5")
    assert "Traceback" in done.stderr and "dropout=1.5: must be" in done.stderr


def test_who_reads_may_have_enough() -> None:
    """As with ``| head``: no traceback."""
    program = [sys.executable, "scripts/theory.py"]
    with subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        assert done.stdout is not None and done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == ""
    assert done.returncode == 1


def test_cifar10_without_network_or_files(train, tmp_path, monkeypatch) -> None:
    """Torchvision's download is asked for a host that is not there."""
    offline = tmp_path / "sitecustomize.py"
    offline.write_text(
        "import socket\n"
        "def refuse(*_, **__): raise socket.gaierror(-2, 'Name or service not known')\n"
        "socket.getaddrinfo = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = train()
    refused(done, r"CIFAR-10 is not in data, and .* could not be downloaded .* data=synthetic")


def test_help_names_every_group(train) -> None:
    done = train("--help")
    assert done.returncode == 0
    for group in (
        "model: baseline",
        "aug: alternating_flip, augmix, ",
        "optimizer: adam",
        "data: cifar10",
    ):
        assert group in done.stdout


def test_one_line_an_epoch_without_a_terminal(train) -> None:
    done = train(*TINY)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^epoch \d/2 .*images/s$", done.stdout, re.M)) == 2
    assert "\r" not in done.stdout + done.stderr
    assert done.stderr == "", "no warnings, no chatter"
    for row in ("train", "val", "test"):
        assert re.search(rf"^{row} +\d+\.\d\d% +\d\.\d{{4}}$", done.stdout, re.M)
    assert re.search(r"^run folder outputs/runs/mlp/\d{4}-", done.stdout, re.M)


def test_a_failed_run_lets_go_of_what_it_held() -> None:
    class Net:
        pass

    alive = []

    def run() -> None:
        net = Net()
        alive.append(weakref.ref(net))
        try:
            raise MemoryError
        except MemoryError as error:
            raise RuntimeError("out of memory") from error

    with pytest.raises(RuntimeError) as caught:
        run()
    gc.collect()
    assert alive[0]() is not None, "the traceback holds it"
    cli._let_go(caught.value)
    gc.collect()
    assert alive[0]() is None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["name=../../evil"], "name=../../evil: must be a name"),
        (["name=/tmp/evil"], "name=/tmp/evil: must be a name"),
        (["name=null"], "name=null: must be a name"),
        (["name='.'"], "name=.: must be a name"),
        (["output_root="], "output_root=: must be a folder"),
        (["output_root=null"], "output_root=null: must be a folder"),
        (["data.cache_dir=''"], "data.cache_dir=: must be a folder"),
        (["data.cache_dir=null"], "data.cache_dir=null: must be a folder"),
        (["-m", "sweep=../../x", "seed=0,1"], "sweep=../../x: must be a name"),
        (["-m", "sweep=/tmp/x", "seed=0,1"], "sweep=/tmp/x: must be a name"),
        (["-m", "sweep=''", "seed=0,1"], "sweep=: must be a name"),
        (["-m", "output_root=null", "seed=0,1"], "output_root=null: must be a folder"),
    ],
)
def test_nothing_is_written_where_nobody_asked(
    train, tmp_path, typed: list[str], said: str
) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    done = programs.run(ROOT / "train.py", *typed, *TINY, cwd=below)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")] == ["a", "a/b"]
