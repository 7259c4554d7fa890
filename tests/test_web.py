"""The page to drop an image on: what it answers, and in a browser."""

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.synthetic import CLASSES, draw
from cifarlab.store.checkpoint import load_run
from cifarlab.use.predictor import Predictor
from cifarlab.use.web import answer
from tests.conftest import ROOT

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


@pytest.fixture
def address(trained: Path) -> Iterator[str]:
    command = [sys.executable, str(ROOT / "scripts" / "web.py"), f"run={trained}", "port=0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.terminate()


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


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
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
