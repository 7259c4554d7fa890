"""What happens around the training step."""

from cifarlab.callbacks.averaging import EMA, SWA
from cifarlab.callbacks.checkpoints import KeepBest, ModelCheckpoint, apart
from cifarlab.callbacks.curves import Curves
from cifarlab.callbacks.data_map import RecordDataMap
from cifarlab.callbacks.early_stopping import EarlyStopping
from cifarlab.callbacks.epochs import EpochRecorder
from cifarlab.callbacks.freeze import Freeze
from cifarlab.callbacks.hard_examples import HardExamples
from cifarlab.callbacks.interruption import Interrupted, StopOnSignal, undisturbed
from cifarlab.callbacks.keep_zeros import KeepZeros
from cifarlab.callbacks.lookahead import Lookahead
from cifarlab.callbacks.panels import Panels
from cifarlab.callbacks.progress import ProgressBar, has_terminal
from cifarlab.callbacks.progressive import ProgressiveResize
from cifarlab.callbacks.resuming import EpochPosition, SeedEachStep
from cifarlab.callbacks.tensorboard import TensorBoard
from cifarlab.callbacks.trackers import CSV, MLflow, Told, Tracker, Trackio, Wandb
from cifarlab.callbacks.tracking import Tracking
from cifarlab.callbacks.whole_batch import WholeBatch

__all__ = [
    "CSV",
    "EMA",
    "SWA",
    "Curves",
    "EarlyStopping",
    "EpochRecorder",
    "Freeze",
    "HardExamples",
    "Interrupted",
    "KeepBest",
    "KeepZeros",
    "Lookahead",
    "MLflow",
    "ModelCheckpoint",
    "StopOnSignal",
    "EpochPosition",
    "Panels",
    "ProgressBar",
    "ProgressiveResize",
    "RecordDataMap",
    "SeedEachStep",
    "TensorBoard",
    "Told",
    "Tracker",
    "Trackio",
    "Tracking",
    "Wandb",
    "WholeBatch",
    "apart",
    "has_terminal",
    "undisturbed",
]
