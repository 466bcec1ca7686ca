"""Gradients for users: backward, grad, modes, hooks and functions of one's own."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Sequence
from threading import get_ident, main_thread
from typing import Any

from .autograd.reverse import Link, cotangents
from .functions._registry import method
from .graph.node import LEAF, Node, let_threads_record, recorder, user_location
from .ops import elementwise as ew
from .ops import movement as mv
from .ops.custom import identity
from .tensor import NAMES, Target, Tensor, broadcast_to, number, wrap

_names = itertools.count()
_FIRST = main_thread().ident


class _Mode:
    """Sets whether gradients are recorded; a context manager and a decorator."""

    enabled = True

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return inside

    def clone(self) -> Any:
        """A mode like this one, for one use."""
        return type(self)()

    def __enter__(self) -> Any:
        if get_ident() != _FIRST:
            let_threads_record()
        self.before = recorder.grad_enabled
        recorder.grad_enabled = self.enabled
        return self

    def __exit__(self, *details: object) -> None:
        recorder.grad_enabled = self.before


class no_grad(_Mode):
    """Nothing in the block is recorded; a context manager and a decorator.

    >>> import twofold as tf
    >>> w = tf.ones(2, requires_grad=True)
    >>> with tf.no_grad():
    ...     print((w * 2).requires_grad)
    False
    """

    enabled = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        mode = object.__new__(cls)
        return mode if function is None else _Mode.__call__(mode, function)


class enable_grad(no_grad):
    """Everything in the block is recorded, also within `no_grad`."""

    enabled = True


class inference_mode(_Mode):
    """Nothing in the block is recorded; like `no_grad`."""

    enabled = False

    def __init__(self, mode: bool = True) -> None:
        self.enabled = not mode

    def __new__(cls, mode: Any = True) -> Any:
        result = object.__new__(cls)
        if callable(mode):
            result.enabled = False
            return _Mode.__call__(result, mode)
        return result

    def clone(self) -> Any:
        """A mode like this one, for one use."""
        return inference_mode(not self.enabled)


class set_grad_enabled(_Mode):
    """Sets at once whether gradients are recorded; as a context manager, until the end of the
    block."""

    def __init__(self, mode: bool) -> None:
        if get_ident() != _FIRST:
            let_threads_record()
        self.before = recorder.grad_enabled
        self.enabled = bool(mode)
        recorder.grad_enabled = self.enabled

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        recorder.grad_enabled = self.before
        return super().__call__(function)

    def clone(self) -> Any:
        """A mode like this one, for one use."""
        return set_grad_enabled(self.enabled)

    def __enter__(self) -> Any:
        recorder.grad_enabled = self.enabled
        return self


def is_grad_enabled() -> bool:
    """Whether gradients are recorded."""
    return recorder.grad_enabled


def is_inference_mode_enabled() -> bool:
    """Whether nothing is recorded."""
    return not recorder.grad_enabled


# Backward.


def _seed(output: Tensor, gradient: Tensor | None, i: int) -> Node:
    """The cotangent of an output: ones for a scalar, else what was given."""
    s = output._node().structure
    if not s.requires_grad:
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn"
        )
    if gradient is None:
        if output.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if s.dtype.is_complex:
            raise RuntimeError(
                "grad can be implicitly created only for real scalar outputs but got "
                f"{NAMES[s.dtype]}"
            )
        return broadcast_to(ew.constant(1, s.dtype), s.shape)
    node = gradient._node()
    if node.structure.shape != s.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {gradient.shape} and output[{i}] "
            "has "
            f"a shape of {output.shape}."
        )
    return ew.cast(node, s.dtype)


def _apply_hooks(node: Node, g: Node) -> Node:
    """The cotangent as the hooks of the node's tensor leave it."""
    target = node.target
    if target.__class__ is Target and target.hooks:
        for hook in list(target.hooks.values()):
            result = hook(wrap(g))
            if result is not None:
                g = result._node()
    return g


Gradient = Node | Tensor
"""What arrives at a leaf: a node or, of rows alone, a sparse tensor."""

_rows_found: list[tuple[Node, Tensor]] = []


def with_rows_gradient(y: Tensor, leaf: Tensor, rows: Callable[[Tensor], Tensor]) -> Tensor:
    """y, computed from rows of `leaf`, with a gradient g that reaches the leaf as the sparse tensor
    `rows(g)` in place of a dense one."""
    node, source = ew.variable(ew.detach(y._node())), leaf._node()

    def arrive(g: Node) -> list[Node | None]:
        observer = recorder.observer
        if observer is not None and observer.broken is None:  # how many rows differs at each call
            observer.broken = user_location() or ("unknown", 0, "")
        _rows_found.append((source, rows(wrap(g))))
        return [None]

    node.target = Link([source], arrive)
    return wrap(node)


def _plus(a: Gradient, b: Gradient) -> Gradient:
    if isinstance(a, Node) and isinstance(b, Node):
        return ew.add(a, b)
    x, y = (wrap(g) if isinstance(g, Node) else g for g in (a, b))
    total: Tensor = x + y
    return total if total.is_sparse else total._node()


def _as_tensor(g: Gradient, create: bool) -> Tensor:
    if isinstance(g, Node):
        return wrap(g if create else ew.detach(g))
    return g if create else g.detach()


def _run(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    wanted: Sequence[Node],
    retain: bool,
    create: bool,
) -> list[tuple[Node, Gradient]]:
    before = recorder.grad_enabled
    first = len(_rows_found)
    recorder.grad_enabled = create
    try:
        seeds = [_seed(y, g, i) for i, (y, g) in enumerate(zip(outputs, gradients, strict=True))]
        if not create:
            seeds = [ew.detach(s) for s in seeds]
        nodes = [y._node() for y in outputs]
        marks = {id(n) for n in wanted}
        dense = cotangents(nodes, seeds, marks, _apply_hooks, release=not retain)
        if len(_rows_found) == first:
            return list(dense)
        return [*dense, *((n, _apply_to_rows(n, g)) for n, g in _rows_found[first:])]
    finally:
        del _rows_found[first:]
        recorder.grad_enabled = before


def _apply_to_rows(node: Node, g: Tensor) -> Tensor:
    """A sparse gradient as the hooks of the leaf leave it."""
    target = node.target
    for hook in list(target.hooks.values()) if target.__class__ is Target else ():
        result = hook(g)
        g = g if result is None else result
    return g


def leaf_mark(node: Node) -> int:
    """What names a node among results: a leaf's tensor, which may have had several values, or
    itself."""
    target = node.target
    if target.__class__ is Target:
        op = node.structure.op
        if op is LEAF or op.starts_gradient:
            return id(target)
    return id(node)


def _by_mark(result: list[tuple[Node, Gradient]]) -> dict[int, Gradient]:
    """The cotangents by `leaf_mark`, those of several values of one leaf added."""
    found: dict[int, Gradient] = {}
    for node, g in result:
        mark = leaf_mark(node)
        found[mark] = _plus(found[mark], g) if mark in found else g
    return found


def _listed(x: Any) -> list[Any]:
    return [x] if x is None or isinstance(x, Tensor) else list(x)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors`, weighted by `grad_tensors`, to `.grad` of the leaves below
    them.

    RuntimeError if a tensor does not require a gradient, or is not a scalar and has no weight.
    """
    outputs = _listed(tensors)
    gradients = _listed(grad_tensors) if grad_tensors is not None else [None] * len(outputs)
    retain = create_graph if retain_graph is None else retain_graph
    wanted = None if inputs is None else _listed(inputs)
    if wanted is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward` cannot be empty.")
    result = _run(outputs, gradients, [x._node() for x in wanted or ()], retain, create_graph)
    if wanted is not None:
        found = _by_mark(result)
        for x in wanted:
            if (g := found.get(leaf_mark(x._node()))) is not None:
                _accumulate(x, g, create_graph)
    for node, g in () if wanted is not None else result:
        target = node.target
        if target.__class__ is not Target:
            continue
        op = node.structure.op
        if op is LEAF or op.starts_gradient or target.retain:
            tensor = target()
            if tensor is not None:
                _accumulate(tensor, g, create_graph)
                for hook in list(target.post_hooks.values()):
                    hook(tensor)


def _accumulate(tensor: Tensor, g: Gradient, create: bool) -> None:
    if recorder.observer is not None:
        recorder.observer.gradient(tensor)
    grad = tensor.grad
    if grad is None:
        tensor.grad = _as_tensor(g, create)
    elif not isinstance(g, Node) or grad.is_sparse:
        tensor.grad = grad + _as_tensor(g, create)
    elif create:
        tensor.grad = wrap(ew.add(grad._node(), g))
    else:
        before = recorder.grad_enabled
        recorder.grad_enabled = False
        try:
            grad._write(ew.add(grad._node(), g))
        finally:
            recorder.grad_enabled = before


@method("backward")
def _backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor to `.grad` of the leaves it depends on."""
    backward(self, gradient, retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs`, weighted by `grad_outputs`, with respect to `inputs`.

    With `create_graph` they can be differentiated again. RuntimeError if an input was not used,
    unless `allow_unused` (None) or `materialize_grads` (zeros). There are no others than those of
    the inputs, whatever `only_inputs` says.

    >>> import twofold as tf
    >>> x = tf.tensor(3.0, requires_grad=True)
    >>> grad(x**3, x)
    (tensor(27.),)
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use "
            "torch.autograd.backward.", FutureWarning, stacklevel=2,
        )  # fmt: skip
    ys, xs = _listed(outputs), _listed(inputs)
    gradients = _listed(grad_outputs) if grad_outputs is not None else [None] * len(ys)
    if is_grads_batched:
        return _batched_grad(ys, xs, gradients, create_graph, allow_unused)
    retain = create_graph if retain_graph is None else retain_graph
    nodes = [x._node() for x in xs]
    for node in nodes:
        if not node.structure.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    result = _run(ys, gradients, nodes, retain, create_graph)
    cotangent = _by_mark(result)
    found: list[Tensor | None] = []
    for node in nodes:
        g = cotangent.get(leaf_mark(node))
        if g is not None:
            found.append(_as_tensor(g, create_graph))
        elif materialize_grads:
            found.append(wrap(broadcast_to(number(0, node.dtype), node.shape)))
        elif allow_unused:
            found.append(None)
        else:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    return tuple(found)


def _batched_grad(
    ys: list[Tensor], xs: list[Tensor], gradients: list[Any], create: bool, allow_unused: Any
) -> tuple[Tensor | None, ...]:
    """One pass for each place along the leading axis of the weights."""
    rows = []
    for i in range(gradients[0].size(0)):
        each = [g[i] for g in gradients]
        rows.append(grad(ys, xs, each, True, create, allow_unused=allow_unused))
    return tuple(
        None if column[0] is None else stack_function(column) for column in zip(*rows, strict=True)
    )


def stack_function(tensors: Sequence[Any]) -> Tensor:
    """Tensors of one shape along a new first axis."""
    nodes = [x._node() for x in tensors]
    shape = nodes[0].shape
    parts = [mv.reshape(n, (1, *shape)) for n in nodes]
    return wrap(mv.concatenate(parts, 0))


# Hooks and what can be seen of the graph.


class RemovableHandle:
    """Takes a hook away again, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self.hooks, self.key = hooks, key

    def remove(self) -> None:
        """Take the hook away."""
        self.hooks.pop(self.key, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *details: object) -> None:
        self.remove()


def _target_of(tensor: Tensor) -> Target:
    """The target of the tensor's node, made where there is none."""
    node = tensor._node()
    target = node.target
    if target.__class__ is Target and (target() is tensor or target() is None):
        return target
    if target is not None or tensor._window:
        node = identity(node)
        tensor._storage = type(tensor._storage)(node)
        tensor._window, tensor._base, tensor._seen = (), None, None
    node.target = Target(tensor)
    if tensor._target is None:
        tensor._target = node.target
    return node.target


@method("register_hook")
def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook` with each gradient of this tensor; what it gives, if not None, takes its
    place."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    hooks, key = _target_of(self).hooks, next(_names)
    hooks[key] = hook
    return RemovableHandle(hooks, key)


@method("register_post_accumulate_grad_hook")
def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Call `hook` with this leaf after a gradient was added to its `.grad`."""
    if not self.requires_grad or not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    hooks, key = _target_of(self).post_hooks, next(_names)
    hooks[key] = hook
    return RemovableHandle(hooks, key)


@method("retain_grad")
def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this result in `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if not self.is_leaf:
        _target_of(self).retain = True


class GraphFunction:
    """What `.grad_fn` shows: the op that made a value, and where its gradient goes."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def name(self) -> str:
        """PyTorch's name of the backward op."""
        s = self.node.structure
        if s.op is LEAF or (s.op.starts_gradient and type(self.node.target) is not Link):
            return "AccumulateGrad"
        name = _GRAD_NAMES.get(s.op.name, s.op.name.title().replace("_", ""))
        return f"{name}Backward0"

    @property
    def next_functions(self) -> tuple[tuple[GraphFunction | None, int], ...]:
        """The same of the inputs; None where no gradient goes."""
        link = self.node.target
        before = link.inputs if type(link) is Link else self.node.inputs
        if self.name() == "AccumulateGrad":
            return ()
        return tuple((GraphFunction(x) if x.requires_grad else None, 0) for x in before)

    @property
    def variable(self) -> Tensor | None:
        """The leaf tensor, of an accumulating node."""
        target = self.node.target
        return target() if target.__class__ is Target else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphFunction) and other.node is self.node

    def __hash__(self) -> int:
        return id(self.node)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


_GRAD_NAMES = {
    "matmul": "Mm", "reshape": "View", "permute": "Permute", "expand": "Expand", "slice": "Slice",
    "concatenate": "Cat", "cast": "ToCopy", "identity": "Clone", "variable": "Function",
    "slice_put": "CopySlices", "where": "Where", "replace": "Copy", "pow": "Pow", "max": "Max",
}  # fmt: skip


def _grad_fn(tensor: Tensor) -> GraphFunction | None:
    return None if tensor.is_leaf else GraphFunction(tensor._node())


Tensor.grad_fn = property(_grad_fn, doc="The op that made this tensor; None for leaves.")  # type: ignore[attr-defined]
Tensor.retains_grad = property(  # type: ignore[attr-defined]
    lambda self: bool(self._target is not None and self._target.retain),
    doc="Whether this result keeps its gradient.",
)
