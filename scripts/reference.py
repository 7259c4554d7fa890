"""Write ``docs/configuration.md`` from ``conf/`` and the kinds of its keys, and
``docs/reference/commands.md`` from what each program says of itself:
``python scripts/reference.py``. A test tells when it was forgotten."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from cifarlab.base.config import RunConfig, TrainerOptions
from cifarlab.base.kinds import rule, shown
from cifarlab.base.labs import VARIABLE
from cifarlab.base.schema import Key, keys, kinds_of

ROOT = Path(__file__).parents[1]
CONF, PAGE = ROOT / "conf", ROOT / "docs" / "configuration.md"
COMMANDS = ROOT / "docs" / "reference" / "commands.md"
PROGRAMS = {  # in their order, and where there is more
    "train.py": "[what can be chosen](options.md), [what a run leaves](run_folder.md)",
    "scripts/report.py": "[reports](../reports.md)",
    "scripts/runs.py": "[tags and notes](../use.md#tags-and-notes)",
    "scripts/compare.py": "[compare two nets](../howto/compare.md), [statistics](../statistics.md)",
    "scripts/shifts.py": "[shifts](../statistics.md#shifts)",
    "scripts/knows.py": "[what the net knows](../howto/knows.md)",
    "scripts/robustness.py": "[test on corrupted images](../howto/robustness.md)",
    "scripts/predict.py": "[files](../use.md#files)",
    "scripts/web.py": "[a dashboard](../use.md#a-dashboard), "
    "[a page to drop an image on](../use.md#a-page-to-drop-an-image-on)",
    "scripts/export.py": "[export](../use.md#export)",
    "scripts/ensemble.py": "[several nets as one](../howto/smaller.md#let-several-answer-together)",
    "scripts/prune.py": "[smaller nets](../howto/smaller.md#without-the-smallest-weights)",
    "scripts/zoo.py": "[a zoo](../howto/smaller.md#a-zoo)",
    "scripts/visualize.py": "[pictures of what a net has learnt](../visualize.md)",
    "scripts/describe.py": "[a model, layer by layer](../theory.md#a-model-layer-by-layer), "
    "[the data seen](../theory.md#the-data-seen)",
    "scripts/theory.py": "[questions](../theory.md#questions)",
    "scripts/weights.py": "[begin with ImageNet weights](../howto/transfer.md)",
    "scripts/new.py": "[code of my own](../howto/own_code.md)",
    "scripts/lr_find.py": "[training](options.md#training)",
    "scripts/batch_find.py": "[training](options.md#training)",
    "scripts/reproduce.py": "[reproduce a report](../howto/reproduce.md#a-run-once-more)",
    "scripts/campaign.py": "[a queue over all studies](../studies.md#a-queue-over-all-studies)",
    "scripts/publish.py": "[publishing](../studies.md#publishing)",
    "scripts/benchmark.py": "[performance](../performance.md)",
    "scripts/gpu_trip.sh": "[on a GPU](../use.md#on-a-gpu)",
    "scripts/slurm_local.sh": "[run on Slurm](../howto/slurm.md)",
}
OF_A_RUN = "== Groups: pick one option of each (group=option) ==\n"
COMMANDS_HEAD = """# Commands

What each program says of itself with `--help`, made by `python scripts/reference.py`. All take
`key=value`; `???` is a key that has to be given. A mistake is one line and exit code 2.

While runs train, `python scripts/web.py` and `tensorboard --logdir outputs` show them:
[a dashboard](../use.md#a-dashboard), [TensorBoard](../reports.md#tensorboard).
"""
GROUPS = {  # and the type of what its options hold
    "data": "cifarlab.data.datamodule.CIFAR10DataModule",
    "model": None,
    "optimizer": None,
    "scheduler": None,
    "loss": None,
    "aug": None,
    "transfer": None,
    "trainer": "lightning.pytorch.Trainer",
    "callbacks": None,
    "metrics": None,
    "logger": None,
    "experiment": None,
    "debug": None,
}
HEAD = """# Configuration

Every key of a run, made from `conf/` and its checks by `python scripts/reference.py`. On the
command line a key is given as `key=value`, an option of a group as `group=option`, and a key that
its file has not as `+key=value`. A value that is not as the table has it is refused in one line
before anything starts. `python train.py --help`, with options of groups behind it, shows the same
for what is chosen.
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for file, text in ((PAGE, page()), (COMMANDS, commands())):
        file.write_text(text, encoding="utf-8")
        print(file.relative_to(ROOT))


def page() -> str:
    """The whole page, Markdown."""
    parts = [HEAD, "## Every run\n", table(CONF / "run.yaml", "", None)]
    parts.append(further_options())
    for group, target in GROUPS.items():
        parts.append(f"## {group}\n")
        for path in sorted((CONF / group).glob("*.yaml")):
            about = comment(path)
            parts.append(f"### {group}={path.stem}\n")
            parts += [f"{text}\n" for text in (about, chosen(path)) if text]
            parts += [rows] if (rows := table(path, group, target)) else []
    return "\n".join(parts)


def commands() -> str:
    """The page of all programs, Markdown."""
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(help_of, PROGRAMS))
    parts = [COMMANDS_HEAD]
    for (program, more), text in zip(PROGRAMS.items(), said, strict=True):
        about, groups, _ = text.partition(OF_A_RUN)
        runs = (
            "Groups and keys: those of a run, [all keys](../configuration.md). " if groups else ""
        )
        block = f"```text\n{about.strip()}\n```"
        parts.append(f"## {program}\n\n{block}\n\n{runs}More: {more}.\n")
    return "\n".join(parts)


def help_of(program: str) -> str:
    """What a program says of itself: with ``--help``, or a shell script's first comment."""
    path = ROOT / program
    if path.suffix == ".sh":
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        end = next(n for n, line in enumerate(lines) if not line.startswith("#"))
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])
    command = [sys.executable, str(path), "--help"]
    plain = os.environ | {"TERM": "dumb", "COLUMNS": "100", "PYTHONUTF8": "1", VARIABLE: ""}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=True)
    return done.stdout


def further_options() -> str:
    """What Lightning's Trainer takes beside the keys of ``conf/``."""
    there = _trainer().keys()
    rows = [
        f"| `+trainer.{key}` | {_cell(rule(kind))} |"
        for key, kind in kinds_of(TrainerOptions).items()
        if key not in there
    ]
    head = ["Further options of Lightning's Trainer:", "", "| key | must be |", "|---|---|"]
    return "\n".join([*head, *rows, ""])


def comment(path: Path) -> str:
    """The first comment of a file, without Hydra's directives, a command in it as code."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            said = line.removeprefix("#").strip()
            lines.append(re.sub(r"^(python .*\S) {2,}(.*)", r"`\1`: \2", said))
    return "\n".join(lines)


def chosen(path: Path) -> str:
    """The options that a file picks in other groups; empty for none."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    picked = [
        f"`{key.removeprefix('override /')}={value}`"
        for item in content.get("defaults", [])
        if isinstance(item, dict)
        for key, value in item.items()
        if key.startswith("override /")
    ]
    return f"Takes {', '.join(picked)}." if picked else ""


def table(path: Path, group: str, target: str | None) -> str:
    """Key, default, kind and remark of each key in a file of ``conf/``; empty for none."""
    text = path.read_text(encoding="utf-8")
    remarks = dict(comments(text))
    rows = []
    for key in set_by(
        yaml.safe_load(text) or {}, group, target, is_global="@package _global_" in text
    ):
        told = remarks.get(key.path.removeprefix(f"{group}.")) or remarks.get(key.path, "")
        cells = (f"`{key.path}`", f"`{shown(key.value)}`", rule(key.kind), told)
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(["| key | here | must be | |", "|---|---|---|---|", *rows, ""]) if rows else ""


def set_by(
    content: dict[str, Any], group: str, target: str | None, *, is_global: bool
) -> Iterator[Key]:
    """The keys that a file sets, as a run has them."""
    content = {key: value for key, value in content.items() if key != "defaults"}
    if not group or is_global or group == "experiment":
        classes = {name: {"_target_": found} for name, found in GROUPS.items() if found}
        config: dict[str, Any] = {
            name: classes.get(name, {}) | value if isinstance(value, dict) else value
            for name, value in content.items()
        }
    elif target is not None:
        config = {group: {"_target_": target} | content}
    else:
        config = {group: content}
    for key in keys(config, RunConfig, strict=False):
        is_inside = any(part.isdigit() for part in key.path.split("."))
        if not is_inside and not (isinstance(key.value, dict) and key.value) and key.path != group:
            yield key


def comments(text: str) -> Iterator[tuple[str, str]]:
    """Dotted key and remark of each line that has one."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not (match := re.match(r"( *)([\w/]+):(.*)", line)):
            continue
        indent = len(match[1])
        above = [(depth, name) for depth, name in above if depth < indent] + [(indent, match[2])]
        if remark := re.search(r"\s#\s+(.*)", match[3]):
            yield ".".join(name for _, name in above), remark[1]


def _trainer() -> dict[str, Any]:
    """Options of the trainer that are in ``conf/``."""
    files = [CONF / "trainer" / "auto.yaml", CONF / "run.yaml"]
    auto, run = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in files)
    return auto | run["trainer"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


if __name__ == "__main__":
    main()
