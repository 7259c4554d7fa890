"""The LightningModule that trains every architecture, its optimizers and schedules."""

from cifarlab.lit.classifier import ImageClassifier
from cifarlab.lit.evaluate import Evaluation, evaluate
from cifarlab.lit.transfer import TransferClassifier
from cifarlab.lit.tta import VIEWS

__all__ = ["VIEWS", "Evaluation", "ImageClassifier", "TransferClassifier", "evaluate"]
