"""Weights that are drawn back to their own slow average while they train."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn


class Lookahead(Callback):
    """Every few steps move slow weights towards the weights that train, and put them in their place
    (Zhang et al., arXiv:1907.08610). The slow weights follow closely at first and hold back more
    and more, as in airbench (Jordan, arXiv:2404.00498, section 3.4): of their distance they keep
    ``decay ** update_every_n_steps * (step / steps of the run) ** 3``. After the last step the slow
    ones stand.

    Running statistics of batch norm are treated as the weights are.

    Args:
        decay: in [0, 1); what is kept a step at the end of the run.
        update_every_n_steps: optimizer steps between two updates.
    """

    def __init__(self, decay: float = 0.95, update_every_n_steps: int = 5) -> None:
        self.decay, self.every = decay, update_every_n_steps
        self.slow: list[Tensor] = []
        self.step = 0  # of the latest update
        self.steps = 0  # of the run

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: Any
    ) -> None:
        step = trainer.global_step
        if step > self.step and (step % self.every == 0 or step == self.steps):
            self.step = step
            net: Any = pl_module.net
            self.update(net, self.kept(step, self.steps))

    def kept(self, step: int, total: int) -> float:
        """Share of their distance that the slow weights keep after ``step`` of ``total`` steps."""
        return 1.0 if step >= total else self.decay**self.every * (step / total) ** 3

    @torch.no_grad()
    def update(self, net: nn.Module, kept: float) -> None:
        """Move the slow weights, and make them those of ``net``."""
        values = (*net.parameters(), *net.buffers())
        fast = [value.detach() for value in values if value.is_floating_point()]
        if not self.slow:
            self.slow = [value.clone() for value in fast]
            return
        for slow, value in zip(self.slow, fast, strict=True):
            slow.lerp_(value, 1 - kept)
            value.copy_(slow)

    def state_dict(self) -> dict[str, Any]:
        return {"slow": self.slow, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.slow, self.step = state_dict["slow"], state_dict["step"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.slow = [value.to(pl_module.device) for value in self.slow]
        self.steps = int(trainer.estimated_stepping_batches)
