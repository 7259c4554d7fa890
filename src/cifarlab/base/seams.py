"""Where torch, Lightning, Hydra and trackio are held by what they do not offer in public, and why.

A new version of theirs may break any of this and nothing else; tests/test_seams.py would tell, and
pyproject.toml has the versions up to which it is known to hold. Whatever is large is imported by
its caller, so that this module stays light.
"""

import inspect
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import WeightAveraging
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch import Generator, Tensor
    from torch.optim.swa_utils import AveragedModel
    from torch.utils.tensorboard import SummaryWriter
    from torch.utils.tensorboard.writer import FileWriter

STEP_HOOKS = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip


def list_options_once() -> None:
    """Let Hydra list groups and their options, for ``--help``, from one copy of its sources. By
    itself (1.3) it makes a copy, of all that is stored in them, each time it looks into a group:
    140 of them, half of the time that the answer takes."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    name = "_parse_overrides_and_create_caching_repo"
    make = getattr(ConfigLoaderImpl, name)
    of_lists: dict[ConfigLoaderImpl, Any] = {}

    def once(self: ConfigLoaderImpl, config_name: str | None, overrides: list[str]) -> Any:
        if config_name is not None or overrides:  # a configuration is composed
            return make(self, config_name, overrides)
        if self not in of_lists:
            of_lists[self] = make(self, config_name, overrides)
        return of_lists[self]

    setattr(ConfigLoaderImpl, name, once)


def standard_gamma(concentration: "Tensor", generator: "Generator | None") -> "Tensor":
    """Draws of Gamma(concentration, 1). ``torch.distributions.Gamma`` draws them in the same way,
    but takes no generator, and each image must have its own draws whatever else draws."""
    import torch

    return torch._standard_gamma(concentration, generator)


def skip_idle_hooks(parts: "Iterable[Callback | LightningModule]") -> None:
    """Let Lightning pass over those hooks of a training step that callbacks and modules have not
    their own of. It calls what can be called, and a call of nothing takes one or two microseconds,
    sixty times a step.

    ``ModelCheckpoint`` (2.6) has one, which does something only if steps or seconds between two
    checkpoints were given; it keeps them under private names.
    """
    from lightning.pytorch import Callback, LightningModule
    from lightning.pytorch.callbacks import ModelCheckpoint

    for part in parts:
        kind, base = type(part), Callback if isinstance(part, Callback) else LightningModule
        idle = [hook for hook in STEP_HOOKS if getattr(kind, hook) is getattr(base, hook)]
        if (
            isinstance(part, ModelCheckpoint)
            and kind.on_train_batch_end is ModelCheckpoint.on_train_batch_end
            and part._every_n_train_steps < 1
            and part._train_time_interval is None
        ):
            idle.append("on_train_batch_end")
        for hook in idle:
            vars(part).setdefault(hook, None)


def average_of(callback: "WeightAveraging") -> "AveragedModel | None":
    """The average that Lightning's callback keeps, which its hooks reach only by this name;
    ``None`` before ``setup``."""
    return callback._average_model


def go_on_by_epochs(trainer: "Trainer") -> None:
    """Let a run with ``max_steps`` go on like any other. Lightning (2.6) takes one for cut off
    within an epoch even where it was between two, and passes over the steps of the next."""
    vars(trainer.fit_loop)["_iteration_based_training"] = lambda: False


def purge_from(logger: "TensorBoardLogger", step: int) -> None:
    """Let TensorBoard forget what was logged at ``step`` or later. The option is one of the
    logger's constructor, and the step is known only when the logger is already there."""
    logger._kwargs["purge_step"] = step


def file_writer(writer: "SummaryWriter") -> "FileWriter":
    """What takes a finished summary, opened again if it was closed: ``writer.file_writer`` is
    ``None`` then, and ``add_hparams`` makes a folder and a metric of its own."""
    return writer._get_file_writer()


def keep_trackio_local() -> None:
    """Keep trackio (0.43) from asking the Hub, of whoever has logged in there, for the user's name,
    which it puts into the configuration of a run."""
    import trackio.run

    vars(trackio.run).update(_get_default_namespace=lambda: None)


def log_to_trackio(run: Any, figures: Mapping[str, float], step: int) -> None:
    """Have a run of trackio note figures, and write them before this returns where trackio writes
    into a file itself. By itself it writes later in a thread, drops what it cannot write, and says
    so in a Python warning.

    Raises ``OSError`` with what trackio would have warned of.
    """
    run._warned_failures.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run.log(dict(figures), step=step)
        if run._is_local:
            with run._client_lock:
                run._flush_queues_inline()
    if run._warned_failures:
        told = [str(warning.message) for warning in said] or sorted(run._warned_failures)
        raise OSError(told[0])


def compile_errors() -> type[Exception]:
    """What ``torch.compile`` raises where it cannot compile: the compilers' own errors are of this
    class, too. Imported only where something was compiled, since it takes a second."""
    from torch._dynamo.exc import TorchDynamoException

    return TorchDynamoException


def is_refused_call(error: BaseException) -> bool:
    """Whether ``hydra.utils.instantiate`` failed because a target does not take the arguments that
    the configuration has for it, and not because of what the target did with them.

    Hydra's error names the target in its text only. The call itself is the first frame of the
    traceback of the error's cause.
    """
    cause = error.__cause__
    if not isinstance(cause, TypeError) or cause.__traceback__ is None:
        return False
    call: dict[str, Any] = cause.__traceback__.tb_frame.f_locals
    try:
        signature = inspect.signature(call["_target_"])
    except (KeyError, TypeError, ValueError):  # Hydra has changed, or a target without signature
        return False
    try:
        signature.bind(*call["args"], **call["kwargs"])
    except TypeError:
        return True
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
    return unexpected is not None and unexpected[1] in call["kwargs"]  # which it has passed on
