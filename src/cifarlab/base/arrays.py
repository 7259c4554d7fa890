"""Files of numpy's arrays (``.npz``, ``.npy``) that others may have made."""

import math
import os
import zipfile
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from cifarlab.base.reading import (
    check_memory,
    check_unpacked,
    free_memory,
    in_bytes,
    open_regular,
)

DAMAGE = (  # what damaged files raise
    *(zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, SyntaxError),
    *(NotImplementedError, RuntimeError, OverflowError, IndexError, TypeError),
)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(
    path: Path, opened: Callable[[Path], IO[bytes]] = open_regular
) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz`` by name; none with Python's objects in them.

    opened: how the file is opened.

    Raises ``FileNotFoundError``, ``UserError`` for what is no regular file or unpacks to more than
    can be meant or is free, and one of ``DAMAGE`` otherwise: also where a header declares another
    size than its array has, before memory is taken for it.
    """
    with opened(path) as raw, zipfile.ZipFile(raw) as file:
        unpacked = sum(info.file_size for info in file.infolist())
        check_unpacked(path, unpacked, os.fstat(raw.fileno()).st_size)
        check_memory(str(path), unpacked, free_memory())
        return {i.filename.removesuffix(".npy"): _array(file, i) for i in file.infolist()}


def read_array(path: Path) -> np.ndarray:
    """The array of a ``.npy``; raises as ``read_arrays``."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        check_memory(str(path), size, free_memory())
        _check_header(file, path.name, size)
        file.seek(0)
        return npy.read_array(file, allow_pickle=False)


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed by method {info.compress_type}")
    with file.open(info) as member:
        _check_header(member, info.filename, info.file_size)
    with file.open(info) as member:
        return npy.read_array(member, allow_pickle=False)


def _check_header(file: IO[bytes] | BufferedIOBase, name: str, size: int) -> None:
    """Raise ``ValueError`` unless the file, of ``size`` bytes, has the array that it declares."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"{name} is of version {version}")
    shape, _, dtype = _HEADERS[version](file)
    declared, there = dtype.itemsize * math.prod(shape), size - file.tell()
    if declared != there and not dtype.hasobject:
        raise ValueError(f"{name} declares {in_bytes(declared)} and has {in_bytes(there)}")
