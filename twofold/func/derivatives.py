"""Derivatives of functions: grad, vjp, jvp, Jacobians, Hessians. All can be nested and batched.

A pullback is a walk over the graph that `func` made. A pushforward is a pullback of the pullback:
g(u) = J^T u is linear in u, so its own pullback with v is J v, exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..autograd.reverse import cotangents, grad_mode
from ..graph.node import Node, recorder
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops.custom import identity
from ..tensor import Tensor, broadcast_to, wrap
from .batching import vmap
from .tracing import rebuild
from .trees import leaves, map_leaves, replace

Argnums = int | tuple[int, ...]


class _Level:
    """Inputs of a function as nodes that its results can be differentiated with respect to."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.old = [x._node() for x in tensors]
        with grad_mode(True):
            self.new = [variable(n) for n in self.old]

    def tensors(self) -> list[Tensor]:
        """The inputs to hand to the function."""
        return [wrap(n) for n in self.new]

    def out(self, nodes: Sequence[Node]) -> list[Node]:
        """Results as the caller sees them: functions of the inputs that were given."""
        fresh = [(a, b) for a, b in zip(self.new, self.old) if a is not b and not b.requires_grad]
        result = rebuild(nodes, fresh)
        return result if recorder.grad_enabled else [ew.detach(n) for n in result]


def variable(node: Node) -> Node:
    if not node.dtype.is_floating_point and not node.dtype.is_complex:
        return node
    return identity(node) if node.requires_grad else ew.variable(node)


def pull_back(ys: Sequence[Node], us: Sequence[Node], xs: Sequence[Node]) -> list[Node]:
    """The cotangents of xs for the cotangents us of ys, as nodes that can be differentiated."""
    with grad_mode(True):
        found = cotangents(ys, us, {id(x) for x in xs}, release=False)
        by_id = {id(node): g for node, g in found}
        return [by_id[id(x)] if id(x) in by_id else _zeros(x) for x in xs]


def _zeros(like: Node) -> Node:
    return broadcast_to(ew.constant(0, like.dtype), like.shape)


def pushforward(ys: Sequence[Node], xs: Sequence[Node], vs: Sequence[Node]) -> list[Node]:
    """The tangents of ys for the tangents vs of xs."""
    with grad_mode(True):
        us = [ew.variable(_zeros(y)) if y.requires_grad else _zeros(y) for y in ys]
        pulled = pull_back(ys, us, xs)
        depends = [(g, v) for g, v in zip(pulled, vs) if g.requires_grad]
        pushed = pull_back([g for g, _ in depends], [v for _, v in depends], us)
        # They are linear in us, so any value of us will do; zero it is.
        return rebuild(pushed, [(u, _zeros(u)) for u in us if u.requires_grad])


def _tensors(tree: Any, name: str) -> list[Tensor]:
    found = list(leaves(tree))
    for x in found:
        if not isinstance(x, Tensor):
            raise RuntimeError(
                f"{name}: Expected all inputs and outputs to be tensors; got {type(x).__name__}"
            )
    return found


def _split(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def _pick(args: tuple[Any, ...], argnums: Argnums) -> Any:
    def one(i: int) -> Any:
        if not -len(args) <= i < len(args):
            raise RuntimeError(
                f"Got argnum={i}, but only {len(args)} positional inputs. Note that this function "
                "does not support keyword arguments"
            )
        return args[i]

    if isinstance(argnums, int):
        return one(argnums)
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    return tuple(one(i) for i in argnums)


def _place(args: tuple[Any, ...], argnums: Argnums, values: Any) -> list[Any]:
    new = list(args)
    if isinstance(argnums, int):
        new[argnums] = values
    else:
        for i, value in zip(argnums, values):
            new[i] = value
    return new


def _aux_out(level: _Level, aux: Any) -> Any:
    return map_leaves(
        lambda x: wrap(level.out([x._node()])[0]) if isinstance(x, Tensor) else x, aux
    )


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives func's gradient with respect to the arguments `argnums`, and its value.

    With `has_aux`, `func` gives (value, aux) and the result is (gradient, (value, aux)).
    """

    @functools.wraps(func)
    def apply(*args: Any, **kwargs: Any) -> Any:
        chosen = _pick(args, argnums)
        level = _Level(_tensors(chosen, "grad_and_value"))
        with grad_mode(True):
            inside = _place(args, argnums, replace(chosen, level.tensors()))
            value, aux = _split(func(*inside, **kwargs), has_aux, "grad_and_value")
        if not isinstance(value, Tensor):
            raise RuntimeError(
                "Expected f(*args) to return a Tensor (and an aux with has_aux=True); got "
                f"{type(value).__name__}"
            )
        if value.dim():
            raise RuntimeError(
                "Expected f(*args) to return a scalar tensor, got tensor with "
                f"{value.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        y = value._node()
        pulled = pull_back([y], [ew.constant(1, y.dtype)], level.new)
        *gradients, y = level.out([*pulled, y])
        result = replace(chosen, map(wrap, gradients))
        return result, ((wrap(y), _aux_out(level, aux)) if has_aux else wrap(y))

    return apply


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable:
    """A function that gives func's gradient with respect to the arguments `argnums`.

    >>> import twofold as tf
    >>> grad(grad(lambda x: x**3))(tf.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def apply(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return apply


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """func(*primals), and the function that takes cotangents of it to those of the primals.

    >>> import twofold as tf
    >>> y, pull = vjp(tf.sin, tf.zeros(2))
    >>> pull(tf.ones(2))
    (tensor([1., 1.]),)
    """
    level = _Level(_tensors(primals, "vjp"))
    with grad_mode(True):
        result, aux = _split(func(*replace(primals, level.tensors())), has_aux, "vjp")
        outputs = [y._node() for y in _tensors(result, "vjp")]

    def pull(*given: Any, **kwargs: Any) -> Any:
        weights = given[0] if len(given) == 1 and not _like(given, result) else given
        weights = given[0] if len(given) == 1 and isinstance(result, Tensor) else weights
        us = [u._node() for u in _tensors(weights, "vjp")]
        if len(us) != len(outputs):
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function; got {len(us)} cotangents for {len(outputs)} outputs"
            )
        pulled = level.out(pull_back(outputs, us, level.new))
        values = replace(primals, map(wrap, pulled))
        return values

    shown = replace(result, map(wrap, level.out(outputs)))
    return (shown, pull, _aux_out(level, aux)) if has_aux else (shown, pull)


def _like(given: tuple[Any, ...], result: Any) -> bool:
    return isinstance(result, (tuple, list)) and len(result) == len(given) == 1


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False,
    has_aux: bool = False,
) -> Any:  # fmt: skip
    """func(*primals), and its derivative in the direction `tangents`.

    >>> import twofold as tf
    >>> jvp(tf.sin, (tf.zeros(()),), (tf.ones(()),))
    (tensor(0.), tensor(1.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp: Expected primals and tangents to be tuples")
    flat, directions = _tensors(primals, "jvp"), _tensors(tangents, "jvp")
    if len(flat) != len(directions):
        raise RuntimeError("jvp: Expected primals and tangents to have the same python structure")
    for x, v in zip(flat, directions):
        if x.shape != v.shape:
            raise RuntimeError(f"jvp: a tangent has shape {v.shape}, its primal {x.shape}")
    level = _Level(flat)
    with grad_mode(True):
        result, aux = _split(func(*replace(primals, level.tensors())), has_aux, "jvp")
        ys = [y._node() for y in _tensors(result, "jvp")]
    if strict and any(not y.requires_grad for y in ys):
        raise RuntimeError("jvp: strict=True, but an output does not depend on the inputs")
    vs = [ew.cast(v._node(), x.dtype) for x, v in zip(level.new, directions)]
    pushed = pushforward(ys, level.new, vs)
    both = level.out([*ys, *pushed])
    values = replace(result, map(wrap, both[: len(ys)]))
    derivative = replace(result, map(wrap, both[len(ys) :]))
    return (values, derivative, _aux_out(level, aux)) if has_aux else (values, derivative)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """func(*primals), and the function that takes tangents of the primals to its own."""
    level = _Level(_tensors(primals, "linearize"))
    with grad_mode(True):
        result = func(*replace(primals, level.tensors()))
        ys = [y._node() for y in _tensors(result, "linearize")]

    def push(*tangents: Any) -> Any:
        vs = [v._node() for v in _tensors(tangents, "linearize")]
        return replace(result, map(wrap, level.out(pushforward(ys, level.new, vs))))

    return replace(result, map(wrap, level.out(ys))), push


def _basis(like: Sequence[Tensor]) -> list[Tensor]:
    """For tensors with n elements together, (n, *shape) each: every unit vector."""
    sizes = [x.numel() for x in like]
    n = sum(sizes)
    made, start = [], 0
    for x, size in zip(like, sizes):
        rows = mv.reshape(mv.iota(n), (n, 1))
        columns = mv.reshape(mv.iota(size), (1, size))
        at = ew.add(columns, ew.number(start, dtypes.int64))
        made.append(wrap(mv.reshape(ew.cast(ew.eq(rows, at), x.dtype), (n, *x.shape))))
        start += size
    return made


def _parts(x: Tensor, like: Sequence[Tensor], dim: int) -> list[Tensor]:
    """x, whose axis `dim` counts the elements of all of `like`, as a tensor for each of them."""
    pieces, start = [], 0
    for y in like:
        piece = x.narrow(dim, start, y.numel())
        shape = (*x.shape[:dim], *y.shape, *x.shape[dim + 1 :])
        pieces.append(piece.reshape(shape))
        start += y.numel()
    return pieces


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False,
    chunk_size: int | None = None, _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    """A function that gives the Jacobian: for each output and input, (*output, *input).

    By pullbacks of all unit vectors at once: best where outputs are fewer than inputs.

    >>> import twofold as tf
    >>> jacrev(lambda x: x * x)(tf.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def apply(*args: Any, **kwargs: Any) -> Any:
        chosen = _pick(args, argnums)

        def of_chosen(values: Any) -> Any:
            return func(*_place(args, argnums, values), **kwargs)

        found = vjp(of_chosen, chosen, has_aux=has_aux)
        result, pull = found[:2]
        outputs = list(leaves(result))
        xs = list(leaves(chosen))

        def rows(*units: Tensor) -> list[Tensor]:
            return list(leaves(pull(replace(result, units))))

        columns = vmap(rows, chunk_size=chunk_size)(*_basis(outputs))
        table = [_parts(column, outputs, 0) for column in columns]
        jacobian = replace(
            result, [replace(chosen, [table[i][o] for i in range(len(xs))])
                     for o in range(len(outputs))],
        )  # fmt: skip
        return (jacobian, found[2]) if has_aux else jacobian

    return apply


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *,
    randomness: str = "error",
) -> Callable[..., Any]:  # fmt: skip
    """A function that gives the Jacobian, by pushforwards of all unit vectors at once: best where
    inputs are fewer than outputs."""

    @functools.wraps(func)
    def apply(*args: Any, **kwargs: Any) -> Any:
        chosen = _pick(args, argnums)
        xs = list(leaves(chosen))
        kept: list[Any] = []

        def of_leaves(*values: Tensor) -> Any:
            return func(*_place(args, argnums, replace(chosen, values)), **kwargs)

        def along(*units: Tensor) -> list[Tensor]:
            found = jvp(of_leaves, tuple(xs), units, has_aux=has_aux)
            kept[:] = [found[1], found[2] if has_aux else None]
            return list(leaves(found[1]))

        columns = vmap(along, randomness=randomness)(*_basis(xs))
        result, aux = kept
        table = [
            [_moved_last(part, x) for part, x in zip(_parts(column, xs, 0), xs)]
            for column in columns
        ]
        jacobian = replace(result, [replace(chosen, row) for row in table])
        return (jacobian, aux) if has_aux else jacobian

    return apply


def _moved_last(part: Tensor, x: Tensor) -> Tensor:
    """(*x, *y) -> (*y, *x)."""
    n, rank = x.dim(), part.dim()
    return part.permute(*range(n, rank), *range(n)) if n and rank > n else part


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that gives the matrix of second derivatives: forward over reverse.

    >>> import twofold as tf
    >>> hessian(lambda x: (x**3).sum())(tf.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
