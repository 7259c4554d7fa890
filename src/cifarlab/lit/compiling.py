"""``trainer.compile``: the net of the training step through ``torch.compile``."""

from typing import Any

import torch
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.base.kinds import shown
from cifarlab.base.options import CompileMode
from cifarlab.base.seams import compile_errors


class Compiled:
    """``net(inputs)``, compiled for each net and shape that it meets.

    The net alone and not its loss: that is simplest, since nothing but the call differs, and what
    a loss of 10 classes takes beside a net is too little to tell apart.
    The net itself stays as it is, so that whatever looks at it, copies it or keeps its weights
    finds the same names and layers as in a run without.

    Args:
        mode: ``True`` for torch's default mode, or the name of another.

    Raises ``UserError``, when called, where torch cannot compile: for want of a C++ compiler, say.
    """

    def __init__(self, mode: CompileMode) -> None:
        self.mode = mode
        # nothing of an earlier net of this process counts towards torch's limit of compilations
        torch.compiler.reset()
        chosen: Any = "default" if mode is True else mode
        try:
            # sizes are fixed: training has one, and kernels for any are slower
            self._call = torch.compile(_through, mode=chosen, dynamic=False)
        except RuntimeError as error:  # this Python is none that torch compiles for
            raise self._refused(error) from error

    def __call__(self, net: nn.Module, inputs: Tensor) -> Tensor:
        try:
            return self._call(net, inputs)
        except compile_errors() as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> UserError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        of_compiler = [line for line in lines if "error: " in line]
        told = [*of_compiler, *(line for line in lines if not line.endswith("raised:"))]
        return UserError(
            f"trainer.compile={shown(self.mode)}: torch cannot compile the net here "
            f"({told[0] if told else type(error).__name__}); take trainer.compile=false"
        )


def _through(net: nn.Module, inputs: Tensor) -> Tensor:
    return net(inputs)
