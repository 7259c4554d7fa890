"""A run's net in 8-bit integers, for the CPU: after training, by onnxruntime's own quantisation.

Weights get a scale for each output channel, activations one for each tensor, from their smallest
and largest values on training images (static quantisation in the form QDQ, see
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import json
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.files import write_atomic
from cifarlab.use.export import Exported
from cifarlab.use.own_images import own_images

FLOAT, INT8 = "float32", "int8"
_BATCH = 100  # images at once
_ROUNDS = 15  # of timing, in each of which both models take a batch
_SPLITS = ("train", "val", "test")
_PROVIDERS = ["CPUExecutionProvider"]
Pixels = UInt8[np.ndarray, "n 3 size size"]


@dataclass(frozen=True)
class Quantized:
    """What became of a net in 8 bits, beside the one in 32 bits.

    Attributes:
        path: of the quantised model.
        description: of a JSON file like that of the exported model.
        images: how many training images its scales are from.
        size: bytes of each file, by ``float32`` and ``int8``.
        right: by split, then by model, whether the answer to each image is right.
        ms: milliseconds of CPU time an image, of one thread, of each model; median of interleaved
            rounds with batches of 100 images.
        test_reads: how often the test set has been read for this net by now.
    """

    path: Path
    description: Path
    images: int
    size: Mapping[str, int]
    right: Mapping[str, Mapping[str, np.ndarray]]
    ms: Mapping[str, float]
    test_reads: int


def quantize(loaded: LoadedNet, exported: Exported, images: int = 512) -> Quantized:
    """Write ``model.int8.onnx`` beside an exported ``model.onnx``, and measure both on validation
    and test images.

    Raises ``UserError`` if the run's data are others now.

    loaded: the net of a run. exported: its ONNX file. images: training images to calibrate on.
    """
    parts = {name: _images(loaded, name, images if name == "train" else None) for name in _SPLITS}
    calibration = parts.pop("train")[0]
    target = exported.path.with_name("model.int8.onnx")
    description = target.with_name(f"{target.name}.json")
    reads = _reads(description, loaded.record.test_reads) + 1
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantize-") as temporary:
        made = Path(temporary) / target.name
        _write(exported.path, calibration, made)
        paths = {FLOAT: exported.path, INT8: made}
        about = json.loads(exported.description.read_text(encoding="utf-8"))
        about |= {"quantized": {"to": INT8, "calibration_images": len(calibration)}}
        # noted before it is read: a crash in between counts as a reading
        write_atomic(description, json.dumps(about | {"test_reads": reads}, indent=2) + "\n")
        right = {
            split: {name: _answers(path, pixels) == labels for name, path in paths.items()}
            for split, (pixels, labels) in parts.items()
        }
        ms = timed(paths, parts["val"][0])
        made.replace(target)
    size = {name: path.stat().st_size for name, path in (paths | {INT8: target}).items()}
    measured = {
        "acc": {s: {n: float(r.mean()) for n, r in by.items()} for s, by in right.items()},
        "cpu_ms_an_image": ms,
        "bytes": size,
        "test_reads": reads,
    }
    write_atomic(description, json.dumps(about | measured, indent=2) + "\n")
    return Quantized(target, description, len(calibration), size, right, ms, reads)


def timed(paths: Mapping[str, Path], pixels: Pixels) -> dict[str, float]:
    """Milliseconds of CPU time an image of each model, on one thread, in turns."""
    sessions = {name: _session(path, threads=1) for name, path in paths.items()}
    batch = pixels[:_BATCH]
    taken: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(_ROUNDS + 1):
        for name, session in sessions.items():
            begin = time.process_time()
            session.run(["logits"], {"pixels": batch})
            taken[name].append(time.process_time() - begin)
    return {name: 1000 * median(each[1:]) / len(batch) for name, each in taken.items()}


class _Batches:
    """What onnxruntime asks for calibration images (``CalibrationDataReader``)."""

    def __init__(self, pixels: Pixels) -> None:
        self.batches = _split(pixels)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": batch}


def _write(source: Path, calibration: Pixels, target: Path) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_suffix(".prepared.onnx")
    root = logging.getLogger()  # it logs there
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            target,
            _Batches(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
        )
    finally:
        root.setLevel(level)


def _images(
    loaded: LoadedNet, split: str, count: int | None
) -> tuple[Pixels, Int[np.ndarray, " n"]]:
    pixels, labels = own_images(loaded, split, count, torch.device("cpu"))
    return np.ascontiguousarray(pixels.numpy()), labels.numpy()


def _answers(path: Path, pixels: Pixels) -> Int[np.ndarray, " n"]:
    session = _session(path, threads=0)
    logits: list[Float[np.ndarray, "batch classes"]] = [
        session.run(["logits"], {"pixels": batch})[0] for batch in _split(pixels)
    ]
    return np.concatenate(logits).argmax(axis=1)


def _split(pixels: Pixels) -> Iterator[Pixels]:
    return (pixels[i : i + _BATCH] for i in range(0, len(pixels), _BATCH))


def _session(path: Path, threads: int) -> Any:
    """threads: 0: as many as onnxruntime takes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=_PROVIDERS)


def _reads(description: Path, otherwise: int) -> int:
    """How often the test set was read for this net before."""
    try:
        return int(json.loads(description.read_text(encoding="utf-8"))["test_reads"])
    except (OSError, ValueError, KeyError, TypeError):
        return otherwise
