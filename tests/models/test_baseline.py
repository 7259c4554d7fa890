"""The layer table of the report, row by row (Elfarri and Vibe, task 1g)."""

import torch

from cifarlab.models.baseline import Baseline

TABLE = [
    ("Conv2d", (32, 32, 32), 3 * 32 * 5 * 5, 32),
    ("ReLU", (32, 32, 32), 0, 0),
    ("MaxPool2d", (32, 16, 16), 0, 0),
    ("Conv2d", (64, 16, 16), 32 * 64 * 5 * 5, 64),
    ("ReLU", (64, 16, 16), 0, 0),
    ("MaxPool2d", (64, 8, 8), 0, 0),
    ("Conv2d", (128, 8, 8), 64 * 128 * 5 * 5, 128),
    ("ReLU", (128, 8, 8), 0, 0),
    ("MaxPool2d", (128, 4, 4), 0, 0),
    ("Flatten", (2048,), 0, 0),
    ("Linear", (64,), 2048 * 64, 64),
    ("ReLU", (64,), 0, 0),
    ("Linear", (10,), 64 * 10, 10),
]


def test_layers_are_those_of_the_report() -> None:
    net = Baseline()
    rows = []

    def note(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        weights = getattr(module, "weight", torch.empty(0)).numel()
        biases = getattr(module, "bias", torch.empty(0)).numel()
        rows.append((type(module).__name__, tuple(output.shape[1:]), weights, biases))

    for module in net.modules():
        if not list(module.children()) and not isinstance(module, torch.nn.Identity):
            module.register_forward_hook(note)
    net(torch.zeros(1, 3, 32, 32))
    assert rows == TABLE
    assert sum(row[2] for row in rows) == 390_112
    assert sum(row[3] for row in rows) == 298
