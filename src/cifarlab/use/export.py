"""A run's net as a file: ONNX or torch's own exported program, which need nothing of cifarlab, or
its weights alone as safetensors; a model card beside each.

The exported program takes ``pixels``, uint8 RGB ``(batch, 3, size, size)`` with any batch size, and
returns ``logits``, float32 ``(batch, classes)``. It normalises the pixels itself. It takes pixels
and not floats, since a wrong type raises an error, while a wrong scale would only make predictions
worse.
"""

import contextlib
import copy
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from cifarlab.base import hardware
from cifarlab.base.checks import check_export
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.files import write_atomic
from cifarlab.use.card import card
from cifarlab.use.predictor import PixelsToLogits

_TOLERANCE = 1e-4  # difference of a logit that is let pass, relative to the largest, or to 1
_BATCHES = (1, 7)  # sizes that are compared; the net is traced with another


class VerificationError(RuntimeError):
    """The exported model does not compute what the net computes."""


@dataclass(frozen=True)
class Exported:
    """What was exported.

    path: of the model.
    description: path of a JSON file that says what the model takes and returns.
    difference: the largest absolute difference between a logit of the model and of the net.
    scale: the largest absolute logit.
    """

    path: Path
    description: Path
    difference: float
    scale: float


@dataclass(frozen=True)
class Format:
    """A format to export to.

    write: writes a file, given the module, example pixels, metadata and the path.
    run: computes logits, given the path of the file, pixels and a copy of the module to load into.
    suffix: of the file.
    """

    write: Callable[[nn.Module, Tensor, Mapping[str, Any], Path], None]
    run: Callable[[Path, Tensor, nn.Module], np.ndarray]
    suffix: str


def export(loaded: LoadedNet, format: str, folder: Path) -> Exported:
    """Write ``model.<suffix>``, ``model.<suffix>.json`` and a model card, ``README.md``, into
    ``folder``. The card has what other formats are there, too.

    Before the file gets its name, it is loaded again and compared with the net on batches of
    several sizes. Raises ``UserError`` for an unknown format or a missing package, and
    ``VerificationError`` if logits differ; then no file is left.
    """
    check_export(format)
    chosen = FORMATS[format]
    net = copy.deepcopy(loaded.net).cpu().to(memory_format=torch.contiguous_format)
    module = PixelsToLogits(net, loaded.mean, loaded.std).eval()
    metadata = describe(loaded)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"model.{chosen.suffix}"
    with _beside(target) as temporary:
        path, blank = Path(temporary) / target.name, copy.deepcopy(module)
        chosen.write(module, _noise(3, loaded.image_size), metadata, path)
        difference, scale = verify(
            module, lambda pixels: chosen.run(path, pixels, blank), loaded.image_size
        )
        description = target.with_name(f"{target.name}.json")
        measured = {"max_abs_difference": difference, "max_abs_logit": scale}
        others = [folder / f"model.{other.suffix}" for other in FORMATS.values()]
        there = [file for file in others if file == target or file.is_file()]
        write_atomic(target.with_name("README.md"), card(loaded, *there))
        write_atomic(description, json.dumps(metadata | measured, indent=2) + "\n")
        path.chmod(0o644)  # safetensors' own are for its user alone
        path.replace(target)
    return Exported(target, description, difference, scale)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[str]:
    """A temporary folder on the disk of ``target``. Raises ``OSError`` with the name of
    ``target``."""
    try:
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    with folder as temporary:
        yield temporary


def verify(
    module: nn.Module, exported: Callable[[Tensor], np.ndarray], image_size: int
) -> tuple[float, float]:
    """Compare logits on random pixels; returns the largest difference and the largest logit,
    absolute.

    Raises ``VerificationError`` if they differ by more than rounding explains.

    exported: computes logits from pixels with the exported model.
    """
    difference = scale = 0.0
    for size in _BATCHES:
        pixels = _noise(size, image_size)
        with torch.inference_mode():
            expected = module(pixels).numpy()
        found = exported(pixels)
        if found.shape != expected.shape:
            raise VerificationError(f"logits of shape {found.shape}, the net's {expected.shape}")
        difference = max(difference, float(np.abs(found - expected).max()))
        scale = max(scale, float(np.abs(expected).max()))
    if not difference <= _TOLERANCE * max(scale, 1.0):  # NaN too
        raise VerificationError(
            f"logits of the exported model differ by up to {difference:.2g} from the net's, which "
            f"are up to {scale:.2g}: more than rounding explains; no file was written"
        )
    return difference, scale


def describe(loaded: LoadedNet) -> dict[str, Any]:
    """The description of an exported model: classes, input, preprocessing, and its run."""
    size, record = loaded.image_size, loaded.record
    return {
        "classes": list(loaded.classes),
        "input": {
            "name": "pixels",
            "type": "uint8",
            "shape": ["batch", 3, size, size],
            "colour": "RGB, 0 to 255",
        },
        "output": {"name": "logits", "type": "float32", "shape": ["batch", len(loaded.classes)]},
        "preprocessing": {
            "before": BEFORE[loaded.resize].format(size=size),
            "inside": "(pixels / 255 - mean) / std",
            "mean": list(loaded.mean),
            "std": list(loaded.std),
        },
        "run": {
            "model": record.model,
            "data": record.data["name"],
            "config_hash": record.config_hash,
            "val_acc": record.metrics["val"]["acc"],
            "versions": hardware.versions(),
        },
    }


def _noise(batch: int, size: int) -> UInt8[Tensor, "batch 3 size size"]:
    generator = torch.Generator().manual_seed(batch)
    return torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8, generator=generator)


def _write_onnx(
    module: nn.Module, example: Tensor, metadata: Mapping[str, Any], path: Path
) -> None:
    for name in ("onnx_ir", "onnxscript"):  # they tell of every optimisation
        logging.getLogger(name).setLevel(logging.WARNING)
    program = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: "batch"}},
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update({k: json.dumps(v) for k, v in metadata.items()})
    program.save(path, external_data=False)  # one file; ONNX allows it up to 2 GB


def _run_onnx(path: Path, pixels: Tensor, blank: nn.Module) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"pixels": pixels.numpy()})[0]


def _write_torch(
    module: nn.Module, example: Tensor, metadata: Mapping[str, Any], path: Path
) -> None:
    shapes = {"pixels": {0: torch.export.Dim("batch")}}
    program = torch.export.export(module, (example,), dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files={"cifarlab.json": json.dumps(metadata)})


def _run_torch(path: Path, pixels: Tensor, blank: nn.Module) -> np.ndarray:
    with torch.inference_mode():
        return torch.export.load(path).module()(pixels).numpy()


def _write_safetensors(
    module: nn.Module, example: Tensor, metadata: Mapping[str, Any], path: Path
) -> None:
    from safetensors.torch import save_file

    assert isinstance(module.net, nn.Module)
    weights = {name: value.clone() for name, value in module.net.state_dict().items()}
    save_file(weights, path, {key: json.dumps(value) for key, value in metadata.items()})


def _run_safetensors(path: Path, pixels: Tensor, blank: nn.Module) -> np.ndarray:
    from safetensors.torch import load_file

    net = blank.net
    assert isinstance(net, nn.Module)
    with torch.inference_mode():
        for value in net.state_dict().values():
            value.zero_()
        net.load_state_dict(load_file(path))
        return blank(pixels).numpy()


BEFORE = {  # what is done to an image of another size
    "crop": "resize the shorter side to {size} pixels (bilinear, antialiased), crop the centre",
    "squash": "resize to {size}x{size} pixels (bilinear, antialiased)",
}
FORMATS = {
    "onnx": Format(_write_onnx, _run_onnx, "onnx"),
    "torch_export": Format(_write_torch, _run_torch, "pt2"),
    "safetensors": Format(_write_safetensors, _run_safetensors, "safetensors"),
}
