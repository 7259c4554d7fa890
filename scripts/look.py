"""Pictures of pages as a reader sees them, to be looked at before a change of them is done:
``python scripts/look.py build/docs/index.html [<page> ...]``.

Each page is drawn at the widths of a phone, a tablet and a desk, light and dark, with Chromium
(Debian: chromium, chromium-driver).
"""

import argparse
import base64
import re
import shutil
import sys
import time
from pathlib import Path

WIDTHS = (400, 900, 1400)
HIGHEST = 6000  # pixels of a page that are drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", help="HTML files, or addresses on this machine")
    parser.add_argument(
        "--wait", type=float, default=0, help="seconds until a page has drawn itself"
    )
    parser.add_argument("--out", type=Path, default=Path("build/looks"), help="folder of the PNGs")
    options = parser.parse_args()
    missing = [page for page in options.pages if "://" not in page and not Path(page).is_file()]
    if missing:
        sys.exit(f"{missing[0]} is not there")
    from selenium import webdriver

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        sys.exit("chromium or chromedriver is missing: apt-get install chromium chromium-driver")
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        chosen.add_argument(f"--{flag}")
    options.out.mkdir(parents=True, exist_ok=True)
    browser = webdriver.Chrome(chosen, webdriver.ChromeService(driver))
    try:
        for page in options.pages:
            for scheme in ("light", "dark"):
                for width in WIDTHS:
                    print(draw(browser, page, width, scheme, options.out, options.wait))
    finally:
        browser.quit()


def draw(browser, page: str, width: int, scheme: str, out: Path, wait: float = 0) -> Path:
    """One picture; its name tells the page, the width and the scheme."""
    address = page if "://" in page else Path(page).resolve().as_uri()
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(address)
    time.sleep(wait)
    high = browser.execute_script("return document.documentElement.scrollHeight")
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    if wide > width:
        print(f"{page} is {wide} pixels wide at {width}", file=sys.stderr)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", size | {"height": min(high, HIGHEST)}
    )
    shown = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    _, remote, name = page.partition("://")
    stem = re.sub(r"\W+", "-", name) if remote else "-".join(Path(page).with_suffix("").parts[-2:])
    path = out / f"{stem}-{width}-{scheme}.png"
    path.write_bytes(base64.b64decode(shown["data"]))
    return path


if __name__ == "__main__":
    main()
