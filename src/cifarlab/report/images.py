"""The images that a run was measured on, where they can still be had."""

import inspect

import numpy as np
from hydra.utils import get_class, instantiate

from cifarlab.base.errors import UserError, told
from cifarlab.data.cache import Images, cached
from cifarlab.store.record import CONFIG
from cifarlab.store.run import Run, stored_config
from cifarlab.store.trust import check_trusted


def images_of(run: Run) -> Images:
    """The images of a finished run, from the cache or from their source; nothing is downloaded.

    Raises ``UserError`` if they are not there any more, or are not those that the run had.
    """
    data = stored_config(run.folder)["data"]
    check_trusted(data, run.folder / CONFIG)
    source = dict(data["source"])
    if "download" in inspect.signature(get_class(source["_target_"])).parameters:
        source["download"] = False
    try:
        found = instantiate(source, _convert_="all")
        images = cached(data["cache_dir"], found.key(), found.read).only(data.get("classes"))
        images = images.grey() if data.get("channels", 3) == 1 else images
    except Exception as error:
        if isinstance(mistake := told(error), UserError):
            raise mistake from error
        raise
    answers = run.answers
    inside = len(answers.val_indices) == 0 or answers.val_indices.max() < len(images.train_labels)
    if not (
        inside
        and np.array_equal(images.test_labels, answers.test.labels)
        and np.array_equal(images.train_labels[answers.val_indices], answers.val.labels)
    ):
        raise UserError(f"{run.folder}: the data set is another one now than the run's")
    return images
