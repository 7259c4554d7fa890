"""Tells the loggers of ``cifarlab.callbacks.trackers`` what becomes of a run."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from cifarlab.base.errors import UserError
from cifarlab.callbacks.epochs import EpochRecorder
from cifarlab.callbacks.interruption import Interrupted
from cifarlab.callbacks.trackers import Status, Told, Tracker
from cifarlab.store.files import read_checked, write_atomic
from cifarlab.store.record import LOGGERS

log = logging.getLogger("cifarlab")

_KINDS = ("loss", "acc")


class Tracking(Callback):
    """Tells each logger of the configuration, of each epoch once, and how the run ends; nothing
    within an epoch. Only the first process does.

    A logger that fails is told of in one line. It is then left alone until the run is over, when
    it is told all that it has missed. What a logger knows the run by, and of how many epochs it
    knows, is in ``loggers.json``, so that a resumed run goes on in the same run of the logger, and
    an epoch that is trained again is not told again.

    Args:
        trackers: the loggers, by their names in the configuration.
        recorder: that has the epochs. This callback must run after it.
        run: what the loggers are told at the beginning.

    Raises ``UserError`` if ``loggers.json`` is damaged.
    """

    def __init__(self, trackers: Mapping[str, Tracker], recorder: EpochRecorder, run: Told) -> None:
        self.trackers, self.recorder, self.run = trackers, recorder, run
        self.known = _read(run.folder / LOGGERS) if trackers else {}
        self.begun: set[str] = set()
        self.failed: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            for name in self.trackers:
                self._try(name, self._begin)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            for name in [name for name in self.trackers if name not in self.failed]:
                self._try(name, self._catch_up)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self.fail(exception)

    def finish(self, figures: Mapping[str, float], step: int) -> None:
        """Tell what came out of the run, and that it is finished.

        figures: ``final/test_acc``, ... step: the last optimizer step.
        """

        def end(name: str) -> None:
            self._catch_up(name)
            self.trackers[name].log_final(figures, step)
            self.trackers[name].end("finished")
            self.begun.discard(name)

        for name in self.trackers:
            missed = name in self.failed
            if self._try(name, end) and missed:
                log.info("logger=%s: works again, and now has all epochs", name)

    def fail(self, exception: BaseException) -> None:
        """Tell that the run was interrupted or has failed."""
        stopped = isinstance(exception, Interrupted | KeyboardInterrupt)
        status: Status = "interrupted" if stopped else "failed"
        for name in sorted(self.begun - self.failed):
            self._try(name, lambda name: self.trackers[name].end(status))
        self.begun.clear()

    def _begin(self, name: str) -> None:
        known = self.known.get(name, {}).get("id")
        found = self.trackers[name].begin(self.run, known)
        self.begun.add(name)
        if name not in self.known or found is None or found != known:
            self._remember(name, found, 0)

    def _catch_up(self, name: str) -> None:
        """Tell the epochs that the logger does not know of yet."""
        if name not in self.begun:
            self._begin(name)
        identity, told = self.known[name]["id"], self.known[name]["epochs"]
        for row in [row for row in self.recorder.rows if row["epoch"] > told]:
            self.trackers[name].log(as_figures(row), int(row["step"]))
            self._remember(name, identity, int(row["epoch"]))

    def _remember(self, name: str, identity: str | None, epochs: int) -> None:
        self.known[name] = {"id": identity, "epochs": epochs}
        text = json.dumps(self.known, indent=2) + "\n"
        write_atomic(self.run.folder / LOGGERS, text, summed=True)

    def _try(self, name: str, act: Callable[[str], None]) -> bool:
        """Whether a logger did what it was told; the first time that it did not is told."""
        try:
            with _quietly():
                act(name)
            return True
        except Exception as error:  # whatever a library, a server or a disk may come up with
            if name not in self.failed:
                why = " ".join(str(error).split())[:300] or type(error).__name__
                log.warning(
                    "logger=%s: %s; the run goes on without it, and tries it again at its end",
                    name,
                    why,
                )
            self.failed.add(name)
            return False


def as_figures(row: Mapping[str, float]) -> dict[str, float]:
    """A row of metrics.csv under the names that figures have in loggers: ``val/acc``, ..."""
    names = {f"{split}/{kind}": f"{split}_{kind}" for split in ("train", "val") for kind in _KINDS}
    names |= {f"speed/{name}": name for name in ("lr", "images_per_s", "epoch_s")}
    return {"epoch": row["epoch"]} | {name: row[column] for name, column in names.items()}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        known = json.loads(read_checked(path))
        return {
            str(name): {"id": entry["id"], "epochs": int(entry["epochs"])}
            for name, entry in known.items()
        }
    except UserError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it, and the loggers begin a run anew"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what libraries print, and their warnings about themselves."""
    unheard = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(unheard),
        contextlib.redirect_stderr(unheard),
    ):
        warnings.simplefilter("ignore")
        yield
