"""Adaptive softmax: frequent classes directly, rare ones by way of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...functions.pointwise import where
from ...functions.shape import cat
from ...tensor import Tensor
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """log-probabilities of n_classes classes in clusters that end at `cutoffs` (Grave et al.,
    2017); classes are numbered from frequent to rare, cluster i has 1 / div_value^i of the
    features."""

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
        head_bias: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        ends = list(cutoffs)
        if len(ends) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            ends != sorted(set(ends))
            or min(ends) <= 0
            or max(ends) > n_classes - 1
            or any(int(c) != c for c in ends)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            narrow = Linear(in_features, width, bias=False, **made)
            self.tail.append(Sequential(narrow, Linear(width, size, bias=False, **made)))

    def reset_parameters(self) -> None:
        """All maps as at the start."""
        self.head.reset_parameters()
        for narrow, wide in self.tail:
            narrow.reset_parameters()
            wide.reset_parameters()

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities (N, n_classes) of inputs (N, in_features)."""
        head = F.log_softmax(self.head(input), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            own = head[:, self.shortlist_size + i : self.shortlist_size + i + 1]
            parts.append(F.log_softmax(cluster(input), 1) + own)
        return cat(parts, 1)

    def forward(self, input: Tensor, target: Tensor) -> _ASMoutput:
        """(log-probabilities of the targets, their negative mean)."""
        batched = target.dim() > 0
        if batched and input.size(0) != target.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        x = input if batched else input.unsqueeze(0)
        y = target if batched else target.unsqueeze(0)
        output = self.log_prob(x).gather(1, y.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def predict(self, input: Tensor) -> Tensor:
        """The class of highest probability."""
        head = self.head(input)
        best = head.argmax(1)
        return where(best < self.shortlist_size, best, self.log_prob(input).argmax(1))
