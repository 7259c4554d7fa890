"""Checkpoints of a run's folder that go on being its best and last wherever the folder goes."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, callbacks

from cifarlab.base.errors import UserError
from cifarlab.store.checkpoint import BEST


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Lightning's, and: its state names files, not paths.

    Lightning (2.6) forgets the best epoch so far, and so overwrites it with a worse one, where a
    run is resumed in a folder that was moved or copied. The class has Lightning's name because the
    state in a checkpoint is found by it; states with paths, of before, are read as well.
    """

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


def apart(callback: Callback, name: str, folder: Path) -> Callback:
    """A callback of the user's; a ``ModelCheckpoint`` without a folder gets ``checkpoints/<name>``.

    Raises ``UserError`` for one in the folder of ours, whose files it might overwrite.
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
