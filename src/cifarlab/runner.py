"""One run: build, fit, evaluate, write the record.

A run is a folder. With ``result.json`` it is finished and never done again; without, it goes on from
``checkpoints/last.ckpt`` if there is one.
"""

import logging
import shutil
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerStatus
from omegaconf import DictConfig, OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from cifarlab import hardware
from cifarlab.callbacks import Curves, EarlyStopping, EpochRecorder, ProgressBar, SeedEachStep
from cifarlab.checkpoint import BEST, LAST, AtomicCheckpointIO, build_net, check_fits
from cifarlab.checkpoint import load_weights, net_weights, read_checkpoint
from cifarlab.data.datamodule import CIFAR10DataModule
