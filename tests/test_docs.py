"""Links lead somewhere, and the commands of the pages exist."""

import re
import shlex
import shutil
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.base import cli, labs
from cifarlab.base.checks import check_config
from cifarlab.report.study import publish
from cifarlab.store.checkpoint import build_net
from cifarlab.store.record import RunRecord
from cifarlab.studies.ladder import expand
from cifarlab.studies.schema import parse_study, read_studies
from cifarlab.theory.sheet import trace
from cifarlab.theory.table import text
from hydra_plugins.cifarlab_sweeper.search import examples
from hydra_plugins.cifarlab_sweeper.search import text as as_text
from scripts.new import NAME, make
from tests import programs as started
from tests.conftest import CONF, ROOT, plain
from tests.pages import DOCS, PAGES, commands, lines, programs, small, trains

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_exist(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    for target in targets:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            assert anchor in map(slug, titles), target


def slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.fixture(scope="module", autouse=True)
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The lab of a reader who has followed the pages, the model that they add beside its own."""
    folder = tmp_path_factory.mktemp("labs") / NAME
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(labs.VARIABLE, "")
        make(folder)
        shutil.copy(folder / f"conf/model/{NAME}.yaml", folder / "conf/model/my_net.yaml")
        patch.setenv(labs.VARIABLE, str(folder))
        yield


def test_there_are_commands() -> None:
    assert len(commands()) >= 30
    assert "make demo" in README and "make test" in README


def test_the_readme_is_a_front_door() -> None:
    assert len(README.splitlines()) <= 120
    assert "\n$ git clone " in README and "\n$ make demo\n" in README
    assert README.index("](docs/figures/") < README.index("\n## ")  # a picture comes first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    """Tables, quotes, what is printed and what is made are as long as they are."""
    made = ("results.md", "results_appendix.md", "configuration.md", "performance.md")
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    prose = [line for line in text.splitlines() if not re.match(r"\||> |    |\[|!", line)]
    is_made = page.name in made or page.parent.name == "reference"
    assert is_made or max(map(len, prose), default=0) <= 130


def test_the_readmes_figures_are_those_of_the_results() -> None:
    """Each row is, with all its figures, one of the section it links to."""
    text = (DOCS / "results.md").read_text()
    sections = {slug(part.split("\n")[0]): part for part in text.split("\n## ")}
    rows = re.findall(r"^\| \[.*?\]\(docs/results.md#(.+?)\).*?\|(.*)\|$", README, re.M)
    assert len(rows) == 4
    for anchor, cells in rows:
        reported, ours, n, verdict = (cell.strip(" %") for cell in cells.split("|"))
        found = re.findall(r"^\|.*\| test accuracy .*$", sections[anchor], re.M)
        cells_there = [[cell.strip() for cell in row.split("|")] for row in found]
        assert any({reported, ours, n, verdict} <= set(row) for row in cells_there), cells


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_compose(command: list[str]) -> None:
    """Each with the first of the values of every swept key, and as Hydra composes a sweep before
    its cells: a group that is swept has its default."""
    parser = OverridesParser.create()
    overrides = [parser.parse_override(word) for word in command if word != "-m"]
    swept = [o for o in overrides if o.is_sweep_override()]
    assert not swept or "-m" in command
    firsts = [f"{o.get_key_element()}={examples(o)[0]}" for o in swept]
    single = [as_text(o) for o in overrides if o not in swept]
    check_config(plain(*single, *firsts))
    plain(*single, *(first for first in firsts if not (CONF / first.partition("=")[0]).is_dir()))


TRAINING = [
    pytest.param(c, marks=pytest.mark.slow if "-m" in c else [], id=" ".join(c))
    for c in commands()
    if trains(c)
]


@pytest.mark.parametrize("command", TRAINING)  # of sweeps, which others try, by make test-slow
def test_commands_run(command: list[str], cache: Path, tmp_path: Path) -> None:
    """Those that train, on few drawn images, for two epochs."""
    where = [f"data.cache_dir={cache}", f"hydra.run.dir={tmp_path / 'run'}"]
    typed = [*small(command), "evaluation=false", *where]
    done = started.run(ROOT / "train.py", *typed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = RunRecord.load(tmp_path / "run")
    assert record.status in ("completed", "early_stopped", "target_reached"), record.status


def test_commands_that_ask_for_more_than_a_machine_say_so() -> None:
    """A reader sees at the command that it needs a GPU or Slurm."""
    needs = {r"trainer=gpu|trainer.accelerator=gpu": "GPU", r"launcher=slurm": "Slurm"}
    found = 0
    for page in PAGES:
        for line in page.read_text().splitlines():
            for words, what in needs.items():
                if re.match(r"(\$ )?python train.py .*" + f"(?:{words})", line):
                    assert what in line.partition(" # ")[2], (page.name, line)
                    found += 1
    assert found >= 5


@pytest.mark.parametrize("command", programs())
def test_programs_compose(command: str) -> None:
    """Each with its keys, or, where it has no configuration, its options."""
    _, path, *words = shlex.split(re.sub(r"<[^>]*>", "x", command))
    name = Path(path).stem
    if not (CONF / f"{name}.yaml").is_file():
        said = (ROOT / path).read_text()
        assert all(f'"{word.partition("=")[0]}"' in said for word in words if word[:1] == "-")
        return
    cli.register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        compose(name, words)


def test_other_commands_are_there() -> None:
    """Targets of make, extras of pip, scripts of bash."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    counted = 0
    for line in lines():
        if found := re.match(r"make ([\w-]+)", line):
            assert found[1] in targets, line
        elif found := re.match(r"pip install -e '?\.\[([\w,]+)\]", line):
            assert set(found[1].split(",")) <= set(extras), line
        elif found := re.match(r"(?:bash )?(scripts/\w+\.sh)", line):
            assert (ROOT / found[1]).is_file(), line
        else:
            continue
        counted += 1
    assert counted >= 10


def test_the_sheet_of_the_page_is_the_one_that_is_printed() -> None:
    """docs/theory.md shows some lines of ``describe.py model=baseline``."""
    page = (DOCS / "theory.md").read_text()
    shown = re.search(r"```\n(layer .*?)```", page, re.S).group(1).splitlines()
    net = build_net(plain("model=baseline")["model"], 10, 32, pretrained=False)
    printed = text(trace(net, (3, 32, 32)).rows).splitlines()
    assert [line for line in shown if line not in ("...", *printed)] == []


def test_the_model_of_the_page_works() -> None:
    page = (ROOT / "docs" / "add_a_model.md").read_text()
    code = textwrap.dedent(re.search(r"```python\n(.*?)```", page, re.S).group(1))
    config = yaml.safe_load(textwrap.dedent(re.search(r"```yaml\n(.*?)```", page, re.S).group(1)))
    space: dict = {}
    exec(code, space)  # noqa: S102  our own page
    options = {key: value for key, value in config.items() if key != "_target_"}
    net = space[config["_target_"].rpartition(".")[2]](**options | {"dropout": 0.1})
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_results_are_those_of_their_records() -> None:
    folder, told = ROOT / "docs" / "results", "python scripts/publish.py writes it anew"
    shown, studies = (ROOT / "docs" / "results.md").read_text(), publish.read_published(folder)
    known = read_studies(ROOT / "conf" / "study")
    assert shown == publish.page(folder, studies, known), told
    by_id = {study.id: study for study in known} | {
        path.stem: parse_study(expand(path.stem, yaml.safe_load(path.read_text())))
        for path in (CONF / "ablation").glob("*.yaml")
    }
    for results in studies:
        for part in ("claims", "assumptions", "slips", "about", "title"):
            today = getattr(by_id[results.study.id], part)
            assert getattr(results.study, part) == today, f"{results.folder}, {part}: {told}"
    assert (folder / publish.PICTURE).is_file()
    assert (ROOT / "docs" / "results_appendix.md").read_text() == publish.appendix(studies), told
    assert shown.count("\n## ") > 0


def test_published_runs_of_the_main_page_are_whole_and_of_the_originals() -> None:
    """But for the study of what JPEG costs, one of a tenth of the images, and the appendix."""
    for path in (ROOT / "docs" / "results").glob("*/*/result.json"):
        folder = path.parents[1].name
        if "__" in folder:  # something was typed: the appendix
            continue
        record = RunRecord.load(path.parent)
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        share = 0.1 if folder == "transfer_efficientnet" else 1
        assert config["study"]["scale"] == 1 and config["data"]["fraction"] == share
        assert record.data["name"] == "cifar10" or path.parent.name.partition("_jpeg_")[1]


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_no_file_names_a_host_or_a_machine() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock
    assert "--hash=sha256:" in lock
