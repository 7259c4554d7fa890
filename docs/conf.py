"""The site: ``make docs``. Sphinx with MyST and Furo, since all three are kept, links and anchors
are checked, docstrings are read, and no page asks the network for anything. (mkdocs-material ends
in May 2027; its successor Zensical is before its first major version.)
"""

import re
from pathlib import Path

import yaml

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "cifarlab"
author = "the cifarlab authors"
project_copyright = author
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["results/**", "performance/**"]  # records, which the pages are made of

myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # configuration.md goes from ## to ### and back, as it should

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Lightning's and torch's are theirs
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "cifarlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
copybutton_exclude = ".linenos, .gp, .go"  # a console is copied without prompts and output

INCLUDED = re.compile(r"^```\{include\} (\S+)\n```$", re.M)
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2[ ]*$", re.M | re.S)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
UNBROKEN = re.compile(r"(\d) ± (?=\d)")  # a figure and its interval stay on one line
STUDIES = "<!-- the studies' pages -->"


def setup(app):
    app.connect("source-read", prepare)
    return {"parallel_read_safe": True}


def prepare(app, name, source):
    """Puts in the files that a page includes, and what lies beside ``docs/`` as text."""
    page = DOCS / f"{name}.md"
    text = seen_from(source[0], page.parent, page.parent)

    def put_in(match):
        file = (page.parent / match[1]).resolve()
        return seen_from(file.read_text(encoding="utf-8"), file.parent, page.parent)

    source[0] = INCLUDED.sub(put_in, text).replace(STUDIES, studies())


def seen_from(text, here, there):
    """The links of a text that stands in the folder ``here``, as they are from ``there``. The site
    has no address of the repository: what is not part of ``docs/`` is named, and not linked."""

    def link(match):
        mark, words, target = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:") or not path:
            return match[0]
        file = (here / path).resolve()
        if file in PAGES:
            file = DOCS / PAGES[file]
        if file.is_relative_to(DOCS) and not file.is_dir():
            path = Path(*[".."] * len(there.relative_to(DOCS).parts), file.relative_to(DOCS))
            return f"{mark}[{words}]({path.as_posix()}{'#' if anchor else ''}{anchor})"
        if not file.exists():
            return match[0]  # Sphinx tells
        named = file.relative_to(ROOT).as_posix()
        return f"`{named}`" if words.strip("`") in (named, file.name) else f"{words} (`{named}`)"

    def prose(text):
        return UNBROKEN.sub("\\1\u00a0±\u00a0", LINK.sub(link, text))

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [prose(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, prose(text[end:])])


PAGES = {  # of the repository, and where the site has them
    ROOT / "README.md": "index.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "CHANGELOG.md": "changelog.md",
}


def studies():
    """A line a page that ``scripts/docs.py`` makes of ``docs/results``."""
    whole, shortened = [], []
    for path in sorted((DOCS / "results").glob("*/study.yaml")):
        title = yaml.safe_load(path.read_text(encoding="utf-8"))["title"]
        name = path.parent.name
        lines = shortened if "__" in name else whole
        lines.append(f'- <a href="studies/{name}/report.html">{title}</a>')
    index = '<a href="studies/index.html">All studies</a>, and every row of the reports beside ours'
    return "\n".join([index, "\n**Whole runs**\n", *whole, "\n**Shortened runs**\n", *shortened])
