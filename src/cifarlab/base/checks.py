"""Checks of a resolved configuration that need neither torch nor data, so that a slip of the
keyboard is answered at once. What only the data or the model can know is checked there."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.options import EXPORT_FORMATS, NORMALIZATIONS, PRECISIONS, SPLITS, TTA_VIEWS
from cifarlab.base.plain import has, select


def check_config(config: Mapping[str, Any]) -> RunConfig:
    """The same configuration (plain, resolved), known to be one. Raises ``UserError`` for the first
    impossible value."""
    _number(config, "dropout", low=0.0, high=1.0, open_high=True, optional=True)
    _number(config, "label_smoothing", low=0.0, high=1.0, open_high=True)
    _choice(config, "decay_all", (True, False))
    _choice(config, "tta", (None, *TTA_VIEWS))
    if config["lr_find"]:
        raise UserError("lr_find=true: is a program now: python scripts/lr_find.py [overrides]")
    _choice(config, "evaluation", (True, False))
    check_folder("output_root", config["output_root"])
    check_folder("data.cache_dir", _get(config, "data.cache_dir"))
    check_name("name", config["name"])
    if config["sweep"] is not None:
        check_name("sweep", config["sweep"])
    _integer(config, "seed", low=0)
    _integer(config, "batch_size", low=1)
    _integer(config, "max_epochs", low=1)
    _choice(config, "fail_fast", (True, False))
    _integer(config, "jobs_per_gpu", low=1)
    _number(config, "data.val_size", low=0.0, open_low=True)
    _choice(config, "data.split", SPLITS)
    _integer(config, "data.split_seed", low=0)
    _folds(config)
    _number(config, "data.fraction", low=0.0, high=1.0, open_low=True)
    _choice(config, "data.normalize", tuple(NORMALIZATIONS))
    _number(config, "optimizer.lr", low=0.0, open_low=True)
    if "adamw_lr" in config["optimizer"]:
        _number(config, "optimizer.adamw_lr", low=0.0, open_low=True)
    _choice(config, "trainer.precision", PRECISIONS)
    _transfer(config)
    if "images_every" in (config.get("logger") or {}):
        _integer(config, "logger.images_every", low=1, optional=True)
        _choice(config, "logger.graph", (True, False))
    for name, callback in (config.get("callbacks") or {}).items():
        monitor = callback.get("monitor")
        if monitor is not None and not str(monitor).startswith("val/"):
            raise UserError(
                f"callbacks.{name}.monitor={monitor}: training may only be steered by validation "
                "metrics (val/loss, val/acc)"
            )
    _averages(config)
    return cast(RunConfig, config)


def check_folder(key: str, value: Any) -> Path:
    """Raise ``UserError`` unless ``value`` is a path."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{key}={value}: must be a folder")
    return Path(value)


def check_name(key: str, value: Any) -> str:
    """Raise ``UserError`` unless ``value`` names something below the folder that it is put in."""
    text = "" if value is None else str(value)  # a name may be a number, 0 among them
    path = Path(text)
    if not text.strip() or path.is_absolute() or ".." in path.parts or path == Path():
        raise UserError(f"{key}={value}: must be a name; / may part it, but it has no ..")
    return text


def check_export(format: str) -> None:
    """Raise ``UserError`` for an unknown export format or one whose packages are missing."""
    if format not in EXPORT_FORMATS:
        raise UserError(f"format={format}: must be one of {', '.join(EXPORT_FORMATS)}")
    for package in EXPORT_FORMATS[format]:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"format={format}: {package} is not installed: pip install -e '.[export]'"
            )


def _folds(config: Mapping[str, Any]) -> None:
    folds, fold = _get(config, "data.folds"), _get(config, "data.fold")
    _integer(config, "data.fold", low=0)
    if folds is None:
        if fold != 0:
            raise UserError(f"data.fold={fold}: needs data.folds, the number of folds")
        return
    _integer(config, "data.folds", low=2)
    if fold >= folds:
        raise UserError(f"data.fold={fold}: must be below data.folds={folds}; folds count from 0")


def _averages(config: Mapping[str, Any]) -> None:
    chosen = config.get("callbacks") or {}
    if {"ema", "swa"} <= chosen.keys():
        raise UserError("callbacks: ema and swa average the same weights; choose one of them")
    if "ema" in chosen:
        _number(config, "callbacks.ema.decay", low=0.0, high=1.0, open_high=True)
        _integer(config, "callbacks.ema.update_every_n_steps", low=1)
        _integer(config, "callbacks.ema.update_starting_at_step", low=0)
    if "swa" in chosen:
        _integer(config, "callbacks.swa.start_epoch", low=1)
        start, last = chosen["swa"]["start_epoch"], config["max_epochs"]
        if start > last:
            raise UserError(
                f"callbacks.swa.start_epoch={start}: nothing would be averaged; must be at most "
                f"max_epochs={last}"
            )


def _transfer(config: Mapping[str, Any]) -> None:
    regime, model = config["choices"]["transfer"], config["choices"]["model"]
    weights = config["model"].get("weights")
    if regime == "scratch" and weights is not None:
        raise UserError(f"model.weights={weights}: goes with transfer=finetune, last_block, frozen")
    if regime != "scratch" and "weights" not in config["model"]:
        raise UserError(
            f"transfer={regime}: model={model} has no ImageNet weights; vgg11_bn, vgg13_bn, "
            "vgg16_bn, torchvision and timm have"
        )
    if regime != "scratch" and weights is None:
        raise UserError(f"transfer={regime}: needs model.weights=imagenet or model.weights=<file>")
    if config["transfer"].get("cache_features") and config["tta"] is not None:
        raise UserError(
            f"tta={config['tta']}: needs images; transfer.cache_features=true keeps none"
        )
    for part in ("last_block", "backbone"):
        if regime != "scratch":
            _integer(config, f"transfer.{part}_from", low=1, optional=True)
            _number(config, f"transfer.{part}_lr", low=0.0, open_low=True)


def _get(config: Mapping[str, Any], key: str) -> Any:
    if not has(config, key):
        raise UserError(f"{key}: missing from the configuration")
    return select(config, key)


def _number(
    config: Mapping[str, Any],
    key: str,
    *,
    low: float,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
    optional: bool = False,
) -> None:
    value = _get(config, key)
    if value is None and optional:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    above = is_number and (value > low if open_low else value >= low)
    below = is_number and (high is None or (value < high if open_high else value <= high))
    if not (above and below):
        interval = f"{'(' if open_low else '['}{low:g}, "
        interval += "inf)" if high is None else f"{high:g}{')' if open_high else ']'}"
        raise UserError(f"{key}={value}: must be a number in {interval}")


def _integer(config: Mapping[str, Any], key: str, *, low: int, optional: bool = False) -> None:
    value = _get(config, key)
    if value is None and optional:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise UserError(f"{key}={value}: must be a whole number, {low} or more")


def _choice(config: Mapping[str, Any], key: str, allowed: tuple[str | bool | None, ...]) -> None:
    value = _get(config, key)
    if value not in allowed:
        names = ", ".join("null" if item is None else str(item) for item in allowed)
        raise UserError(f"{key}={value}: must be one of {names}")
