"""What a report reads from the folder of a finished run."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.utils import get_class, instantiate

from cifarlab.base.errors import UserError, told
from cifarlab.data.cache import Images, cached
from cifarlab.store import predictions
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.record import CONFIG, METRICS, RunRecord, read_metrics


@dataclass(frozen=True)
class RunFolder:
    """A finished run. columns: of ``metrics.csv``; empty if it is not there."""

    path: Path
    record: RunRecord
    config: dict[str, Any]
    columns: dict[str, list[float]]
    predictions: RunPredictions

    @classmethod
    def load(cls, path: Path) -> "RunFolder":
        """Raises ``UserError`` if the run is not finished or a file of it is missing."""
        record = RunRecord.load(path)
        if not (path / CONFIG).is_file():
            raise UserError(f"{path / CONFIG}: missing; a finished run has it")
        config = yaml.safe_load((path / CONFIG).read_text())
        rows = read_metrics(path / METRICS)
        columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
        return cls(path, record, config, columns, predictions.load(path))

    def images(self) -> Images:
        """The images of the run, from the cache or, without downloading, from their source.

        Raises ``UserError`` where they are not there any more or are others than the run's.
        """
        source = dict(self.config["data"]["source"])
        if "download" in inspect.signature(get_class(source["_target_"])).parameters:
            source["download"] = False
        try:
            found = instantiate(source, _convert_="all")
            images = cached(self.config["data"]["cache_dir"], found.key(), found.read)
        except Exception as error:
            if isinstance(mistake := told(error), UserError):
                raise mistake from error
            raise
        val = self.predictions.val_indices
        inside = len(val) == 0 or val.max() < len(images.train_labels)
        if not (
            inside
            and np.array_equal(images.test_labels, self.predictions.test.labels)
            and np.array_equal(images.train_labels[val], self.predictions.val.labels)
        ):
            raise UserError(f"{self.path}: the data set is another one now than the run's")
        return images
