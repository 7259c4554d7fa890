"""What all command-line programs share: Hydra, with mistakes told in one line.

Imports nothing slow, so that ``--help`` and a misspelt override answer at once.
"""

import atexit
import contextlib
import functools
import gc
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cifarlab.base import labs
from cifarlab.base.checks import check_folder, check_name
from cifarlab.base.errors import UserError, nearest, told
from cifarlab.base.kinds import rule, shown
from cifarlab.base.plain import device_count
from cifarlab.base.reading import free_memory, in_bytes, run_folders
from cifarlab.base.schema import keys
from cifarlab.base.seams import is_refused_call, list_options_once

_FULL_ERROR = "HYDRA_FULL_ERROR"
_IN_RESOLVER = "UserError raised while resolving interpolation: "
_HELP = {"--help", "-h", "--hydra-help"}
_OURS = "CIFARLAB_FULL_ERROR"  # tells the variable we set from the one a user sets
_MOVED = {  # keys of earlier versions, and what they are called now
    "logger.images_every": "logger.tensorboard.images_every",
    "logger.graph": "logger.tensorboard.graph",
    "logger._target_": "+logger.<name>._target_",
}
_LAUNCHERS = {  # option of hydra/launcher: the extra that brings its plugin
    "joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray",
}  # fmt: skip


class ConsoleHandler(logging.StreamHandler):
    """Log lines on standard output, above a progress bar where one is on the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")
        if tqdm is None:
            print(self.format(record), flush=True)
        else:
            tqdm.tqdm.write(self.format(record))
            sys.stdout.flush()


def app(config_dir: Path, config_name: str) -> Callable[[Callable], Callable[[], None]]:
    """Decorator: a program configured by ``config_dir/config_name.yaml`` and overrides.

    Exit codes: 0; 1 for a failure of the program, with traceback; 2 for a mistake of the user, in
    one line; 130 when interrupted. ``HYDRA_FULL_ERROR=1`` shows the traceback of mistakes too.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(task)
        def main() -> None:
            say_anything()
            if _HELP & {*sys.argv}:
                list_options_once()
            labs.use()
            register_resolvers()
            verbose = os.environ.get(_FULL_ERROR) == "1" and _OURS not in os.environ
            os.environ |= {_FULL_ERROR: "1"} if verbose else {_FULL_ERROR: "1", _OURS: "1"}
            os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # else each line comes twice
            caught: list[Exception] = []

            @functools.wraps(task)
            def job(cfg: DictConfig) -> Any:
                say_anything()  # a launcher's process has not been through main
                try:
                    return task(cfg)
                except Exception as error:
                    hydra_config = HydraConfig.get()
                    made = Path(hydra_config.runtime.output_dir)
                    with contextlib.suppress(OSError):  # until one is not empty
                        for folder in (made, *made.parents):  # Hydra made them
                            inside = folder == made or folder.is_relative_to(Path.cwd())
                            if folder == Path.cwd() or not inside:
                                break
                            with contextlib.suppress(FileNotFoundError):
                                folder.rmdir()
                    if hydra_config.mode == RunMode.MULTIRUN:
                        _let_go(error)
                        raise  # the sweeper tells
                    caught.append(error)  # raised below: Hydra would print a line of its own

            program = hydra.main(
                version_base="1.3", config_path=str(config_dir), config_name=config_name
            )(job)
            try:
                labs.check_options(config_dir)
                program()
                if caught:
                    raise caught[0]
            except KeyboardInterrupt:
                sys.exit(130)
            except Exception as error:
                if isinstance(error, BrokenPipeError) and _nobody_reads():
                    sys.exit(1)
                line = _explain(error, config_dir)
                if line is None or verbose:
                    raise
                print(f"error: {line}", file=sys.stderr)
                sys.exit(UserError.exit_code)

        return main

    return decorate


def _nobody_reads() -> bool:
    """Whether what reads standard output has ended, as ``head`` does; then nothing more is written
    to it."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def register_resolvers() -> None:
    """What ``conf/`` calls by ``${cifarlab.<name>:...}``."""
    resolvers: dict[str, Callable[..., Any]]
    resolvers = {
        "run_dir": _run_dir,
        "chosen": _chosen,
        "keys": _all_keys,
        "count": _count,
        "gpus": _gpus,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(f"cifarlab.{name}", resolver, replace=True)


def say_anything() -> None:
    """Have standard output and error escape what the terminal's encoding lacks: names may have any
    letters, and a run must not end for having told one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not a notebook's
            stream.reconfigure(errors="backslashreplace")


def several(value: Any) -> list[str]:
    """The values of ``key=a`` or ``key=[a,b]``, as text."""
    return [str(item) for item in value] if isinstance(value, ListConfig) else [str(value)]


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import large libraries without the garbage collector looking through every new module (a
    fifth of the time), and let it leave them alone until the end.

    Does nothing the second time: what a sweep's earlier runs left must be collected.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else nanobind, in triton, takes them for leaks
        gc.enable()


def _let_go(error: BaseException) -> None:
    """Free what the frames of a failed run hold (data, net, the GPU's memory): Hydra keeps the
    error, and with it the frames, until the sweep ends."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


def _run_dir(resume: str | None, root: Any, room: str, name: Any, time: str) -> str:
    """The folder of a single run: the one to resume, else a new one, where Hydra makes it.

    resume: a folder, or ``last`` for the run that was begun last.
    """
    if resume is None:
        return str(check_folder("output_root", root) / room / check_name("name", name) / time)
    if resume == "last":
        runs = run_folders(check_folder("output_root", root) / room)
        if not runs:
            raise UserError(f"resume=last: no run in {Path(root) / room}")
        return str(max(runs, key=_begun))
    if not (Path(resume) / "config.yaml").is_file():
        raise UserError(f"resume={resume}: not a run folder (it has no config.yaml)")
    return str(resume)


def _begun(folder: Path) -> tuple[str, float]:
    """When a run was begun, by its name; where that does not tell, when its configuration was
    written, which tags and more epochs do anew."""
    time = folder.name if re.match(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", folder.name) else ""
    return time, (folder / "config.yaml").stat().st_mtime


def _chosen(group: str) -> Any:
    """The option of a group, or the name of the class that was typed for it."""
    job = HydraConfig.get()
    for item in reversed(job.overrides.task):
        key, _, target = item.partition("=")
        if key.lstrip("+") == f"{group}._target_":
            return target.rpartition(".")[2]
    return job.runtime.choices.get(group)


def _count(devices: int | ListConfig) -> int:
    """How many ``trainer.devices`` are."""
    return device_count(OmegaConf.to_object(devices) if OmegaConf.is_list(devices) else devices)


def _gpus(accelerator: str, devices: int | ListConfig) -> int | None:
    """How many GPUs a run is known to need; ``None`` where it may do without."""
    return _count(devices) if accelerator in ("gpu", "cuda") else None


def _all_keys(*, _root_: DictConfig) -> str:
    """A line for each key of the configuration: its value and what values it may have."""
    config = OmegaConf.to_container(_root_, resolve=False)
    assert isinstance(config, dict)
    ours = {str(key): value for key, value in config.items() if key != "hydra"}
    lines = []
    for key in keys(ours, strict=False):
        is_inside = any(part.isdigit() for part in key.path.split("."))  # of a list
        if not is_inside and (not isinstance(key.value, dict) or not key.value):
            words = rule(key.kind)
            lines.append(f"{f'{key.path}={shown(key.value)}':<48}  {words}".rstrip())
    return "\n".join(lines).replace("$", "$$")  # the rest of the template is for string.Template


def _explain(error: BaseException, config_dir: Path) -> str | None:
    """One line on a mistake of the user; ``None`` if the error is none."""
    if isinstance(mistake := told(error), UserError):
        return str(mistake)
    for cause in _causes(error):
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key}: has no default; add {cause.full_key}=<value>"
        if isinstance(cause, ConfigKeyError | ConfigAttributeError):
            return _unknown_key(cause)
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            return _unknown_option(cause.missing_cfg_file, config_dir, cause.options or [])
        if (size := _asked_for(cause)) is not None:
            free = free_memory()
            there = f", and {in_bytes(free)} of the machine's are free" if free is not None else ""
            return (
                f"out of memory: {size} asked for at once{there}; a smaller model, batch_size or "
                "image size takes less"
            )
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return (
            "a group set to null: choose one of its options, as callbacks=none; --help lists them"
        )
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override}: not understood ({_first_lines(str(error))}); a value with signs "
            "such as = [ ( has to be in quotes within quotes: \"key='value'\""
        )
    if isinstance(error, ValueError) and str(error).startswith("Only one of --run, --multirun"):
        return "--cfg, --info: show one configuration; leave out -m, and give each key one value"
    if isinstance(error, InstantiationException):
        target = re.search(r"target '([^']+)'", str(error))
        return (
            f"{target[1] if target else 'a call'}: {error.__cause__}"
            if is_refused_call(error)
            else None
        )
    if isinstance(error, OmegaConfBaseException | HydraException):
        text = str(error).partition(_IN_RESOLVER)[2] or str(error)
        return _first_lines(text)
    return None


def _asked_for(error: BaseException) -> str | None:
    """How much memory numpy, torch or CUDA could not have; ``None`` for other errors."""
    text = str(error)
    if found := re.search(r"you tried to allocate (\d+) bytes", text):
        return in_bytes(int(found[1]))
    if found := re.search(r"(?:Tried|Unable) to allocate ([\d.]+ \w+)", text):
        return found[1]
    if found := re.search(r"calculation overflowed with sizes=(\[[\d, ]+\])", text):
        return f"an array of {found[1]}"
    if isinstance(error, TypeError) and "Overflow when unpacking long" in text:
        return "more than can be counted"
    return "more than there is" if isinstance(error, MemoryError) else None


def _first_lines(text: str) -> str:
    """A message of Hydra or OmegaConf without its appendix, on one line."""
    lines = [line.strip() for line in text.splitlines()]
    appendix = ("full_key:", "object_type=", "reference_type=", "See http")
    return " ".join(line for line in lines if line and not line.startswith(appendix))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _unknown_key(error: Any) -> str:
    if moved := _MOVED.get(str(error.full_key)):
        return f"{error.full_key}: is {moved} now"
    parent = error.parent_node
    known = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
    prefix = str(error.full_key).removesuffix(str(error.key))
    if any(item.startswith(f"{prefix}_target_=") for item in sys.argv[1:]):
        return f"{error.full_key}: a key of a class of yours is added: +{error.full_key}=<value>"
    if group := _swept_above(str(error.full_key)):
        return (
            f"{error.full_key}: {group} is swept, and its default has no such key; write "
            f"++{error.full_key}=<value>, which every option of the sweep is then given"
        )
    return f"{error.full_key}: no such key; {nearest(str(error.key), known, prefix)}"


def _swept_above(key: str) -> str | None:
    """The group with this key in it of which the command sweeps the options: Hydra composes the
    sweep with its default first, whatever its cells have."""
    if not {"-m", "--multirun"} & set(sys.argv):
        return None
    for item in sys.argv[1:]:
        group = item.partition("=")[0]
        if (
            key.startswith(f"{group}.")
            and OverridesParser.create().parse_override(item).is_sweep_override()
        ):
            return group
    return None


def _unknown_option(given: str, config_dir: Path, installed: Sequence[str]) -> str:
    """installed: what Hydra and its plugins offer."""
    group, _, option = given.rpartition("/")
    if group == "hydra/launcher" and option in _LAUNCHERS:
        return f"{group}={option}: not installed; pip install -e '.[{_LAUNCHERS[option]}]'"
    folders = [config_dir, *(lab.conf for lab in labs.labs())]
    ours = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
    known = {*installed, *ours}
    return f"{group}={option}: no such option; {nearest(option, known)}"
