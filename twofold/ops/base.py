"""The class of all primitives, and their registry.

A primitive states, in one place: its shape and dtype rule (`infer`), its gradient, its batching
rule, its NumPy reference, and a docstring with its formula. Families (`elementwise.py`,
`reduce.py`, ...) supply most of these. A class that lacks one cannot be registered: the import
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import InternalError
from ..graph import node as graph
from ..graph.node import Node
from ..graph.types import Type

AnyOp = TypeVar("AnyOp", bound="Op")

registry: dict[str, Op] = {}
"""Every primitive by name."""


class Op:
    """A primitive. Subclass it, set `name`, `params` and the members below, and `register` an
    instance.

    `params` names the attributes, in order. `kind` tells the compiler how it is run: "elementwise",
    "reduce", "movement", or the name of the template that implements it. `differentiable` is False
    where no gradient flows (comparisons, indices). `locates` records the user's line in each node,
    for ops whose inputs may be wrong only at run time. `has_body` says that the first attribute is
    a graph (see `body.py`). `is_bundle` says that only parts of the value
    are used (see `bundle.py`). `added` gives what attributes that older texts of graphs lack were
    then, from the others.

    `complex_rule` tells how complex values are split into real ones (`passes/complex.py`): "" if
    the op takes none; "parts" if it acts on each part alone; "product" if it is bilinear in its
    first two inputs; "holomorphic" or "mixed" if the pass has a formula of its own. Gradients of
    "product" and "holomorphic" ops are written as of real numbers, and conjugated where they are
    used (`autograd/reverse.py`); the others state PyTorch's convention themselves.
    """

    name: str = ""
    params: tuple[str, ...] = ()
    kind: str = ""
    differentiable: bool = True
    starts_gradient: bool = False
    locates: bool = False
    has_body: bool = False
    is_bundle: bool = False
    added: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {}
    complex_rule: str = ""

    infer: Callable[..., Type]
    gradient: Callable[..., Sequence[Node | None]]
    batch: Callable[..., Node]
    reference: Callable[..., np.ndarray]

    def read(self, attrs: tuple) -> tuple:
        """The attributes, from the values that their text stands for."""
        return attrs

    def __call__(self, *inputs: Node, **attrs: Any) -> Node:
        """The node of this op on `inputs`; attributes by name."""
        return graph.make(self, inputs, tuple(attrs[name] for name in self.params))

    def __repr__(self) -> str:
        return f"<op {self.name}>"


_MEMBERS = {
    "infer": "the shape and dtype rule: infer(types, attrs) -> Type",
    "gradient": "the gradient: gradient(node, g) -> a node or None for each input",
    "batch": "the batching rule: batch(inputs, batched, attrs, size) -> a node, batch first",
    "reference": "the NumPy reference: reference(arrays, attrs, type) -> array",
}


def register(op: AnyOp) -> AnyOp:
    """Put `op` into the registry; InternalError if a member is missing or the name is taken."""
    missing = [text for member, text in _MEMBERS.items() if not hasattr(op, member)]
    if not op.name or not op.kind:
        missing.append("a name and a kind")
    if not (op.__doc__ or "").strip() or op.__doc__ is Op.__doc__:
        missing.append("a docstring with the formula and the shapes")
    if missing:
        raise InternalError(f"[{op.name or type(op).__name__}] lacks " + "; ".join(missing))
    if op.name in registry:
        raise InternalError(f"[{op.name}] two primitives have this name")
    registry[op.name] = op
    return op


def get(name: str) -> Op:
    """The primitive called `name`."""
    return registry[name]


def no_gradient(node: Node, g: Node) -> tuple[None, ...]:
    """The gradient of an op through which none flows."""
    return (None,) * len(node.inputs)


def require_same_dtype(op: str, types: list[Type]) -> None:
    """RuntimeError unless all `types` have one dtype."""
    first = types[0].dtype
    for other in types[1:]:
        if other.dtype is not first:
            raise RuntimeError(
                f"[{op}] expected operands of one dtype; got {first} and {other.dtype}; "
                f"try .to({first})"
            )


def require_numbers(op: str, types: list[Type]) -> None:
    """RuntimeError unless all `types` have one dtype, and that is not bool."""
    require_same_dtype(op, types)
    if types[0].dtype.kind == "bool":
        raise RuntimeError(f"[{op}] does not take bools; try .to(twofold.int64)")
