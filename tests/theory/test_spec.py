"""Networks written in a line: against torch's layers, and the slips one can make."""

import pytest
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.theory.layers import shown
from cifarlab.theory.reports import BASELINE
from cifarlab.theory.sheet import trace
from cifarlab.theory.spec import read
from cifarlab.theory.table import table, text, total

SPEC = (
    "conv7x5-8 s2 p3x2 | bn | silu | maxpool3 s2 p1 ceil | conv3-12 p=same d2 g4 nobias | relu | "
    "avgpool2 s1 | adaptivepool2 | flatten 48 | fc 16 | bn | dropout 0.5 | fc 10 nobias"
)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, (7, 5), 2, (3, 2)),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.Conv2d(8, 12, 3, padding="same", dilation=2, groups=4, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2, 1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 16),
        nn.BatchNorm1d(16),
        nn.Dropout(0.5),
        nn.Linear(16, 10, bias=False),
    )


def test_a_line_is_the_net() -> None:
    written, traced = read(SPEC, (3, 32, 36)), trace(net(), (3, 32, 36))
    assert total(written, "macs") == traced.macs, "as torch counts"
    for ours, theirs in zip(written, traced.rows, strict=True):
        for key in ("kind", "output", "weights", "biases", "field", "macs", "memory"):
            assert getattr(ours, key) == getattr(theirs, key), (ours, theirs)
        assert theirs.counted == ours.parameters


def test_a_list_is_a_line_and_values_may_come_first() -> None:
    assert read(["conv5-32", "relu"], (3, 32, 32)) == read("conv5x5-32, relu", (3, 32, 32))
    rows = read("fc 200 | relu | fc 10", (3072,))
    assert [row.parameters for row in rows] == [3072 * 200 + 200, 0, 2010]
    assert [row.field for row in rows] == [None] * 3, "values have no height and width"


def test_table_and_text() -> None:
    rows = read(BASELINE, (3, 32, 32))
    lines = table(rows)
    assert "counted" not in lines[0] and "counted" in table(trace(net(), (3, 32, 32)).rows)[0]
    assert lines[-1][3:6] == ["390,112", "298", "390,410"]
    assert total(rows, "macs") == 28_803_712  # as torch counts the model
    assert len({len(line) for line in text(rows).splitlines()[1:3]}) == 1
    assert [shown(row.output) for row in rows][-4:] == ["2048", "64", "64", "10"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("conv5x5-32 | foo", "layer 2, foo: no such layer; they are conv5x5-32, maxpool2"),
        ("conv5x5-32 q3", "q3: no such option of this layer"),
        ("conv0-3", "a kernel has one pixel or more"),
        ("conv3-4 s0", "s0: must be 1 or more"),
        ("conv3-4 g2", "g2 must divide 3 maps and 4 filters"),
        ("conv4-4 p=same", "no padding keeps the size"),
        ("maxpool2 p2", "padding of a pooling must be at most half its kernel"),
        ("fc 10", "expects values, is given maps of 3x8x8: flatten them before"),
        ("flatten | fc", "needs a number of units: fc 64"),
        ("flatten 100", "3x8x8 makes 192 values, not 100"),
        ("flatten | maxpool2", "expects maps, channels x height x width; is given 192"),
        ("maxpool3 | conv3-2", "a kernel of 3 .* an input of 2 with padding 0 has only 2"),
        (" | ", "layers: none given"),
    ],
)
def test_slips(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(spec, (3, 8, 8))
