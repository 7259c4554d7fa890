"""The configuration of one run, plain and resolved, as ``conf/run.yaml`` and the groups make it.

Each key stands here or, of what a group offers, in ``cifarlab.base.arguments``, with the kind of
its values. From both a configuration is checked, ``--help`` tells the kinds,
``docs/configuration.md`` is written and tests draw settings.
"""

from typing import Any, Literal, NotRequired, TypedDict

from cifarlab.base.kinds import (
    BelowOne,
    Count,
    Devices,
    Folder,
    Inside,
    Name,
    Positive,
    Seed,
    Share,
    Time,
    Whole,
)
from cifarlab.base.options import CompileMode, Monitor, Precision, TTAViews

Options = dict[str, Any]  # ``_target_`` and the arguments of the class that it names


class TrainerOptions(TypedDict):
    """Of ``lightning.pytorch.Trainer``: those that a run may have; ``compile`` is ours."""

    _target_: str
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"]
    devices: Devices | Count
    num_nodes: Count
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
    precision: Precision
    max_epochs: Count
    max_time: Time | None
    gradient_clip_val: Positive | None
    accumulate_grad_batches: Count
    deterministic: bool | Literal["warn"]
    compile: Literal[False] | CompileMode
    log_every_n_steps: Count
    gradient_clip_algorithm: NotRequired[Literal["norm", "value"] | None]
    limit_train_batches: NotRequired[Count | Share | None]
    limit_val_batches: NotRequired[Count | Share | None]
    overfit_batches: NotRequired[Whole | BelowOne]
    min_epochs: NotRequired[Count | None]
    check_val_every_n_epoch: NotRequired[Count]
    max_steps: NotRequired[Count | Literal[-1]]
    sync_batchnorm: NotRequired[bool]
    detect_anomaly: NotRequired[bool]
    profiler: NotRequired[Literal["simple", "advanced", "pytorch"] | None]


class RunConfig(TypedDict):
    """Of ``python train.py``. Folders of earlier versions may lack keys."""

    seed: Seed
    weights: str | None
    dropout: BelowOne | None
    batch_size: Count
    max_epochs: Count
    label_smoothing: BelowOne
    decay_all: bool
    evaluation: bool
    tta: TTAViews | None
    target: Inside | None
    monitor: Monitor
    name: Name
    output_root: Folder
    init_from: str | None
    resume: str | None
    sweep: Name | None
    lr_find: bool
    fresh: bool
    fail_fast: bool
    dry_run: bool
    tags: list[str | int]
    notes: str | None
    jobs_per_gpu: Count
    data: Options
    model: Options
    optimizer: Options
    scheduler: Options
    aug: dict[str, Options]
    transfer: Options
    loss: Options
    trainer: TrainerOptions
    callbacks: dict[str, Options]
    metrics: dict[str, Options]
    logger: dict[str, Options]
    code: NotRequired[dict[str, dict[str, str]]]
    study: NotRequired[dict[str, Any]]
    ablation: NotRequired[dict[str, Any]]
    choices: dict[str, Any]
    overrides: list[str]
