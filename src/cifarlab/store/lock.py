"""The lock of a run folder: held while a process trains there (standard library and filelock only).

flock, which the system releases when its holder dies, however it dies; the file itself stays.
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
    """The right to train in ``folder``, of one process at a time.

        with RunLock(folder):
            ...

    Entering raises ``UserError`` if another process trains there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = FileLock(self.folder / LOCK, thread_local=False)

    def acquire(self, blocking: bool = False) -> bool:
        """Take the lock, making the folder; ``False`` if another holds it and we do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=-1 if blocking else _PATIENCE)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
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
    """Whether a process, this one included, holds the lock of ``folder``. Creates no file."""
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
    """Of a lock that we may only read, as in an archive or in a folder of somebody else."""
    if sys.platform == "win32":
        return False
    import fcntl

    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when it is closed
        except BlockingIOError:
            return True
    return False
