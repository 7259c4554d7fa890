"""``scripts/campaign.py`` over two tiny studies, as a user starts it."""

import json
import re
import textwrap
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cifarlab.base.errors import UserError
from cifarlab.campaign.campaign import check_options
from tests.conftest import ROOT, TINY
from tests.scripts.test_scripts import start

ROWS = f"""
title: {{}}
source: a report
common: {{{{overrides: [{", ".join(TINY)}, callbacks=none]}}}}
rows:
  - {{{{id: slow, overrides: [optimizer.lr=0.001], reported: {{{{test_acc: 10}}}}}}}}
  - {{{{id: {{}}, overrides: [optimizer.lr=0.05]}}}}
"""


@pytest.fixture
def campaign(tmp_path: Path, cache: Path):
    folder = tmp_path / "conf" / "study"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(textwrap.dedent(ROWS).format("Tiny", "fast"))
    (folder / "more.yaml").write_text(textwrap.dedent(ROWS).format("More", "quick"))

    def launch(*arguments: str):
        own = ["--config-dir", str(folder.parent), "studies=[tiny,more]", "seeds=[0,1]"]
        own += [
            f"overrides=['data.cache_dir={cache}','trainer.precision=32-true']",
            "device=cpu",
            "nice=0",
        ]
        return start("campaign.py", *own, *arguments, cwd=tmp_path)

    return launch


@pytest.mark.slow  # test_its_time_is_up and tests/campaign have its parts
def test_a_campaign(campaign, tmp_path: Path) -> None:
    shown = campaign("hours=1", "dry_run=true")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split("|")[1:4] for line in shown.stdout.splitlines() if "| 0,1 " in line]
    names = [[cell.strip() for cell in row] for row in rows]
    assert names == [
        ["tiny/fast (also more/quick)", "0,1", "2"],
        ["tiny/slow (also more/slow)", "0,1", "2"],
    ], "of one worth and cost: by name"
    assert {path.name for path in tmp_path.iterdir()} == {"conf"}, "nothing is left behind"

    done = campaign("hours=1", "jobs=2")
    assert done.returncode == 0, done.stderr
    assert "nothing is left" in done.stdout
    results = sorted(tmp_path.glob("outputs/sweeps/*/*/result.json"))
    assert len(results) == 8
    logs = " ".join(path.read_text() for path in (tmp_path / "outputs/campaign").glob("*.log"))
    assert logs.count("not trained again") == 4, "the other study's rows are the same runs"
    hashes = {json.loads(path.read_text())["config_hash"] for path in results}
    assert len(hashes) == 4
    page = (tmp_path / "docs" / "results_appendix.md").read_text()
    assert "## Tiny: data=synthetic" in page and "## More: data=synthetic" in page
    published = list((tmp_path / "docs" / "results").glob("*/*/result.json"))
    assert len(published) == 8

    # what is published is not open, wherever the sweeps have gone
    (tmp_path / "outputs").rename(tmp_path / "away")
    again = campaign("hours=1", "dry_run=true")
    assert "nothing is open" in again.stdout
    assert re.search(r"hours: from the speeds of runs on .*32-true", again.stdout)


def test_its_time_is_up(campaign, tmp_path: Path) -> None:
    done = campaign("hours=0.002")  # 7 s, of which the first run's start takes most
    assert done.returncode == 0, done.stderr
    assert re.search(r"left: [1-8] runs of [1-4] rows, about .* h;", done.stdout)
    assert "type the same command again to go on" in done.stdout


def test_a_row_that_fails_is_told_and_is_the_exit_code(campaign, tmp_path: Path) -> None:
    study = textwrap.dedent(ROWS).format("Bad", "bad").replace("lr=0.05", "lr=-1")
    (tmp_path / "conf" / "study" / "bad.yaml").write_text(study)
    done = campaign("studies=[bad]", "seeds=[0]", "hours=1", "publish=false")
    assert done.returncode == 1, done.stderr
    assert "left: 1 runs of 1 rows" in done.stdout and "\nfailed: bad/bad" in done.stdout
    assert len([*tmp_path.glob("outputs/sweeps/bad*/slow*/result.json")]) == 1, "the other"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hours=0", "hours=0: must be a number above 0"),
        ("studies=[nothing]", "studies=nothing: no such study; baseline,"),
        ("overrides=['seed=5']", "overrides=seed=5: the campaign sets this itself"),
    ],
)
def test_mistakes(argument: str, message: str, tmp_path: Path) -> None:
    hours = [] if argument.startswith("hours") else ["hours=1"]
    done = start("campaign.py", argument, *hours, cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nice=20", "nice=20: must be a whole number from 0 to 19"),
        ("jobs=0", "jobs=0: must be a whole number, 1 or more"),
        ("device=tpu", "device=tpu: must be cpu or gpu"),
        ("studies=baseline", "studies=baseline: must be"),
        ("studies=[]", "studies=[]: must name a study"),
        ("studies=[[baseline]]", "studies=[[baseline]]: must be"),
        ("seeds=[]", "seeds=[]: must be a list of different whole numbers"),
        ("seeds=[1,1]", "seeds=[1, 1]: must be a list of different whole numbers"),
        ("overrides=[x]", "overrides=x: must be <key>=<value>"),
        ("overrides=null", "overrides=None: must be a list"),
        ("overrides=['study.only=[a]']", "overrides=study.only=[a]: the campaign sets this itself"),
        ("overrides=['output_root=x']", "overrides=output_root=x: the campaign sets this itself"),
    ],
)
def test_options_of_the_wrong_kind(argument: str, message: str) -> None:
    options = OmegaConf.load(ROOT / "conf" / "campaign.yaml")
    options.update({"hours": 1, **OmegaConf.from_dotlist([argument])})
    with pytest.raises(UserError, match=re.escape(message)):
        check_options(OmegaConf.to_container(options, resolve=False))


def test_its_help_and_readme_agree() -> None:
    assert "scripts/campaign.py hours=" in (ROOT / "README.md").read_text()
