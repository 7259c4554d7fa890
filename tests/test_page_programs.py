"""The programs of the pages, typed by a reader who has trained what the pages train."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab.base import labs
from tests import programs as started
from tests.conftest import ROOT
from tests.pages import MINE, SMALL, commands, programs

# One worker's, since the reader trains for half a minute
pytestmark = pytest.mark.xdist_group("page programs")

# What serves until it is stopped, needs a file from elsewhere, writes docs/ or trains at length has
# tests of its own
ELSEWHERE = re.compile(
    r"scripts/(web|zoo|weights|publish|campaign|benchmark)\.py|reproduce\.py row=|source=|imagenet"
    r"|path=docs/results"
)
TYPED = [line for line in programs() if not ELSEWHERE.search(line)]
SWEEPS = {
    word: command
    for command in commands()
    for word in command
    if word.startswith("sweep=") and "-m" in command
}


def typed_now() -> list:
    """All of them; those that need a sweep, and each program's but the first, by
    ``make test-slow``."""
    seen: set[str] = set()
    found = []
    for line in TYPED:
        program = line.split()[1]
        later = "sweeps" in line or "tags=" in line or program in seen
        found.append(pytest.param(line, marks=pytest.mark.slow if later else [], id=line))
        seen |= set() if later else {program}
    return found


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with two runs and some pictures, all small."""
    folder = tmp_path_factory.mktemp("reader")
    common = [*SMALL, f"data.cache_dir={cache}"]
    for name, model in (("one", "tbmi26_cnn"), ("two", "boelter_cnn")):
        own = [f"hydra.run.dir=outputs/runs/baseline/{name}", f"model={model}"]
        own += ["data.num_train=1000", "max_epochs=2", "callbacks=[default,data_map]"]
        run(folder, "train.py", *common, *own)
    rng = np.random.default_rng(0)
    for name in ("cat.jpg", *(f"photos/{kind}/{i}.png" for kind in "ab" for i in range(12))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / name)
    shutil.make_archive(str(folder / "photos"), "zip", folder, "photos")
    packed = shutil.make_archive(str(folder / "packed"), "xztar", folder / "photos")
    (folder / "data").mkdir()
    shutil.move(packed, folder / "data/cifar10-images.tar.xz")
    return folder


@pytest.fixture(scope="module")
def sweeps(reader: Path, cache: Path) -> None:
    """The sweeps of the pages in the reader's folder, small."""
    common = [*SMALL, f"data.cache_dir={cache}"]
    for command in SWEEPS.values():
        words = [word for word in command if not word.startswith((*MINE, "max_epochs="))]
        words = [re.sub("^seed=.*", "seed=0,1", word) for word in words]
        short = ["max_epochs=1", "evaluation=false", "tags=[paper]"]
        run(reader, "train.py", *words, *common, *short)


def run(folder: Path, script: str, *words: str) -> str:
    done = started.run(ROOT / script, *words, cwd=folder)
    assert done.returncode == 0, f"{script} {shlex.join(words)}\n{done.stderr}"
    return done.stdout


def filled(line: str) -> list[str]:
    """The line's words with what the reader has in place of the page's placeholders."""
    line = re.sub(r"runs/baseline/<[^>]*>|runs/(seen|demo)/\S+", "runs/baseline/one", line)
    line = re.sub(r"sweeps/(<sweep>|sapienza_dropout)", "sweeps/duel", line)
    for name in ("one", "two"):
        line = re.sub(r"<[^>]*>", f"outputs/runs/baseline/{name}", line, count=1)
    return shlex.split(line)


@pytest.mark.parametrize("line", typed_now())
def test_programs_run(
    line: str, reader: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "sweeps" in line or "tags=" in line:
        request.getfixturevalue("sweeps")
    _, script, *words = filled(line)
    if "new.py" in script:
        monkeypatch.delenv(labs.VARIABLE)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(reader / "config"))  # of the list of labs
    if "describe" in script and "data=" not in line and "model=" not in line:
        words.append("data=synthetic")  # in place of the download
    run(reader, script, *words)


def form(line: str) -> str:
    """What stays of a printed line whatever data, machine and numbers are."""
    line = re.sub(r"^(on|folder|run folder) .*", r"\1", line.replace(" *", ""))
    line = re.sub(r"cifar10|synthetic", "data", line)
    line = re.sub(r"outputs/runs/[\w/.-]*?(?=/figures)", "run", line)
    line = re.sub(r"[a-z_]+ 0%", "class 0%", re.sub(r"[\d.,]*\d", "0", line))
    return " ".join(line.split())


def test_what_the_pages_show_has_the_form_of_what_is_printed(reader: Path, cache: Path) -> None:
    shown = {}
    for page in ("README.md", "docs/tutorial.md"):
        for block in re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.S):
            command, *below = re.split(r"^\$ ", block, flags=re.M)[-1].splitlines()
            if below and "make" not in command:
                shown[page, command.split(" run=")[0]] = [x for x in below if x not in ("", "…")]
    few = [*SMALL, "data.num_train=1000", "data.num_test=200", f"data.cache_dir={cache}"]
    trained = run(reader, "train.py", "max_epochs=2", *few, "hydra.run.dir=outputs/runs/demo/now")
    drawn = run(reader, "scripts/visualize.py", "run=outputs/runs/demo/now")
    printed = {"python train.py": trained, "python scripts/visualize.py": drawn}
    assert set(printed) == {command for _, command in shown} and len(shown) == 3
    for (page, command), lines in shown.items():
        forms = set(map(form, printed[command].splitlines()))
        assert [x for x in lines if form(x) not in forms] == [], (page, forms)
