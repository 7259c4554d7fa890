"""Made-up cells of sweeps."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.test_record import RECORD


def plan(folder: Path, cells: Mapping[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.json").write_text(json.dumps(cells))


def finished(
    folder: Path, overrides: list[str], acc: float, config: Any = None, **fields: Any
) -> Path:
    """A finished cell, ``acc`` on validation, a hundredth less on test, a tenth more on training,
    as far as accuracies go.

    ``config`` is added to what the overrides say; ``False`` leaves the file out.
    """
    folder.mkdir(parents=True)
    typed = dict(item.split("=") for item in overrides)
    if config is not False:
        plain = nested({key: yaml.safe_load(value) for key, value in typed.items()})
        (folder / "config.yaml").write_text(yaml.safe_dump(plain | (config or {})))
    metrics = {
        split: {"loss": 1 - acc, "acc": min(max(acc + more, 0.0), 1.0)}
        for split, more in (("train", 0.1), ("val", 0.0), ("test", -0.01))
    }
    fields = {"seed": int(typed.get("seed", 0)), "metrics": metrics} | fields
    dataclasses.replace(RECORD, overrides=overrides, **fields).save(folder)
    return folder


def predicted(
    folder: Path, classes: Sequence[str] = ("cat", "dog", "eel"), **right: np.ndarray
) -> Path:
    """Add predictions: by split, which images are right; labels 0, 1, 2, 0, 1, 2, ..."""
    arrays: dict[str, Any] = {"classes": classes, "val_indices": np.arange(3)}
    for split, answers in right.items():
        labels = np.arange(len(answers)) % 3
        logits = np.eye(3)[np.where(answers, labels, (labels + 1) % 3)]
        arrays |= {f"{split}_labels": labels, f"{split}_logits": logits.astype(np.float16)}
    np.savez(folder / "predictions.npz", **arrays)
    return folder


def failed(folder: Path, kind: str, message: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("{}")
    failure = {"type": kind, "message": message, "traceback": "Traceback ..."}
    (folder / "failure.json").write_text(json.dumps(failure))


def aged(folder: Path, seconds: float) -> None:
    """As if its result had been written earlier."""
    time = (folder / "result.json").stat().st_mtime - seconds
    os.utime(folder / "result.json", (time, time))


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"a.b": 1}`` as ``{"a": {"b": 1}}``."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    return tree
