"""Options that the configuration offers by name, in one place: what is checked before anything
large is imported, and what then does it, both read them here."""

from typing import Literal, get_args

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed"]
CompileMode = Literal[True, "reduce-overhead", "max-autotune", "whole-step"]
Split = Literal["random", "stratified", "tail"]
Validation = Literal["own", "split"]
Resize = Literal["squash", "crop"]
TTAViews = Literal["flip", "flip_shift"]
Monitor = Literal["val/loss", "val/acc"]
Normalization = Literal["dataset", "imagenet", "half", "computed"]
SPLITS: tuple[Split, ...] = get_args(Split)
TTA_VIEWS: tuple[TTAViews, ...] = get_args(TTAViews)
BETTER: dict[str, Literal["min", "max"]] = {"val/loss": "min", "val/acc": "max"}  # what is best
EXPORT_FORMATS = {  # and the packages that each needs
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torch_export": (),
    "safetensors": ("safetensors",),
}

# Mean and standard deviation by channel, of images in [0, 1]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NORMALIZATIONS: dict[
    Normalization, Statistics | None
] = {  # None: of the data, published or computed
    "dataset": None,
    "imagenet": IMAGENET,
    "half": HALF,
    "computed": None,
}
