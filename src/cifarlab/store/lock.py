"""The lock of a run's folder, which a process holds while it trains there.

It is a flock: the system releases it when the process ends, however that comes about. The file
stays. This module imports only the standard library and filelock.
"""

import errno
import sys
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from cifarlab.base.errors import UserError

LOCK = ".lock"
_PATIENCE = 1.0  # s that ``acquire`` waits for those who only ask; asking takes a moment's lock
_ASKING = 0.25  # s that ``is_held`` waits for others who only ask


class RunLock:
    """The right to train in ``folder``, which one process can have at a time.

        with RunLock(folder):
            ...

    Entering raises ``UserError`` if another process trains there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = FileLock(self.folder / LOCK, thread_local=False)

    def acquire(self, blocking: bool = False) -> bool:
        """Take the lock, and make the folder if it is not there; returns whether that succeeded.

        blocking: whether to wait until another process releases the lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=-1 if blocking else _PATIENCE)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Release the lock; nothing happens if it is not held."""
        self._lock.release()

    def __enter__(self) -> "RunLock":
        if not self.acquire():
            raise UserError(f"{self.folder}: another process trains here; wait for it or end it")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def is_held(folder: str | Path) -> bool:
    """Whether a process, this one included, holds the lock of ``folder``. This creates no file."""
    path = Path(folder) / LOCK
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=_ASKING, poll_interval=0.01):
            return False
    except Timeout:
        return True
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return _is_held_by_a_writer(path)


def _is_held_by_a_writer(path: Path) -> bool:
    """``is_held`` for a lock that we may only read, as in an archive or a folder of another
    user."""
    if sys.platform == "win32":
        return False
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when it is closed
        except BlockingIOError:
            return True
    return False
