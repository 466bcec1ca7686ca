"""Connectionist temporal classification: the likelihood of labels over all alignments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...creation import as_tensor
from ...functions.casting import in_float32
from ...functions.pointwise import where
from ...functions.shape import stack
from ...tensor import Tensor
from .padding import pad


def _lengths(lengths: Any) -> np.ndarray:
    if isinstance(lengths, Tensor):
        return np.atleast_1d(lengths.numpy()).astype(np.int64)
    return np.atleast_1d(np.asarray(lengths, np.int64))


def _labels(targets: Tensor, sizes: np.ndarray, blank: int) -> np.ndarray:
    """Targets (N, S) or one after the other, as (N, 2 S + 1) with a blank around each label."""
    array = targets.numpy()
    rows = np.full((len(sizes), 2 * int(sizes.max(initial=0)) + 1), blank, np.int64)
    start = 0
    for i, n in enumerate(sizes):
        own = array[i, :n] if array.ndim == 2 else array[start : start + n]
        rows[i, 1 : 2 * n : 2] = own
        start += int(n)
    return rows


def _log_add(terms: list[Tensor]) -> Tensor:
    """log(sum(e^term)); -inf where all are, without a NaN in the gradient."""
    x = stack(terms)
    top = x.detach().amax(0)
    top = where(top == -math.inf, 0.0, top)
    total = (x - top).exp().sum(0)
    empty = total == 0
    return where(empty, -math.inf, where(empty, 1.0, total).log() + top)


@in_float32
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """-log of the probability of labels (Graves et al., 2006): log_probs (T, N, C), targets (N, S)
    or all in a row; the forward recursion over places in the labels with blanks between."""
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
    steps, sizes = _lengths(input_lengths), _lengths(target_lengths)
    if not batched and targets.dim() == 1:
        targets = targets.unsqueeze(0)
    n = log_probs.size(1)
    if len(steps) != n or len(sizes) != n:
        raise RuntimeError(
            f"Expected tensor to have size at least {n} at dimension 0, but got sizes "
            f"{len(steps)} of input_lengths and {len(sizes)} of target_lengths"
        )
    if steps.max(initial=0) > log_probs.size(0):
        raise RuntimeError("Expected input_lengths to have value at most "
                           f"{log_probs.size(0)}, but got value {steps.max()}")  # fmt: skip
    rows = _labels(targets, sizes, blank)
    width = rows.shape[1]
    # A label may be entered past the blank before it unless it repeats the label before that.
    skips = np.zeros(rows.shape, bool)
    skips[:, 2:] = (rows[:, 2:] != blank) & (rows[:, 2:] != rows[:, :-2])
    start = np.full((n, width), -np.inf, np.float32)
    start[:, 0] = 0
    start[sizes > 0, 1:2] = 0
    labels, may_skip = as_tensor(rows), as_tensor(skips)
    alpha = as_tensor(start).to(log_probs.dtype) + log_probs[0].gather(1, labels)
    living = as_tensor(np.arange(log_probs.size(0))[:, None] < steps)
    for t in range(1, log_probs.size(0)):
        one = pad(alpha, (1, -1), value=-math.inf)
        two = pad(alpha, (2, -2), value=-math.inf) if width > 1 else one
        moved = _log_add([alpha, one, where(may_skip, two, -math.inf)])
        new = moved + log_probs[t].gather(1, labels)
        alpha = where(living[t].unsqueeze(1), new, alpha)
    last = alpha.gather(1, as_tensor((2 * sizes)[:, None]))
    before = alpha.gather(1, as_tensor(np.maximum(2 * sizes - 1, 0)[:, None]))
    some = as_tensor((sizes > 0)[:, None])
    loss = -_log_add([last, where(some, before, -math.inf)]).squeeze(1)
    if zero_infinity:
        loss = where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        counts = as_tensor(np.maximum(sizes, 1)).to(loss.dtype)
        return (loss / counts).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)
