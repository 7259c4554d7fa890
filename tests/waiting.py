"""Telling on any machine what a GPU would have to be waited for."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)
WAITED = (DataDependentOutputException, DynamicOutputShapeException)


class Copies(TorchDispatchMode):
    """Notes the lines that copy from one device to another, of torch's the line that calls it. A
    copy from ordinary memory is waited for too: torch must not let the memory go before."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if str(func).startswith(("aten._to_copy", "aten.copy_")):
            tensors = [t for t in (*args, result) if isinstance(t, torch.Tensor)]
            if len({tensor.device.type for tensor in tensors}) > 1:
                frames = traceback.extract_stack()[:-1]
                caller = next(f for f in reversed(frames) if "/torch/" not in f.filename)
                self.found.append(f"{caller.name}: {caller.line}")
        return result


@contextmanager
def fake_gpu() -> Iterator[list[str]]:
    """The copies. Within it tensors may be made on ``GPU``, on a machine without one; they have no
    data, and what needs a value of theirs raises one of ``WAITED``. Nothing can be differentiated.
    """
    copies = Copies()
    with FakeTensorMode(allow_non_fake_inputs=True), copies:
        yield copies.found
