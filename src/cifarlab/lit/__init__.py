"""The LightningModule that trains every architecture, its optimizers and schedules."""

from cifarlab.lit.classifier import ImageClassifier
from cifarlab.lit.compiling import Compiled
from cifarlab.lit.evaluate import Evaluation, evaluate
from cifarlab.lit.transfer import TransferClassifier
from cifarlab.lit.tta import VIEWS
from cifarlab.lit.whole_step import WholeStep

__all__ = [
    "VIEWS",
    "Compiled",
    "Evaluation",
    "ImageClassifier",
    "TransferClassifier",
    "WholeStep",
    "evaluate",
]
