"""Nets of our own runs for others: files of weights, and a manifest that says what each is.

The manifest is text and is kept in git; the files lie beside a release, or in any folder. An entry
has the SHA-256 of its file, so it does not matter where that is taken from; and the record and the
configuration of the run, so that a run's folder can be made of both.
"""

import hashlib
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cifarlab.base.download import check_address, download
from cifarlab.base.errors import UserError, nearest
from cifarlab.base.reading import named_path
from cifarlab.base.weights import read_state
from cifarlab.store.checkpoint import (
    BEST,
    AtomicCheckpointIO,
    LoadedNet,
    build_net,
    check_fits,
)
from cifarlab.store.files import write_atomic
from cifarlab.store.record import RESULT, RunRecord
from cifarlab.store.run import write_config
from cifarlab.store.trust import check_trusted
from cifarlab.use.card import card, command
from cifarlab.use.export import export

log = logging.getLogger("cifarlab")
SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SCHEMES = ("https", "http", "file")
Entry = dict[str, Any]


def read_manifest(path: Path) -> dict[str, Entry]:
    """The entries of a manifest by name; none if there is no such file.

    Raises ``UserError`` if it is no manifest.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise UserError(f"{path}: schema {found['schema']}, this version reads {SCHEMA}")
        return dict(found["entries"])
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a manifest ({type(error).__name__}: {error})") from error


def publish(
    loaded: LoadedNet, name: str, folder: Path, manifest: Path, licence: str, url: str | None
) -> Entry:
    """Write ``<name>.safetensors`` and its model card, ``<name>.md``, into ``folder``, and the
    entry into ``manifest``; return the entry.

    Raises ``UserError`` for a name that is taken by other weights.

    loaded: the net of a run. licence: of the weights, by its SPDX name. url: where the file will
    be, in full; ``None``: ``get`` is told.
    """
    check_name(name)
    _check_url(url)
    entries, file = read_manifest(manifest), folder / f"{name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".zoo-") as temporary:
        made = export(loaded, "safetensors", Path(temporary)).path
        digest = sha256(made)
        if name in entries and entries[name]["sha256"] != digest:
            raise UserError(f"name={name}: is there already, with other weights; take another")
        made.replace(file)
    record, classes = loaded.record, list(loaded.classes)
    entry: Entry = {
        "file": file.name,
        "sha256": digest,
        "bytes": file.stat().st_size,
        "url": url,
        "licence": licence,
        "model": record.model,
        "data": record.data["name"],
        "val_acc": record.metrics["val"]["acc"],
        "test_acc": record.metrics["test"]["acc"],
        "command": command(record),
        "net": {
            "config": loaded.config,
            "classes": classes,
            "image_size": loaded.image_size,
            "mean": list(loaded.mean),
            "std": list(loaded.std),
        },
        "record": asdict(record),
    }
    write_atomic(folder / f"{name}.md", card(loaded, file))
    entries = dict(sorted((entries | {name: entry}).items()))
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(manifest, json.dumps({"schema": SCHEMA, "entries": entries}, indent=1) + "\n")
    return entry


def get(name: str, manifest: Path, folder: Path, source: str | None = None) -> Path:
    """Make the folder of a finished run, ``<folder>/<name>``, of an entry and its file, and return
    it. It has no predictions and no epochs.

    Raises ``UserError`` if there is no such entry, its file is not to be had or is another one, or
    it names what no run may name, see ``cifarlab.store.trust``; then no run is left.

    source: the folder or the address below which the file is; ``None``: what the entry says.
    """
    entries = read_manifest(manifest)
    if name not in entries:
        known = nearest(name, entries) if entries else "it is empty"
        raise UserError(f"get={name}: not in {manifest}; {known}")
    entry, run = entries[name], folder / name
    try:
        net, record = entry["net"], RunRecord(**entry["record"])
        config, classes = net["config"], net["classes"]
        identity = {key: net[key] for key in ("config", "classes", "image_size", "mean", "std")}
        digest, url = str(entry["sha256"]), entry["url"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{manifest}: {name}: damaged ({error})") from error
    check_name(name)
    check_trusted(config, manifest)
    file = run / f"{name}.safetensors"
    run.mkdir(parents=True, exist_ok=True)
    if not (file.is_file() and sha256(file) == digest):
        _fetch(file, digest, url, source)
    weights = read_state(file, f"{file}: no weights")
    built = build_net(
        config["model"],
        len(classes),
        net["image_size"],
        pretrained=False,
        channels=config["data"].get("channels", 3),
    )
    check_fits(built, weights, file)
    state = {f"net.{key}": value for key, value in weights.items()}
    checkpoint = {"cifarlab": identity, "epoch": record.best_epoch - 1, "state_dict": state}
    (run / RESULT).unlink(missing_ok=True)
    AtomicCheckpointIO().save_checkpoint(checkpoint, run / BEST)
    write_config(config, run)
    record.save(run)
    return run


def check_name(name: str) -> None:
    """Raise ``UserError`` for a name that not every system can give a file."""
    if not _NAME.fullmatch(name):
        raise UserError(f"name={name}: must be letters, digits, - _ and .")


def sha256(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def table(entries: Mapping[str, Entry]) -> list[tuple[str, ...]]:
    """What there is, a row for each."""
    head = ("name", "model", "data", "val", "test", "MB", "licence")
    rows = [
        (
            name,
            str(entry["model"]),
            str(entry["data"]),
            *(f"{entry[f'{split}_acc']:.2%}" for split in ("val", "test")),
            f"{entry['bytes'] / 1e6:.1f}",
            str(entry["licence"]),
        )
        for name, entry in entries.items()
    ]
    return [head, *rows]


def _fetch(file: Path, digest: str, url: str | None, source: str | None) -> None:
    """Put the file of an entry where it belongs, if it is the right one."""
    if source is not None:
        is_url = source.partition(":")[0].lower() in _SCHEMES
        place = f"{source.rstrip('/')}/{file.name}" if is_url else source
    else:
        is_url, place = True, url or ""
        if not url:
            raise UserError(
                f"get={file.stem}: its entry has no address; source=<folder with {file.name}>"
            )
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".get-") as temporary:
        found = Path(temporary) / file.name
        if is_url:
            _check_url(place)
            _download(place, found)
        else:
            there = named_path("source", source or "") / file.name
            if not there.is_file():
                raise UserError(f"source={source}: has no {file.name}")
            shutil.copyfile(there, found)
        if (has := sha256(found)) != digest:
            raise UserError(
                f"{place}: {file.name} is not what the manifest says (SHA-256 {has[:16]}..., not "
                f"{digest[:16]}...); nothing of it was taken"
            )
        found.replace(file)


def _download(url: str, path: Path) -> None:
    log.info("downloading %s", url)
    try:
        download(url, path)
    except OSError as error:
        raise UserError(f"{url}: could not be downloaded ({error})") from error


def _check_url(url: str | None) -> None:
    check_address("url", url, _SCHEMES)
