"""Files of ``torch.save`` that others may have made: tensors are read, nothing is run."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from cifarlab.base.errors import UserError
from cifarlab.base.reading import check_unpacked, size_of


def read_weights(path: Path, otherwise: str) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors, numbers and text in lists and dictionaries.

    otherwise: said of a file that is none. Raises ``FileNotFoundError``, and ``UserError`` for all
    other files, in words of our own: torch's advise to load what is refused in a way that runs it.
    """
    packed = size_of(path)
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                names = file.namelist()
                unpacked = sum(info.file_size for info in file.infolist())
            if any(name.endswith("/constants.pkl") for name in names):
                raise UserError(f"{otherwise} (a TorchScript program)")
            check_unpacked(path, unpacked, packed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats; what comes of them is looked at
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, UserError):
        raise
    except Exception as error:  # torch has no error of its own for what it cannot read
        raise UserError(
            f"{otherwise} (cut short, of another format, or with objects in it that are never "
            "loaded)"
        ) from error
