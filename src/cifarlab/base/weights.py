"""Files of ``torch.save`` that others may have made: tensors are read, nothing is run."""

import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from cifarlab.base.errors import UserError
from cifarlab.base.reading import check_unpacked, open_regular


def read_weights(
    path: Path, otherwise: str, opened: Callable[[Path], IO[bytes]] = open_regular
) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors, numbers and text in lists and dictionaries.

    otherwise: said of a file that is none. opened: how it is opened.

    Raises ``FileNotFoundError``, and ``UserError`` for all other files, in words of our own:
    torch's advise to load what is refused in a way that runs it.
    """
    try:
        with opened(path) as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    names = packed.namelist()
                    unpacked = sum(info.file_size for info in packed.infolist())
                if any(name.endswith("/constants.pkl") for name in names):
                    raise UserError(f"{otherwise} (a TorchScript program)")
                check_unpacked(path, unpacked, os.fstat(file.fileno()).st_size)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of old formats; what comes of them is looked at
                return torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, UserError):
        raise
    except Exception as error:  # torch has no error of its own for what it cannot read
        raise UserError(
            f"{otherwise} (cut short, of another format, or with objects in it that are never "
            "loaded)"
        ) from error
