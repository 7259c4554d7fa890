"""The commands of README and docs, as their readers find them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.studies.rows import scaled
from hydra_plugins.cifarlab_sweeper.search import examples
from hydra_plugins.cifarlab_sweeper.search import text as as_text
from scripts.new import NAME, TEMPLATE
from tests.conftest import ROOT, plain

DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [p for p in sorted(DOCS.rglob("*.md")) if not p.is_relative_to(DOCS / "results")]

# A command of the pages, made small
SMALL = [
    "data=synthetic", "data.num_train=80", "data.num_test=20", "batch_size=16", "trainer=cpu",
    "trainer.precision=32-true",
]  # fmt: skip
# What takes another run or a file, or is many runs, has tests of its own
OTHERS = (
    "resume=", "init_from=", "loss=distillation", "weights=", "model.weights=", "transfer=",
    "study=", "ablation=", "dry_run=", "fresh=", "experiment=transfer", "+trainer.max_steps=",
)  # fmt: skip
OF_SWEEPS = ("sweep=", "search=", "hydra/", "hydra.")
MINE = ("data=", "data.", "batch_size=", "trainer=", "trainer.", "evaluation=", "output_root=")


def typed(page: Path) -> Iterator[str]:
    """The lines of a page's code blocks that are for a shell, without prompts and remarks; of one
    that is continued, all in one."""
    language, begun = None, ""
    for line in page.read_text().splitlines():
        fence = re.match(r" *```(\w*)", line)
        if fence:
            language = fence[1] if language is None else None
        elif language in ("", "bash", "sh", "console"):
            words = begun + re.split(r"\s+#\s", line)[0].strip().removeprefix("$ ")
            begun = words.removesuffix("\\") if words.endswith("\\") else ""
            if not begun:
                yield re.sub(r"^(?:[A-Z_]+=\S+ )+", "", words)


def lines() -> list[str]:
    """Those of all pages, each once; of a page that is made, none."""
    pages = [page for page in (*PAGES, TEMPLATE / "README.md") if page.name != "performance.md"]
    return list(dict.fromkeys(line for page in pages for line in typed(page)))


def commands() -> list[list[str]]:
    """Every ``python train.py ...`` of the pages, without placeholders but for the reader's lab."""
    found = [line for line in lines() if line.startswith("python train.py")]
    found = [shlex.split(re.sub(rf"<({NAME}[\w.]*)>", r"\1", line))[2:] for line in found]
    left_out = re.compile(r".*<.*|--help")
    found = [c for c in found if not any(left_out.fullmatch(word) for word in c)]
    return [list(c) for c in dict.fromkeys(map(tuple, found))]


def programs() -> list[str]:
    """Every ``python scripts/...`` of the pages, with its placeholders in angle brackets."""
    return [line for line in lines() if line.startswith("python scripts/")]


def small(command: list[str]) -> list[str]:
    """The command with the first of the values of every swept key, made small."""
    left_out = (*MINE, *OF_SWEEPS) if "-m" in command else MINE
    words = [word for word in command if word != "-m" and not word.startswith(left_out)]
    overrides = [OverridesParser.create().parse_override(word) for word in words]
    typed = [
        f"{o.get_key_element()}={examples(o)[0]}" if o.is_sweep_override() else as_text(o)
        for o in overrides
    ]
    config = plain(*typed, *SMALL)
    return [*typed, *SMALL, *scaled(config, min(1.0, 2 / config["max_epochs"]), [])]


def trains(command: list[str]) -> bool:
    """Alone, from nothing: what takes another run or a file, or is many runs, does not."""
    return not any(word.startswith(OTHERS) for word in command)
