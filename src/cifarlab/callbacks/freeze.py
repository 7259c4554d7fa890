"""Parts of a net that stop training before the rest."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

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
        trained = [p for group in trainer.optimizers[0].param_groups for p in group["params"]]
        self._check_some({*trained} - {*self.chosen}, self.from_epoch)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: object
    ) -> None:
        # not at the start of an epoch: a run also goes on in the middle of one
        epoch = trainer.current_epoch + 1
        if epoch >= self.from_epoch and any(p.requires_grad for p in self.chosen):
            for parameter in self.chosen:
                parameter.requires_grad_(False)
            # other parts may train later, see transfer
            self._check_some({p for p in pl_module.parameters() if p.requires_grad}, epoch)

    def _check_some(self, left: set[nn.Parameter], epoch: int) -> None:
        if not left:
            raise UserError(
                f"callbacks.freeze.parameters={self.names}: nothing is left that trains in epoch "
                f"{epoch}"
            )


def _like(name: str, parameters: Iterable[str]) -> list[str]:
    """Names of parameters, and of modules that have some, that are like ``name``; else the
    outermost ones."""
    parts = [parameter.split(".") for parameter in parameters]
    known = dict.fromkeys(".".join(p[: k + 1]) for p in parts for k in range(len(p)))
    return get_close_matches(name, known) or [n for n in known if "." not in n]
