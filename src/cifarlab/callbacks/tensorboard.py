"""A logger for TensorBoard that writes into the run's folder itself."""

import contextlib
import io
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from cifarlab.base import seams
from cifarlab.base.plain import select
from cifarlab.inspection import evaluating
from cifarlab.store.record import EVENT_PARTS, EVENTS, NEUTRAL_KEYS

# Chart of the "Custom Scalars" tab: the tags in it, as regular expressions
LAYOUT = {
    "training": {
        "loss": ["Multiline", ["curves/loss$"]],
        "accuracy": ["Multiline", ["curves/acc$"]],
    },
    "speed": {
        "learning rate": ["Multiline", ["speed/lr$"]],
        "images a second": ["Multiline", ["speed/images_per_s$"]],
        "seconds an epoch": ["Multiline", ["speed/epoch_s$"]],
    },
}
# Tags that begin so are logged into runs of their own below the run's: TensorBoard draws one tag
# of several runs in one chart, and HPARAMS shows all tags of the run that has the hyperparameters
_PARTS = dict(zip(EVENT_PARTS, ("curves", "curves", "final"), strict=True))
_FINAL = ("val", "test", "train")  # TensorBoard sorts by name: numbers put validation first
_ALWAYS = ("optimizer.lr", "batch_size", "max_epochs", "dropout", "seed")  # in every run's HPARAMS


class TensorBoard(TensorBoardLogger):
    """As Lightning's logger, but it writes events straight into ``save_dir``, and no hparams.yaml,
    since all of that is in the run's config.yaml. ``train/loss`` and ``val/loss`` become
    ``curves/loss`` of the folders ``train`` and ``val`` in it, which TensorBoard draws in one
    chart; final figures and hyperparameters go into the folder ``final``.

    Args:
        save_dir: the folder of the run.
        images_every: epochs between pictures, see ``Panels``; ``None``: no pictures.
        graph: whether the graph of the net is logged.
    """

    def __init__(self, save_dir: str, images_every: int | None = None, graph: bool = True) -> None:
        super().__init__(save_dir=save_dir, name="", version="", default_hp_metric=False)
        self.images_every, self.graph = images_every, graph
        self._parts: dict[str, SummaryWriter] = {}
        self._forgotten: int | None = None

    def go_on_from(self, step: int) -> None:
        """Say, before anything is logged, that the run goes on from ``step``: what earlier sessions
        have logged at this step or later will be done again, and is no longer shown.

        TensorBoard reads the files of a folder in the order of their names, which begin with the
        second in which they were opened. So this waits until the second of the last one is over.
        """
        seams.purge_from(self, step)
        self._forgotten = step
        now = time.time()
        if any(Path(self.log_dir).rglob(f"{EVENTS}{int(now):010d}.*")):
            time.sleep(1 - now % 1)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers. ``train/...``, ``val/...`` and ``final/...`` go to their own folders."""
        others = {}
        for tag, value in metrics.items():
            part, _, name = tag.partition("/")
            if name and part in _PARTS:
                self._part(part).add_scalar(f"{_PARTS[part]}/{name}", float(value), step)
            else:
                others[tag] = value
        if others:
            super().log_metrics(others, step)

    def log_final(self, figures: Mapping[str, Mapping[str, float]], step: int) -> None:
        """Log the final figures of each split, validation first: ``final/1_val_acc``, ..."""
        tags = {
            f"final/{place}_{split}_{name}": value
            for place, split in enumerate(_FINAL, start=1)
            for name, value in figures[split].items()
        }
        self.log_metrics(tags, step)

    def _part(self, name: str) -> SummaryWriter:
        if name not in self._parts:
            folder = Path(self.log_dir) / name
            self._parts[name] = SummaryWriter(str(folder), purge_step=self._forgotten)
        return self._parts[name]

    @rank_zero_only
    def save(self) -> None:
        for writer in (self.experiment, *self._parts.values()):
            writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write out what was logged, but leave the file open, unlike Lightning's logger: what is
        logged after the training would go to another file, which TensorBoard may read first, see
        ``go_on_from``."""
        if status == "success" and self._experiment is not None:
            self.save()
        else:
            self._close(status)

    @rank_zero_only
    def close(self) -> None:
        """Close the files; nothing can be logged after that."""
        self._close("success")

    def _close(self, status: str) -> None:
        super().finalize(status)
        for writer in self._parts.values():
            writer.close()

    @rank_zero_only
    def log_layout(self) -> None:
        """Have TensorBoard's Custom Scalars show the curves, and the speed below them."""
        self.experiment.add_custom_scalars(LAYOUT)

    @rank_zero_only
    def log_net(self, net: nn.Module, example: Tensor) -> str:
        """Trace the net and log its graph. If it cannot be traced, the reason is returned."""
        try:
            # evaluating: torch would put all modules into one mode afterwards
            with evaluating(net), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the tracer: a graph to look at, not to run
                with contextlib.redirect_stdout(io.StringIO()):
                    self.experiment.add_graph(net, example)
        except Exception as error:  # whatever a model does that the tracer cannot follow
            return str(error).strip().partition("\n")[0] or type(error).__name__
        return ""

    @rank_zero_only
    def log_config(self, config: Mapping[str, Any]) -> None:
        """Log the row of the run in the tab HPARAMS.

        This must be called at the end of a run, when its metrics are logged; ``log_hyperparams``
        would log a made-up metric at the start. The list of columns that torch writes is left out:
        TensorBoard (2.21) would use the first run's list for all, and without one it shows the keys
        of all runs, first those that differ.
        """
        from torch.utils.tensorboard.summary import hparams  # takes half a second to import

        _, start, end = hparams(hyperparameters(config), {})
        for summary in (start, end):
            seams.file_writer(self._part("final")).add_summary(summary)


def hyperparameters(config: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """The hyperparameters of a run: the options of groups, what every run has, and what was typed.

    config: plain.
    """
    values: dict[str, Any] = dict(config["choices"])
    typed = [item.partition("=")[0].lstrip("+~") for item in config["overrides"]]
    for key in (*_ALWAYS, *typed):
        if key in values or key in NEUTRAL_KEYS or key.partition(".")[0] == "hydra":
            continue
        values[key] = select(config, key)
    if values["aug"] is None:  # a list has no name
        values["aug"] = ",".join(config["data"]["augment"])
    return {
        k: v if isinstance(v, bool | int | float | str) else json.dumps(v)
        for k, v in values.items()
    }
