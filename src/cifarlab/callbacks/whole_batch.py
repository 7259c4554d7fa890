"""Random layers in a run on several devices."""

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
    """Makes dropout and stochastic depth on several devices drop what they drop on one.

    In each process, these layers work on the whole batch of the step, of which the process fills in
    and keeps its own rows. The random generators are in the same state in all processes
    (``SeedEachStep``), so of each image the same is dropped as in a run on one device, to the last
    bit. Runs on one device, evaluation and the names of the weights do not change.
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
    """Let the random layers of a net work on ``world_size`` times the rows that they get."""
    enlarge = partial(_enlarge, rank=rank, world_size=world_size)
    reduce = partial(_reduce, rank=rank, world_size=world_size)
    handles = []
    for layer in filter(is_random, net.modules()):
        handles.append(layer.register_forward_pre_hook(enlarge))
        handles.append(layer.register_forward_hook(reduce))
    return handles


def is_random(layer: nn.Module) -> bool:
    """Whether the layer uses random numbers in training, for each row of its input separately."""
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
