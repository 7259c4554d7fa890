"""Runs and their tags: ``python scripts/runs.py tags=[paper]``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_folder
from cifarlab.base.compose import plain
from cifarlab.base.errors import UserError, nearest, printable
from cifarlab.base.reading import run_folders
from cifarlab.base.schema import Key
from cifarlab.report.tables import listed
from cifarlab.store.configs import as_shown
from cifarlab.store.lock import RunLock
from cifarlab.store.run import ABSENT, Run, stored_config, write_config


@cli.app(Path(__file__).parents[1] / "conf", "runs")
def main(cfg: DictConfig) -> None:
    asked = plain(cfg)
    for key in ("tags", "where", "add", "drop"):
        given = asked[key]
        asked[key] = [str(item) for item in (given if isinstance(given, list) else [given])]
    Key("notes", asked["notes"], str | None).check()
    for item in asked["where"]:
        if ":" not in item:
            raise UserError(f"where=[{item}]: must be key:value, or [key:value,key:value]")
    folder = check_folder("path", asked["path"])
    runs = list(found(folder, asked["tags"], asked["where"]))
    if not runs:
        raise UserError(none_found(folder, asked["tags"], asked["where"]))
    if asked["add"] or asked["drop"] or asked["notes"] is not None:
        for run in runs:
            change(run.folder, asked["add"], asked["drop"], asked["notes"])
        runs = [Run.read(run.folder) for run in runs]
    for run in runs:
        print(line(run))
    print(f"\n{len(runs):,} run{'s' if len(runs) > 1 else ''}")


def found(folder: Path, tags: list[str], where: list[str]) -> Iterator[Run]:
    """The runs in a folder and below it, by path, with all of the tags and values."""
    wanted = [item.partition(":")[::2] for item in where]
    for run in map(Run.read, run_folders(folder)):
        if set(tags) <= set(run.tags) and all(
            run.value(key) == as_shown(value) for key, value in wanted
        ):
            yield run


def none_found(folder: Path, tags: list[str], where: list[str]) -> str:
    """Why there is no run with all of the tags and values: the first that none has."""
    runs = list(found(folder, [], []))
    if not runs:
        return f"path={folder}: no run here"
    for tag in tags:
        tags_there = {tag for run in runs for tag in run.tags}
        if tag not in tags_there:
            return f"tags=[{tag}]: no run below {folder} has it; {nearest(tag, tags_there)}"
    for key, value in (item.partition(":")[::2] for item in where):
        values = {run.value(key) for run in runs} - {ABSENT}
        if not values:
            return f"where=[{key}:{value}]: no run below {folder} has the key {key}"
        if as_shown(value) not in values:
            there = listed(sorted(values))
            return f"where=[{key}:{value}]: no such run below {folder}; {key} is {there}"
    return f"path={folder}: no run here has all of that"


def line(run: Run) -> str:
    scores = [run.record.metrics[split]["acc"] for split in ("val", "test")] if run.record else []
    parts: list[Any] = [
        f"{run.status:12}",
        *(f"{score:7.2%}" for score in scores or [float("nan")] * 2),
        run.folder,
        *(f"#{tag}" for tag in run.tags),
        run.notes,
    ]
    return printable("  ".join(str(part) for part in parts if part != "").replace("nan%", "   - "))


def change(folder: Path, add: list[str], drop: list[str], notes: str | None) -> None:
    """Rewrite tags and notes in a run's configuration.

    Raises ``UserError`` if another process trains in the folder.
    """
    with RunLock(folder):
        config = stored_config(folder)
        tags = dict.fromkeys([*(config.get("tags") or []), *add])
        config["tags"] = [tag for tag in tags if str(tag) not in drop]
        if notes is not None:
            config["notes"] = notes or None
        write_config(config, folder)


if __name__ == "__main__":
    main()
