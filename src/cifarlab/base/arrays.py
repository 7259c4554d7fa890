"""Files of numpy's arrays (``.npz``) that others may have made."""

import math
import os
import zipfile
import zlib
from collections.abc import Callable
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


def _array(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed by method {info.compress_type}")
    with file.open(info) as member:
        version = npy.read_magic(member)
        if version not in _HEADERS:
            raise ValueError(f"{info.filename} is of version {version}")
        shape, _, dtype = _HEADERS[version](member)
        declared, there = dtype.itemsize * math.prod(shape), info.file_size - member.tell()
    if declared != there and not dtype.hasobject:
        sizes = f"{in_bytes(declared)} and has {in_bytes(there)}"
        raise ValueError(f"{info.filename} declares {sizes}")
    with file.open(info) as member:
        return npy.read_array(member, allow_pickle=False)
