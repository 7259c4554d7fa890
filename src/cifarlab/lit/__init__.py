"""The LightningModule that trains every architecture, its optimizers and schedules."""

from cifarlab.lit.classifier import ImageClassifier

__all__ = ["ImageClassifier"]
