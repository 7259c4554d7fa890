"""Muon for the matrices of a net and AdamW for the rest, as one optimizer."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cifarlab.base.errors import UserError

Group = dict[str, Any]


class Muon(Optimizer):
    """Momentum whose update is made orthogonal (Keller Jordan, 2024, "Muon: an optimizer for hidden
    layers in neural networks"; arXiv:2502.16982), by ``torch.optim.Muon``.

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
    ) -> None:
        # Neither has parameters of its own: step() lends them groups and state
        matrix, vector = torch.zeros(1, 1), torch.zeros(1)
        own: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        own |= {"adjust_lr_fn": adjust_lr_fn, "weight_decay": weight_decay}
        betas: tuple[Any, ...] = tuple(adamw_betas)
        try:
            self._muon = torch.optim.Muon([matrix], lr=lr, **own)
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
            groups += [
                self._muon.defaults | group | {"params": matrices, "muon": True},
                self._adamw.defaults
                | group
                | {"params": rest, "muon": False, "lr": adamw_lr * share},
            ]
        super().__init__([group for group in groups if group["params"]], {"lr": lr})

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
        """``torch.optim.Muon``'s step on two-dimensional stand-ins of the group's parameters."""
        pairs = [(p, _matrix(p)) for p in group["params"] if p.grad is not None]
        for parameter, matrix in pairs:
            matrix.grad = _matrix(parameter.grad)
        self._muon.param_groups = [group | {"params": [matrix for _, matrix in pairs]}]
        self._muon.state.clear()
        self._muon.state.update({m: self.state[p] for p, m in pairs if p in self.state})
        self._muon.step()
        for parameter, matrix in pairs:
            self.state[parameter] = self._muon.state[matrix]
            if matrix.data_ptr() != parameter.data_ptr():
                parameter.copy_(matrix.view(parameter.shape))


def _matrix(tensor: Tensor) -> Tensor:
    """``(a, b, c, ...)`` as ``(a, b * c * ...)``: a view, or a copy where channels are last."""
    return tensor.detach().flatten(1)


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
