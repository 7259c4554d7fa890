"""Muon for the matrices of a net and AdamW for the rest, as one optimizer."""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from cifarlab.base import hardware
from cifarlab.base.errors import UserError

Group = dict[str, Any]


class Muon(Optimizer):
    """Momentum whose update is made orthogonal (Keller Jordan, 2024, "Muon: an optimizer for hidden
    layers in neural networks"; arXiv:2502.16982), with the values of ``torch.optim.Muon``.

    Why not torch's (2.15): it takes one matrix after the other, and computes in bf16 on CPUs too
    that have no such units. A step of the baseline's optimizer takes 168 ms so where they are
    turned off (one thread of an AMD EPYC held to AVX2), and 9 ms in 32 bits.

    It gets the weights of the hidden layers, convolution kernels as matrices ``(out, in * height *
    width)``. To ``torch.optim.AdamW`` go the weight of the head, which is the last parameter of two
    dimensions in the order given, and all that is no matrix: biases, norm layers, and tensors of
    one row or one column (class tokens, layer scales).

    Each group given becomes two, the matrices and then the rest; an empty one is left out.

    Args:
        params: parameters, or groups of them, in the order of the net. A group's own ``lr`` is that
            of its matrices, and changes the rate of the rest in proportion.
        lr: of the matrices.
        adamw_lr: of the rest.
        momentum, nesterov: of Muon.
        ns_steps: Newton-Schulz iterations that make the update orthogonal.
        adjust_lr_fn: factor of ``lr`` for a matrix ``(a, b)``: ``original`` sqrt(max(1, a / b)),
            ``match_rms_adamw`` 0.2 sqrt(max(a, b)), ``spectral_unclamped`` sqrt(a / b).
        adamw_betas: of AdamW.
        adamw_bias_lr: rate of the parameters of one dimension, biases and norm layers; ``None``:
            ``adamw_lr``.
        normalize: before each step bring every matrix of ``a`` rows to the length sqrt(a), so that
            ``lr`` is relative to the weights (airbench94_muon, Jordan 2024). A net whose matrices
            are each followed by batch norm answers the same.
        weight_decay: of both, decoupled: each step takes lr * weight_decay of a weight away.

    Raises ``UserError`` for what torch's two refuse.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[Group],
        lr: float = 0.02,
        adamw_lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str = "original",
        adamw_betas: Sequence[float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        adamw_bias_lr: float | None = None,
        normalize: bool = False,
    ) -> None:
        # Neither has parameters of its own: torch's Muon checks and completes the values, and
        # step() lends its AdamW groups and state
        matrix, vector = torch.zeros(1, 1), torch.zeros(1)
        own: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        own |= {"adjust_lr_fn": adjust_lr_fn, "weight_decay": weight_decay}
        betas: tuple[Any, ...] = tuple(adamw_betas)
        try:
            defaults = torch.optim.Muon([matrix], lr=lr, **own).defaults
            self._adamw = torch.optim.AdamW(
                [vector], lr=adamw_lr, betas=betas, weight_decay=weight_decay
            )
        except ValueError as error:
            raise UserError(f"optimizer=muon: {error}") from error
        listed: list[Any] = list(params)
        given: list[Group] = listed if isinstance(listed[0], dict) else [{"params": listed}]
        groups = []
        for group, matrices, rest in _divide(given):
            share = group.get("lr", lr) / lr
            vectors = [p for p in rest if p.ndim == 1 and adamw_bias_lr is not None]
            others = [p for p in rest if p.ndim != 1 or adamw_bias_lr is None]
            groups.append(defaults | group | {"params": matrices, "muon": True})
            for parameters, rate in ((others, adamw_lr), (vectors, adamw_bias_lr or adamw_lr)):
                own_rate = {"params": parameters, "muon": False, "lr": rate * share}
                groups.append(self._adamw.defaults | group | own_rate)
        super().__init__([group for group in groups if group["params"]], {"lr": lr})
        self.normalize = normalize

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both; returns what ``closure`` does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self._adamw.state = self.state
        self._adamw.step()
        for group in self.param_groups:
            if group["muon"]:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: Group) -> None:
        """Matrices of one shape together; on a CPU each by itself, which is quicker there."""
        lr, momentum = group["lr"], group["momentum"]
        alike: dict[Any, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            gradient, state = parameter.grad.flatten(1), self.state[parameter]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
            update = gradient.lerp(buffer, momentum) if group["nesterov"] else buffer
            alike[parameter if parameter.is_cpu else update.shape].append((parameter, update))
        for members in alike.values():
            first = members[0][1]
            updates = orthogonal(
                first[None]
                if len(members) == 1
                else torch.stack([update for _, update in members]),
                group["ns_coefficients"],
                group["ns_steps"],
                group["eps"],
            )
            adjusted = lr * ADJUST[group["adjust_lr_fn"]](*first.shape)
            for (parameter, _), update in zip(members, updates, strict=True):
                if self.normalize:
                    parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
                parameter.mul_(1 - lr * group["weight_decay"])
                update = update.view(parameter.shape)
                if isinstance(lr, Tensor):  # as a whole step that is recorded has it
                    parameter.sub_(update * adjusted)
                else:
                    parameter.add_(update, alpha=-adjusted)


# Factors of the rate for a matrix (a, b)
ADJUST: dict[str, Callable[[int, int], float]] = {
    "original": lambda a, b: math.sqrt(max(1, a / b)),
    "match_rms_adamw": lambda a, b: 0.2 * math.sqrt(max(a, b)),
    "spectral_unclamped": lambda a, b: math.sqrt(a / b),
}


def orthogonal(
    matrices: Float[Tensor, "n a b"],
    coefficients: tuple[float, float, float],
    steps: int,
    eps: float,
) -> Float[Tensor, "n a b"]:
    """Each matrix with singular values of about 1 (within 0.3) in place of its own, by ``steps``
    Newton-Schulz iterations (Jordan, 2024), in bf16 where the device has it, else in 32 bits.

    coefficients: of the iteration's polynomial; eps: the least norm that is divided by.
    """
    x = matrices.to(_precision(matrices.device))
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    add: Any = torch.baddbmm
    if len(x) == 1:
        x, add = x[0], torch.addmm
    a, b, c = coefficients
    for _ in range(steps):
        gram = x @ x.mT
        x = add(x, add(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).view(matrices.shape)


@functools.cache
def _precision(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if hardware.has_fast_bf16(device) else torch.float32


def _divide(groups: list[Group]) -> list[tuple[Group, list[nn.Parameter], list[nn.Parameter]]]:
    """Each group with its parameters for Muon and for AdamW."""
    flat = [parameter for group in groups for parameter in group["params"] if parameter.ndim == 2]
    head = flat[-1] if flat else None
    divided = []
    for group in groups:
        chosen = [p is not head and _is_matrix(p) for p in group["params"]]
        matrices = [p for p, yes in zip(group["params"], chosen, strict=True) if yes]
        rest = [p for p, yes in zip(group["params"], chosen, strict=True) if not yes]
        divided.append((group, matrices, rest))
    return divided


def _is_matrix(parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and 1 < len(parameter) < parameter.numel()
