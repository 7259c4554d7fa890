"""Callbacks that write checkpoints, also into a folder that was moved or copied."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer, callbacks

from cifarlab.base.errors import UserError
from cifarlab.callbacks.epochs import every
from cifarlab.store.checkpoint import BEST


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """As Lightning's class, but its state has names of files instead of paths.

    If a run is resumed in a folder that was moved or copied, Lightning (2.6) forgets the best epoch
    and overwrites it with a worse one. The class has the same name as Lightning's, since the state
    in a checkpoint is found by it. States with paths, of earlier versions, can be read, too.

    Epochs without validation are not compared: they have no value, or that of an earlier epoch.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor is None or (trainer.current_epoch + 1) % every(trainer) == 0:
            super().on_train_epoch_end(trainer, pl_module)

    @cached_property
    def state_key(self) -> str:  # asked for 12 times a step, 3 us each
        return super().state_key

    def state_dict(self) -> dict[str, Any]:
        return _renamed(super().state_dict(), "", lambda path: Path(path).name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        here = Path(self.dirpath)
        state = _renamed(state_dict, str(here), lambda path: str(here / Path(path).name))
        super().load_state_dict(state)


class KeepBest(ModelCheckpoint):
    """Keeps further checkpoints of a run, in ``checkpoints/<name in the configuration>``, named
    after their epochs (counted from 1).

    Args:
        monitor, mode: by which epochs are compared.
        save_top_k: how many are kept; -1: all.
        every_n_epochs: only each so many epochs are looked at.
    """

    def __init__(
        self,
        monitor: str = "val/acc",
        mode: str = "max",
        save_top_k: int = 3,
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            every_n_epochs=every_n_epochs,
            filename="{epoch}",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    def format_checkpoint_name(self, metrics: dict[str, Any], *args: Any, **options: Any) -> str:
        return super().format_checkpoint_name(
            {**metrics, "epoch": metrics["epoch"] + 1}, *args, **options
        )


def apart(callback: Callback, name: str, folder: Path) -> Callback:
    """Prepare a callback of the user: a ``ModelCheckpoint`` without a folder gets
    ``checkpoints/<name>``.

    Raises ``UserError`` for a ``ModelCheckpoint`` that might overwrite the run's own checkpoints.

    name: of the callback in the configuration.
    folder: of the run.
    """
    if not isinstance(callback, callbacks.ModelCheckpoint):
        return callback
    ours = folder / BEST.parent
    if callback.dirpath is None:
        callback.dirpath = str(ours / name)
    elif Path(callback.dirpath).resolve() == ours.resolve():
        raise UserError(
            f"callbacks.{name}.dirpath={callback.dirpath}: is where the run keeps best.ckpt and "
            "last.ckpt; take another folder, or leave it out"
        )
    return callback


def _renamed(state: dict[str, Any], folder: str, rename: Callable[[str], str]) -> dict[str, Any]:
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    return {
        **state,
        "dirpath": folder,
        **{key: state[key] and rename(state[key]) for key in paths},  # empty where there is none
        "best_k_models": {rename(path): score for path, score in state["best_k_models"].items()},
    }
