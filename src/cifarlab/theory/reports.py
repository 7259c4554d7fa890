"""The theory questions of the five reports: every number computed again, beside what they print.

What is printed is data here, as transcribed from the reports; a slip may be the transcription's.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cifarlab.theory.convolve import correlate
from cifarlab.theory.layers import Shape, shown
from cifarlab.theory.sizes import kernels, output_size, same_padding, size_formula
from cifarlab.theory.spec import read
from cifarlab.theory.table import Row, aligned, total

GROUP14 = "TDT4265, Group 14"
ELFARRI = "TDT4265, Elfarri and Vibe"
BOELTER = "Boelter"
TBMI26 = "TBMI26, Hansson and Aronsson"
SAPIENZA = "Sapienza"
REPORTS = (GROUP14, ELFARRI, BOELTER, TBMI26, SAPIENZA)

IMAGE = [[1, 0, 2, 3, 1], [3, 2, 0, 7, 0], [0, 6, 1, 1, 4]]
SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
PHOTO: Shape = (3, 32, 32)

BASELINE = " | ".join(
    [f"conv5x5-{n} p2 | relu | maxpool2" for n in (32, 64, 128)] + ["flatten 2048 | fc 64 | relu"]
) + (" | fc 10")
GROUP14_MODEL1 = (
    "conv3x3-32 p1 | relu | maxpool2 | conv5x5-64 p2 | relu | avgpool2 | conv3x3-128 p1 | bn | "
    "maxpool2 | conv5x5-256 p2 | relu | flatten | fc 128 | relu | fc 64 | relu | fc 10"
)
GROUP14_MODEL2 = (
    "conv3x3-64 p1 | relu | maxpool2 | conv5x5-128 p2 | relu | maxpool2 | conv3x3-256 p1 | relu | "
    "maxpool2 | flatten | fc 128 | relu | fc 10"
)
ELFARRI_MODEL2 = "conv5x5-32 p2 | maxpool2 | " + " | ".join(
    f"conv3x3-{n} p2 | maxpool2" for n in (64, 128, 64)
)
RESNET18 = "conv7x7-64 s2 p3 | maxpool3 s2 p1 | " + " | ".join(
    f"conv3x3-{n} s2 p1" for n in (128, 256, 512)
)
BOELTER_CNN = (
    "conv3-32 | relu | conv3-32 | relu | maxpool2 | conv3-64 | relu | conv3-64 | relu | maxpool2 | "
    "flatten | fc 512 | relu | fc 10"
)
SAPIENZA_CNN = " | ".join(
    [f"conv3x3-{n} p1 | bn | maxpool2 | relu" for n in (128, 512, 512, 512, 512)]
    + ["flatten | fc 10"]
)
VGG11 = " | ".join(
    f"conv3-{word} p1 | relu" if word != "M" else "maxpool2"
    for word in ["64", "M", "128", "M", "256", "256", "M", "512", "512", "M", "512", "512", "M"]
)


@dataclass(frozen=True)
class Check:
    """A question with our answer, the report's answer, and the arithmetic if they differ."""

    where: str
    asked: str
    ours: str
    printed: str
    slips: tuple[str, ...] = ()


Values = Mapping[str, int | str]


def compare(
    where: str, asked: str, ours: Values, printed: Values, working: Mapping[str, str] | None = None
) -> Check:
    """Compare answers label by label. working: how each value is computed."""
    assert ours.keys() == printed.keys(), (ours.keys(), printed.keys())
    slips = []
    for label, value in ours.items():
        if printed[label] != value:
            place = f"{label}: " if label else ""
            right = (working or {}).get(label, value)
            slips.append(f"{place}printed {printed[label]}; it is {right}")
    count = len(ours)
    (first,) = ours.values() if count == 1 else (f"{count} numbers",)
    (said,) = printed.values() if count == 1 else ("the same",)
    if slips and count > 1:
        said = f"{count - len(slips)} the same"
    return Check(where, asked, str(first), str(said), tuple(slips))


def checks() -> list[Check]:
    """All questions, report by report."""
    every = [*convolutions(), *sizes(), *tables(), *others()]
    return sorted(every, key=lambda check: REPORTS.index(check.where))


def report() -> str:
    """A table of all questions, and below it each slip with its arithmetic."""
    lines = [["report", "question", "answer", "the report says"]]
    notes: list[str] = []
    for check in checks():
        said = check.printed
        if check.slips:
            said += f"  ({len(notes) + 1})"
            slips = "".join(f"\n    {slip}" for slip in check.slips)
            notes.append(f"({len(notes) + 1}) {check.where}, {check.asked}{slips}")
        lines.append([check.where, check.asked, check.ours, said])
    return "\n\n".join(
        [
            aligned(lines, left=4),
            "Slips, of the reports or of their transcription:",
            *notes,
            "The printed outputs of 1a are cross-correlations. A true convolution turns the kernel "
            "by 180\ndegrees, which makes this one its own negative: every value changes its sign.",
        ]
    )


def convolutions() -> list[Check]:
    """Task 1a of TDT4265, assignment 3: a convolution by hand."""
    output = [working for row in correlate(IMAGE, SOBEL) for working in row]
    values = {f"row {w.row + 1}, column {w.column + 1}": w.value for w in output}
    working = {f"row {w.row + 1}, column {w.column + 1}": str(w) for w in output}
    group14 = [1, -1, 1, -2, -3, 10, -4, 8, 2, -11, 14, -1, -5, 6, -9]
    elfarri = [2, -1, 11, -2, -13, 10, -4, 8, 2, -18, 14, -1, -5, 6, -9]
    elfarris_sums = [2, -1, 11, -2, -13, 10, -4, 8, 2, -18, 14, -1, -1, 6, -9]
    kernel = {f"row {i + 1}": " ".join(map(str, row)) for i, row in enumerate(SOBEL)}
    image = {f"row {i + 1}": " ".join(map(str, row)) for i, row in enumerate(IMAGE)}
    asked = "1a: 3x5 image, Sobel kernel, padding 1"
    return [
        compare(GROUP14, "1a: the task's image", image, {**image, "row 3": "0 6 1 4"}),
        compare(GROUP14, "1a: the task's kernel", kernel, {**kernel, "row 2": "2 0 2"}),
        compare(GROUP14, asked, values, dict(zip(values, group14, strict=True)), working),
        compare(ELFARRI, asked, values, dict(zip(values, elfarri, strict=True)), working),
        compare(
            ELFARRI, "1a: its working, term by term", values,
            dict(zip(values, elfarris_sums, strict=True)), working,
        ),
    ]  # fmt: skip


def sizes() -> list[Check]:
    """Tasks 1c to 1f of TDT4265, assignment 3: sizes. Both reports give the same answers."""
    (kernel,) = kernels(512, 504)
    asked = {
        "1c: 5x5, stride 1: padding that keeps the size": (same_padding(5), 2, ""),
        "1d: 512 to 504, stride 1, no padding: kernel": (kernel, 9, "512 - 504 + 1 = 9"),
        "1e: 504, pooling 2x2, stride 2": (output_size(504, 2, 2), 252, size_formula(504, 2, 2, 0)),
        "1f: 252, 3x3, stride 1, no padding": (
            output_size(252, 3), 250, size_formula(252, 3, 1, 0),
        ),
    }  # fmt: skip
    return [
        compare(where, question, {"": ours}, {"": printed}, {"": how})
        for where in (GROUP14, ELFARRI)
        for question, (ours, printed, how) in asked.items()
    ]


def tables() -> list[Check]:
    """Layer tables: tasks 1g and 3a of TDT4265, question 1 and figure 10 of Sapienza."""
    baseline, model1, model2 = (
        read(net, PHOTO) for net in (BASELINE, GROUP14_MODEL1, GROUP14_MODEL2)
    )
    sapienza = read(SAPIENZA_CNN, PHOTO)
    weights, biases = [2400, 51200, 204800, 131072, 640], [32, 64, 128, 64, 10]
    sizes = "32x32x32 32x32x32 32x16x16 64x16x16 64x16x16 64x8x8 128x8x8 128x8x8 128x4x4 2048 64 64"
    products = ["3x32x5x5", "32x64x5x5", "64x128x5x5", "2048x64", "64x10"]
    printed1 = "896 0 0 51264 0 0 73856 256 0 819456 0 0 524416 0 8256 0 650"
    printed2 = "1792 0 0 204928 0 0 295168 0 0 0 524416 0 1290"
    plain = [row for row in sapienza if not row.kind.startswith("BatchNorm")]
    convolutions = [3584, 590336, 2359808, 2359808, 2359808, 5130]
    return [
        _numbers(GROUP14, "1g: weights of the baseline", _with(baseline), "weights", weights),
        _numbers(GROUP14, "1g: biases of the baseline", _with(baseline), "biases", biases),
        _sum(GROUP14, "1g: parameters of the baseline", baseline, 390410),
        _outputs(ELFARRI, "1g: output sizes of the baseline", baseline, [*sizes.split(), "10"]),
        _numbers(
            ELFARRI, "1g: weights of the baseline", _with(baseline), "weights",
            [_product(words) for words in products],
        ),
        _numbers(
            ELFARRI, "1g: parameters, layer by layer", _with(baseline), "parameters",
            [2432, 51264, 204928, 131136, 650],
        ),
        _sum(ELFARRI, "1g: all weights", baseline, 390112, "weights"),
        _sum(ELFARRI, "1g: all biases", baseline, 298, "biases"),
        _sum(ELFARRI, "1g: parameters of the baseline", baseline, 390410),
        _numbers(
            GROUP14, "3a: model 1, parameters by layer", model1, "parameters",
            [int(word) for word in printed1.split()],
        ),
        _sum(GROUP14, "3a: model 1, parameters", model1, 1479050),
        _numbers(
            GROUP14, "3a: model 2, parameters by layer", model2, "parameters",
            [int(word) for word in printed2.split()],
        ),
        _numbers(
            SAPIENZA, "1: parameters, layer by layer", _with(plain), "parameters", convolutions
        ),
        _sum(SAPIENZA, "1: parameters of its network", plain, 7678474),
        _sum(SAPIENZA, "figure 10: the same with batch norm", sapienza, 7682826),
    ]  # fmt: skip


def others() -> list[Check]:
    """Sizes and counts that the reports mention on the way."""
    final, resnet18 = read(ELFARRI_MODEL2, PHOTO), read(RESNET18, (3, 224, 224))
    steps = " -> ".join([shown(PHOTO[1:]), *(shown(row.output[1:]) for row in final)])
    dense = bisect_right(range(1000), 600_000, lo=1, key=_two_dense)  # the narrowest
    convolutions = [row for row in read(VGG11, PHOTO) if row.kind.startswith("Conv")]
    ends = {
        (ELFARRI, "3a: model 2, last maps (3x3: padding 2)"): (final, "2x2", steps),
        (GROUP14, "4c: ResNet-18 at 224x224, last maps"): (resnet18, "7x7", ""),
    }  # fmt: skip
    found = [
        compare(where, asked, {"": shown(rows[-1].output[1:])}, {"": printed}, {"": how})
        for (where, asked), (rows, printed, how) in ends.items()
    ]
    boelter = [shown(row.output) for row in read(BOELTER_CNN, PHOTO) if row.kind == "Flatten"]
    vgg = shown(read(VGG11 + " | flatten", PHOTO)[-1].output)
    return [
        *found,
        compare(BOELTER, "1.2: inputs of the first dense layer", {"": boelter[0]}, {"": "1600"}),
        *_expense(),
        compare(
            TBMI26, "1: what the four numbers of X_train's shape are",
            {"": "images, rows, columns, channels"}, {"": "images, pixels, channels"},
            {"": "images, rows, columns, channels: a size takes two of the four; torch's order is "
                 "images, channels, rows, columns"},
        ),
        Check(
            TBMI26, "2: two dense layers, > 600,000 parameters",
            f"{dense} units or more: {_two_dense(dense):,}", "> 600,000",
        ),
        compare(
            TBMI26, "5: 600,000 to 40,000 parameters, times more",
            {"": (600_000 - 40_000) // 40_000}, {"": 14},
        ),
        compare(SAPIENZA, "4a: VGG-11, convolutions", {"": len(convolutions)}, {"": 8}),
        compare(SAPIENZA, "4a: VGG-11, inputs of the head", {"": vgg}, {"": "512"}),
    ]  # fmt: skip


def _expense() -> list[Check]:
    """Boelter's question 2: which layer is the more expensive, a dense one or a convolution."""
    rows = read(BOELTER_CNN, PHOTO)
    inputs = [PHOTO, *(row.output for row in rows)]
    known = [(row, before) for row, before in zip(rows, inputs, strict=False) if row.macs]
    convolution, before = max(
        (pair for pair in known if pair[0].kind.startswith("Conv")),
        key=lambda pair: pair[0].macs or 0,
    )
    dense = next(row for row, _ in known if row.kind.startswith("Linear"))
    apart = math.prod(before) * math.prod(convolution.output)
    assert convolution.macs and dense.macs and convolution.weights
    name = f"the convolution {shown(before)} to {shown(convolution.output)}"
    return [
        compare(
            BOELTER, "Q2: which costs more between the same maps",
            {"": "dense" if apart > convolution.macs else "convolution"}, {"": "dense"},
            {"": f"{name}: {apart:,} products if dense, {convolution.macs:,} as it is"},
        ),
        compare(
            BOELTER, "Q2: which layer of its own network costs most",
            {"": "dense" if dense.macs > convolution.macs else "convolution"}, {"": "dense"},
            {"": f"{name}: {convolution.macs:,} multiply-accumulates with {convolution.weights:,} "
                 f"weights; the first dense layer {dense.macs:,} with {dense.weights:,}"},
        ),
    ]  # fmt: skip


def _numbers(
    where: str, asked: str, rows: Sequence[Row], key: str, printed: Sequence[int]
) -> Check:
    ours = {row.name: getattr(row, key) for row in rows}
    working = {row.name: f"{row.formula} makes {getattr(row, key)} {key}" for row in rows}
    return compare(where, asked, ours, dict(zip(ours, printed, strict=True)), working)


def _outputs(where: str, asked: str, rows: Sequence[Row], printed: Sequence[str]) -> Check:
    ours = {row.name: shown(row.output) for row in rows}
    return compare(where, asked, ours, dict(zip(ours, printed, strict=True)))


def _sum(
    where: str, asked: str, rows: Sequence[Row], printed: int, key: str = "parameters"
) -> Check:
    terms = " + ".join(str(getattr(row, key)) for row in rows if getattr(row, key))
    ours = total(rows, key)
    return compare(where, asked, {"": ours}, {"": printed}, {"": f"{terms} = {ours}"})


def _with(rows: Sequence[Row]) -> list[Row]:
    """The rows of layers that have parameters."""
    return [row for row in rows if row.parameters]


def _two_dense(units: int) -> int:
    """Parameters of 3x32x32 to ``units`` to 10."""
    return total(read(f"flatten | fc {units} | relu | fc 10", PHOTO), "parameters")


def _product(words: str) -> int:
    factors = map(int, words.split("x"))
    product = 1
    for factor in factors:
        product *= factor
    return product
