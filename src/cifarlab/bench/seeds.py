"""Several nets of one architecture stepping in one process."""

import contextlib
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from lightning.pytorch.utilities.memory import is_oom_error
from torch import Tensor, nn

from cifarlab.base import hardware
from cifarlab.base.config import RunConfig
from cifarlab.base.durations import counted
from cifarlab.base.errors import UserError
from cifarlab.bench.timing import Case, Clock, in_stretches
from cifarlab.bench.training import autocast
from cifarlab.lit.muon import Muon
from cifarlab.lit.optim import fused
from cifarlab.store.checkpoint import build_net

Take = Callable[[Tensor, Tensor], None]  # a step of all nets: (nets, batch, ...) each


def apart(
    nets: Sequence[nn.Module],
    make: Callable[..., torch.optim.Optimizer],
    cast_: contextlib.AbstractContextManager,
) -> Take:
    """A step of each net after the other."""
    optimizers = [make(net.parameters()) for net in nets]

    def take(images: Tensor, labels: Tensor) -> None:
        for net, optimizer, x, y in zip(nets, optimizers, images, labels, strict=True):
            optimizer.zero_grad()
            with cast_:
                loss = F.cross_entropy(net(x).float(), y)
            loss.backward()
            optimizer.step()

    return take


def stacked(
    nets: Sequence[nn.Module],
    make: Callable[..., torch.optim.Optimizer],
    cast_: contextlib.AbstractContextManager,
) -> Take:
    """A step of all nets at once. It is that of each by itself for optimizers that look at one
    number of a weight at a time, such as SGD and Adam.

    Source: https://docs.pytorch.org/tutorials/intermediate/ensembling.html
    """
    weights, buffers = torch.func.stack_module_state([*nets])
    optimizer = make([*weights.values()])

    def loss_of(w: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(nets[0], (w, b), (x,)).float(), y)

    gradients = torch.func.vmap(torch.func.grad(loss_of), randomness="different")

    def take(images: Tensor, labels: Tensor) -> None:
        with cast_:
            found = gradients(weights, buffers, images, labels)
        for name, weight in weights.items():
            weight.grad = found[name]
        optimizer.step()

    return take


def seeds(config: RunConfig, number: int, steps: int, warmup: int) -> Case:
    """Nets of one architecture in one process, each with weights and images of its own: a step of
    all of them at once, their weights stacked (``torch.func.vmap``), beside one after the other.

    Raises ``UserError`` for a net that cannot be stacked, and for Muon, which looks at matrices.
    """
    make = fused(instantiate(config["optimizer"]))
    if make.func is Muon:
        raise UserError(
            "what=seeds: stacked weights are other matrices to muon; take optimizer=sgd"
        )
    device = hardware.find_device(config["trainer"]["accelerator"])
    clock = Clock(device)

    def timed(are_stacked: bool) -> float:
        torch.manual_seed(0)
        nets = [build_net(config["model"], 10, 32).to(device).train() for _ in range(number)]
        shape = (number, config["batch_size"])
        images = torch.randn(*shape, 3, 32, 32, device=device)
        labels = torch.randint(10, shape, device=device)
        try:
            take = (stacked if are_stacked else apart)(nets, make, autocast(config, device))
            moments = []
            for index in range(warmup + steps + 1):
                if index >= warmup:
                    moments.append(clock())
                take(images, labels)
        except RuntimeError as error:
            if not are_stacked or is_oom_error(error):
                raise
            told = str(error).partition("\n")[0]
            raise UserError(f"what=seeds: this net cannot be stacked ({told})") from error
        return 1e3 * in_stretches(moments, 1)

    ways = {"stacked": lambda: timed(True), "one by one": lambda: timed(False)}
    return Case(f"{config['choices']['model']} {counted(number, 'seed')}", "ms a step of all", ways)
