"""Early stopping that survives being interrupted after its decision."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """Lightning's, and: a run that had decided to stop when it was cut off does not train on when
    it is resumed (Lightning restores the count but not the decision)."""

    @property
    def has_stopped(self) -> bool:
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_stopped:
            trainer.should_stop = True
