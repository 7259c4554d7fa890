"""The site, and nothing missing in it: ``python scripts/docs.py [--serve]``.

Sphinx makes the pages of ``docs/``, each warning an error; the studies' own pages are made of
``docs/results``. Then every link, anchor and picture of what was made is looked up.
"""

import argparse
import contextlib
import functools
import html
import http.server
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
LOADED = {  # what a browser asks for by itself
    "img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href",
}  # fmt: skip
QUIET = {"canonical", "index", "search", "next", "prev", "author", "license", "help"}  # of links


class Page(HTMLParser):
    """anchors: what can be linked to. links: what is linked or loaded. loaded: those of ``links``
    that a browser asks for by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value for key, value in attrs if value}
        self.anchors |= {found[key] for key in ("id", "name") if key in found}
        target = found.get(LOADED.get(tag, "href"))
        if target is None:
            return
        self.links.append(target)
        if tag in LOADED and not QUIET & set(found.get("rel", "").split()):
            self.loaded.append(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", help="its folder")
    parser.add_argument("--serve", action="store_true", help="show it on this machine afterwards")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    wrong = build(options.out)
    if wrong:
        sys.exit("\n".join([*wrong, f"{len(wrong)} mistakes in {options.out}"]))
    print(options.out / "index.html")
    if options.serve:
        serve(options.out, options.port)


def build(out: Path, docs: Path = ROOT / "docs") -> list[str]:
    """Makes the site of ``docs`` in ``out``; what is wrong with it, a line each."""
    if out.exists():
        if not (out / ".buildinfo").is_file() and any(out.iterdir()):
            return [f"{out} holds something else: name another folder"]
        shutil.rmtree(out)
    # From nothing: Sphinx would not tell again what is wrong with a page that has not changed
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-b", "html"]
    with tempfile.TemporaryDirectory() as doctrees:
        done = subprocess.run([*command, "-d", doctrees, str(docs), str(out)], cwd=ROOT)
    if done.returncode:
        return ["Sphinx found mistakes: see above"]
    if (docs / "results").is_dir():
        make_studies(docs / "results", out)
    return list(mistakes(out))


def make_studies(records: Path, out: Path) -> None:
    """The reports of all studies, beside the site's pages."""
    from cifarlab.report.page import write_report
    from cifarlab.studies.schema import read_studies

    records, out, work = records.resolve(), out.resolve(), Path("outputs") / "sweeps"
    # Where the pages are made, a run of one's own would lie: so says the command on each
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(records, work)
        write_report(work, read_studies(ROOT / "conf" / "study"), "../results.html")
        for page in work.rglob("*.html"):
            kept = out / "studies" / page.relative_to(work)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, kept)
        for record in work.glob("*/*/result.json"):
            make_record(record.parent, out / "studies" / record.parent.relative_to(work))


def make_record(run: Path, kept: Path) -> None:
    """What is published of a run, with a page that links to each file."""
    kept.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in run.iterdir() if path.suffix in (".json", ".yaml", ".csv"))
    for file in files:
        shutil.copy(file, kept)
    name = html.escape(run.name)
    links = "".join(f'<li><a href="{file.name}">{file.name}</a></li>' for file in files)
    (kept / "index.html").write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<h1>{name}</h1><p>What is kept of this run.</p><ul>{links}</ul></html>\n",
        encoding="utf-8",
    )


def mistakes(out: Path) -> Iterator[str]:
    """Links that lead nowhere, and what would be asked of the network."""
    files = sorted(out.rglob("*.html"))
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    for file, page in pages.items():
        shown = file.relative_to(out)
        for target in page.loaded:
            if urlsplit(target).netloc:
                yield f"{shown}: loads {target}"
        for target in dict.fromkeys(page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if there.is_dir():
                there /= "index.html"
            if not there.is_file():
                yield f"{shown}: {target} is not there"
            elif parts.fragment and there in pages:
                anchor = unquote(parts.fragment)
                if anchor != "top" and anchor not in pages[there].anchors:
                    yield f"{shown}: {target} has no such anchor"


def serve(out: Path, port: int) -> None:
    """On this machine alone, until Ctrl-C."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(out))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
