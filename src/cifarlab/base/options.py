"""Options that the configuration offers by name, in one place: what is checked before anything
large is imported, and what then does it, both read them here."""

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true")
SPLITS = ("random", "stratified", "tail")
TTA_VIEWS = ("flip", "flip_shift")
EXPORT_FORMATS = {  # and the packages that each needs
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torch_export": (),
}

# Mean and standard deviation by channel, of images in [0, 1]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NORMALIZATIONS: dict[str, Statistics | None] = {  # None: of the data, published or computed
    "dataset": None,
    "imagenet": IMAGENET,
    "half": HALF,
    "computed": None,
}
