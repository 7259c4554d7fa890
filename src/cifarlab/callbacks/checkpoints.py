"""Checkpoints of a run's folder that go on being its best and last wherever the folder goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import callbacks


class ModelCheckpoint(callbacks.ModelCheckpoint):
    """Lightning's, and: its state names files, not paths.

    Lightning (2.6) forgets the best epoch so far, and so overwrites it with a worse one, where a
    run is resumed in a folder that was moved or copied. The class has Lightning's name because the
    state in a checkpoint is found by it; states with paths, of before, are read as well.
    """

    def state_dict(self) -> dict[str, Any]:
        return _renamed(super().state_dict(), "", lambda path: Path(path).name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        here = Path(self.dirpath)
        state = _renamed(state_dict, str(here), lambda path: str(here / Path(path).name))
        super().load_state_dict(state)


def _renamed(state: dict[str, Any], folder: str, rename: Callable[[str], str]) -> dict[str, Any]:
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    return {
        **state,
        "dirpath": folder,
        **{key: state[key] and rename(state[key]) for key in paths},  # empty where there is none
        "best_k_models": {rename(path): score for path, score in state["best_k_models"].items()},
    }
