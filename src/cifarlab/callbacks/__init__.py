"""What happens around the training step."""

from cifarlab.callbacks.averaging import EMA, SWA
from cifarlab.callbacks.checkpoints import KeepBest, ModelCheckpoint, apart
from cifarlab.callbacks.curves import Curves
from cifarlab.callbacks.early_stopping import EarlyStopping
from cifarlab.callbacks.epochs import EpochRecorder
from cifarlab.callbacks.interruption import Interrupted, StopOnSignal, undisturbed
from cifarlab.callbacks.keep_zeros import KeepZeros
from cifarlab.callbacks.lookahead import Lookahead
from cifarlab.callbacks.panels import Panels
from cifarlab.callbacks.progress import ProgressBar, has_terminal
from cifarlab.callbacks.progressive import ProgressiveResize
from cifarlab.callbacks.resuming import EpochPosition, SeedEachStep
from cifarlab.callbacks.tensorboard import TensorBoard
from cifarlab.callbacks.whole_batch import WholeBatch

__all__ = [
    "EMA",
    "SWA",
    "Curves",
    "EarlyStopping",
    "EpochRecorder",
    "Interrupted",
    "KeepBest",
    "KeepZeros",
    "Lookahead",
    "ModelCheckpoint",
    "StopOnSignal",
    "EpochPosition",
    "Panels",
    "ProgressBar",
    "ProgressiveResize",
    "SeedEachStep",
    "TensorBoard",
    "WholeBatch",
    "apart",
    "has_terminal",
    "undisturbed",
]
