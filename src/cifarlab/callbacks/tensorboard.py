"""TensorBoard in the run folder itself."""

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

from cifarlab.base import seams
from cifarlab.base.plain import select
from cifarlab.inspection import evaluating
from cifarlab.store.record import EVENTS, NEUTRAL_KEYS

# Chart of the "Custom Scalars" tab: the tags in it, as regular expressions
LAYOUT = {
    "training": {
        "loss": ["Multiline", ["train/loss$", "val/loss$"]],
        "accuracy": ["Multiline", ["train/acc$", "val/acc$"]],
    },
    "speed": {
        "learning rate": ["Multiline", ["speed/lr$"]],
        "images a second": ["Multiline", ["speed/images_per_s$"]],
        "seconds an epoch": ["Multiline", ["speed/epoch_s$"]],
    },
}
_ALWAYS = ("optimizer.lr", "batch_size", "max_epochs", "dropout", "seed")  # in every run's HPARAMS


class TensorBoard(TensorBoardLogger):
    """Lightning's logger, writing events straight into ``save_dir`` and no hparams.yaml: the run
    folder's config.yaml holds all of it.

    Args:
        save_dir: the run folder.
        images_every: epochs between pictures, see ``Panels``; ``None``: no pictures.
        graph: draw the net's graph.
    """

    def __init__(self, save_dir: str, images_every: int | None = None, graph: bool = True) -> None:
        super().__init__(save_dir=save_dir, name="", version="", default_hp_metric=False)
        self.images_every, self.graph = images_every, graph

    def go_on_from(self, step: int) -> None:
        """Before anything is logged: what earlier sessions of the run logged at ``step`` or later
        is done again, and no longer shown.

        TensorBoard reads the files of a folder by their names, which begin with the second in
        which they were opened: the file of this session is opened in a later one than theirs.
        """
        seams.purge_from(self, step)
        now = time.time()
        if any(Path(self.log_dir).glob(f"{EVENTS}{int(now):010d}.*")):
            time.sleep(1 - now % 1)

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Lightning's closes the file at the end of training, and what is logged afterwards would
        go to another one, which TensorBoard may read first: see ``go_on_from``."""
        if status == "success" and self._experiment is not None:
            self.experiment.flush()
        else:
            super().finalize(status)

    @rank_zero_only
    def close(self) -> None:
        """Nothing more is logged."""
        super().finalize("success")

    @rank_zero_only
    def log_layout(self) -> None:
        """Training and validation in one chart."""
        self.experiment.add_custom_scalars(LAYOUT)

    @rank_zero_only
    def log_net(self, net: nn.Module, example: Tensor) -> str:
        """Trace ``net`` and log its graph. Returns why there is none if it cannot be traced."""
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
        """A row of the HPARAMS tab. To be called at the end of a run, when its metrics are logged:
        ``log_hyperparams`` would log a metric of its own, at the start a made-up one.

        Leaves out torch's list of columns, of which TensorBoard (2.21) takes the first run's for
        all: without one it shows the keys of all runs, those that differ first.
        """
        from torch.utils.tensorboard.summary import hparams  # takes half a second to import

        _, start, end = hparams(hyperparameters(config), {})
        for summary in (start, end):
            seams.file_writer(self.experiment).add_summary(summary)


def hyperparameters(config: Mapping[str, Any]) -> dict[str, bool | float | str]:
    """Of a plain configuration: the options picked, what every run has, and all that was typed."""
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
