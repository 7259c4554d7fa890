"""Which classes a run's folder may name.

The key ``_target_`` in a stored configuration says what is called, and with which arguments. A
folder may come from a stranger, and ``torch.load`` with ``weights_only: false`` is a target, too.
So the whole configuration of a folder is checked before anything is built from it. Allowed are the
networks, data, augmentations, optimizers, schedules, losses and callbacks of cifarlab, the layers
and optimizers of torch, and what the user names: by a lab (``cifarlab.base.labs``), whatever is
defined in it; in the environment variable ``CIFARLAB_TRUST``, classes and packages separated by
commas; or in the configuration of the command itself. Where a folder says that its code is makes no
difference.
"""

import importlib
import importlib.metadata
import inspect
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cifarlab.base import labs
from cifarlab.base.errors import UserError
from cifarlab.base.plain import leaves_of, targets

__all__ = ["VARIABLE", "check_trusted", "targets"]

VARIABLE = "CIFARLAB_TRUST"
_EXACTLY = frozenset(
    {
        "lightning.pytorch.Trainer",
        "cifarlab.callbacks.CSV",
        "cifarlab.callbacks.EarlyStopping",
        "cifarlab.callbacks.EMA",
        "cifarlab.callbacks.Freeze",
        "cifarlab.callbacks.KeepBest",
        "cifarlab.callbacks.HardExamples",
        "cifarlab.callbacks.KeepZeros",
        "cifarlab.callbacks.Lookahead",
        "cifarlab.callbacks.MLflow",
        "cifarlab.callbacks.ProgressiveResize",
        "cifarlab.callbacks.RecordDataMap",
        "cifarlab.callbacks.SWA",
        "cifarlab.callbacks.TensorBoard",
        "cifarlab.callbacks.Trackio",
        "cifarlab.callbacks.Wandb",
        "cifarlab.lit.ImageClassifier",
        "cifarlab.lit.TransferClassifier",
        "cifarlab.lit.distillation.Distillation",
        "cifarlab.lit.losses.CrossEntropy",
        "cifarlab.lit.losses.Focal",
        "cifarlab.lit.losses.SquaredError",
        "cifarlab.lit.muon.Muon",
    }
)


def check_trusted(config: Any, source: Path, named: Collection[str] = ()) -> None:
    """Raise ``UserError``, with the key and the target, unless all that ``config`` names is
    allowed.

    Interpolations are refused, too: a stored configuration is resolved, and resolvers are calls.

    config: plain, as stored.
    source: the file that it is from, for the message.
    named: targets that the user has named.
    """
    trusted = {name for name in os.environ.get(VARIABLE, "").split(",") if name} | set(named)
    for key, value in leaves_of(config):
        if key.rpartition(".")[2] != "_target_":
            if isinstance(value, str) and "${" in value:
                raise UserError(f"{source}: {key}={value}: a stored configuration has no ${{...}}")
            continue
        if not isinstance(value, str) or not _is_allowed(value, trusted):
            hint = (
                f"; if you trust the run's author: name the folder of the code (python "
                f"scripts/new.py path=<folder>, see {labs.PAGE}), or {VARIABLE}={value}"
            )
            raise UserError(
                f"{source}: {key}={value}: not a class that a run may name, so nothing of it was "
                f"run{hint if _may_be_the_users(value) else ''}"
            )


def _is_allowed(target: str, trusted: Collection[str]) -> bool:
    if target in _EXACTLY or any(target == t or target.startswith(f"{t}.") for t in trusted):
        return True
    room, _, name = target.rpartition(".")
    if room and labs.lab_of(target) is not None:
        labs.locate({"_target_": target})
        found = _defined(room, name, target.partition(".")[0])
        return inspect.isclass(found) or inspect.isfunction(found)
    if room == "cifarlab.lit.optim":
        return inspect.isfunction(_ours(room, name))
    if room.startswith("cifarlab.models."):
        from torch import nn

        return _is_class(_ours(room, name), nn.Module)
    if room.startswith("cifarlab.data."):
        return _is_class(_ours(room, name), object)
    if room in ("torch.nn", "torch.optim"):
        from torch import nn, optim

        space, above = (nn, nn.Module) if room == "torch.nn" else (optim, optim.Optimizer)
        return _is_class(vars(space).get(name), above)
    return False


def _may_be_the_users(target: Any) -> bool:
    """Whether a refused target may be a class of the user's own, or of a library of networks.

    Only the name can tell, since importing it would run code. Python's and cifarlab's own modules
    never are; of other installed packages only names that look like classes.
    """
    if not isinstance(target, str) or "." not in target:
        return False
    package, name = target.partition(".")[0], target.rpartition(".")[2]
    if package in sys.stdlib_module_names or package in ("builtins", "cifarlab"):
        return False
    return name[:1].isupper() or package not in importlib.metadata.packages_distributions()


def _ours(room: str, name: str) -> Any:
    """The object ``name`` of a module of cifarlab, as ``_defined`` finds it."""
    return _defined(room, name, ".".join(room.split(".")[:2]))


def _defined(room: str, name: str, package: str) -> Any:
    """The object ``name`` of the module ``room``; ``None`` if there is none or if it is not defined
    in ``package`` but imported from elsewhere."""
    try:
        found = vars(importlib.import_module(room)).get(name)
    except ImportError:
        return None
    home = str(getattr(found, "__module__", ""))
    return found if f"{home}.".startswith(f"{package}.") else None


def _is_class(found: Any, above: type) -> bool:
    return inspect.isclass(found) and issubclass(found, above)
