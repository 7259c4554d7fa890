"""Parts of a net that stop training before the rest."""

from collections.abc import Sequence
from difflib import get_close_matches

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from cifarlab.base.errors import UserError


class Freeze(Callback):
    """Weights that no longer train from an epoch on, so that steps cost less: a first layer has
    learned what it can while the others still learn (FreezeOut, Brock et al., arXiv:1706.04983).
    Gradients then end where the first weight that trains is. Batch norm that is frozen still
    normalises by its batches.

    Nothing is kept for resuming: what is frozen follows from the epoch.

    Args:
        parameters: names of the net's parameters, or of modules with all of theirs
            (``first.bias``, ``blocks.0``).
        from_epoch: the first epoch in which they stay as they are, counted from 1.

    Raises ``UserError``, when training begins, on several devices, and for a name that the net does
    not have.
    """

    def __init__(self, parameters: Sequence[str], from_epoch: int = 1) -> None:
        self.names, self.from_epoch = list(parameters), from_epoch
        self.chosen: list[nn.Parameter] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            raise UserError("callbacks.freeze: of one device; trainer.devices=1")
        net = pl_module.net
        assert isinstance(net, nn.Module)
        self.chosen = []
        for name in self.names:
            found = [p for n, p in net.named_parameters() if f"{n}.".startswith(f"{name}.")]
            if not found:
                known = [n for n, _ in (*net.named_modules(), *net.named_parameters()) if n]
                near = get_close_matches(name, known) or [n for n, _ in net.named_children()]
                raise UserError(
                    f"callbacks.freeze.parameters: the net has no {name!r}, but {', '.join(near)}"
                )
            self.chosen += found

    def on_train_batch_start(self, trainer: Trainer, *arguments: object) -> None:
        # not at the start of an epoch: a run also goes on in the middle of one
        if trainer.current_epoch + 1 >= self.from_epoch:
            for parameter in self.chosen:
                parameter.requires_grad_(False)
