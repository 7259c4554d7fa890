"""One training session of a run: fit, measure the best weights, make the record."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.utilities.memory import is_oom_error

from cifarlab import callbacks
from cifarlab.base import hardware
from cifarlab.base.compose import to_type
from cifarlab.base.config import RunConfig
from cifarlab.base.energy import Meter
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import shown
from cifarlab.base.labs import changed, code_of
from cifarlab.base.options import BETTER, Monitor
from cifarlab.base.plain import device_count
from cifarlab.inspection import calls, count_macs, first_layer
from cifarlab.lit import VIEWS, Evaluation, evaluate
from cifarlab.run.build import (
    PROFILE,
    build,
    build_loggers,
    build_metrics,
    build_trainer,
    check_batch,
    interruptible,
    syncs_batchnorm,
    without_noise,
)
from cifarlab.stats.answers import Predictions, balanced_accuracy, confusion
from cifarlab.stats.quantities import BALANCED, UNEVEN, extremes, unevenness
from cifarlab.store import predictions
from cifarlab.store.checkpoint import (
    BEST,
    LAST,
    check_fits,
    load_weights,
    net_weights,
    read_checkpoint,
    read_latest,
    save_initial,
)
from cifarlab.store.files import read_checked, remove, write_atomic, written_whole
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.record import (
    CELLS,
    CHANGES,
    EPOCHS,
    EVENTS,
    RunRecord,
    Status,
    config_hash,
    now,
)

log = logging.getLogger("cifarlab")
_LARGEST_PATCH = 1_000_000  # bytes
TEST_READS = ".test_reads"  # there only between the first reading of the test set and the record


class Session:
    """Everything of a run that lives in memory.

    It starts from the folder's latest checkpoint if there is one, see ``read_latest``. Raises
    ``UserError`` if that is of another model, and for options that data, model or trainer refuse.

    Args:
        config: of the run, plain.
        folder: of the run.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.began = time.perf_counter()
        self.config, self.folder = config, folder
        self.git, self.code = hardware.git_state(Path(__file__).parent), code_of(config)
        for line in changed(config.get("code")):
            log.warning("%s", line)
        latest = read_latest(folder)
        self.last = latest.path if latest else None
        self.data, self.module = build(config, pretrained=self.last is None)
        if latest:
            check_fits(self.module.net, net_weights(latest.checkpoint), latest.path)
            check_teacher(latest.checkpoint["cifarlab"].get("teacher"), self.teacher)
            if latest.remark:
                log.warning("%s", latest.remark)
        self.metrics = build_metrics(config)
        self.macs = count_macs(self.module.net, self.data.image_size)
        monitor = config.get("monitor", "val/loss")
        self.recorder = callbacks.EpochRecorder(folder / EPOCHS, monitor)
        chosen = {
            name: callbacks.apart(instantiate(part), name, folder)
            for name, part in (config["callbacks"] or {}).items()
        }
        stopping = [c for c in chosen.values() if isinstance(c, callbacks.EarlyStopping)]
        self.early_stopping = next(iter(stopping), None)
        always = [
            callbacks.EpochPosition(),
            callbacks.SeedEachStep(config["seed"]),
            self.recorder,
            callbacks.Panels(self.recorder),
            callbacks.Curves(folder, monitor),
            callbacks.StopOnSignal(folder / LAST),
            *best_and_last(folder, monitor),
        ]
        if callbacks.has_terminal():
            always.append(callbacks.ProgressBar())
        loggers, trackers = build_loggers(config, folder)
        for logger in loggers:
            if isinstance(logger, callbacks.TensorBoard) and any(folder.glob(f"{EVENTS}*")):
                logger.go_on_from(latest.checkpoint["global_step"] if latest else 0)
        is_cell = (folder.parent / CELLS).is_file()
        told = callbacks.Told.of(config, folder, is_cell=is_cell)
        self.tracking = callbacks.Tracking(trackers, self.recorder, told)
        always += [self.tracking] if trackers else []
        self.trainer = build_trainer(
            config["trainer"], folder, [*chosen.values(), *always], loggers
        )
        asked = config["trainer"]["devices"]
        devices = device_count(asked)
        if isinstance(devices, int) and devices > 0:
            devices *= config["trainer"]["num_nodes"]
            if self.trainer.world_size != devices:
                raise UserError(
                    f"trainer.devices={asked}: {self.trainer.world_size} process(es) were started "
                    f"for {devices} devices; in a job of Slurm ask for as many tasks as devices"
                )
        if config["batch_size"] % self.trainer.world_size:
            raise UserError(
                f"batch_size={config['batch_size']}: counts the images of a step on all devices "
                f"together, so it must be a multiple of the {self.trainer.world_size} devices"
            )
        together = syncs_batchnorm(config["trainer"], self.trainer.strategy.root_device)
        self.shares = 1 if together else self.trainer.world_size
        self.meter = None if self.last or config["trainer"]["num_nodes"] > 1 else self._meter()
        world_size = self.trainer.world_size
        check_batch(config, self.data, self.module, chosen, world_size, together=together)

    def _meter(self) -> Meter:
        strategy = self.trainer.strategy
        devices = getattr(strategy, "parallel_devices", None) or [strategy.root_device]
        return Meter([d.index or 0 for d in devices if d.type == "cuda"])

    @property
    def teacher(self) -> dict[str, Any] | None:
        """What the record says of the teacher, if there is one."""
        return self.module.identity.get("teacher")

    @property
    def num_params(self) -> int:
        return sum(parameter.numel() for parameter in self.module.net.parameters())

    @property
    def sizes(self) -> dict[str, int]:
        return {
            "num_train": len(self.data.train_indices),
            "num_val": len(self.data.val_indices),
            "num_test": len(self.data.images.test_labels),
        }

    @property
    def class_counts(self) -> np.ndarray:
        """The images of each class that train, int64 ``(classes,)``."""
        labels = self.data.images.train_labels[self.data.train_indices]
        return np.bincount(labels, minlength=len(self.data.classes))

    @property
    def unevenness(self) -> float:
        """Of the whole training set, whose shares a small part may have lost by chance."""
        labels = self.data.images.train_labels
        return unevenness(np.bincount(labels, minlength=len(self.data.classes)).tolist())

    @property
    def hardware(self) -> dict[str, Any]:
        device, trainer = self.trainer.strategy.root_device, self.trainer
        return hardware.describe(device, trainer.world_size, str(trainer.precision))

    @property
    def epochs_run(self) -> int:
        """The last epoch that was validated, counted from 1; 0 before the first."""
        rows = self.recorder.rows
        return int(rows[-1]["epoch"]) if rows else 0

    @property
    def status(self) -> Status:
        if self.epochs_run >= self.config["max_epochs"]:
            return "completed"
        stopped = self.early_stopping is not None and self.early_stopping.has_stopped
        return "early_stopped" if stopped else "stopped"

    def announce(self) -> None:
        """Say in a few lines what is about to be trained."""
        images = ", ".join(f"{n:,} {name[4:]}" for name, n in self.sizes.items())
        told = [f"{images} images", getattr(self.data, "layout", "")]
        if self.unevenness >= UNEVEN:
            told.append(extremes(self.class_counts.tolist(), self.data.classes))
        log.info("data   %s: %s", self.data.name, "\n       ".join(filter(None, told)))
        if not getattr(getattr(self.data, "source", None), "mirrored", True) and flips(self.config):
            log.warning(
                "data   %s: mirrored, these are other shapes: aug=crop flips none", self.data.name
            )
        for line in never(self.config, self.sizes["num_train"]):
            log.warning("%s", line)
        log.info(
            "model  %s: %s parameters, %.1f million multiply-accumulates an image",
            self.config["choices"]["model"],
            f"{self.num_params:,}",
            self.macs / 1e6,
        )
        if self.teacher:
            log.info(
                "teacher %s: %s, validation accuracy %.2f%%, weights %s",
                self.teacher["run"],
                self.teacher["model"],
                100 * self.teacher["val_acc"],
                self.teacher["weights_sha256"][:8],
            )
            log.info("loss   distillation, of validation cross-entropy")
        elif (loss := self.config["choices"].get("loss")) not in (None, "cross_entropy"):
            log.info("loss   %s, also of validation; reported: cross-entropy, accuracy", loss)
        log.info("on     %s (%s), %s", *(self.hardware[k] for k in ("device", "name", "precision")))
        if self.shares > 1 and normalises(self.module.net):
            log.info(
                "batch norm: over each device's share of a step's images, not over all of them"
            )
        log.info("%s %s", "resume" if self.last else "folder", short_path(self.folder))

    def fit(self) -> None:
        """Train to the end. If it is interrupted, this logs how to go on and raises
        ``KeyboardInterrupt``."""
        if self.last is None and self.trainer.is_global_zero:
            self._save_changes()
            first = first_layer(calls(self.module.net, self.data.image_size))
            if first is not None:
                save_initial(self.module.net, first.name, self.module.identity, self.folder)
        try:
            with without_noise(), interruptible(self.trainer):
                self.trainer.fit(
                    self.module, datamodule=self.data, ckpt_path=self.last, weights_only=True
                )
        except RuntimeError as error:
            if not is_oom_error(error):
                raise
            raise UserError(
                f"batch_size={self.config['batch_size']}: out of memory; python "
                "scripts/batch_find.py with the same overrides says what fits, and "
                "trainer.accumulate_grad_batches makes one step of several batches"
            ) from error
        except KeyboardInterrupt:  # before the first step, or in a thread; see StopOnSignal
            again = to_type("resume", short_path(self.folder))
            log.info("interrupted; to go on: python train.py %s", again)
            raise
        if self.trainer.is_global_zero:
            for path in sorted(self.folder.glob(f"fit-{PROFILE}*")):
                log.info("profile %s", short_path(path))

    def _save_changes(self) -> None:
        """Keep what the code has that its commit has not."""
        patch = hardware.changes(Path(__file__).parent) if self.git["dirty"] else b""
        if 0 < len(patch) <= _LARGEST_PATCH:
            with written_whole(self.folder / CHANGES) as file:
                file.write(patch)

    def finish(self) -> RunRecord:
        """Measure the best weights; write the predictions, the last values for the loggers, and the
        record."""
        try:
            return self._finish()
        except Exception as error:
            self.tracking.fail(error)
            raise

    def _finish(self) -> RunRecord:
        best = self.folder / BEST
        if not best.exists():
            most = self.config["trainer"]["max_time"]
            raise UserError(
                f"{f'trainer.max_time={most}: ' if most else ''}the run was stopped before its "
                "first epoch ended: nothing to evaluate"
            )
        checkpoint = read_checkpoint(best)
        load_weights(self.module.net, checkpoint, best)
        results, test_reads = self._evaluate()
        self._measure_more(results)
        self._save_predictions(results)
        final = self._log_final(results)
        record = self._record(checkpoint["epoch"] + 1, results, test_reads)
        record.save(self.folder)
        remove(self.folder / TEST_READS)
        self.tracking.finish(final, self.trainer.global_step)
        return record

    def _evaluate(self) -> tuple[dict[str, Evaluation], int]:
        """Measure the best weights on train, validation and test images.

        Returns, too, how often the test set has been read by now. One device measures, however
        many have trained, so that no image is counted twice.
        """
        device = self.trainer.strategy.root_device
        module = self.module.to(device)
        autocast = self.trainer.precision_plugin.forward_context
        views = VIEWS.get(self.config.get("tta") or "")
        count = self.folder / TEST_READS
        earlier = _read_count(count) if count.exists() else 0
        results = {}
        for name in ("train", "val", "test"):
            loader = self.data.eval_loader(name, device)
            if name == "test":  # noted before it is read: a crash in between counts as a reading
                write_atomic(count, str(earlier + self.data.test_reads), summed=True)
            results[name] = evaluate(module, loader, autocast(), None if name == "train" else views)
        return results, earlier + self.data.test_reads

    def _measure_more(self, results: dict[str, Evaluation]) -> None:
        """Add the values of ``metrics=`` to those that every run has, and balanced accuracy where
        classes are uneven."""
        if self.unevenness >= UNEVEN:
            for result in results.values():
                answers = Predictions(result.logits.astype(np.float64), result.labels)
                result.metrics[BALANCED] = balanced_accuracy(confusion(answers))
        for name, metric in self.metrics.items():
            for split, result in results.items():
                value = float(np.mean(metric(result.logits, result.labels)))
                if not math.isfinite(value):
                    raise UserError(f"metrics.{name}: is {value} on {split}; must be a number")
                result.metrics[name] = value

    def _save_predictions(self, results: dict[str, Evaluation]) -> None:
        val, test = (Predictions(results[s].logits, results[s].labels) for s in ("val", "test"))
        data = self.data
        answers = RunPredictions(
            val, test, data.train_indices, data.val_indices, data.classes, self.class_counts
        )
        predictions.save(self.folder, answers)

    def _log_final(self, results: dict[str, Evaluation]) -> dict[str, float]:
        """Log the final figures, and return them by their names: ``final/val_acc``, ..."""
        step = self.trainer.global_step
        final = {name: result.metrics for name, result in results.items()}
        flat = {f"final/{s}_{k}": v for s, values in final.items() for k, v in values.items()}
        for logger in self.trainer.loggers:
            if isinstance(logger, callbacks.TensorBoard):
                logger.log_final(final, step)
                logger.log_config(self.config)
                logger.close()
            else:
                logger.log_metrics(flat, step=step)
                logger.finalize("success")
        return flat

    def _record(
        self, best_epoch: int, results: dict[str, Evaluation], test_reads: int
    ) -> RunRecord:
        config, rows = self.config, self.recorder.rows
        earlier = sum(row["epoch_s"] for row in self.recorder.resumed_rows)
        return RunRecord(
            name=config["name"],
            status=self.status,
            model=config["choices"]["model"],
            num_params=self.num_params,
            macs=self.macs,
            seed=config["seed"],
            data={
                "name": self.data.name,
                **self.sizes,
                "split_hash": self.data.split_hash,
                **({"layout": layout} if (layout := getattr(self.data, "layout", "")) else {}),
            },
            epochs_run=self.epochs_run,
            best_epoch=best_epoch,
            metrics={name: result.metrics for name, result in results.items()},
            test_reads=test_reads,
            time={
                "fit_s": sum(row["epoch_s"] for row in rows),
                "total_s": earlier + time.perf_counter() - self.began,
                "images_per_s": harmonic_mean(row["images_per_s"] for row in rows),
            },
            hardware=self.hardware,
            versions=hardware.versions(),
            git=self.git,
            overrides=config["overrides"],
            config_hash=config_hash(config),
            tta=with_views(config.get("tta"), results),
            target=time_to(config.get("target"), rows),
            code=self.code,
            energy=self.meter.read() if self.meter else None,
            finished=now(),
            teacher=self.teacher,
        )


def check_teacher(then: dict[str, Any] | None, now: dict[str, Any] | None) -> None:
    """Raise ``UserError`` if the teacher is not the one that the run began with, as its
    checkpoint has it."""
    if then and now and then["weights_sha256"] != now["weights_sha256"]:
        raise UserError(
            f"loss.teacher={now['run']}: its weights are {now['weights_sha256'][:8]}, but the run "
            f"began with {then['weights_sha256'][:8]}; put that teacher back, or start another run"
        )


def _read_count(path: Path) -> int:
    """How often the test set was read by sessions that did not come to a record."""
    try:
        return int(read_checked(path))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); delete it, it counts one reading") from error


def with_views(views: str | None, results: dict[str, Evaluation]) -> dict[str, Any] | None:
    """The entry ``tta`` of the record. views: the name of the test-time augmentation."""
    if views is None:
        return None
    measured = {name: r.tta.metrics for name, r in results.items() if r.tta is not None}
    return {"views": views} | measured


def time_to(accuracy: float | None, rows: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """The ``target`` entry of the record. rows: of the epochs, in order, each with its ``val_acc``
    and ``epoch_s``."""
    if accuracy is None:
        return None
    seconds = 0.0
    for row in rows:
        seconds += row["epoch_s"]
        if row["val_acc"] >= accuracy:
            return {"val_acc": accuracy, "epoch": int(row["epoch"]), "fit_s": seconds}
    return {"val_acc": accuracy, "epoch": None, "fit_s": None}


def never(config: Mapping[str, Any], images: int) -> Iterator[str]:
    """A line for each part of a run that would begin something after the last epoch.

    images: that are trained on.
    """
    parts = {f"callbacks.{name}": part for name, part in (config["callbacks"] or {}).items()}
    parts["transfer"] = config["transfer"]
    data, batch, trainer = config["data"], config["batch_size"], config["trainer"]
    batches = max(1, images // batch) if data.get("drop_last", True) else math.ceil(images / batch)
    limit = trainer.get("overfit_batches") or trainer.get("limit_train_batches") or batches
    batches = min(batches, limit if isinstance(limit, int) else max(1, int(limit * batches)))
    each = math.ceil(batches / trainer.get("accumulate_grad_batches", 1))
    last, most = config["max_epochs"], trainer.get("max_steps", -1)
    by = "max_epochs" if most < 0 or last * each <= most else "trainer.max_steps"
    last = last if by == "max_epochs" else most // each
    steps = last * each
    for name, part in parts.items():
        for key in ("from_epoch", "from_epochs", "start_epoch", "last_block_from", "backbone_from"):
            value = part.get(key)
            firsts = value if isinstance(value, list) else [value]
            if any(isinstance(first, int) and first > last for first in firsts):
                yield (
                    f"{name}.{key}={shown(value)}: the run ends with epoch {last} ({by}), before "
                    "it comes to that"
                )
        start = part.get("update_starting_at_step")
        if isinstance(start, int) and start >= steps:
            yield (
                f"{name}.update_starting_at_step={start}: the run ends with step {steps} (epoch "
                f"{last}, {by}), before it comes to that"
            )


def flips(config: Mapping[str, Any]) -> bool:
    """Whether images are mirrored, in training or in what is measured with ``tta``."""
    named = [str(part.get("_target_", "")) for part in (config["aug"] or {}).values()]
    return bool(config.get("tta")) or any("Flip" in name for name in named)


def normalises(net: torch.nn.Module) -> bool:
    """Whether the net has batch norm that is being trained and so normalises over a step's
    images."""
    kinds = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    return any(isinstance(module, kinds) and module.training for module in net.modules())


def best_and_last(folder: Path, monitor: Monitor) -> list[callbacks.ModelCheckpoint]:
    """The callbacks that keep the best epoch, by ``monitor``, and the last one.

    They are two, since ``save_last`` (Lightning 2.6) writes the last one only if it is also the
    best.
    """
    common: dict[str, Any] = {
        "dirpath": folder / BEST.parent,
        "save_on_train_epoch_end": True,  # after early stopping has counted and the row is written
        "enable_version_counter": False,
    }
    return [
        callbacks.ModelCheckpoint(
            filename=BEST.stem, monitor=monitor, mode=BETTER[monitor], **common
        ),
        callbacks.ModelCheckpoint(filename=LAST.stem, **common),
    ]


def short_path(folder: Path) -> str:
    """The folder as shown to the user: relative to the working directory if it is below that."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
