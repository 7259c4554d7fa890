"""Random layers under several processes."""

from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cifarlab.base import shares

_DROPOUT = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
_BY_ROW = {"StochasticDepth": "p", "DropPath": "drop_prob"}  # torchvision's, timm's; probability


class WholeBatch(Callback):
    """Under several processes let the layers that draw, dropout and stochastic depth, work on the
    whole batch of the step, of which each process fills in and keeps its own rows.

    Where the generators stand alike in all processes (``SeedEachStep``), what is dropped of an
    image is then what one process drops of it, to the last bit. In a single process nothing is
    changed, and neither are evaluation and the names of the weights.
    """

    def __init__(self) -> None:
        self.handles: list[RemovableHandle] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            self.handles = share_out(pl_module, trainer.global_rank, trainer.world_size)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []


def share_out(net: nn.Module, rank: int, world_size: int) -> list[RemovableHandle]:
    """Have the net's random layers draw for ``world_size`` times the rows that they are given."""
    enlarge = partial(_enlarge, rank=rank, world_size=world_size)
    reduce = partial(_reduce, rank=rank, world_size=world_size)
    handles = []
    for layer in filter(is_random, net.modules()):
        handles.append(layer.register_forward_pre_hook(enlarge))
        handles.append(layer.register_forward_hook(reduce))
    return handles


def is_random(layer: nn.Module) -> bool:
    """Whether it draws in training, for each row of its input apart."""
    if isinstance(layer, _DROPOUT):
        return layer.p > 0
    probability = _BY_ROW.get(type(layer).__name__)
    return probability is not None and bool(getattr(layer, probability))


def _enlarge(
    layer: nn.Module, inputs: tuple[Tensor, ...], *, rank: int, world_size: int
) -> tuple[Tensor, ...]:
    if not layer.training:
        return inputs
    return (shares.whole(inputs[0], rank, world_size), *inputs[1:])


def _reduce(layer: nn.Module, inputs: Any, batch: Tensor, *, rank: int, world_size: int) -> Tensor:
    return shares.own(batch, rank, world_size) if layer.training else batch
