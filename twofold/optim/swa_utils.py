"""Averages of weights over training: averaged models, and the schedule that goes with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from ..autograd_api import no_grad
from ..creation import tensor
from ..dtypes import int64
from ..engine import flush
from ..nn.modules.batchnorm import _BatchNorm
from ..nn.modules.module import Module
from ..tensor import Tensor
from .lr_scheduler import LRScheduler, _each
from .optimizer import Optimizer


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """The function (average, current, number) -> decay * average + (1 - decay) * current."""
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] "
                         "range.")  # fmt: skip

    @no_grad()
    def average(mean: Tensor, current: Tensor, count: Any) -> Tensor:
        return decay * mean + (1 - decay) * current

    return average


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """The function (average, current, number) -> the mean of number + 1 models."""

    @no_grad()
    def average(mean: Tensor, current: Tensor, count: Any) -> Tensor:
        return mean + (current - mean) / (count + 1)

    return average


def _over_lists(one: Callable[..., Tensor]) -> Callable[..., None]:
    """An average of one tensor as an average of lists, written to the first."""

    @no_grad()
    def average(means: list[Tensor], currents: list[Tensor], count: Any) -> None:
        for mean, current in zip(means, currents):
            mean.copy_(one(mean, current, count))

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """`get_ema_avg_fn` for lists."""
    return _over_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """`get_swa_avg_fn` for lists."""
    return _over_lists(get_swa_avg_fn())


class AveragedModel(Module):
    """A model whose weights are the average of another's, taken at each `update_parameters`.

    `avg_fn(average, current, number)` or `multi_avg_fn(averages, currents, number)` says which
    average; the plain mean unless given (Izmailov et al., 2018).
    """

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Callable[..., Tensor] | None = None,
        multi_avg_fn: Callable[..., None] | None = None, use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", tensor(0, dtype=int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def _tensors(self, model: Module) -> list[Tensor]:
        buffers = model.buffers() if self.use_buffers else []
        return list(itertools.chain(model.parameters(), buffers))

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's weights into the average."""
        means, currents = self._tensors(self.module), self._tensors(model)
        count = self.n_averaged.item()
        if count == 0:
            for mean, current in zip(means, currents):
                mean.copy_(current)
        elif self.multi_avg_fn is None and self.avg_fn is None:
            get_swa_multi_avg_fn()(means, currents, count)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(means, currents, count)
        else:
            assert self.avg_fn is not None
            _over_lists(self.avg_fn)(means, currents, count)
        if not self.use_buffers:
            for mean, current in zip(self.module.buffers(), model.buffers()):
                mean.copy_(current)
        self.n_averaged.add_(1)
        flush()


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Let the running statistics of batch normalisations be the means over a loader's batches."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return
    momenta = {m: m.momentum for m in norms}
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    was_training = model.training
    model.train()
    for batch in loader:
        model(batch[0] if isinstance(batch, (list, tuple)) else batch)
        flush()
    for m, momentum in momenta.items():
        m.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Rates that go to swa_lr in anneal_epochs steps, by cosine or linearly, and stay."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10,
        anneal_strategy: str = "cos", last_epoch: int = -1,
    ) -> None:  # fmt: skip
        rates = _each(swa_lr, len(optimizer.param_groups), "swa_lr")
        for lr, group in zip(rates, optimizer.param_groups):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, t: float) -> float:
        if self._anneal_strategy == "linear":
            return t
        return (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        """The rates at this step."""
        step = self._step_count - 1
        whole = max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self._share(max(0, min(1, (step - 1) / whole)))
        now = self._share(max(0, min(1, step / whole)))
        rates = []
        for group, lr in zip(self.optimizer.param_groups, self._rates()):
            target = group["swa_lr"]
            # The rate from which the path to swa_lr began.
            start = target if before == 1 else (lr - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates
