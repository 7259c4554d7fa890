"""Finished runs together: a run of its own, which answers with the mean of their probabilities.

Validation and test are measured from the answers that the members have left: no net runs, and no
image is read. The members' weights are copied, so that the folder can be used as any run's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax, logsumexp

from cifarlab.base import hardware
from cifarlab.base.durations import counted
from cifarlab.base.errors import UserError
from cifarlab.base.labs import code_of
from cifarlab.base.weights import digest
from cifarlab.lit import Evaluation
from cifarlab.stats.answers import Predictions
from cifarlab.store import predictions
from cifarlab.store.checkpoint import BEST, AtomicCheckpointIO, LoadedNet, load_run
from cifarlab.store.predictions import RunPredictions
from cifarlab.store.record import RunRecord, config_hash, now
from cifarlab.store.run import Run, write_config

MODEL = "ensemble"
_CLASS = "cifarlab.models.ensemble.Ensemble"


def write_ensemble(runs: Sequence[Run], folder: Path, name: str = MODEL) -> RunRecord:
    """Write the ensemble of finished runs into ``folder``, as a run of its own; ``result.json``
    last.

    Raises ``UserError`` unless there are two runs or more, none of them an ensemble, with the same
    data, split, classes and kind of images, or if a file of one is missing or damaged.

    runs: the members, in this order; each counts alike.
    """
    answers = check_members(runs)
    nets = [load_run(run.folder) for run in runs]
    _check_images(runs, nets)
    config = shared_config(runs, nets, name)
    val, test = (
        Predictions(
            mean_answer([getattr(each, split).logits for each in answers]),
            getattr(answers[0], split).labels,
        )
        for split in ("val", "test")
    )
    metrics = {
        split: Evaluation(found.logits, found.labels).metrics
        for split, found in (("val", val), ("test", test))
    }
    folder.mkdir(parents=True)
    write_config(config, folder)
    predictions.save(folder, replace(answers[0], val=val, test=test))
    _save_weights(nets, config, folder)
    record = make_record(runs, nets, config, metrics)
    record.save(folder)
    return record


def check_members(runs: Sequence[Run]) -> list[RunPredictions]:
    """The answers of runs that can be members of one ensemble; raises ``UserError`` otherwise."""
    if len(runs) < 2:
        raise UserError("runs: needs two finished runs or more")
    first, *others = runs
    for run in runs:
        if run.result.members:
            raise UserError(f"runs={run.folder}: is an ensemble; name its members instead")
    for run in others:
        for key, what in (("name", "data"), ("num_test", "test set"), ("split_hash", "split")):
            ours, theirs = first.result.data[key], run.result.data[key]
            if ours != theirs:
                raise UserError(
                    f"runs={run.folder}: its {what} is not that of {first.folder} ({theirs}, "
                    f"{ours}); members must have the same data and split"
                )
    answers = [run.answers for run in runs]
    for run, each in zip(others, answers[1:], strict=True):
        if each.classes != answers[0].classes:
            raise UserError(f"runs={run.folder}: its classes are not those of {first.folder}")
        for split in ("val", "test"):
            a, b = (getattr(x, split).labels for x in (answers[0], each))
            if not np.array_equal(a, b):
                raise UserError(
                    f"runs={run.folder}: the labels of its {split} images are not those of "
                    f"{first.folder}"
                )
    return answers


def _check_images(runs: Sequence[Run], nets: Sequence[LoadedNet]) -> None:
    """Raise ``UserError`` unless all nets take images of one size and number of channels."""
    first, *others = ((net.image_size, _channels(net)) for net in nets)
    for run, (size, channels) in zip(runs[1:], others, strict=True):
        if (size, channels) != first:
            raise UserError(
                f"runs={run.folder}: takes images of {size} px and {counted(channels, 'channel')}, "
                f"{runs[0].folder} of {first[0]} px and {first[1]}; members must take the same"
            )


def mean_answer(logits: Sequence[Float[np.ndarray, "n classes"]]) -> Float[np.ndarray, "n classes"]:
    """The logarithm of the mean of the probabilities of several nets, from their logits."""
    logs = np.stack([log_softmax(each.astype(np.float64), axis=1) for each in logits])
    return logsumexp(logs, axis=0) - np.log(len(logs))


def shared_config(runs: Sequence[Run], nets: Sequence[LoadedNet], name: str) -> dict[str, Any]:
    """The configuration of an ensemble: what that of all members has, and the members' models."""
    config = _shared([net.config for net in nets])
    data = {**nets[0].config["data"], "augment": config.get("aug", {})}  # ours are its statistics
    sizes = {"num_classes": len(nets[0].classes), "image_size": nets[0].image_size}
    if (channels := _channels(nets[0])) != 3:
        sizes["in_channels"] = channels
    members = [{**net.config["model"], **sizes} for net in nets]
    model = {
        "_target_": _CLASS,
        "members": [m | ({"weights": None} if "weights" in m else {}) for m in members],
        "statistics": [[list(net.mean), list(net.std)] for net in nets],
    }
    own = {"name": name, "seed": runs[0].result.seed, "overrides": [], "tags": [], "notes": None}
    choices = {**config.get("choices", {}), "model": MODEL}
    return config | own | {"data": data, "model": model, "choices": choices, "resume": None}


def _channels(net: LoadedNet) -> int:
    """How many channels the images have that the net itself takes."""
    return int(net.config["data"].get("channels", 3))


def make_record(
    runs: Sequence[Run],
    nets: Sequence[LoadedNet],
    config: Mapping[str, Any],
    metrics: dict[str, dict[str, float]],
) -> RunRecord:
    """The record of an ensemble. It has no epochs and no training accuracy of its own; its times
    are the members' together."""
    records = [run.result for run in runs]
    members = [
        {
            "run": str(run.folder),
            "model": run.result.model,
            "seed": run.result.seed,
            "config_hash": run.result.config_hash,
            "val_acc": run.result.metrics["val"]["acc"],
            "test_acc": run.result.metrics["test"]["acc"],
            "test_reads": run.result.test_reads,
            "weights_sha256": digest(net.net.state_dict()),
        }
        for run, net in zip(runs, nets, strict=True)
    ]
    return RunRecord(
        name=config["name"],
        status="completed",
        model=MODEL,
        num_params=sum(record.num_params for record in records),
        macs=sum(record.macs for record in records),
        seed=config["seed"],
        data=records[0].data,
        epochs_run=0,
        best_epoch=0,
        metrics=metrics,
        test_reads=max(record.test_reads for record in records),
        time={
            "fit_s": sum(record.time["fit_s"] for record in records),
            "total_s": sum(record.time["total_s"] for record in records),
            "images_per_s": harmonic_mean(record.time["images_per_s"] for record in records),
        },
        hardware=records[0].hardware,
        versions=hardware.versions(),
        git=hardware.git_state(Path(__file__).parent),
        overrides=[],
        config_hash=config_hash(config),
        code=code_of(config),
        members=members,
        finished=now(),
    )


def _save_weights(nets: Sequence[LoadedNet], config: dict[str, Any], folder: Path) -> None:
    """Write the members' weights as the checkpoint of one net, see
    ``cifarlab.models.ensemble.Ensemble``."""
    state = {
        f"net.members.{number}.{name}": value
        for number, net in enumerate(nets)
        for name, value in net.net.state_dict().items()
    }
    first = nets[0]
    identity = {
        "config": config,
        "classes": list(first.classes),
        "image_size": first.image_size,
        "mean": list(first.mean),
        "std": list(first.std),
    }
    checkpoint = {"cifarlab": identity, "epoch": -1, "state_dict": state}
    AtomicCheckpointIO().save_checkpoint(checkpoint, folder / BEST)


def _shared(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all configurations have alike, at any depth."""
    first, *others = configs
    found: dict[str, Any] = {}
    for key, value in first.items():
        if not all(key in other for other in others):
            continue
        values = [value, *(other[key] for other in others)]
        if all(isinstance(each, Mapping) for each in values):
            found[key] = _shared(values)
        elif all(each == value for each in values):
            found[key] = value
    return found
