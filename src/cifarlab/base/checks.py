"""Checks of a resolved configuration that need neither torch nor data, so that a slip of the
keyboard is answered at once. What only the data or the model can know is checked there."""

import importlib.util
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Folder, Name, Positive
from cifarlab.base.labs import check_found, code_of
from cifarlab.base.options import BETTER, EXPORT_FORMATS
from cifarlab.base.plain import device_count
from cifarlab.base.schema import Key, keys

GROUPS = ("data", "model", "optimizer", "scheduler", "transfer", "loss", "trainer")
_MAY_BE_EMPTY = ("aug", "callbacks", "metrics", "logger")
_INSTEAD = {  # options of Lightning's Trainer that a run has not, and what has it
    "fast_dev_run": "a quick look: experiment=smoke, or +trainer.limit_train_batches=2",
    "enable_checkpointing": "a run keeps its best and its last epoch",
    "enable_progress_bar": "there is a progress bar where the output is a terminal",
    "logger": "logger=none, logger=tensorboard, logger=[tensorboard,csv]",
    "callbacks": "callbacks=default, or +callbacks.<name>._target_=<class>",
    "val_check_interval": "an epoch is validated at its end",
    "limit_test_batches": "all test images count",
    "benchmark": "cuDNN tries its algorithms unless trainer.deterministic=true",
    "barebones": "python scripts/benchmark.py measures speed",
}
_NEEDS = {  # loggers: their extra, and the packages that it brings
    "cifarlab.callbacks.Wandb": ("wandb", ("wandb",)),
    "cifarlab.callbacks.MLflow": ("mlflow", ("mlflow", "sqlalchemy", "alembic")),
    "cifarlab.callbacks.Trackio": ("trackio", ("trackio",)),
}


def check_config(config: Mapping[str, Any], schema: Any = RunConfig) -> RunConfig:
    """The same configuration (plain, resolved), known to be one; ``aug``, ``callbacks``,
    ``metrics`` and ``logger`` are empty where there are none, and ``code`` says where the user's
    own classes are.

    schema: a ``TypedDict`` with the keys that there are. Raises ``UserError`` for the first
    impossible value.
    """
    for group in GROUPS:
        if not isinstance(config.get(group), Mapping):
            raise UserError(f"{group}: needs one of its options, {group}=<option>; see --help")
    config = {**config, **{group: config.get(group) or {} for group in _MAY_BE_EMPTY}}
    config["logger"] = loggers_of(config)
    if config["data"].get("augment", {}) is None:
        config["data"] = {**config["data"], "augment": {}}
    config = _of_own_classes(config)
    _trainer(config)
    _monitors(config)
    for key in keys(config, schema):
        key.check()
    run = cast(RunConfig, config)
    _targets(run)
    Key("optimizer.lr", run["optimizer"].get("lr"), Positive).check()  # of any optimizer
    if run["lr_find"]:
        raise UserError("lr_find=true: is a program now: python scripts/lr_find.py [overrides]")
    _folds(run)
    _optimizer(run)
    _compile(run)
    _stages(run)
    _loss(run)
    _averages(run)
    _transfer(run)
    check_loggers(run)
    check_found(run)
    if code := code_of(run):
        run["code"] = code
    return run


def loggers_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The loggers of a configuration by their names, also of one from before there could be
    several."""
    loggers = config.get("logger") or {}
    if isinstance(loggers, Mapping) and "_target_" in loggers:
        name = str(loggers["_target_"]).rpartition(".")[2].lower()
        return {name: loggers}
    return cast(dict[str, Any], loggers)


def check_loggers(config: Mapping[str, Any]) -> None:
    """Raise ``UserError`` for a logger of which a package is missing."""
    for name, part in loggers_of(config).items():
        extra, packages = _NEEDS.get(part["_target_"], ("", ()))
        for package in packages:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:  # a folder of that name is no package
                raise UserError(
                    f"logger={name}: {package} is not installed: pip install -e '.[{extra}]'"
                )


def check_folder(key: str, value: Any) -> Path:
    """Raise ``UserError`` unless ``value`` is a path."""
    Key(key, value, Folder).check()
    return Path(value)


def check_name(key: str, value: Any) -> str:
    """Raise ``UserError`` unless ``value`` names something below the folder that it is put in."""
    Key(key, value, Name).check()
    return str(value)


def check_own(host: str) -> None:
    """Raise ``UserError`` unless ``host``, a name or an address to listen at, is reached from this
    machine alone."""
    try:
        is_own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        raise UserError(
            f"host={host}: the dashboard listens on this machine alone, host=127.0.0.1; to see it "
            "on another, type there: ssh -L 7860:127.0.0.1:7860 <this machine>"
        )


def check_export(format: str) -> None:
    """Raise ``UserError`` for an unknown export format or one whose packages are missing."""
    if format not in EXPORT_FORMATS:
        raise UserError(f"format={format}: must be one of {', '.join(EXPORT_FORMATS)}")
    for package in EXPORT_FORMATS[format]:
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"format={format}: {package} is not installed: pip install -e '.[export]'"
            )


def check_quantize(quantize: Any, format: str) -> None:
    """Raise ``UserError`` for a quantisation that there is not, or not in this format."""
    if quantize not in (None, "int8"):
        raise UserError(f"quantize={quantize}: must be int8, or null")
    if quantize is not None and format != "onnx":
        raise UserError(f"quantize={quantize}: goes with format=onnx, not {format}")


def _trainer(config: Mapping[str, Any]) -> None:
    trainer = config["trainer"]
    for option in trainer:
        if option in _INSTEAD:
            raise UserError(f"trainer.{option}: no option of a run; {_INSTEAD[option]}")
    for followed, key in (
        ("trainer", "max_epochs"),
        ("data", "batch_size"),
        ("loss", "label_smoothing"),
    ):
        given, meant = config[followed].get(key), config[key]
        if key in config[followed] and given != meant:
            raise UserError(f"{followed}.{key}={given}: follows {key}={meant}; give that instead")


def _targets(config: RunConfig) -> None:
    """Raise ``UserError`` for what is to be built and names no class."""
    built: dict[str, Any] = {group: config[group] for group in GROUPS}  # type: ignore[literal-required]
    built |= {"data.source": config["data"].get("source")}
    built |= {f"aug.{name}": part for name, part in config["aug"].items()}
    built |= {f"callbacks.{name}": part for name, part in config["callbacks"].items()}
    built |= {f"metrics.{name}": part for name, part in config["metrics"].items()}
    built |= {f"logger.{name}": part for name, part in config["logger"].items()}
    for key, part in built.items():
        if not isinstance(part, Mapping) or not isinstance(part.get("_target_"), str):
            raise UserError(f"{key}: names no class; {key}._target_=<class>")


def _of_own_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what a group's option has for another class than the one that was
    typed: with ``model._target_=my.Net +model.width=8`` the model has ``width`` alone."""
    typed = {item.partition("=")[0].lstrip("+") for item in config.get("overrides", ())}
    found = dict(config)

    def only_typed(group: str, options: Mapping[str, Any]) -> dict[str, Any]:
        if f"{group}._target_" not in typed:
            return dict(options)
        given = {name.removeprefix(f"{group}.").partition(".")[0] for name in typed}
        return {k: v for k, v in options.items() if k[0] == "_" or k in given | {"lr"}}

    for group in ("model", "loss", "optimizer", "scheduler"):
        found[group] = only_typed(group, found[group])
    if isinstance(source := found["data"].get("source"), Mapping):
        found["data"] = {**found["data"], "source": only_typed("data.source", source)}
        if "data.source._target_" in typed and "data.name" not in typed:
            found["data"]["name"] = str(source["_target_"]).rpartition(".")[2]
    if found.get("dropout") is not None and "dropout" not in found["model"]:
        raise UserError(
            f"dropout={found['dropout']}: the model has no such key; +model.dropout=<probability> "
            "gives it to a class that takes one"
        )
    return found


def _monitors(config: Mapping[str, Any]) -> None:
    for name, callback in config["callbacks"].items():
        monitor = callback.get("monitor") if isinstance(callback, Mapping) else None
        if monitor is not None and not str(monitor).startswith("val/"):
            raise UserError(
                f"callbacks.{name}.monitor={monitor}: training may only be steered by validation "
                "metrics (val/loss, val/acc)"
            )
        if monitor in BETTER and callback.get("mode", "min") != BETTER[monitor]:
            raise UserError(
                f"callbacks.{name}.mode={callback.get('mode', 'min')}: the best {monitor} is its "
                f"{BETTER[monitor]}; callbacks.{name}.mode={BETTER[monitor]}"
            )


def _folds(config: RunConfig) -> None:
    folds, fold = config["data"].get("folds"), config["data"].get("fold", 0)
    if folds is None and fold != 0:
        raise UserError(f"data.fold={fold}: needs data.folds, the number of folds")
    if folds is not None and fold >= folds:
        raise UserError(f"data.fold={fold}: must be below data.folds={folds}; folds count from 0")


def _optimizer(config: RunConfig) -> None:
    options = config["optimizer"]
    if options.get("nesterov") and not options.get("momentum", 1):
        raise UserError("optimizer.nesterov=true: needs optimizer.momentum above 0")
    if options.get("nesterov") and options.get("dampening"):
        raise UserError("optimizer.nesterov=true: goes with optimizer.dampening=0")
    if options.get("foreach") and options.get("fused"):
        raise UserError("optimizer.fused=true: goes without optimizer.foreach=true")


def _compile(config: RunConfig) -> None:
    mode, batches = config["trainer"]["compile"], config["trainer"]["accumulate_grad_batches"]
    if mode in ("reduce-overhead", "max-autotune", "whole-step") and batches > 1:
        raise UserError(
            f"trainer.compile={mode}: its CUDA graphs write each batch's gradients over the last "
            f"one's, so it goes with trainer.accumulate_grad_batches=1; take trainer.compile=true"
        )
    if mode == "whole-step":
        devices = device_count(config["trainer"]["devices"])
        if config["trainer"]["num_nodes"] > 1 or (isinstance(devices, int) and devices > 1):
            raise UserError("trainer.compile=whole-step: is of one device; trainer.devices=1")
        if config["trainer"]["precision"] == "16-mixed":
            raise UserError(
                "trainer.compile=whole-step: 16-mixed looks after each step whether it overflowed, "
                "which a graph cannot; take trainer.precision=bf16-mixed"
            )


def _stages(config: RunConfig) -> None:
    widths, depths = config["model"].get("widths"), config["model"].get("depths")
    if widths is not None and depths is not None and len(widths) != len(depths):
        raise UserError(
            f"model.widths={widths} model.depths={depths}: must be as long as each other, a number "
            "for each stage"
        )
    least, most = config["trainer"].get("min_epochs"), config["max_epochs"]
    if least is not None and least > most:
        raise UserError(f"trainer.min_epochs={least}: must be at most max_epochs={most}")
    every = config["trainer"].get("check_val_every_n_epoch", 1)
    if most % every:
        raise UserError(
            f"trainer.check_val_every_n_epoch={every}: the last epoch would not be validated; "
            f"max_epochs={most} must be a multiple of it"
        )
    if every > 1 and config["choices"].get("scheduler") == "plateau":
        raise UserError(
            f"trainer.check_val_every_n_epoch={every}: scheduler=plateau looks at the validation "
            "loss of every epoch"
        )


def _loss(config: RunConfig) -> None:
    if config["label_smoothing"] and "label_smoothing" not in config["loss"]:
        raise UserError(
            f"label_smoothing={config['label_smoothing']}: is of loss=cross_entropy; another loss "
            "goes with label_smoothing=0"
        )
    if "teacher" not in config["loss"]:
        return
    if not config["loss"]["teacher"]:
        raise UserError("loss.teacher=null: must be the folder of a finished run")
    if config["transfer"].get("cache_features"):
        raise UserError(
            "loss=distillation: its teacher needs images; transfer.cache_features=true keeps none"
        )
    if "progressive" in config["callbacks"]:
        raise UserError(
            "loss=distillation: its teacher takes images of one size; goes without "
            "callbacks=progressive"
        )


def _averages(config: RunConfig) -> None:
    chosen = config["callbacks"]
    if {"ema", "swa"} <= chosen.keys():
        raise UserError("callbacks: ema and swa average the same weights; choose one of them")
    if "keep_zeros" in chosen and config["init_from"] is None:
        raise UserError(
            "callbacks.keep_zeros: goes with init_from=<pruned.pt>, whose zeros it keeps"
        )
    if "swa" in chosen:
        start, last = chosen["swa"]["start_epoch"], config["max_epochs"]
        if start > last:
            raise UserError(
                f"callbacks.swa.start_epoch={start}: nothing would be averaged; must be at most "
                f"max_epochs={last}"
            )


def _transfer(config: RunConfig) -> None:
    regime, model = config["choices"]["transfer"], config["choices"]["model"]
    weights, given = config["model"].get("weights"), config["weights"]
    if "weights" not in config["model"] and (regime != "scratch" or given is not None):
        asked = f"weights={given}" if regime == "scratch" else f"transfer={regime}"
        raise UserError(
            f"{asked}: model={model} has no ImageNet weights; vgg11_bn, vgg13_bn, vgg16_bn, "
            "torchvision and timm have"
        )
    if regime == "scratch" and weights is not None:
        raise UserError(f"model.weights={weights}: goes with transfer=finetune, last_block, frozen")
    if regime != "scratch" and weights is None:
        raise UserError(f"transfer={regime}: needs model.weights=imagenet or model.weights=<file>")
    if config["transfer"].get("cache_features") and config["tta"] is not None:
        raise UserError(
            f"tta={config['tta']}: needs images; transfer.cache_features=true keeps none"
        )
