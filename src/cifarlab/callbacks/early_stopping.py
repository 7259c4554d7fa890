"""Early stopping whose decision a resumed run remembers."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """As Lightning's class, but a run that was cut off after it had decided to stop does not train
    on when it is resumed. Lightning restores the count of epochs, but not the decision."""

    def __init__(self, monitor: str, *, from_epoch: int = 1, **options: Any) -> None:
        """from_epoch: the first epoch, from 1, that counts. options: of Lightning's class."""
        super().__init__(monitor, **options)
        self.from_epoch = from_epoch

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.from_epoch:
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.from_epoch:
            super().on_train_epoch_end(trainer, pl_module)

    @property
    def has_stopped(self) -> bool:
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.has_stopped:
            trainer.should_stop = True
