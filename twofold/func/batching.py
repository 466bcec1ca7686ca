"""vmap: a function of one example as a function of a batch, by the ops' batching rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..autograd.reverse import Link
from ..custom_function import FunctionCall
from ..functions.random import default_generator, positions
from ..graph.node import Node, postorder, recorder
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..tensor import Tensor, wrap, wrap_dim
from .function_rules import batch_call, own_rules
from .tracing import Trace, dependents, recorded
from .trees import broadcast, leaves, replace


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func`, a function of one example, as a function of a batch.

    `in_dims` says for each argument along which axis its examples lie (None: it is the same for
    all), `out_dims` the same of the results. `randomness` is "error", "same" (all examples draw
    the same numbers) or "different". `chunk_size` limits how many are done at a time. Values
    cannot be looked at within `func`: RuntimeError.

    >>> import twofold as tf
    >>> vmap(tf.dot)(tf.ones(2, 3), tf.ones(2, 3))
    tensor([3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        flat, dims, size = _batch_of(func, in_dims, args)
        if chunk_size is None or size <= chunk_size:
            return _run(func, args, kwargs, flat, dims, size, out_dims, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            cut = [x if d is None else x.narrow(d, start, count) for x, d in zip(flat, dims)]
            parts.append(_run(func, args, kwargs, cut, dims, count, out_dims, randomness))
        return _joined(parts, out_dims)

    return batched


def _batch_of(
    func: Callable[..., Any], in_dims: Any, args: tuple[Any, ...]
) -> tuple[list[Any], list[int | None], int]:
    """The arguments' leaves, the axes of their examples, and how many these are."""
    name = getattr(func, "__name__", repr(func))
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs")
    flat = list(leaves(args))
    try:
        given = broadcast(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args)
    except (ValueError, KeyError):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
            "structure of inputs."
        ) from None
    dims: list[int | None] = []
    size = None
    for x, d in zip(flat, given):
        if d is None:
            dims.append(None)
            continue
        if not isinstance(d, int) or isinstance(d, bool):
            raise ValueError(f"vmap({name}, in_dims={in_dims}, ...): Got in_dim={d} for an input, "
                             "but in_dim must be either an integer dimension or None.")  # fmt: skip
        if not isinstance(x, Tensor):
            if not isinstance(in_dims, int):
                raise ValueError(
                    f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={d} for an input "
                    f"but the input is of type {type(x)}. We cannot vmap over non-Tensor arguments,"
                    " please use None as the respective in_dim"
                )
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={d} for an input but "
                f"the input is of type {type(x)}."
            )
        if not -x.dim() <= d < x.dim():
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={d} for some input, "
                f"but that input is a Tensor of dimensionality {x.dim()} so expected in_dim to "
                f"satisfy -{x.dim()} <= in_dim < {x.dim()}."
            )
        own = x.shape[d]
        if size is not None and own != size:
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, got "
                f"sizes {sorted({size, own})} for the mapped dimension"
            )
        size = own
        dims.append(wrap_dim(d, x.dim()))
    if size is None:
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...): at least one in_dim must not be "
                         "None: no input is batched")  # fmt: skip
    return flat, dims, size


def _run(
    func: Callable[..., Any], args: Any, kwargs: Any, flat: Sequence[Any],
    dims: Sequence[int | None], size: int, out_dims: Any, randomness: str,
) -> Any:  # fmt: skip
    """One pass over a batch: run `func` on placeholders, then build its graph on the batch."""
    whole: dict[int, Node] = {}
    words, since = default_generator.offset, recorder.serial

    def build(node: Node) -> Node:
        return _on_batch(node, whole, size, randomness)

    with Trace() as trace, own_rules(trace, whole, size, randomness, since, build):
        inside = []
        for x, d in zip(flat, dims):
            if d is None:
                inside.append(x)
                continue
            node = x._node()
            order = (d, *(a for a in range(len(node.shape)) if a != d))
            first = mv.permute(node, order)
            stand_in = trace.stand_in(node, first.shape[1:])
            whole[id(trace.placeholders[-1])] = first
            inside.append(stand_in)
        result = func(*replace(args, inside), **kwargs)
        outputs = list(leaves(result))
        for y in outputs:
            if not isinstance(y, Tensor):
                name = getattr(func, "__name__", repr(func))
                raise ValueError(
                    f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(y)}."
                )
        known = {id(p): p for p in trace.placeholders}
        nodes = [y._node() for y in outputs]
        taken = default_generator.offset - words
        if taken:
            _draw(nodes, known, whole, size, since, taken, randomness)
        for node in dependents(nodes, known):
            if id(node) not in whole:
                whole[id(node)] = build(node)
    found = []
    for node, d in zip(nodes, broadcast(_as_tree(out_dims), result)):
        y = whole.get(id(node))
        if d is None:
            if y is not None:
                raise ValueError("vmap: `func` returned a tensor that depends on the batch, so "
                                 "its out_dim cannot be None")  # fmt: skip
            found.append(wrap(node))
            continue
        if y is None:
            y = mv.expand(mv.reshape(node, (1, *node.shape)), (size, *node.shape))
        at = wrap_dim(d, len(y.shape))
        axes = list(range(1, len(y.shape)))
        axes.insert(at, 0)
        found.append(wrap(mv.permute(y, tuple(axes))))
    return replace(result, found)


def _as_tree(out_dims: Any) -> Any:
    return tuple(out_dims) if isinstance(out_dims, list) else out_dims


def _on_batch(node: Node, whole: dict[int, Node], size: int, randomness: str) -> Node:
    link = node.target
    if link.__class__ is Link and node.requires_grad:
        if not isinstance(link.call, FunctionCall):
            raise RuntimeError(
                "[vmap] a gradient that is asked for outside of vmap passes what has no batching "
                "rule; try differentiating inside of the function that is batched"
            )
        if not node.inputs:  # where a function's gradients meet: its outputs' have one of their own
            return node
        outputs = batch_call(link.call, whole, size, randomness, vmap)
        for part, y in zip(link.call.outputs, outputs, strict=True):
            whole[id(part)] = y
        return whole[id(node)]
    inputs = [whole.get(id(x), x) for x in node.inputs]
    batched = [id(x) in whole for x in node.inputs]
    return recorded(node, lambda: node.op.batch(inputs, batched, node.attrs, size))


def _draw(
    nodes: list[Node], known: dict[int, Node], whole: dict[int, Node], size: int, since: int,
    taken: int, randomness: str,
) -> None:  # fmt: skip
    """Let the examples draw numbers of their own, each from a stretch of the generator's words:
    what was drawn after the serial `since`."""
    if randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap"
        )
    if randomness == "same":
        return
    default_generator.take(taken * (size - 1))
    ahead = ew.mul(mv.iota(size), mv.expand(ew.number(taken, dtypes.int64), (size,)))
    for node in postorder(nodes, pending_only=True):
        if node.serial > since and node in positions:
            whole[id(node)] = ew.add(mv.expand(node, (size,)), ahead)
            known[id(node)] = node


def _joined(parts: list[Any], out_dims: Any) -> Any:
    """The results of chunks, one after the other."""
    columns = list(zip(*[list(leaves(p)) for p in parts]))
    dims = broadcast(_as_tree(out_dims), parts[0])
    return replace(parts[0], [_cat(c, d) for c, d in zip(columns, dims)])


def _cat(pieces: Sequence[Tensor], dim: int | None) -> Tensor:
    if dim is None:
        return pieces[0]
    nodes = [p._node() for p in pieces]
    return wrap(mv.concatenate(nodes, wrap_dim(dim, len(nodes[0].shape))))
