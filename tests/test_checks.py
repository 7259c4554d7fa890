"""What is refused before anything slow is imported."""

import pytest

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from tests.conftest import plain


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dropout=1.5", r"dropout=1.5: must be a number in \[0, 1\)"),
        ("dropout=1", r"dropout=1: must be a number in \[0, 1\)"),
        ("dropout=-0.1", "must be a number in"),
        ("dropout=much", "dropout=much: must be a number"),
        ("dropout=true", "dropout=true: must be a number"),
        ("label_smoothing=1", r"label_smoothing=1: must be a number in \[0, 1\)"),
        ("decay_all=some", "decay_all=some: must be true or false"),
        ("tta=rotate", "tta=rotate: must be one of flip, flip_shift, null"),
        ("lr_find=true", "lr_find=true: is a program now: python scripts/lr_find.py"),
        ("seed=-1", "seed=-1: must be a whole number from 0 to 4294967295"),
        ("seed=0.5", "seed=0.5: must be a whole number"),
        ("batch_size=0", "batch_size=0: must be a whole number, 1 or more"),
        ("max_epochs=ten", "max_epochs=ten: must be a whole number"),
        ("data.val_size=0", r"data.val_size=0: must be a number in \(0, 1e\+30\]"),
        ("data.split=head", "data.split=head: must be one of random, stratified, tail"),
        ("data.normalize=minmax", "must be one of dataset, imagenet, half, computed"),
        ("data.folds=1", "data.folds=1: must be a whole number, 2 or more"),
        ("data.folds=five", "data.folds=five: must be a whole number"),
        ("data.fold=-1", "data.fold=-1: must be a whole number, 0 or more"),
        ("data.fold=1", "data.fold=1: needs data.folds"),
        ("data.folds=5 data.fold=5", "data.fold=5: must be below data.folds=5"),
        ("data.fraction=0", r"data.fraction=0: must be a number in \(0, 1\]"),
        ("data.fraction=1.1", r"data.fraction=1.1: must be a number in \(0, 1\]"),
        ("optimizer.lr=0", r"optimizer.lr=0: must be a number in \(0, 1e\+30\]"),
        ("weights=imagenet model=vgg11_bn", "model.weights=imagenet: goes with transfer=finetune"),
        ("transfer=frozen", "transfer=frozen: model=baseline has no ImageNet weights; vgg11_bn"),
        ("transfer=frozen model=vgg11_bn weights=null", "needs model.weights=imagenet or"),
        ("transfer=frozen model=vgg11_bn transfer.last_block_from=0", "must be a whole number, 1"),
        ("transfer=frozen model=vgg11_bn transfer.cache_features=true tta=flip", "needs images"),
        ("transfer=finetune model=vgg11_bn transfer.backbone_lr=0", "backbone_lr=0: must be a num"),
        ("optimizer=muon optimizer.adamw_lr=0", r"optimizer.adamw_lr=0: must be a number in \(0,"),
        ("trainer.precision=8", "trainer.precision=8: must be one of auto"),
        ("callbacks=[ema,swa]", "ema and swa average the same weights; choose one"),
        (
            "callbacks=hard_examples callbacks.hard_examples.share=0",
            r"share=0: must be .* \(0, 1\]",
        ),
        ("callbacks=freeze", r"freeze.parameters=\[\]: must be names of parameters, one or more"),
        ("callbacks=ema callbacks.ema.decay=1", r"ema.decay=1: must be a number in \[0, 1\)"),
        ("callbacks=ema callbacks.ema.update_every_n_steps=0", "must be a whole number, 1 or more"),
        ("callbacks=swa callbacks.swa.start_epoch=0", "must be a whole number, 1 or more"),
        ("callbacks=swa max_epochs=5", "start_epoch=6: nothing would be averaged.*max_epochs=5"),
        ("callbacks.early_stopping.monitor=test/acc", "may only be steered by validation"),
    ],
)
def test_refused(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_config(plain(*override.split()))


def test_accepted() -> None:
    for override in (
        "dropout=0",
        "dropout=0.999",
        "data.val_size=1000",
        "seed=12345",
        "name=0",
        "sweep=0",
        "name=a/b",
    ):
        check_config(plain(override))
