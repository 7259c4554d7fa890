"""Early stopping whose decision a resumed run remembers."""

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """As Lightning's class, but a run that was cut off after it had decided to stop does not train
    on when it is resumed. Lightning restores the count of epochs, but not the decision."""

    @property
    def has_stopped(self) -> bool:
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_stopped:
            trainer.should_stop = True
