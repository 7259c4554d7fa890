"""One cell of a sweep, in a process of its own: ``python -m cifarlab.sweep.worker <folder> <jobs>``
(see ``main``).

All settings are in the folder's ``config.yaml``. So every process of the cell trains with the same
ones, also those that Lightning starts for further devices.
"""

import ctypes
import json
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from cifarlab.base import cli, labs, slurm
from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError, told
from cifarlab.store.lock import RunLock
from cifarlab.store.record import PRUNED, write_failure
from cifarlab.store.run import stored_config

FAILED, LOCKED, INTERRUPTED = 1, 81, 82  # exit codes, beside 0
LOGGING = "CIFARLAB_LOGGING"  # environment variable: the logging of the sweep, as JSON

log = logging.getLogger("cifarlab")


def main(folder: str, jobs: int, logging_config: dict[str, Any] | None) -> None:
    """Train the cell in ``folder`` to its end and exit with a code that says what happened.

    After a failure there is a ``failure.json``. A cell that another process trains is not touched.

    jobs: how many processes like this one share the machine.
    logging_config: for ``logging.config``; ``None`` leaves logging as it is.
    """
    _die_with_parent()
    cli.say_anything()
    labs.use()
    for signum in slurm.SIGNALS:  # until training begins there is nothing to save
        signal.signal(signum, lambda *_: sys.exit(INTERRUPTED))
    if jobs > 1:  # lines of several cells, and no bars, on one screen
        os.environ["TERM"] = "dumb"
    if logging_config is not None:
        if jobs > 1:
            logging_config["formatters"]["plain"]["format"] = f"{Path(folder).name}: %(message)s"
        logging.config.dictConfig(logging_config)
    lock = RunLock(Path(folder))
    if int(os.environ.get("LOCAL_RANK", slurm.rank())) == 0 and not lock.acquire():
        sys.exit(LOCKED)
    try:
        sys.exit(_train(Path(folder), jobs))
    finally:
        lock.release()


def _train(folder: Path, jobs: int) -> int:
    with cli.quick_imports():
        from cifarlab.base.hardware import share
        from cifarlab.callbacks import Interrupted
        from cifarlab.run.runner import train

    try:
        config = cast(RunConfig, stored_config(folder))
        with share(config, jobs, folder.parent) as config:
            train(config, folder, brief=True)
    except Interrupted as error:
        if not (folder / PRUNED).exists():  # a search's side that watches has told
            log.info("%s: %s, to be continued", folder.name, error)
        return 128 + signal.SIGINT if error.by_hand else INTERRUPTED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        write_failure(folder, told(error), traceback.format_exc())
        if not isinstance(told(error), UserError):
            log.exception("%s", folder.name)
        return FAILED
    return 0


def _die_with_parent() -> None:
    """Let this process be killed when the one that started it dies, so that no forgotten cell
    trains on. On Windows a process that was started as a command does not hear of it."""
    parent = multiprocessing.parent_process()
    if parent is not None:  # of a forked one: not the server it was forked from
        _follow(parent.join)
    elif sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    elif os.name == "posix":
        _follow(partial(_until_adopted, os.getppid()))


def _follow(until_it_ends: Callable[[], object]) -> None:
    def follow() -> None:
        until_it_ends()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


def _until_adopted(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(os.environ.get(LOGGING, "null")))
