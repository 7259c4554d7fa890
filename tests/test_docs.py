"""Links lead somewhere, and the commands of the README exist."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.base.checks import check_config
from cifarlab.report.study import publish
from cifarlab.store.record import RunRecord
from hydra_plugins.cifarlab_sweeper.search import examples, text
from tests.conftest import ROOT, plain

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_exist(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    for target in targets:
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
            slugs = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            assert anchor in slugs, target


def commands() -> list[list[str]]:
    """Every ``python train.py ...`` in a code block, without placeholders."""
    blocks = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", README, re.M | re.S)
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    found = [shlex.split(line)[2:] for line in lines if line.startswith("python train.py")]
    return [c for c in found if not any("<" in word or word == "--help" for word in c)]


def test_there_are_commands() -> None:
    assert len(commands()) >= 5
    assert "make demo" in README and "make test" in README


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_compose(command: list[str]) -> None:
    """Each with the first of the values of every swept key."""
    parser = OverridesParser.create()
    overrides = [parser.parse_override(word) for word in command if word != "-m"]
    swept = [o for o in overrides if o.is_sweep_override()]
    assert not swept or "-m" in command
    firsts = [f"{o.get_key_element()}={examples(o)[0]}" for o in swept]
    check_config(plain(*(text(o) for o in overrides if o not in swept), *firsts))


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
    assert shown == publish.page(folder, studies), told
    assert (ROOT / "docs" / "results_appendix.md").read_text() == publish.appendix(studies), told
    assert shown.count("\n## ") > 0


def test_published_runs_of_the_main_page_are_whole_and_of_the_originals() -> None:
    """But for the study of what JPEG costs, and the appendix."""
    for path in (ROOT / "docs" / "results").glob("*/*/result.json"):
        folder = path.parents[1].name
        if "__" in folder:  # something was typed: the appendix
            continue
        record = RunRecord.load(path.parent)
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        assert config["study"]["scale"] == config["data"]["fraction"] == 1
        assert record.data["name"] == "cifar10" or path.parent.name.partition("_jpeg_")[1]


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_no_file_names_a_host_or_a_machine() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock and "index-url" not in lock
    assert "--hash=sha256:" in lock
