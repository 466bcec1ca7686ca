"""torch.autograd.forward_ad: tangents that travel with values.

A dual tensor is its primal under a node of its own; what depends on it is differentiated when its
tangent is asked for, by a pullback of a pullback (see `derivatives.py`).
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

from ..autograd.reverse import grad_mode
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops.custom import identity
from ..tensor import Tensor, wrap
from .derivatives import pushforward
from .tracing import dependents, rebuild


class UnpackedDualTensor(NamedTuple):
    """A primal and its tangent, None where there is none."""

    primal: Tensor
    tangent: Tensor | None


class dual_level:
    """Within the block tensors can be made dual; at its end tangents are forgotten.

    >>> import twofold as tf
    >>> with dual_level():
    ...     y = make_dual(tf.tensor(0.0), tf.tensor(2.0)).sin()
    ...     unpack_dual(y).tangent
    tensor(2.)
    """

    def __init__(self) -> None:
        self.duals: list[tuple[Node, Node, Node]] = []  # dual, primal, tangent

    def __enter__(self) -> dual_level:
        if _levels:
            raise RuntimeError(
                "Nested forward mode AD is not supported at the moment; try twofold.func.jvp"
            )
        _levels.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        _levels.remove(self)


_levels: list[dual_level] = []


def enter_dual_level() -> int:
    """Begin a level, to be ended by `exit_dual_level`."""
    dual_level().__enter__()
    return 0


def exit_dual_level(*, level: Any = None) -> None:
    """End the level."""
    _current("exit_dual_level").__exit__(None, None, None)


def _current(name: str) -> dual_level:
    if not _levels:
        raise RuntimeError(
            f"Trying to use {name} but no dual level exists. Make sure to enter_dual_level() first."
        )
    return _levels[-1]


def make_dual(tensor: Tensor, tangent: Tensor, *, level: Any = None) -> Tensor:
    """`tensor` with a tangent."""
    current = _current("make_dual")
    if not tensor.is_floating_point():
        raise ValueError(
            f"Expected primal to be floating point or complex, but got: {tensor.dtype}"
        )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"Expected tangent to have the shape {tensor.shape} of its primal; got {tangent.shape}"
        )
    with grad_mode(True):
        node = tensor._node()
        dual = identity(node) if node.requires_grad else ew.variable(node)
        current.duals.append((dual, node, tangent._node()))
        return wrap(dual)


def unpack_dual(tensor: Tensor, *, level: Any = None) -> UnpackedDualTensor:
    """The primal and the tangent of a tensor."""
    duals = _levels[-1].duals if _levels else []
    node = tensor._node()
    known = {id(d): d for d, _, _ in duals}
    if id(node) in known:
        return next(UnpackedDualTensor(wrap(p), wrap(t)) for d, p, t in duals if d is node)
    if not dependents([node], known):
        return UnpackedDualTensor(tensor, None)
    (pushed,) = pushforward([node], [d for d, _, _ in duals], [t for _, _, t in duals])
    plain = rebuild([node, pushed], [(d, p) for d, p, _ in duals if d is not p])
    return UnpackedDualTensor(*map(wrap, plain))
