"""Files of weights that others may have made: tensors are read, nothing is run."""

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from cifarlab.base.errors import UserError
from cifarlab.base.reading import check_unpacked, open_regular, size_of

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")  # keys around weights
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # of DDP, torch.compile, other trainers
_TOLD = 3  # names in a message
Weights = dict[str, torch.Tensor]


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


def read_state(path: Path, otherwise: str) -> Weights:
    """The weights in a file by their names, whoever wrote it: of ``torch.save`` alone or in a
    dictionary with other things, or a ``.safetensors``. Raises as ``read_weights``."""
    if path.suffix == ".safetensors":
        return _read_safetensors(path, otherwise)
    found = read_weights(path, otherwise)
    while isinstance(found, Mapping):
        inner = (found[key] for key in _WRAPPERS if isinstance(found.get(key), Mapping))
        if (below := next(inner, None)) is None:
            break
        found = below
    state = found.items() if isinstance(found, Mapping) else ()
    weights = {str(name): value for name, value in state if isinstance(value, torch.Tensor)}
    if not weights:
        raise UserError(f"{otherwise} (it holds no weights by name)")
    return weights


def _read_safetensors(path: Path, otherwise: str) -> Weights:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise UserError(f"{path}: safetensors is not installed: pip install safetensors") from None
    size_of(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{otherwise} (no safetensors: {error})") from error


def fitted(weights: Weights, names: set[str]) -> Weights:
    """The weights without what other trainers put in front of their names, so that as many as
    possible have one of ``names``."""
    return max(_stripped(weights, len(_PREFIXES)), key=lambda found: len(names & found.keys()))


def _stripped(weights: Weights, depth: int) -> Iterator[Weights]:
    yield weights
    for prefix in _PREFIXES if depth else ():
        below = {n.removeprefix(prefix): v for n, v in weights.items() if n.startswith(prefix)}
        if below:
            yield from _stripped(below, depth - 1)


def misfits(weights: Weights, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """For each weight that is missing or has another shape than the net's, what is wrong."""
    told = []
    for name, ours in expected.items():
        there = tuple(weights[name].shape) if name in weights else "missing"
        counts = name.endswith("num_batches_tracked")  # old files have none
        if there != tuple(ours.shape) and not counts:
            told.append(f"{name} is {there} there and {tuple(ours.shape)} in the net")
    return told


def digest(weights: Mapping[str, torch.Tensor]) -> str:
    """The SHA-256 of weights: of their names, types, shapes and bits, whatever file they are in."""
    found = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def in_short(told: list[str]) -> str:
    """The first of several remarks, and how many more there are."""
    more = f", and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return f"{'; '.join(told[:_TOLD])}{more}"
