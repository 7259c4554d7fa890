"""``trainer.compile=whole-step``: a training step recorded once and replayed as one CUDA graph."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch.utilities.memory import is_oom_error
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from cifarlab.base.errors import UserError
from cifarlab.lit.muon import Muon

Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
EAGER = 3  # steps of each kind before one is recorded: libraries and optimizers allocate in them
_RECORDABLE = (SGD, Adam, AdamW, Muon)
_REFUSED = "trainer.compile=whole-step: {}; take trainer.compile=false"


class WholeStep:
    """Forward, loss, backward, clipping and the optimizer's step on a batch, as one CUDA graph.

    A small net's kernels take less time on a GPU than Python takes to start them one by one; a
    graph starts all of a step at once. It computes the same kernels on the same memory, so the
    first steps, which are not recorded yet, and the replayed ones give the same numbers.

    What a graph has in it stays as it was when it was recorded: shapes, which weights train, which
    modules are in training mode. For each such state that comes up in a run there is a graph of its
    own, recorded at its fourth step. Learning rates may change from step to step: the optimizer
    reads them from tensors that are filled before each step.

    Raises ``UserError``, when it is called, for a kind of optimizer that cannot be recorded, and
    for a net or a loss whose step cannot, since it reads values of its tensors in Python.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
    """

    def __init__(self) -> None:
        self._recordings: dict[Any, Recording] = {}
        self._rates: list[Tensor] = []
        self._filled: list[float] = []  # what the rates hold
        self._optimizer: Optimizer | None = None  # that what is recorded steps with
        self._weights: list[nn.Parameter]  # of the net, which takes a while to go through
        self._modules: list[nn.Module]

    def _prepare(self, net: nn.Module, optimizer: Optimizer, device: torch.device) -> None:
        """Have the optimizer keep its count of steps on the device and take rates as tensors, and
        forget what was recorded with another one."""
        if not isinstance(optimizer, _RECORDABLE):
            names = ", ".join(kind.__name__.lower() for kind in _RECORDABLE)
            told = f"optimizer {type(optimizer).__name__} cannot be recorded, but {names} can"
            raise UserError(_REFUSED.format(told))
        self._recordings.clear()
        self._optimizer = optimizer
        self._weights, self._modules = [*net.parameters()], [*net.modules()]
        self._rates = [torch.zeros((), device=device) for _ in optimizer.param_groups]
        self._filled = [0.0 for _ in optimizer.param_groups]
        for group in optimizer.param_groups:
            if not group.get("muon", False):
                group |= {"fused": True, "foreach": False}
            if "capturable" in group:
                group["capturable"] = True

    @staticmethod
    def check(device: torch.device) -> None:
        """Raise ``UserError`` for a device that records no steps."""
        if device.type not in RECORDERS:
            told = f"is of CUDA GPUs, and this run is on the {device.type}"
            raise UserError(_REFUSED.format(told))

    def __call__(
        self, step: Step, net: nn.Module, optimizer: Optimizer, images: Tensor, labels: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch classes"]]:
        """The loss and the logits of a batch, after the optimizer's step; they are overwritten by
        the next one.

        step: does it all, with these arguments: images and labels.
        """
        if optimizer is not self._optimizer:
            self._prepare(net, optimizer, images.device)
        groups = optimizer.param_groups
        for index, group in enumerate(groups):
            if self._filled[index] != group["lr"]:
                self._rates[index].fill_(group["lr"])
                self._filled[index] = group["lr"]
        state = (
            *((x.shape, x.dtype, x.stride()) for x in (images, labels)),
            *[weight.requires_grad for weight in self._weights],
            *[module.training for module in self._modules],
        )
        recording = self._recordings.setdefault(state, Recording())
        with _as_lr(self._rates, groups):
            try:
                return recording(step, images, labels)
            except RuntimeError as error:
                if not recording.is_being_made or is_oom_error(error):
                    raise
                told = str(error).strip().partition("\n")[0]
                told = f"this step cannot be recorded ({told})"
                raise UserError(_REFUSED.format(told)) from error


class Recording:
    """A step for one state of the net: the first times as it is, then recorded and replayed."""

    def __init__(self) -> None:
        self.steps = 0
        self.is_being_made = False
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, Tensor]
        self._outputs: tuple[Tensor, Tensor]

    def __call__(self, step: Step, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.steps += 1
        recorder = RECORDERS[images.device.type]
        if self.steps <= EAGER:
            with recorder.beside():
                return step(images, labels)
        if self._replay is None:
            self._inputs = images.clone(), labels.clone()
            self.is_being_made = True
            self._replay, self._outputs = recorder.record(step, *self._inputs)
            self.is_being_made = False
        for ours, given in zip(self._inputs, (images, labels), strict=True):
            ours.copy_(given)
        self._replay()
        return self._outputs


class Recorder:
    """How a kind of device records steps."""

    def beside(self) -> contextlib.AbstractContextManager:
        """Around a step that is not recorded."""
        raise NotImplementedError

    def record(self, step: Step, *inputs: Tensor) -> tuple[Callable[[], None], Any]:
        """What computes the step again, from what ``inputs`` hold then, and where its results are.
        Nothing is computed yet."""
        raise NotImplementedError


class CUDARecorder(Recorder):
    """Records CUDA graphs."""

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """On another stream, as torch asks for steps before a recording: autograd keeps the stream
        on which a weight was first used, and the one of a recording is not the default."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield
        torch.cuda.current_stream().wait_stream(stream)

    def record(self, step: Step, *inputs: Tensor) -> tuple[Callable[[], None], Any]:
        """See ``torch.cuda.graph``; other threads, such as a sweep's, may use the GPU meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = step(*inputs)
        return graph.replay, outputs


RECORDERS: dict[str, Recorder] = {"cuda": CUDARecorder()}


@contextlib.contextmanager
def _as_lr(rates: list[Tensor], groups: list[dict[str, Any]]) -> Iterator[None]:
    """The rates in the place of the groups' own, which schedules and records go on finding there
    afterwards."""
    kept = [group["lr"] for group in groups]
    for rate, group in zip(rates, groups, strict=True):
        group["lr"] = rate
    try:
        yield
    finally:
        for lr, group in zip(kept, groups, strict=True):
            group["lr"] = lr
