"""One process a run folder: a lock that its holder's death releases."""

from pathlib import Path

from filelock import FileLock, Timeout

_NAME = ".lock"


class RunLock:
    """The right to train in ``folder``, held by one process at a time, over the network too where
    the file system has ``flock``. The system takes it back when the holder ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = FileLock(folder / _NAME)

    def acquire(self) -> bool:
        """Take it; ``False`` where another process has it."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        self._lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process trains in ``folder``. Creates nothing."""
    if not (folder / _NAME).exists():
        return False
    lock = RunLock(folder)
    if lock.acquire():
        lock.release()
        return False
    return True
