"""The site: built strictly, every link looked up, nothing asked of the network."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cifarlab.base.durations import duration
from cifarlab.report.facts import when
from cifarlab.store.record import RunRecord
from scripts.docs import build, mistakes
from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("site")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, whichever worker comes first."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out = shared / "site" / "html"
    with FileLock(shared / "site.lock"):
        if not out.is_dir():
            command = [sys.executable, "scripts/docs.py", "--out", str(out)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr + done.stdout
    return out


def test_it_has_every_page(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        relative = page.relative_to(ROOT / "docs")
        if relative.parts[0] != "results":
            assert (site / relative.with_suffix(".html")).is_file()
    front = (site / "index.html").read_text()
    for caption in ("Tutorial", "How to", "Reference", "Explanation", "Results"):
        assert f">{caption}</span>" in front


def test_it_has_the_page_of_every_study(site: Path) -> None:
    names = {path.parent.name for path in (ROOT / "docs" / "results").glob("*/study.yaml")}
    listed = (site / "study_pages.html").read_text()
    for name in names:
        assert (site / "studies" / name / "report.html").is_file()
        assert f"studies/{name}/report.html" in listed
    assert "studies/index.html" in listed


def test_docstrings_and_commands_are_in_it(site: Path) -> None:
    api = site / "reference"
    assert 'id="cifarlab.use.predictor.load"' in (api / "api.html").read_text()
    assert 'id="cifarlab.models.convnet.ConvNet"' in (api / "api_models.html").read_text()
    said = (api / "commands.html").read_text()
    upkeep = {"docs.py", "look.py", "performance.py", "reference.py"}  # in CONTRIBUTING.md
    for program in (ROOT / "scripts").glob("*.py"):
        assert program.name in upkeep or f"scripts/{program.name}" in said


def test_its_styles_and_scripts_ask_no_network(site: Path) -> None:
    for style in site.rglob("*.css"):
        asked = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*", style.read_text())
        assert not asked, (style, asked)
    for script in site.rglob("*.js"):
        asked = re.findall(r"(?:fetch|importScripts)\(\s*['\"`](?:https?:)?//", script.read_text())
        assert not asked, (script, asked)


def test_it_is_the_same_from_another_machine(site: Path) -> None:
    """No page holds a path of the machine that it was made on."""
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert str(ROOT) not in text and f"{tempfile.gettempdir()}/tmp" not in text, page
    said = (site / "studies" / "baseline" / "report.html").read_text()
    assert "python scripts/report.py path=outputs/sweeps/baseline" in said
    files = (ROOT / "docs" / "results" / "baseline").glob("*/result.json")
    records = [RunRecord.load(path.parent) for path in files]
    last = max(datetime.fromisoformat(r.finished).timestamp() for r in records if r.finished)
    took = duration(sum(record.time["fit_s"] for record in records))
    assert f"{took} in all. Last run: {when(last)}." in said  # and not when the copies were made


def make(folder: Path, **pages: str) -> Path:
    """A small site's sources with this project's settings."""
    docs = folder / "docs"
    (docs / "_static").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "conf.py", docs)
    shutil.copy(ROOT / "docs" / "_static" / "site.css", docs / "_static")
    (folder / "there.py").touch()
    for name, text in pages.items():
        (docs / f"{name}.md").write_text(text)
    return docs


INDEX = "# Front\n\n```{toctree}\nother\n```\n\n"


def test_what_is_whole_is_built(tmp_path: Path) -> None:
    text = f"{INDEX}[other](other.md#a-part) [code](../there.py) [there.py](../there.py)\n"
    docs = make(tmp_path, index=text, other="# Other\n\n## A part\n")
    assert build(tmp_path / "out", docs) == []
    shown = (tmp_path / "out" / "index.html").read_text()
    assert "other.html#a-part" in shown
    assert "code (<code" in shown and ">there.py</span>" in shown  # named, not linked


def test_what_is_missing_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = {
        "[a](nowhere.md)": "nowhere.md",
        "[b](other.md#no-part)": "no-part",
        "[c](#no-title)": "no-title",
        "[d](../no_code.py)": "no_code.py",
        "![e](no_picture.png)": "no_picture.png",
    }
    docs = make(tmp_path, index=INDEX + "\n\n".join(wrong), other="# Other\n", lost="# Lost\n")
    assert build(tmp_path / "out", docs) == ["Sphinx found mistakes: see above"]
    told = capfd.readouterr().err
    for name in [*wrong.values(), "lost.md"]:
        assert name in told


def test_what_sphinx_does_not_see_is_seen(tmp_path: Path) -> None:
    inside = '<a href="gone.html">g</a> <a href="other.html#gone">h</a> <img src="//x.org/y.png">'
    docs = make(tmp_path, index=f"{INDEX}{inside}\n", other="# Other\n")
    told = build(tmp_path / "out", docs)
    assert told == [
        "index.html: loads //x.org/y.png",
        "index.html: gone.html is not there",
        "index.html: other.html#gone has no such anchor",
    ]
    assert told == list(mistakes(tmp_path / "out"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.mark.browser
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed")
def test_in_a_browser_it_asks_for_its_own_files_and_can_be_searched(
    site: Path, browser: Any
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    for page in ("index.html", "tutorial.html", "reference/api.html", "studies/index.html"):
        browser.get((site / page).as_uri())
        assert all(name.startswith(("file:", "data:")) for name in browser.execute_script(asked))
        broken = "return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
        assert browser.execute_script(broken) == []
    browser.get((site / "search.html").as_uri() + "?q=dropout")
    WebDriverWait(browser, 60).until(
        lambda driver: driver.find_elements("css selector", "#search-results li a")
    )
