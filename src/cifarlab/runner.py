"""One run: build, fit, evaluate, write the record.

A run is a folder. With ``result.json`` it is finished and is never done again; without, it goes on
from ``checkpoints/last.ckpt`` if there is one.
"""

import logging
import shutil
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerStatus
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cifarlab import callbacks, hardware
from cifarlab.callbacks import epochs
from cifarlab.checkpoint import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    build_net,
    check_fits,
    load_weights,
    net_weights,
    read_checkpoint,
)
from cifarlab.errors import UserError
from cifarlab.lit import Evaluation, ImageClassifier, evaluate
from cifarlab.record import (
    FAILURE,
    RunRecord,
    Status,
    config_hash,
    is_finished,
    write_atomic,
    write_failure,
)
from cifarlab.seeding import derive

log = logging.getLogger("cifarlab")
for _noisy in ("lightning.pytorch", "lightning.fabric"):  # what they announce we say in our own lines
    logging.getLogger(_noisy).setLevel(logging.WARNING)

CONFIG = "config.yaml"
_TEST_READS = ".test_reads"  # there only between the first reading of the test set and the record


def run(cfg: DictConfig) -> float | None:
    """Do one run, or what is left of it, and return its validation accuracy.

    Raises ``UserError`` for what the user can mend. A run that fails before its first checkpoint
    leaves no folder behind; a cell of a sweep leaves ``failure.json``.
    """
    began = time.perf_counter()
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    is_sweep = job.mode == RunMode.MULTIRUN
    is_new = not (folder / CONFIG).exists()
    if rank_zero_only.rank != 0:
        log.setLevel(logging.ERROR)
    if is_finished(folder):
        log.info("already finished: %s", _shown(folder))
        return RunRecord.load(folder).metrics["val"]["acc"]
    try:
        config = _config(cfg, folder, list(job.overrides.task), is_sweep)
        record = _do(config, folder, began)
    except Exception as error:
        if is_sweep:
            write_failure(folder, error, traceback.format_exc())
        elif is_new and not (folder / LAST).exists() and rank_zero_only.rank == 0:
            shutil.rmtree(folder)
        raise
    if record is None:  # another process of the same run writes the record
        return None
    (folder / FAILURE).unlink(missing_ok=True)
    log.info("%s", summary(record, folder))
    return record.metrics["val"]["acc"]


def summary(record: RunRecord, folder: Path) -> str:
    """The table shown at the end of a run."""
    rows = [f"{'':10}{'loss':>8}{'accuracy':>12}"]
    rows += [
        f"{name:10}{record.metrics[name]['loss']:8.4f}{record.metrics[name]['acc']:12.2%}"
        for name in ("train", "val", "test")
    ]
    end = record.status.replace("_", " ")
    rows.append(f"best epoch {record.best_epoch} of {record.epochs_run} ({end}), {_took(record)}")
    return "\n".join(["", *rows, f"run folder {_shown(folder)}"])


@dataclass
class _Run:
    """What a run is made of."""

    config: dict[str, Any]
    folder: Path
    data: LightningDataModule
    module: ImageClassifier
    trainer: Trainer
    recorder: callbacks.EpochRecorder
    early_stopping: callbacks.EarlyStopping | None


def _do(config: dict[str, Any], folder: Path, began: float) -> RunRecord | None:
    git = hardware.git_state(Path(__file__).parent)
    this = _build(config, folder)
    last = folder / LAST
    if last.exists():
        check_fits(this.module.net, net_weights(read_checkpoint(last)), last)
    macs = _macs(this.module.net, this.data.image_size)
    _announce(this, macs, resumed=last.exists())
    _fit(this, last if last.exists() else None)
    if not this.trainer.is_global_zero:
        return None
    return _finish(this, macs, git, began)


def _config(
    cfg: DictConfig, folder: Path, overrides: list[str], is_sweep: bool
) -> dict[str, Any]:
    """The plain configuration: of the command, or, when resuming, of the folder."""
    if cfg.resume is not None:
        others = [item for item in overrides if not item.startswith("resume=")]
        if others:
            raise UserError(
                f"resume={cfg.resume}: the run goes on as it was configured; leave out "
                + " ".join(others)
            )
        return yaml.safe_load((folder / CONFIG).read_text())
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    if is_sweep and config["trainer"]["devices"] != 1:
        raise UserError(
            f"trainer.devices={config['trainer']['devices']}: the runs of a sweep use one device "
            "each; start runs over several devices one by one"
        )
    if rank_zero_only.rank == 0:
        write_atomic(folder / CONFIG, yaml.safe_dump(config, sort_keys=False))
    return config


def _build(config: dict[str, Any], folder: Path) -> _Run:
    seed_everything(config["seed"], verbose=False)
    data = instantiate(config["data"], _convert_="all")
    data.prepare_data()
    data.setup()
    # after the data, whose reading must not decide which weights a seed means
    torch.manual_seed(derive("weights", config["seed"]))
    net = build_net(config["model"], len(data.classes), data.image_size)
    identity = {
        "config": config,
        "classes": list(data.classes),
        "image_size": data.image_size,
        "mean": list(data.mean),
        "std": list(data.std),
    }
    module = ImageClassifier(
        net.to(memory_format=torch.channels_last),
        num_classes=len(data.classes),
        optimizer=instantiate(config["optimizer"], _convert_="all"),
        scheduler=instantiate(config["scheduler"], _convert_="all"),
        identity=identity,
    )
    chosen = {name: instantiate(part) for name, part in (config["callbacks"] or {}).items()}
    recorder = callbacks.EpochRecorder(folder / "metrics.csv")
    always = [
        callbacks.SeedEachStep(config["seed"]),
        recorder,
        callbacks.Curves(folder),
        _best_and_last(folder),
    ]
    trainer = _trainer(config, folder, [*chosen.values(), *always])
    stopping = [c for c in chosen.values() if isinstance(c, callbacks.EarlyStopping)]
    return _Run(config, folder, data, module, trainer, recorder, next(iter(stopping), None))


def _best_and_last(folder: Path) -> ModelCheckpoint:
    """The epoch of the lowest validation loss, and the latest; never chosen on the test set."""
    return ModelCheckpoint(
        dirpath=folder / BEST.parent,
        filename=BEST.stem,
        monitor="val/loss",
        mode="min",
        save_last=True,
        save_on_train_epoch_end=True,  # after early stopping has counted and the row is written
        enable_version_counter=False,
    )


def _trainer(config: dict[str, Any], folder: Path, chosen: list[Callback]) -> Trainer:
    options = dict(config["trainer"])
    options["precision"] = _precision(options)
    has_terminal = callbacks.progress.has_terminal()
    logger = instantiate(config["logger"])(folder.as_posix()) if config["logger"] else False
    return instantiate(
        options,
        logger=logger,
        callbacks=[*chosen, callbacks.ProgressBar()] if has_terminal else chosen,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder.as_posix(),
        enable_progress_bar=has_terminal,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # our loader shares out the images itself
        _convert_="all",
    )


def _precision(options: Mapping[str, Any]) -> str:
    if options["precision"] != "auto":
        return options["precision"]
    accelerator = options["accelerator"]
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if on_gpu and torch.cuda.is_available() else "cpu")
    if accelerator == "auto" and not on_gpu and torch.backends.mps.is_available():
        return "32-true"
    return "bf16-mixed" if hardware.has_fast_bf16(device) else "32-true"


def _announce(this: _Run, macs: int, resumed: bool) -> None:
    data, trainer = this.data, this.trainer
    parameters = sum(p.numel() for p in this.module.net.parameters())
    device = hardware.describe(
        trainer.strategy.root_device, trainer.world_size, str(trainer.precision)
    )
    log.info(
        "data   %s: %s train, %s val, %s test images",
        data.name,
        *(f"{n:,}" for n in _sizes(data).values()),
    )
    log.info(
        "model  %s: %s parameters, %.1f million multiply-accumulates an image",
        this.config["choices"]["model"],
        f"{parameters:,}",
        macs / 1e6,
    )
    log.info("on     %s (%s), %s", device["device"], device["name"], device["precision"])
    log.info("%s %s", "resume" if resumed else "folder", _shown(this.folder))


def _fit(this: _Run, checkpoint: Path | None) -> None:
    with warnings.catch_warnings():
        # torch 2.15 and Lightning 2.6: a deprecated check inside Lightning
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        # the folder is not empty: run.log and config.yaml are there; nothing is overwritten
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        # our loader has no worker processes on purpose, and few steps an epoch are no mistake
        warnings.filterwarnings("ignore", message="The number of training batches")
        try:
            this.trainer.fit(
                this.module, datamodule=this.data, ckpt_path=checkpoint, weights_only=True
            )
        except SystemExit:
            if this.trainer.state.status != TrainerStatus.INTERRUPTED:
                raise
            log.info("interrupted; to go on: python train.py resume=%s", _shown(this.folder))
            raise KeyboardInterrupt from None


def _finish(this: _Run, macs: int, git: dict[str, Any], began: float) -> RunRecord:
    """Measure the best weights, write predictions, then the record."""
    best = this.folder / BEST
    if not best.exists():
        raise UserError("the run was stopped before its first epoch ended: nothing to evaluate")
    checkpoint = read_checkpoint(best)
    net = this.module.net
    load_weights(net, checkpoint, best)
    results, test_reads = _evaluate(this, net)
    _save_predictions(this, results)
    _log_final(this, results)
    config, data, trainer = this.config, this.data, this.trainer
    earlier = sum(row["epoch_s"] for row in this.recorder.resumed_rows)
    record = RunRecord(
        name=config["name"],
        status=_status(this),
        model=config["choices"]["model"],
        num_params=sum(p.numel() for p in net.parameters()),
        macs=macs,
        seed=config["seed"],
        data={"name": data.name, **_sizes(data), "split_hash": data.split_hash},
        epochs_run=len(this.recorder.rows),
        best_epoch=checkpoint["epoch"] + 1,
        metrics={name: result.metrics for name, result in results.items()},
        test_reads=test_reads,
        time={
            "fit_s": sum(row["epoch_s"] for row in this.recorder.rows),
            "total_s": earlier + time.perf_counter() - began,
            "images_per_s": float(np.mean([row["images_per_s"] for row in this.recorder.rows])),
        },
        hardware=hardware.describe(
            trainer.strategy.root_device, trainer.world_size, str(trainer.precision)
        ),
        versions=hardware.versions(),
        git=git,
        overrides=config["overrides"],
        config_hash=config_hash(config),
    )
    record.save(this.folder)
    (this.folder / _TEST_READS).unlink()
    return record


def _evaluate(this: _Run, net: nn.Module) -> tuple[dict[str, Evaluation], int]:
    """Train, validation and test with the best weights, and how often test has now been read.

    On one device, whatever trained: the numbers are exact and need no padding.
    """
    device = this.trainer.strategy.root_device
    net.to(device)
    count = this.folder / _TEST_READS
    earlier = int(count.read_text()) if count.exists() else 0
    results = {}
    for name in ("train", "val", "test"):
        loader = this.data.eval_loader(name, device)
        if name == "test":
            write_atomic(count, str(earlier + this.data.test_reads))
        autocast = this.trainer.precision_plugin.forward_context()
        results[name] = evaluate(net, loader, autocast)
    return results, earlier + this.data.test_reads


def _save_predictions(this: _Run, results: dict[str, Evaluation]) -> None:
    path = this.folder / "predictions.npz"
    temporary = path.with_name(".predictions.tmp.npz")
    np.savez_compressed(
        temporary,
        val_logits=results["val"].logits.astype(np.float16),
        val_labels=results["val"].labels,
        test_logits=results["test"].logits.astype(np.float16),
        test_labels=results["test"].labels,
        train_indices=this.data.train_indices,
        val_indices=this.data.val_indices,
    )
    temporary.replace(path)


def _log_final(this: _Run, results: dict[str, Evaluation]) -> None:
    for logger in this.trainer.loggers:
        final = {f"best/{name}_{k}": v for name, r in results.items() for k, v in r.metrics.items()}
        logger.log_metrics(final, step=this.trainer.global_step)
        logger.save()
        logger.finalize("success")


def _status(this: _Run) -> Status:
    if len(this.recorder.rows) >= this.config["max_epochs"]:
        return "completed"
    stopping = this.early_stopping
    return "early_stopped" if stopping is not None and stopping.has_stopped else "stopped"


def _sizes(data: LightningDataModule) -> dict[str, int]:
    return {
        "num_train": len(data.train_indices),
        "num_val": len(data.val_indices),
        "num_test": len(data.images.test_labels),
    }


def _macs(net: nn.Module, image_size: int) -> int:
    """Multiply-accumulates of convolutions and matrix products for one image, counted by torch."""
    was_training = net.training
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(torch.zeros(1, 3, image_size, image_size))
    net.train(was_training)
    return counter.get_total_flops() // 2


def _took(record: RunRecord) -> str:
    speed = f"{record.time['images_per_s']:,.0f} images/s"
    return f"{record.time['total_s']:.0f} s, training at {speed}"


def _shown(folder: Path) -> str:
    """Relative to where the user is, if below."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
