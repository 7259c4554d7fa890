"""The journal of a search, ``optuna.journal``: one line for each thing that Optuna was told.

The lines are those of Optuna's own ``JournalFileBackend``. Each has one key more, which Optuna
ignores: ``crc32``, a checksum of the others. Lines of earlier versions have none and are not
checked. This module imports Optuna.
"""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from cifarlab.base.errors import UserError
from cifarlab.store.record import JOURNAL

_SUM = "crc32"
_REMEDY = "delete it and type the search again: it is made anew from the cells"


def open_journal(folder: Path) -> JournalStorage:
    """The journal in a sweep's folder, which is empty if there is no file yet.

    Raises ``UserError`` if it is damaged.
    """
    path = folder / JOURNAL
    try:
        return JournalStorage(_Journal(path))
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever Optuna comes upon in lines that nobody has checked
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: damaged ({why}); {_REMEDY}") from error


class _Journal(BaseJournalBackend):
    """As Optuna's journal in a file, with two differences.

    Damage is reported with the number of the line. A line that a kill has cut off is removed when
    the next one is written; Optuna 5 writes behind it, and can read neither from then on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = 0, 0  # lines that were read and their bytes

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        number, end = self._place if self._place[0] <= log_number_from else (0, 0)
        with self.path.open("rb") as file:
            file.seek(end)
            for line in file:
                if not line.endswith(b"\n"):  # being written, or cut off
                    return
                number, end = number + 1, end + len(line)
                self._place = number, end
                if number > log_number_from:
                    yield self._checked(line, number)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log | {_SUM: _sum(log)}, separators=(",", ":")) + "\n" for log in logs]
        lock = FileLock(self.path.with_name(f".{self.path.name}.append.lock"))
        with lock, self.path.open("ab+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())

    def _checked(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            log = json.loads(line)
            if log.pop(_SUM, None) not in (None, _sum(log)):
                raise ValueError("its checksum is another")
            return log
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(
                f"{self.path}: damaged in line {number} ({error}); {_REMEDY}"
            ) from error


def _sum(log: dict[str, Any]) -> int:
    """The checksum of an entry, as it is after it has been written and read."""
    return zlib.crc32(json.dumps(json.loads(json.dumps(log)), sort_keys=True).encode())
