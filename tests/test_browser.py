"""What a user sees: TensorBoard and the report of a real run, in a real browser.

Needs Chromium, its driver and selenium; Debian: ``apt-get install chromium chromium-driver``.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cifarlab.figures import charts, curves
from cifarlab.report.document import Picture, to_html
from cifarlab.report.page import write_report
from cifarlab.store.record import RunRecord, read_metrics
from tests.conftest import launch

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not installed"
    ),
]

PATIENCE = 60  # seconds until a page must show what it should
# Everything that is on the page, in shadow trees too: TensorBoard is made of them
WALK = """
const found = {text: [], images: []};
function walk(node) {
  if (node.nodeType === Node.TEXT_NODE) {
    const text = node.textContent.trim();
    if (text) found.text.push(text);
    return;
  }
  if (node.nodeName === 'IMG') found.images.push(node.complete && node.naturalWidth);
  if (node.shadowRoot) walk(node.shadowRoot);
  if (!['STYLE', 'SCRIPT', 'NOSCRIPT'].includes(node.nodeName)) node.childNodes.forEach(walk);
}
walk(document.body);
return found;
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, cache) -> Path:
    """Two finished runs beside each other, as the cells of a sweep are."""
    folder = tmp_path_factory.mktemp("browser") / "sweep"
    for dropout in (0.125, 0.25):
        launch(
            folder / f"{dropout}", cache, f"dropout={dropout}", "logger.tensorboard.images_every=2"
        )
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.add_argument("--window-size=1500,1100")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def tensorboard(sweep: Path) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(sweep), "--port", "0"]
    process = subprocess.Popen([*command, "--host", "127.0.0.1"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127.0.0.1:\d+", line):
            yield found[0]
            break
    else:
        raise AssertionError("TensorBoard did not start")
    process.terminate()
    process.wait()
    process.stderr.close()


@pytest.fixture
def see(browser: Any) -> Callable[..., dict[str, list]]:
    """``see(address, *texts)``: the page once these texts and ``images`` images are on it."""

    def wait(address: str, *texts: str, images: int = 0) -> dict[str, list]:
        page: dict[str, list] = {}

        def is_there(_: Any) -> bool:
            page.update(browser.execute_script(WALK))
            return set(texts) <= set(page["text"]) and sum(map(bool, page["images"])) >= images

        browser.get("about:blank")  # another part after "#" alone would not load the page anew
        browser.get(address)
        try:
            WebDriverWait(browser, PATIENCE).until(is_there)
        except Exception as error:
            missing = set(texts) - set(page["text"])
            raise AssertionError(
                f"{address}: missing {missing}, images {page['images']}"
            ) from error
        return page

    return wait


def test_tensorboard_shows_scalars(see, tensorboard: str, sweep: Path) -> None:
    """A card with the last value of both runs, as metrics.csv has it."""
    last = [read_metrics(path)[-1]["val_acc"] for path in sorted(sweep.glob("*/metrics.csv"))]
    shown = [f"{round(value, 4):g}" for value in last]
    see(f"{tensorboard}/?tagFilter=curves%2Facc#timeseries", "/acc", *shown)


def test_tensorboard_shows_both_splits_in_one_chart(see, tensorboard: str) -> None:
    see(f"{tensorboard}/#custom_scalars", "training", "loss", "accuracy", "learning rate")


def test_tensorboard_shows_images(see, tensorboard: str) -> None:
    tags = ("net/first_layer", "validation/confusion", "validation/confidently_wrong")
    see(f"{tensorboard}/#images", *tags, images=6)


def test_tensorboard_compares_swept_values(see, tensorboard: str, sweep: Path) -> None:
    page = see(
        f"{tensorboard}/#hparams", "dropout", "final/1_val_acc", "final/2_test_acc", "0.12500"
    )
    text = " ".join(page["text"])
    header = re.search(r"Trial ID Show Metrics (.*?) 0\.125/final ", text)
    assert header and header[1].split()[0] == "dropout", "what was swept comes first"
    shown = re.findall(r"final/\d_(\w+)", text)
    assert shown[:2] == ["val_acc", "val_loss"], "of the figures validation's"
    for cell in sorted(sweep.iterdir()):
        metrics = RunRecord.load(cell).metrics
        row = re.search(rf" {cell.name}/final (.*?final/|.*$)", text[header.start() :])
        assert row, cell.name
        values = {float(word) for word in row[1].split() if re.fullmatch(r"[\d.]+", word)}
        for value in (float(cell.name), metrics["val"]["acc"], metrics["test"]["acc"]):
            assert any(abs(value - shown) < 1e-4 for shown in values), (cell.name, value)


def test_the_report_of_a_run(see, browser, sweep: Path) -> None:
    cell = sweep / "0.25"
    write_report(cell)
    metrics = json.loads((cell / "result.json").read_text())["metrics"]
    page = see(f"file://{cell / 'report.html'}", "mlp on synthetic", images=6)
    assert all(page["images"]), "every image was loaded"
    rows = browser.execute_script(
        "const rows = [...document.querySelector('table').rows];"
        "return rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert rows[0] == ["", "accuracy", "loss"]
    assert rows[1:] == [[s, f"{m['acc']:.2%}", f"{m['loss']:.4f}"] for s, m in metrics.items()]
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= 390, "a phone"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_tenth_epoch_is_ten(see, browser, tmp_path: Path) -> None:
    """d3 takes the precision of an axis from the step of its ticks: 10 was 1e+1."""
    columns = {"epoch": [float(i) for i in range(1, 11)]}
    columns |= {
        f"{split}_{what}": columns["epoch"]
        for split in ("train", "val")
        for what in ("loss", "acc")
    }
    curve = curves.Curve(columns, 1)
    png = curves.png(curves.draw(curve))
    page = to_html("Ten", [Picture("curves", png, charts=charts.curves(curve))])
    (tmp_path / "ten.html").write_text(page, encoding="utf-8")
    see(f"file://{tmp_path / 'ten.html'}", "epoch", "1", "9", "10")


def test_charts_answer_to_the_pointer(see, browser, sweep: Path) -> None:
    """The chart is there in place of its picture, says what metrics.csv has where one points, and
    has other colours where it is dark. Nothing is loaded for it."""
    cell = sweep / "0.125"
    write_report(cell)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    for scheme, colour in (({"features": []}, "#1f6f9f"), (dark, "#62aee0")):
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        see(f"file://{cell / 'report.html'}", "cross-entropy (nats)", "validation")
        waiting = "return !document.querySelector('script.chart:not(.drawn)')"
        WebDriverWait(browser, PATIENCE).until(lambda b, code=waiting: b.execute_script(code))
        assert browser.find_elements("css selector", f'figure.live svg [stroke="{colour}"]')
    hidden = "return getComputedStyle(document.querySelector('figure.live > img')).display"
    assert browser.execute_script(hidden) == "none"
    points = browser.find_elements("css selector", "figure.live svg g.mark-symbol.role-mark path")
    for point in points[:2]:  # the pointer has to move to be seen
        ActionChains(browser).move_to_element(point).perform()
    rows = read_metrics(cell / "metrics.csv")
    losses = [f"{row[f'{split}_loss']:.4f}" for row in rows for split in ("train", "val")]
    says = "return document.getElementById('vg-tooltip-element')?.innerText ?? ''"
    WebDriverWait(browser, PATIENCE).until(
        lambda b: any(loss in b.execute_script(says) for loss in losses)
    )
    loaded = browser.execute_script("return performance.getEntriesByType('resource')")
    assert [entry["name"] for entry in loaded if not entry["name"].startswith("data:")] == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
