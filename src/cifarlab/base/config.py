"""The configuration of one run as code reads it, plain and resolved; see ``conf/run.yaml``."""

from typing import Any, TypedDict

Options = dict[str, Any]  # ``_target_`` and the arguments of the class that it names


class TrainerOptions(TypedDict):
    """Of ``lightning.pytorch.Trainer``; any other of its options may be there, too."""

    _target_: str
    accelerator: str
    devices: int | list[int]
    num_nodes: int
    strategy: str
    precision: str
    max_epochs: int
    max_time: str | None
    gradient_clip_val: float | None
    accumulate_grad_batches: int
    deterministic: bool
    log_every_n_steps: int


class RunConfig(TypedDict):
    """Of ``python train.py``. Folders of earlier versions may lack keys."""

    seed: int
    weights: str | None
    dropout: float | None
    batch_size: int
    max_epochs: int
    label_smoothing: float
    decay_all: bool
    evaluation: bool
    tta: str | None
    name: str
    output_root: str
    resume: str | None
    sweep: str | None
    fresh: bool
    fail_fast: bool
    jobs_per_gpu: int
    data: Options
    model: Options
    optimizer: Options
    scheduler: Options
    aug: dict[str, Options]
    transfer: Options
    trainer: TrainerOptions
    callbacks: dict[str, Options] | None
    logger: Options | None
    study: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
