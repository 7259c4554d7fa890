"""What all command-line programs share: Hydra, with mistakes told in one line.

Imports nothing slow, so that ``--help`` and a misspelt override answer at once.
"""

import contextlib
import difflib
import functools
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cifarlab.errors import UserError

_FULL_ERROR = "HYDRA_FULL_ERROR"
_OURS = "CIFARLAB_FULL_ERROR"  # tells the variable we set from the one a user sets


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
            OmegaConf.register_new_resolver("cifarlab.run_dir", _run_dir, replace=True)
            verbose = os.environ.get(_FULL_ERROR) == "1" and _OURS not in os.environ
            os.environ |= {_FULL_ERROR: "1"} if verbose else {_FULL_ERROR: "1", _OURS: "1"}
            program = hydra.main(
                version_base="1.3", config_path=str(config_dir), config_name=config_name
            )(task)
            try:
                program()
            except KeyboardInterrupt:
                sys.exit(130)
            except Exception as error:
                line = _explain(error)
                if line is None or verbose:
                    raise
                print(f"error: {line}", file=sys.stderr)
                sys.exit(UserError.exit_code)

        return main

    return decorate


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import large libraries without the garbage collector looking through every new module (a
    fifth of the time), and let it leave them alone for good."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _run_dir(resume: str | None, fresh: str) -> str:
    """The folder of a single run: the one to resume, else a new one."""
    if resume is None:
        return fresh
    if not (Path(resume) / "config.yaml").is_file():
        raise UserError(f"resume={resume}: not a run folder (it has no config.yaml)")
    return str(resume)


def _explain(error: BaseException) -> str | None:
    """One line on a mistake of the user; ``None`` if the error is none."""
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    for cause in _causes(error):
        if type(cause).__name__ == "ConfigKeyError" or type(cause).__name__ == "ConfigAttributeError":
            return _unknown_key(cause)
        if options := getattr(cause, "options", None):
            return _unknown_option(cause.missing_cfg_file, options)
    if isinstance(error, InstantiationException):
        refused = isinstance(error.__cause__, TypeError) and "argument" in str(error.__cause__)
        return " ".join(str(error).split()) if refused else None
    if isinstance(error, OmegaConfBaseException | ConfigCompositionException | HydraException):
        return " ".join(str(error).split())
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _unknown_key(error: Any) -> str:
    parent = error.parent_node
    known = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
    prefix = str(error.full_key).removesuffix(str(error.key))
    return f"{error.full_key}: no such key; {_nearest(str(error.key), known, prefix)}"


def _unknown_option(given: str, options: list[str]) -> str:
    group, _, option = str(given).rpartition("/")
    known = [name for name in options if not name.startswith("_")]
    return f"{group}={option}: no such option; {_nearest(option, known)}"


def _nearest(given: str, known: list[str], prefix: str = "") -> str:
    allowed = f"allowed: {', '.join(sorted(known))}"
    close = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {prefix}{close[0]}? {allowed}" if close else allowed
