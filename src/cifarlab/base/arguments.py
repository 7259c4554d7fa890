"""What the options of the config groups take: the arguments of each class that a ``_target_`` of
ours names, with the kind of their values. See ``cifarlab.base.config``."""

from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

from annotated_types import Ge, Interval, Len, Predicate, doc

from cifarlab.base.config import Options, TrainerOptions
from cifarlab.base.kinds import (
    BelowOne,
    Betas,
    Count,
    Decay,
    Ends,
    Folder,
    Inside,
    NotNegative,
    Odd,
    Phases,
    Positive,
    Probability,
    Seed,
    Share,
    Shares,
    SixNPlusFour,
    Whole,
    differ,
)
from cifarlab.base.options import Monitor, Normalization, Resize, Split, Validation

Activation = Literal["relu", "tanh", "leaky_relu", "silu", "gelu", "none"]
Init = Literal["default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"]
Widths = list[Count]
Classes = Annotated[
    list[str | int], Len(2), Predicate(differ), doc("two different classes or more")
]


class Data(TypedDict):
    cache_dir: Folder
    val_size: Positive
    split: Split
    split_seed: Seed
    folds: Annotated[int, Interval(ge=2)] | None
    fold: Whole
    validation: Validation
    classes: Classes | None
    sampling: Literal["balanced"] | None
    drop_last: bool
    fraction: Share
    channels: Literal[1, 3]
    normalize: Normalization
    batch_size: Count
    eval_batch_size: Count
    seed: Seed
    augment: Options
    name: str
    source: Options
    root: NotRequired[Folder]
    url: NotRequired[str | None]
    image_size: NotRequired[Count | None]
    resize: NotRequired[Resize]
    test_size: NotRequired[Inside]
    test_seed: NotRequired[Seed]
    num_train: NotRequired[Count]
    num_test: NotRequired[Count]


class Published(TypedDict, total=False):
    root: Folder
    url: str | None


class ImageFolder(TypedDict, total=False):
    root: Folder
    image_size: Count | None
    resize: Resize
    test_size: Inside
    test_seed: Seed


class Synthetic(TypedDict, total=False):
    num_train: Count
    num_test: Count


class Block(TypedDict, total=False):
    filters: Required[Count]
    kernel: Count
    padding: Whole | None
    pool: Literal["max", "avg"] | None
    batchnorm: bool | None
    activation: Activation | None


class ConvNet(TypedDict, total=False):
    blocks: Required[list[Block]]
    hidden: Widths
    dropout: BelowOne | None
    dropout_after: list[Literal["pool", "hidden", "conv"]]
    activation: Activation
    batchnorm: bool
    head_batchnorm: bool
    pool_first: bool
    downsample: Literal["pool", "stride"]
    adaptive_pool: Count | None
    init: Init


class MLP(TypedDict, total=False):
    hidden: Widths
    dropout: BelowOne | None
    activation: Activation
    batchnorm: bool
    init: Init


class ResNet(TypedDict, total=False):
    widths: Annotated[Widths, Len(1)]
    depths: Annotated[Widths, Len(1)]
    dropout: BelowOne | None
    init: Init


class PreActResNet(ResNet, total=False):
    stem: Count


class WideResNet(TypedDict, total=False):
    depth: SixNPlusFour
    widen: Count
    dropout: BelowOne | None
    init: Init


class DenseNet(TypedDict, total=False):
    depth: SixNPlusFour
    growth: Count
    dropout: BelowOne | None
    init: Init


class VGG(TypedDict, total=False):
    depth: Literal[11, 13, 16, 19]
    hidden: Widths
    weights: str | None
    resize: Count | None
    dropout: BelowOne | None
    init: Init


class Pretrained(TypedDict, total=False):
    name: Required[str]
    weights: str | None
    resize: Count | None
    dropout: BelowOne | None


class SpeedNet(TypedDict, total=False):
    widths: Annotated[Widths, Len(1)]
    whitening: Annotated[int, Interval(ge=2, le=8)] | None
    identity: bool
    activation: Activation
    norm_scale: bool
    norm_momentum: Share
    dropout: BelowOne | None


class Optimizer(TypedDict):
    lr: Positive


class SGD(Optimizer, total=False):
    momentum: BelowOne
    dampening: BelowOne
    nesterov: bool
    weight_decay: Decay
    foreach: bool | None
    fused: bool | None


class Adam(Optimizer, total=False):
    betas: Betas
    eps: Positive
    weight_decay: Decay
    amsgrad: bool
    foreach: bool | None
    fused: bool | None


class ASGD(Optimizer, total=False):
    lambd: Decay
    alpha: Annotated[float, Interval(ge=0, le=1)]
    t0: NotNegative
    weight_decay: Decay
    foreach: bool | None


class RMSprop(Optimizer, total=False):
    alpha: BelowOne
    eps: Positive
    momentum: BelowOne
    centered: bool
    weight_decay: Decay
    foreach: bool | None


class Muon(Optimizer, total=False):
    adamw_lr: Positive
    momentum: BelowOne
    nesterov: bool
    ns_steps: Annotated[int, Interval(ge=1, le=99)]
    adjust_lr_fn: Literal["original", "match_rms_adamw", "spectral_unclamped"]
    adamw_betas: Betas
    adamw_bias_lr: Positive | None
    normalize: bool
    weight_decay: Decay


class Nothing(TypedDict):
    pass


class Step(TypedDict, total=False):
    every: Count
    gamma: Share


class Cosine(TypedDict, total=False):
    final_lr: NotNegative
    warmup_epochs: NotNegative


class Linear(TypedDict, total=False):
    final_factor: BelowOne
    warmup_epochs: NotNegative


class OneCycle(TypedDict, total=False):
    max_lr: Positive | None
    pct_start: Inside
    div_factor: Annotated[float, Interval(ge=1, le=1e30)]
    final_div_factor: Positive


class Triangular(TypedDict, total=False):
    base_factor: BelowOne
    half_cycle: Positive


class Plateau(TypedDict, total=False):
    factor: Inside
    patience: Whole
    min_lr: NotNegative
    threshold: BelowOne


class Chance(TypedDict, total=False):
    p: Probability


class RandomCrop(TypedDict, total=False):
    padding: Whole


class RandomShift(TypedDict, total=False):
    pixels: Whole


class AlternatingFlip(TypedDict, total=False):
    alternate: bool


class ProgressiveResize(TypedDict, total=False):
    sizes: Required[
        Annotated[list[Annotated[int, Ge(2)]], Len(1)]
    ]  # torch (2.15) resizes to none of 1
    from_epochs: Required[Phases]


class Rotation(TypedDict, total=False):
    degrees: Annotated[float, Interval(ge=0, le=180)]


class GaussianNoise(TypedDict, total=False):
    sigma: NotNegative


class GaussianBlur(Chance, total=False):
    kernel: Odd
    sigma: Ends


class Cutout(Chance, total=False):
    size: Whole


class ColorJitter(Chance, total=False):
    brightness: NotNegative
    contrast: NotNegative
    saturation: NotNegative
    hue: Annotated[float, Interval(ge=0, le=0.5)]


class RandomErasing(Chance, total=False):
    scale: Shares
    ratio: Ends
    value: Annotated[int, Interval(ge=0, le=255)] | Literal["random"]


class RandAugment(TypedDict, total=False):
    num_ops: Whole
    magnitude: Annotated[int, Interval(ge=0, le=30)]


class AugMix(TypedDict, total=False):
    severity: Annotated[int, Interval(ge=1, le=10)]
    width: Count
    depth: Count | Literal[-1]
    alpha: Positive


class Mix(Chance, total=False):
    alpha: Positive


class EarlyStopping(TypedDict, total=False):
    monitor: Required[Monitor]
    mode: Literal["min", "max"]
    patience: Count
    min_delta: NotNegative
    from_epoch: Count


class KeepBest(TypedDict, total=False):
    monitor: Monitor
    mode: Literal["min", "max"]
    save_top_k: Count | Literal[-1]
    every_n_epochs: Count


class EMA(TypedDict, total=False):
    decay: BelowOne
    update_every_n_steps: Count
    update_starting_at_step: Whole


class SWA(TypedDict, total=False):
    start_epoch: Count


class Freeze(TypedDict, total=False):
    parameters: Required[Annotated[list[str], Len(1), doc("names of parameters, one or more")]]
    from_epoch: Count


class HardExamples(TypedDict, total=False):
    share: Share
    from_epoch: Count
    skips: Count


class Lookahead(TypedDict, total=False):
    decay: BelowOne
    update_every_n_steps: Count


class RecordDataMap(TypedDict, total=False):
    pass


class TensorBoard(TypedDict, total=False):
    images_every: Count | None
    graph: bool


class Wandb(TypedDict, total=False):
    project: str
    mode: Literal["offline", "online"]


class MLflow(TypedDict, total=False):
    uri: Required[str]
    project: str


class Trackio(TypedDict, total=False):
    dir: Required[Folder]
    project: str


ClassWeights = list[NotNegative] | Literal["balanced"] | None


class CrossEntropy(TypedDict, total=False):
    label_smoothing: BelowOne
    class_weights: ClassWeights


class Focal(TypedDict, total=False):
    gamma: NotNegative
    class_weights: ClassWeights


class SquaredError(TypedDict, total=False):
    of: Literal["logits", "probabilities"]
    class_weights: ClassWeights


class Distillation(TypedDict, total=False):
    teacher: str | None
    temperature: Positive
    alpha: Annotated[float, Interval(ge=0, le=1)]
    class_weights: ClassWeights


class Transfer(TypedDict, total=False):
    last_block_from: Count | None
    backbone_from: Count | None
    last_block_lr: Positive
    backbone_lr: Positive
    cache_features: bool


SCHEMAS: dict[str, Any] = {  # arguments of what ``_target_`` may name; others' are their own affair
    "lightning.pytorch.Trainer": TrainerOptions,
    "cifarlab.data.datamodule.CIFAR10DataModule": Data,
    "cifarlab.data.sources.CIFAR10": Published,
    "cifarlab.data.sources.CIFAR100": Published,
    "cifarlab.data.classics.SVHN": Published,
    "cifarlab.data.classics.FashionMNIST": Published,
    "cifarlab.data.classics.CINIC10": Published,
    "cifarlab.data.sources.ImageFolder": ImageFolder,
    "cifarlab.data.sources.Synthetic": Synthetic,
    "cifarlab.models.convnet.ConvNet": ConvNet,
    "cifarlab.models.mlp.MLP": MLP,
    "cifarlab.models.resnet.ResNet": ResNet,
    "cifarlab.models.preact.PreActResNet": PreActResNet,
    "cifarlab.models.preact.WideResNet": WideResNet,
    "cifarlab.models.densenet.DenseNet": DenseNet,
    "cifarlab.models.vgg.VGG": VGG,
    "cifarlab.models.pretrained.Torchvision": Pretrained,
    "cifarlab.models.pretrained.Timm": Pretrained,
    "cifarlab.models.speednet.SpeedNet": SpeedNet,
    "torch.optim.SGD": SGD,
    "torch.optim.Adam": Adam,
    "torch.optim.AdamW": Adam,
    "torch.optim.ASGD": ASGD,
    "torch.optim.RMSprop": RMSprop,
    "cifarlab.lit.muon.Muon": Muon,
    "cifarlab.lit.optim.constant": Nothing,
    "cifarlab.lit.optim.step": Step,
    "cifarlab.lit.optim.cosine": Cosine,
    "cifarlab.lit.optim.linear": Linear,
    "cifarlab.lit.optim.onecycle": OneCycle,
    "cifarlab.lit.optim.triangular": Triangular,
    "cifarlab.lit.optim.plateau": Plateau,
    "cifarlab.data.augment.HFlip": Chance,
    "cifarlab.data.augment.RandomCrop": RandomCrop,
    "cifarlab.data.augment.RandomShift": RandomShift,
    "cifarlab.data.augment.Rotation": Rotation,
    "cifarlab.data.augment.GaussianNoise": GaussianNoise,
    "cifarlab.data.augment.GaussianBlur": GaussianBlur,
    "cifarlab.data.augment.Cutout": Cutout,
    "cifarlab.data.colour.Grayscale": Chance,
    "cifarlab.data.colour.ColorJitter": ColorJitter,
    "cifarlab.data.erasing.RandomErasing": RandomErasing,
    "cifarlab.data.policies.RandAugment": RandAugment,
    "cifarlab.data.policies.TrivialAugment": Nothing,
    "cifarlab.data.policies.AugMix": AugMix,
    "cifarlab.data.scheduled.AlternatingFlip": AlternatingFlip,
    "cifarlab.data.mixing.MixUp": Mix,
    "cifarlab.data.mixing.CutMix": Mix,
    "cifarlab.callbacks.EarlyStopping": EarlyStopping,
    "cifarlab.callbacks.KeepBest": KeepBest,
    "cifarlab.callbacks.EMA": EMA,
    "cifarlab.callbacks.SWA": SWA,
    "cifarlab.callbacks.KeepZeros": Nothing,
    "cifarlab.callbacks.Freeze": Freeze,
    "cifarlab.callbacks.HardExamples": HardExamples,
    "cifarlab.callbacks.Lookahead": Lookahead,
    "cifarlab.callbacks.ProgressiveResize": ProgressiveResize,
    "cifarlab.callbacks.RecordDataMap": RecordDataMap,
    "cifarlab.callbacks.TensorBoard": TensorBoard,
    "cifarlab.callbacks.CSV": Nothing,
    "cifarlab.callbacks.Wandb": Wandb,
    "cifarlab.callbacks.MLflow": MLflow,
    "cifarlab.callbacks.Trackio": Trackio,
    "cifarlab.lit.losses.CrossEntropy": CrossEntropy,
    "cifarlab.lit.losses.Focal": Focal,
    "cifarlab.lit.losses.SquaredError": SquaredError,
    "cifarlab.lit.distillation.Distillation": Distillation,
    "cifarlab.lit.ImageClassifier": Nothing,
    "cifarlab.lit.TransferClassifier": Transfer,
}
