"""A folder for code of one's own: ``python scripts/new.py path=my_lab``."""

import importlib.util
import re
from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli, labs
from cifarlab.base.checks import check_folder
from cifarlab.base.errors import UserError
from cifarlab.base.schema import Key

TEMPLATE = Path(__file__).parent / "lab-template"  # no name of a package: it is not to be imported
NAME = "my_lab"  # in the template, wherever the new name shall be


@cli.app(Path(__file__).parents[1] / "conf", "new")
def main(cfg: DictConfig) -> None:
    folder = check_folder("path", cfg.path).expanduser()
    Key("forget", cfg.forget, bool).check()
    if cfg.forget:
        labs.remove(folder)
        print(f"{folder}: no longer among your labs; its files stay")
        return
    if labs.Lab(folder).packages or labs.Lab(folder).conf.is_dir():
        labs.add(folder)
        print(f"{folder}: among your labs now, so that its code may be run")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"path={folder}: is there already, and is no lab; name a new folder")
    name = make(folder)
    labs.add(folder)
    print(f"{folder}: made, and among your labs; begin with {folder / 'README.md'}")
    print(f"python train.py experiment={name}")


def make(folder: Path) -> str:
    """Make the folder from the template; returns the name of its package.

    Raises ``UserError`` for a name that a package cannot have, or that another module has.
    """
    name = re.sub(r"\W", "_", folder.resolve().name)
    if not name.isidentifier() or name != name.lower():
        raise UserError(f"path={folder}: {name} is no name for a package: a to z and _")
    if importlib.util.find_spec(name) is not None or name in _options():
        raise UserError(
            f"path={folder}: {name} is a module or an option already; take another name"
        )
    for source in sorted(TEMPLATE.rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        target = folder / str(source.relative_to(TEMPLATE)).replace(NAME, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace(NAME, name)
        target.write_text(text, encoding="utf-8")
    return name


def _options() -> set[str]:
    """The names of all options that there are."""
    ours = Path(__file__).parents[1] / "conf"
    folders = (ours, *(lab.conf for lab in labs.labs()))
    return {path.stem for folder in folders for path in folder.glob("*/*.yaml")}


if __name__ == "__main__":
    main()
