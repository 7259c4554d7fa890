"""The page to drop an image on: what it answers, and in a browser."""

import base64
import contextlib
import dataclasses
import http.client
import http.server
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.synthetic import CLASSES, draw
from cifarlab.store.checkpoint import load_run
from cifarlab.store.lock import RunLock
from cifarlab.use.predictor import Predictor
from cifarlab.use.web import MAX_UPLOAD, answer
from tests.conftest import ROOT
from tests.report.folders import failed, plan
from tests.test_reading import png

PAGE_S, ANSWER_S = 120, 60  # seconds to wait at most
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = [name for name in ("gradio", "selenium") if importlib.util.find_spec(name) is None]
MISSING += [
    name for name, path in {"chromium": BROWSER, "chromedriver": DRIVER}.items() if not path
]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    images, _ = draw(1, seed=2)
    Image.fromarray(images[0]).resize((90, 60)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_answer(trained: Path, photo: Path, tmp_path: Path) -> None:
    """Of two runs, one of them without convolutions."""
    run = load_run(trained)
    dense = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))
    model = Predictor([run, dataclasses.replace(run, net=dense)], "cpu")
    classes, pictures = answer(model, str(photo))
    assert classes == model.predict(photo).probabilities
    assert isinstance(pictures[0], Image.Image) and pictures[1] is None
    assert answer(model, None) == (None, [None, None])
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="the file is not an image that can be read"):
        answer(model, str(tmp_path / "x.png"))


@contextlib.contextmanager
def served(argument: str) -> Iterator[str]:
    """The address of the page that ``scripts/web.py`` serves."""
    command = [sys.executable, str(ROOT / "scripts" / "web.py"), argument, "port=0", "device=cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


@pytest.fixture
def address(trained: Path) -> Iterator[str]:
    with served(f"run={trained}") as found:
        yield found


class Page:
    """A page that is really served; its uploads are kept for two seconds.

    files: the folder that it has for temporary files.
    """

    def __init__(self, address: str, process: subprocess.Popen, files: Path) -> None:
        self.host, self.process, self.files = urlsplit(address).netloc, process, files

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer; 0 where the connection was closed."""
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, {"Host": self.host} | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def upload(self, data: bytes) -> tuple[int, bytes]:
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\n'
        body = head + data + b"\r\n--x--\r\n"
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.ask("POST", "/gradio_api/upload", body, **form)

    def answer(self, photo: dict[str, Any]) -> str:
        """Of the page to an image, as it sends it to a browser."""
        photo = photo | {"meta": {"_type": "gradio.FileData"}}
        call = "/gradio_api/call/react"
        text = {"Content-Type": "application/json"}
        status, event = self.ask("POST", call, json.dumps({"data": [photo]}), **text)
        assert status == 200, event
        return self.ask("GET", f"{call}/{json.loads(event)['event_id']}")[1].decode()

    def left(self) -> list[Path]:
        """Files of the page in its folder."""
        return [path for path in self.files.glob("cifarlab-web-*/**/*") if path.is_file()]


SHORT = (
    "import runpy, cifarlab.use.web as w; w._KEPT = 2; runpy.run_path({!r}, run_name='__main__')"
)


@pytest.fixture(scope="module")
def page(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    pytest.importorskip("gradio")
    files = tmp_path_factory.mktemp("files")
    (files / "secret.txt").write_text("secret")
    script = SHORT.format(str(ROOT / "scripts" / "web.py"))
    command = [sys.executable, "-c", script, f"run={trained}", "port=0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(files)}
    with subprocess.Popen(
        command, cwd=files, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        yield Page(process.stdout.readline().split()[0], process, files)
        process.terminate()
        assert process.wait(60) == 0
    assert not list(files.glob("cifarlab-web-*")), "nothing is left at the end"


def test_an_uploaded_image_is_answered_and_removed(page: Page, photo: Path, trained: Path) -> None:
    status, path = page.upload(photo.read_bytes())
    assert status == 200 and len(page.left()) == 1
    expected = Predictor([load_run(trained)], "cpu").predict(photo)
    answered = page.answer({"path": json.loads(path)[0]})
    assert f'"label": "{expected.label}"' in answered and "event: complete" in answered
    end = time.monotonic() + 20
    while page.left():
        assert time.monotonic() < end, f"still there: {page.left()}"
        time.sleep(0.2)


def test_an_image_of_too_many_pixels(page: Page) -> None:
    status, path = page.upload(png(13_000, 13_000))
    assert status == 200
    answered = page.answer({"path": json.loads(path)[0]})
    assert "event: error" in answered
    assert "at most 89,478,485 are, so make it smaller first" in answered


def test_only_names_of_this_machine(page: Page) -> None:
    """A page of elsewhere whose name is made to lead here asks under that name."""
    port = page.host.partition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "[::1]", socket.gethostname()):
        assert page.ask("GET", "/", Host=host)[0] == 200, host
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "", "]"):
        for path in ("/", "/config", "/gradio_api/info"):
            assert page.ask("GET", path, Host=host) == (421, b"not a name of this page's machine")


def test_uploads_are_limited(page: Page) -> None:
    much = bytes(MAX_UPLOAD + 1)
    assert page.upload(much)[0] in (413, 0)  # told, or closed while it is still being sent
    declared = {"Content-Length": str(MAX_UPLOAD + 1)}
    assert page.ask("POST", "/gradio_api/upload", b"", **declared) == (413, b"at most 64.0 MB")
    pieces = (much[i : i + (1 << 20)] for i in range(0, len(much), 1 << 20))
    form = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
    assert page.ask("POST", "/gradio_api/upload", pieces, **form)[0] != 200
    assert sum(path.stat().st_size for path in page.left()) < MAX_UPLOAD


def test_no_files_of_the_machine(page: Page, photo: Path) -> None:
    for path in (page.files / "secret.txt", ROOT / "README.md", Path("/etc/passwd"), photo):
        assert page.ask("GET", f"/gradio_api/file={path}")[0] == 403, path
        assert "event: error" in page.answer({"path": str(path)})
    for path in ("/gradio_api/file=secret.txt", "/static/../../../../etc/passwd"):
        assert page.ask("GET", path)[0] in (403, 404), path


def test_nothing_is_fetched_or_decoded_on_the_way(page: Page, photo: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{other.server_port}/x.png"
        assert page.ask("GET", f"/gradio_api/file={url}")[0] == 403
        assert "nothing is fetched from elsewhere" in page.answer({"path": url})
        page.answer({"path": None, "url": url})
        other.shutdown()
    assert Refusing.asked == []
    inline = f"data:image/png;base64,{base64.b64encode(photo.read_bytes()).decode()}"
    assert '"label"' not in page.answer({"path": None, "url": inline})


class Refusing(http.server.BaseHTTPRequestHandler):
    """Remembers what it is asked."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)


@pytest.fixture
def browser() -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def wait_for(what: Callable[[], Any], seconds: float) -> Any:
    """What it returns, as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "the page does not show it"
        time.sleep(0.1)
    return found


in_a_browser = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@in_a_browser
@pytest.mark.filterwarnings("default")  # selenium's own
def test_in_a_browser(address: str, browser: Any, photo: Path, trained: Path) -> None:
    """Dropped on the page, an image gets its classes and its Grad-CAM; what is none, a message."""
    assert address.startswith("http://127.0.0.1:")
    browser.get(address)

    def find(selector: str) -> list[Any]:
        return browser.find_elements("css selector", selector)

    def text() -> str:
        return find("body")[0].text

    def drop(file: Path) -> None:
        wait_for(lambda: find("input[type=file]"), PAGE_S)[0].send_keys(str(file))

    cut = photo.with_name("cut.png")
    cut.write_bytes(photo.read_bytes()[:-200])
    drop(cut)
    wait_for(lambda: "the file is not an image that can be read" in text(), ANSWER_S)
    browser.get(address)
    drop(photo)
    expected = Predictor([load_run(trained)], "cpu").predict(photo)
    wait_for(lambda: f"{expected.label}\n{expected.probability:.0%}" in text(), ANSWER_S)
    assert sum(name in text() for name in CLASSES) >= 5
    wait_for(lambda: [i for i in find("img") if i.size["width"] > 600], ANSWER_S)


@pytest.fixture
def sweep(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """Two finished cells, one that failed, and one that has trained an epoch of two so far."""
    folder = tmp_path / "outputs" / "sweeps" / "nets"
    cells = {name: [f"name={name}", f"seed={i}"] for i, name in enumerate("abcd")}
    plan(folder, cells)
    for name in "ab":
        shutil.copytree(trained, folder / name)
    failed(folder / "c", "RuntimeError", "<b>no memory</b>")
    (folder / "d").mkdir()
    shutil.copy(trained / "config.yaml", folder / "d")
    rows = (trained / "metrics.csv").read_text().splitlines(keepends=True)
    (folder / "d" / "metrics.csv").write_text("".join(rows[:2]))
    with RunLock(folder / "d"):
        yield folder


@in_a_browser
@pytest.mark.filterwarnings("default")  # selenium's own
def test_the_dashboard_in_a_browser(sweep: Path, trained: Path, browser: Any, photo: Path) -> None:
    """It shows runs while they train, what two that are ticked disagree on, and asks both."""
    with served(f"path={sweep.parents[1]}") as address:
        browser.get(address)

        def find(selector: str) -> list[Any]:
            return browser.find_elements("css selector", selector)

        def body() -> str:
            return find("body")[0].text

        wait_for(lambda: len(find("input[name=run]")) == 4, PAGE_S)
        assert "sweeps/nets: 2/4 done, 1 failed" in body()
        assert "<b>no memory</b>" in body() and "Ranked by validation" in body()
        assert re.search(r"seed=3 running 1/2 [\d.]+% \d+ s left", " ".join(body().split()))
        wait_for(lambda: len(find("canvas, svg.marks")) == 2, ANSWER_S)  # the two panels
        shutil.copy(trained / "metrics.csv", sweep / "d")  # as the run does
        wait_for(lambda: re.search(r"seed=3 running 2/2", " ".join(body().split())), ANSWER_S)
        for number in (1, 2):  # after the one that is running
            find("input[name=run]")[number].click()
            wait_for(lambda n=number: len(find("input[name=run]:checked")) == n, ANSWER_S)
        colours = {box.value_of_css_property("background-color") for box in find(":checked")}
        assert colours == {"rgba(31, 111, 159, 1)"}, "a white tick has to be on something"
        wait_for(lambda: find("iframe"), ANSWER_S)
        wait_for(lambda: "Side by side" in find("iframe")[0].get_attribute("srcdoc"), ANSWER_S)
        assert "not all the same answer" in find("iframe")[0].get_attribute("srcdoc")
        find("input[type=file]")[0].send_keys(str(photo))
        said = Predictor([load_run(trained)], "cpu").predict(photo)
        shown = f"{said.label}\n{said.probability:.0%}"
        wait_for(lambda: body().count(shown) == 2, ANSWER_S)
        lines = "const r = document.createRange(); r.selectNodeContents(cell); "
        lines += "return new Set([...r.getClientRects()].map(line => line.top)).size"
        cells = f"return [...document.querySelectorAll('.prose td')].map(cell => {{{lines}}})"
        phone = {"width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        assert set(browser.execute_script(cells)) == {1}, "no letter alone on a line"
        assert browser.execute_script("return document.scrollingElement.scrollWidth") <= 320
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        assert all(
            name.startswith((address, "data:", "blob:")) for name in browser.execute_script(asked)
        )
    assert {path.name for path in (sweep / "a").iterdir()} == {p.name for p in trained.iterdir()}
