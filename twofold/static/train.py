"""`tf.train`: optimizers, checkpoints, schedules."""

from .optimizers import (
    AdadeltaOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    ExponentialMovingAverage,
    FtrlOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    RMSPropOptimizer,
    create_global_step,
    exponential_decay,
    get_global_step,
    get_or_create_global_step,
    global_step,
    piecewise_constant,
)
from .saver import Saver, checkpoint_exists, latest_checkpoint

__all__ = [
    "AdadeltaOptimizer", "AdagradOptimizer", "AdamOptimizer", "ExponentialMovingAverage",
    "FtrlOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "Optimizer",
    "RMSPropOptimizer", "Saver", "checkpoint_exists", "create_global_step", "exponential_decay",
    "get_global_step", "get_or_create_global_step", "global_step", "latest_checkpoint",
    "piecewise_constant",
]  # fmt: skip
