"""The user's own code. A lab is a folder with a package of classes, and with a ``conf/`` whose
options stand beside ours.

A lab is code, and whoever loads a run may run it. So a folder is a lab only once its user has named
it: it is in the user's list, into which ``scripts/new.py`` writes it, or in the environment
variable ``CIFARLAB_LABS``. What a run's folder or the working directory has makes none.
"""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifarlab.base.errors import UserError, nearest
from cifarlab.base.plain import leaves_of, select, targets

VARIABLE = "CIFARLAB_LABS"  # folders, separated as PATH's; replaces the list
PAGE = "docs/howto/own_code.md"
_GIVEN = {"model": ("num_classes", "image_size")}  # beside the keys of the configuration
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")})


@dataclass(frozen=True)
class Lab:
    """A folder that its user has named. folder: absolute, links followed."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def conf(self) -> Path:
        """The folder of its options, which may be missing."""
        return self.folder / "conf"

    @property
    def packages(self) -> list[str]:
        """The names under which its code is imported."""
        found = [path.parent.name for path in self.folder.glob("*/__init__.py")]
        return sorted(found + [path.stem for path in self.folder.glob("*.py")])


def labs() -> list[Lab]:
    """All labs that the user has named and that are there, in the order of their naming."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        named = [part for part in given.split(os.pathsep) if part]
    else:
        try:
            named = list_file().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            named = []
    folders = [Path(line).expanduser() for line in named if line.strip()]
    return [Lab(folder.resolve()) for folder in dict.fromkeys(folders) if folder.is_dir()]


def list_file() -> Path:
    """The user's list of labs: a folder in each line."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(home) / "cifarlab" / "labs"


def add(folder: Path) -> None:
    """Name a lab: from now on its options are found, and its code may be run."""
    _rewrite([lab.folder for lab in labs() if lab.folder != folder.resolve()] + [folder.resolve()])


def remove(folder: Path) -> None:
    """Take a lab off the list; raises ``UserError`` if it is not on it. Its files stay."""
    known = [lab.folder for lab in labs()]
    if folder.resolve() not in known:
        raise UserError(
            f"path={folder}: not among your labs; {nearest(str(folder), map(str, known))}"
        )
    _rewrite([each for each in known if each != folder.resolve()])


def _rewrite(folders: list[Path]) -> None:
    if VARIABLE in os.environ:
        raise UserError(f"{VARIABLE} is set, and replaces the list of labs: change that instead")
    path = list_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".labs.{os.getpid()}")
    temporary.write_text("".join(f"{folder}\n" for folder in folders), encoding="utf-8")
    temporary.replace(path)


def use() -> None:
    """Let the code of all labs be imported: behind all else, so that none of it replaces a module
    that is there already."""
    for lab in labs():
        if str(lab.folder) not in sys.path:
            sys.path.append(str(lab.folder))


def lab_of(target: str) -> Lab | None:
    """The lab that a ``_target_`` is of; ``None`` if of none.

    Raises ``UserError`` if a module of that name would be imported from elsewhere, as from the
    working directory: it is not the one that the user has named. Nothing is imported to find out.
    """
    package = target.partition(".")[0]
    found = [lab for lab in labs() if package in lab.packages]
    if not found:
        return None
    use()
    place = _place(package)
    for lab in found:
        if place is not None and place.is_relative_to(lab.folder):
            return lab
    raise UserError(
        f"{target}: {package} of your lab {found[0].folder} is hidden by {place}; rename one"
    )


def code_of(config: Mapping[str, Any]) -> dict[str, dict[str, str]] | None:
    """Where the user's own code is that a configuration names, and a hash of it, by package:
    ``{"places": {...}, "hashes": {...}}``; ``None`` where all is of installed packages."""
    use()
    packages = sorted({target.partition(".")[0] for target in targets(config)} - {"cifarlab"})
    own = {name: place for name in packages if (place := _place(name)) and _is_own(place)}
    if not own:
        return None
    return {
        "places": {name: str(place) for name, place in own.items()},
        "hashes": {name: _hash(place) for name, place in own.items()},
    }


def changed(code: Mapping[str, Mapping[str, str]] | None) -> list[str]:
    """A line for each package that is another now than ``code`` has it, as ``code_of`` made it."""
    use()
    lines = []
    for name, kept in ((code or {}).get("hashes") or {}).items():
        place = _place(name)
        now = None if place is None else _hash(place)
        if now != kept:
            state = "is not found any more" if place is None else f"{place} has changed"
            lines.append(f"{name}: {state} since the run began (its hash was {kept}, is {now})")
    return lines


def check_found(config: Mapping[str, Any]) -> None:
    """Raise ``UserError`` if a class that a configuration names is of no module that there is. It
    is not imported; ``locate`` does that."""
    use()
    for key, target in _named(config):
        package = target.partition(".")[0]
        if _place(package) is None:
            raise UserError(
                f"{key}={target}: no module {package} is found; code of your own is in a lab: "
                f"python scripts/new.py path={package}, see {PAGE}"
            )


def locate(config: Mapping[str, Any]) -> None:
    """Import the user's own classes that a configuration names.

    Raises ``UserError`` if there is no such module or no such name in it; an error in the user's
    code is raised as it is.
    """
    check_found(config)
    for key, target in _named(config):
        module, _, name = target.rpartition(".")
        place = _place(target.partition(".")[0])
        if place is None or not _is_own(place):
            continue
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # what the user's module imports is missing
            raise UserError(f"{key}={target}: no module {error.name} in {place}") from error
        if not hasattr(found, name):
            own = [n for n, v in vars(found).items() if getattr(v, "__module__", "") == module]
            raise UserError(f"{key}={target}: {module} has no {name}; {nearest(name, own)}")


def check_calls(config: Mapping[str, Any]) -> None:
    """Import all classes that a configuration names and that are not ours, of which
    ``check_config`` knows what they take.

    Raises ``UserError`` if there is no such class, or for a key that it does not take.
    """
    locate(config)
    for key, target in _named(config):
        path = key.rpartition(".")[0]
        if target.partition(".")[0] == "cifarlab" or path == "trainer":
            continue
        try:
            found = pkgutil.resolve_name(target)
        except AttributeError as error:
            close = difflib.get_close_matches(str(error.name), dir(error.obj), n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"{key}={target}: {error}{meant}") from error
        _check_keys(path, target, select(config, path) if path else config, found)


def _check_keys(path: str, target: str, node: Any, found: Any) -> None:
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):  # no function of Python
        return
    if not isinstance(node, Mapping) or any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in (str(key) for key in node):
        if not name.startswith("_") and name not in known:  # Hydra's own: _partial_
            typed = f"{path}.{name}".replace("data.augment.", "aug.")
            raise UserError(f"{typed}: no argument of {target}; {nearest(name, known)}")
    for name in _GIVEN.get(path, ()):
        if name not in known:
            raise UserError(f"{path}._target_={target}: must take {name}, see {PAGE}")


def check_options(ours: Path) -> None:
    """Raise ``UserError`` if two labs have an option of the same name, or a lab and ``ours``: one
    would hide the other."""
    seen: dict[Path, Path] = {}
    theirs = [lab.conf for lab in labs()]
    for folder in (ours, *theirs) if theirs else ():
        for path in _options(folder):
            option = path.relative_to(folder)
            if option in seen and seen[option] != path:
                raise UserError(f"{path}: hides {seen[option]}; give it another name")
            seen[option] = path


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys ``_target_`` of a configuration, dotted, with their values."""
    found = leaves_of(config)
    return ((key, str(value)) for key, value in found if key.rpartition(".")[2] == "_target_")


def _options(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.yaml") if path.is_file())


def _place(package: str) -> Path | None:
    """The file or the folder of a module, not imported; ``None`` if there is none."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # imported already, but without a spec
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.has_location and spec.origin else Path(sys.prefix)


def _is_own(place: Path) -> bool:
    """Whether a module is neither Python's nor of an installed package."""
    return place != Path(sys.prefix) and not any(
        place.is_relative_to(Path(folder).resolve()) for folder in _INSTALLED
    )


def _hash(place: Path) -> str:
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    digest = hashlib.sha256()
    for path in files:
        name = path.name if path == place else path.relative_to(place).as_posix()
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
