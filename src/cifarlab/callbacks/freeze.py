"""Parts of a net that stop training before the rest."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from cifarlab.base.errors import UserError


class Freeze(Callback):
    """Weights that no longer train from an epoch on, so that steps cost less: a first layer has
    learned what it can while the others still learn (FreezeOut, Brock et al., arXiv:1706.04983).
    Gradients then end where the first weight that trains is. Batch norm that is frozen still
    normalises by its batches, and Lookahead moves what is frozen once more, to the slow average.

    Nothing is kept for resuming: what is frozen follows from the epoch.

    Args:
        parameters: names of the net's parameters, or of modules with all of theirs
            (``first.bias``, ``blocks.0``).
        from_epoch: the first epoch in which they stay as they are, counted from 1.

    Raises ``UserError``, when training begins, on several devices, for a name of no parameters, and
    where nothing is left that trains.
    """

    def __init__(self, parameters: Sequence[str], from_epoch: int = 1) -> None:
        self.names, self.from_epoch = list(parameters), from_epoch
        self.chosen: list[nn.Parameter] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            raise UserError("callbacks.freeze: of one device; trainer.devices=1")
        net = pl_module.net
        assert isinstance(net, nn.Module)
        parameters = dict(net.named_parameters())
        self.chosen = []
        for name in self.names:
            found = [p for n, p in parameters.items() if f"{n}.".startswith(f"{name}.")]
            if not found:
                raise UserError(
                    f"callbacks.freeze.parameters: the net has no parameters {name!r}, but "
                    f"{', '.join(_like(name, parameters))}"
                )
            self.chosen += found
        module: Any = pl_module
        module.train_parts(self.from_epoch)  # others may train later, and none ends: see transfer
        left = {p for p in net.parameters() if p.requires_grad} - {*self.chosen}
        module.train_parts(trainer.current_epoch + 1)
        if not left:
            raise UserError(
                f"callbacks.freeze.parameters={self.names}: nothing is left that trains in epoch "
                f"{self.from_epoch}"
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: object
    ) -> None:
        # not at the start of an epoch: a run also goes on in the middle of one
        if trainer.current_epoch + 1 >= self.from_epoch:
            for parameter in self.chosen:
                parameter.requires_grad_(False)


def _like(name: str, parameters: Iterable[str]) -> list[str]:
    """Names of parameters, and of modules that have some, that are like ``name``; else the
    outermost ones."""
    parts = [parameter.split(".") for parameter in parameters]
    known = dict.fromkeys(".".join(p[: k + 1]) for p in parts for k in range(len(p)))
    return get_close_matches(name, known) or [n for n in known if "." not in n]
