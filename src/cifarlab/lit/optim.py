"""Learning-rate schedules. Each is called with the optimizer and the number of optimizer steps of
the whole run, and is stepped after every optimizer step."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """The optimizer's own learning rate throughout."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: Optimizer, total_steps: int, final_lr: float = 0.0) -> LRScheduler:
    """Half a cosine from the optimizer's learning rate to ``final_lr`` (Loshchilov and Hutter,
    arXiv:1608.03983, without restarts)."""
    return CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=final_lr)


def onecycle(
    optimizer: Optimizer,
    total_steps: int,
    max_lr: float | None = None,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> LRScheduler:
    """One rise and fall of the learning rate (Smith and Topin, arXiv:1708.07120).

    ``max_lr=None`` takes each group's own learning rate as the peak. Unlike torch's default the
    momentum stays as the optimizer has it: torch would also switch momentum on where it is off.
    """
    peak = [group["lr"] for group in optimizer.param_groups] if max_lr is None else max_lr
    return OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=total_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )
