"""What an exported net says of itself to people: a model card, as the Hugging Face Hub shows it
(Mitchell et al., Model Cards for Model Reporting, arXiv:1810.03993)."""

import html
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from cifarlab.base.durations import times
from cifarlab.base.errors import printable
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.record import NEUTRAL_KEYS, RunRecord

_MOST_NAMES = 20  # of classes, in a card
_BEST = {"val/loss": "lowest\nvalidation loss", "val/acc": "highest\nvalidation accuracy"}


def card(loaded: LoadedNet, *files: Path) -> str:
    """The card of a net as Markdown, with the metadata that the Hub reads above it.

    loaded: the net of a run. files: the exported model, once or in several formats.
    """
    record = loaded.record
    data, hardware, name = record.data, record.hardware, f"{record.model}-{record.data['name']}"
    acc = {split: values["acc"] for split, values in record.metrics.items()}
    measured = [
        {"type": "accuracy", "value": round(acc[split], 4), "name": f"{split} accuracy"}
        for split in ("val", "test")
    ]
    front = {
        "library_name": "cifarlab",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "cifarlab", record.model],
        "datasets": [data["name"]],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {"name": data["name"], "type": data["name"]},
                        "metrics": measured,
                    }
                ],
            }
        ],
    }
    chosen = f"epoch {record.best_epoch} of {record.epochs_run}"
    best = _BEST[loaded.config.get("monitor", "val/loss")]
    if record.members:
        if "monitor" not in loaded.config:  # the members have not the same
            best = "best\nepoch"
        chosen = f"of each of the {len(record.members)} members, whose probabilities are averaged"
    mean, std = (", ".join(f"{x:.4f}" for x in values) for values in (loaded.mean, loaded.std))
    size, named = loaded.image_size, ", ".join(f"`{file.name}`" for file in files)
    other = {
        "crop": f"the shorter side is resized to {size} and the\ncentre cropped",
        "squash": "both sides are resized to that",
    }[loaded.resize]
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---

# {record.title}

{named}: {record.num_params:,} parameters, {record.macs:,} multiply-accumulates an image.
It tells {len(loaded.classes)} classes apart: {_names(loaded.classes)}.

| | images | accuracy | loss (nats) |
|---|---|---|---|
{_rows(record)}

One run, seed {record.seed}: another seed gives another figure. The weights are those of the \
{best} ({chosen}); the test set was read
{times(record.test_reads)} and chose nothing.

## How it was trained

    {command(record)}

cifarlab {record.versions.get("cifarlab", "?")}, commit {str(record.git.get("sha") or "?")[:8]}\
{", changed since" if record.git.get("dirty") else ""}, torch {record.versions.get("torch", "?")};
{hardware["devices"]} x {hardware["name"]}, {hardware["precision"]}, {record.time["fit_s"]:.0f} s.

## How it is used

Images of {size}x{size} pixels, RGB; of other sizes {other}.
Normalised by mean {mean} and standard deviation {std} of values in [0, 1].

## What it is not for

It always answers with one of its {len(loaded.classes)} classes, also to a picture of none of them.
It was measured on images like those that it was trained on, and on no others.
"""


def _names(classes: Sequence[str]) -> str:
    """The first of them, as text of HTML and Markdown."""
    shown = html.escape(printable(", ".join(classes[:_MOST_NAMES])), quote=False)
    more = len(classes) - _MOST_NAMES
    all_of_them = f", … and {more:,} more;\nthe file's metadata, `classes`, has all"
    return shown + (all_of_them if more > 0 else "")


def command(record: RunRecord) -> str:
    """What was typed to make the run, without where it was kept, and of data in a folder of the
    author's machine without where that is."""
    if record.members:
        return f"python scripts/ensemble.py runs=[<the {len(record.members)} members>]"
    keys = {o: o.partition("=")[0].lstrip("+~") for o in record.overrides}
    typed = [o for o, key in keys.items() if not {key, key.partition(".")[0]} & NEUTRAL_KEYS]
    typed = [
        "data.root=<folder of the data>"
        if keys[o] == "data.root" and Path(o.partition("=")[2]).is_absolute()
        else shlex.quote(o)
        for o in typed
    ]
    return f"python train.py {' '.join(typed)}".strip()


def _rows(record: RunRecord) -> str:
    images = {split: f"{record.data[f'num_{split}']:,}" for split in record.metrics}
    return "\n".join(
        f"| {split} | {images[split]} | {values['acc']:.2%} | {values['loss']:.4f} |"
        for split, values in record.metrics.items()
    )
