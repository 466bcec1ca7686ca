"""Attention: softmax(scale q k^T + mask) v, and its gradients, without the matrix of weights.

q: (B, H, L, E), k: (B, G, S, E), v: (B, G, S, V); each head of k and v serves H / G heads of q. The
mask, (B or 1, H or 1, S or 1, L or 1), has a column for each query; floats are added, bools say
which keys a query sees. With `causal` query i sees the keys up to i. Rows of weights with nothing
to see are 0.

With `drop` above 0 each weight is dropped with this probability, else divided by 1 - drop, as word
((b H + h) L + i) S' + j of a stream of random numbers says, S' being S rounded up to whole blocks
of four words; the last two inputs are the stream's key and first word, both int64 scalars.

A node has one value, so results lie one after the other in a vector: y as (B, L, H, V) and the
logarithms of the sums of exponents as (B, H, L); of the gradients those of q, k and v, as (B, L, H,
E), (B, S, G, E) and (B, S, G, V): the order in which the products before and after read them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import contract, philox, reduce
from . import elementwise as ew
from . import movement as mv
from .base import Op, register, require_same_dtype
from .scalar_numpy import held_dtype, rounded

Shape = tuple[int, ...]
_HEADS_INSIDE = (0, 2, 1, 3)
"""(B, H, L, E) as (B, L, H, E), and back."""


def _parts(flat: Node, shapes: Sequence[Shape]) -> list[Node]:
    """Arrays of these shapes that lie one after the other in `flat`."""
    found, start = [], 0
    for shape in shapes:
        n = prod(shape)
        found.append(mv.reshape(mv.slice_(flat, ((start, n, 1),)), shape))
        start += n
    return found


def _result_shapes(types: Sequence[Type | Node]) -> list[Shape]:
    """Shapes of y and of the logarithms of sums."""
    (b, h, length, _), v = types[0].shape, types[2].shape
    return [(b, length, h, v[3]), (b, h, length)]


def _gradient_shapes(types: Sequence[Type | Node]) -> list[Shape]:
    """Shapes of the gradients of q, k and v."""
    shapes = (types[i].shape for i in range(3))
    return [(b, length, h, e) for b, h, length, e in shapes]


class _Attention(Op):
    params: tuple[str, ...] = ("scale", "causal", "drop")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        q, k, v = types[:3]
        require_same_dtype(self.name, types[:3])
        if q.dtype not in (dtypes.float32, dtypes.float64):
            raise RuntimeError(f"[{self.name}] takes float32 and float64; got {q.dtype}")
        (b, h, length, e), (kb, g, s, ke) = q.shape, k.shape
        if (kb, ke) != (b, e) or v.shape[:3] != (b, g, s) or not g or h % g:
            raise RuntimeError(
                f"[{self.name}] takes q (B, H, L, E), k (B, G, S, E) and v (B, G, S, V), H a "
                f"multiple of G; got {q.shape}, {k.shape} and {v.shape}"
            )
        masks, stream = self.rest(types, attrs)
        if any(x.shape or x.dtype is not dtypes.int64 for x in stream):
            raise RuntimeError(f"[{self.name}] a stream is two int64 scalars; got {stream}")
        for mask in masks:
            full = (b, h, s, length)
            if len(mask.shape) != 4 or any(m not in (1, n) for m, n in zip(mask.shape, full)):
                raise RuntimeError(
                    f"[{self.name}] the mask must broadcast to (B, H, S, L) = {full}; "
                    f"got {mask.shape}"
                )
        return q.with_shape((sum(prod(x) for x in self.shapes(types)),))

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """One larger batch, whose results are put apart again. With streams of their own, one after
        the other."""
        n = len(inputs) - len(self.rest(inputs, attrs)[1])
        if any(batched[n:]):
            return mv.one_by_one(self, inputs, batched, attrs, size)
        whole = []
        for x, is_batched in zip(inputs[:n], batched):
            if not is_batched:
                x = mv.expand(x, (size, *x.shape))
            if x.shape[1] == 1 and inputs[0].shape[int(batched[0])] != 1:  # a mask for all
                x = mv.expand(x, (size, inputs[0].shape[int(batched[0])], *x.shape[2:]))
            whole.append(mv.reshape(x, (size * x.shape[1], *x.shape[2:])))
        flat = make_node(self, (*whole, *inputs[n:]), attrs)
        parts = _parts(flat, self.shapes(whole))
        return mv.concatenate([mv.reshape(p, (size, prod(p.shape) // size)) for p in parts], 1)

    shapes: Callable[[Sequence[Type | Node]], list[Shape]]
    """The shapes of the results that lie one after the other."""

    operands = 3
    """How many inputs there are before the mask."""

    starts = False
    """Whether the last input says how many keys are before the first query's own."""

    def rest(self, inputs: Sequence[Any], attrs: tuple) -> tuple[Sequence[Any], Sequence[Any]]:
        """The mask, if there is one, and the stream, if there is one."""
        end = len(inputs) - 2 * (attrs[2] > 0)
        return inputs[self.operands : end], inputs[end:]


class Attention(_Attention):
    """y[b, i, h] = sum over j of p[b, h, i, j] v[b, h G / H, j] with p = softmax over j of (scale
    q[b, h, i] . k[b, h G / H, j] + mask[b, h, j, i]), and log sum over j of the exponents; see the
    module for the shapes."""

    name = "attention"
    kind = "attention"
    shapes = staticmethod(_result_shapes)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        q, k, v, *more = node.inputs
        y, sums = _parts(node, self.shapes(node.inputs))
        y, of_y = (
            mv.permute(x, _HEADS_INSIDE) for x in (y, _parts(g, self.shapes(node.inputs))[0])
        )
        rows = reduce.sum_(ew.mul(of_y, y), (3,))
        inputs = (q, k, v, of_y, sums, rows)
        flat = make_node(ATTENTION_GRADIENTS, (*inputs, *more), node.attrs)
        found = [mv.permute(x, _HEADS_INSIDE) for x in _parts(flat, _gradient_shapes(inputs))]
        return (*found, *(None for _ in more))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        v = _served(arrays[2], arrays[0].shape[1])
        mask, stream = self.rest(arrays, attrs)
        p, sums = _weights(arrays[:3], mask, attrs)
        p = p * _kept(stream, p.shape, attrs[2])
        return _joined([(p @ v).transpose(_HEADS_INSIDE), sums], out)


class CachedAttention(_Attention):
    """Attention whose query i sees the keys up to start + i; `start`, an int64 scalar, is the last
    input. The others are not visited, so what a cache has not been given yet costs nothing."""

    name = "cached_attention"
    kind = "attention"
    params = ("scale",)
    shapes = staticmethod(_result_shapes)
    starts = True

    def rest(self, inputs: Sequence[Any], attrs: tuple) -> tuple[Sequence[Any], Sequence[Any]]:
        return (), inputs[self.operands :]

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """As of attention with a mask."""
        q, k, _, start = node.inputs
        grid = (k.shape[2], q.shape[2])
        key = mv.expand(mv.reshape(mv.iota(grid[0]), (grid[0], 1)), grid)
        last = ew.add(mv.expand(mv.iota(grid[1]), grid), mv.expand(start, grid))
        mask = mv.reshape(ew.le(key, last), (1, 1, *grid))
        whole = make_node(ATTENTION, (*node.inputs[:3], mask), (node.attrs[0], False, 0.0))
        return (*ATTENTION.gradient(whole, g)[:3], None)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        q, k, v, start = arrays
        mask = np.arange(k.shape[2])[:, None] <= start + np.arange(q.shape[2])
        whole = [q, k, v, mask[None, None]]
        return ATTENTION.reference(whole, types, (attrs[0], False, 0.0), out)


class AttentionGradients(_Attention):
    """The gradients of attention's q, k and v, from those of y (B, H, L, V), the logarithms of
    sums, and the sum over V of y times its gradient, both (B, H, L); then the mask. With p the
    weights: dv = p^T dy, ds = p (dy v^T - rows), dq = scale ds k, dk = scale ds^T q."""

    name = "attention_gradients"
    kind = "attention_gradients"
    shapes = staticmethod(_gradient_shapes)
    operands = 6

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """By the matrices themselves; what depends on the inputs through the sums is part of it."""
        q, k, v, dy, _, _, *more = node.inputs
        mask, stream = self.rest(node.inputs, node.attrs)
        scale, causal, drop = node.attrs
        cq, ck, cv = (mv.permute(x, _HEADS_INSIDE) for x in _parts(g, self.shapes(node.inputs)))
        groups, heads = k.shape[1], q.shape[1]
        k, v, ck, cv = (_repeated(x, heads // groups) for x in (k, v, ck, cv))
        product, turned = contract.matmul, contract.transpose
        by_scale = ew.constant(scale, q.dtype)

        def scaled(x: Node) -> Node:
            return ew.mul(x, mv.expand(by_scale, x.shape))

        def row_sums(x: Node) -> Node:
            return reduce.spread(reduce.sum_(x, (3,)), x.shape, (3,))

        chosen = _kept_nodes(stream, (*q.shape[:3], k.shape[2]), drop, q.dtype)

        def kept(x: Node) -> Node:
            return x if chosen is None else ew.mul(x, chosen)

        p = _weight_nodes(scaled(product(q, turned(k))), mask, causal)
        dp = kept(product(dy, turned(v)))
        centred = ew.sub(dp, row_sums(ew.mul(p, dp)))
        ds = scaled(ew.mul(p, centred))
        of_ds = scaled(ew.add(product(cq, turned(k)), product(q, turned(ck))))
        part = ew.mul(p, of_ds)
        total = row_sums(part)
        of_dp = kept(ew.sub(part, ew.mul(total, p)))
        of_p = ew.add(
            kept(product(dy, turned(cv))), ew.sub(ew.mul(of_ds, centred), ew.mul(total, dp))
        )
        of_s = scaled(ew.mul(p, ew.sub(of_p, row_sums(ew.mul(p, of_p)))))
        of_q = ew.add(product(ds, ck), product(of_s, k))
        of_k = ew.add(product(turned(ds), cq), product(turned(of_s), q))
        of_v = product(turned(of_dp), dy)
        of_dy = ew.add(product(kept(p), cv), product(of_dp, v))
        of_k, of_v = (_gathered(x, groups) for x in (of_k, of_v))
        return (of_q, of_k, of_v, of_dy, None, None, *(None for _ in more))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        heads, groups = arrays[0].shape[1], arrays[1].shape[1]
        q, dy = (x.astype(np.float64) for x in (arrays[0], arrays[3]))
        k, v = (_served(x, heads) for x in arrays[1:3])
        mask, stream = self.rest(arrays, attrs)
        p, _ = _weights(arrays[:3], mask, attrs)
        kept = _kept(stream, p.shape, attrs[2])
        with np.errstate(all="ignore"):
            dp = dy @ v.swapaxes(2, 3) * kept
            ds = p * (dp - arrays[5].astype(np.float64)[..., None]) * attrs[0]
            dq, dk, dv = ds @ k, ds.swapaxes(2, 3) @ q, (p * kept).swapaxes(2, 3) @ dy
        b, _, s, _ = dk.shape
        dk, dv = (x.reshape(b, groups, -1, s, x.shape[3]).sum(2) for x in (dk, dv))
        return _joined([x.transpose(_HEADS_INSIDE) for x in (dq, dk, dv)], out)


def _joined(parts: Sequence[np.ndarray], out: Type) -> np.ndarray:
    flat = np.concatenate([x.reshape(-1) for x in parts])
    return rounded(flat.astype(held_dtype(out.dtype)), out.dtype)


def _served(x: np.ndarray, heads: int) -> np.ndarray:
    """Each head of k or v as often as heads of q use it, as float64."""
    return np.repeat(x.astype(np.float64), heads // x.shape[1], 1)


def _weights(
    arrays: Sequence[np.ndarray], mask: Sequence[np.ndarray], attrs: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """The weights (B, H, L, S), and the logarithms of the sums of exponents."""
    scale, causal, _ = attrs
    q, k = arrays[0].astype(np.float64), _served(arrays[1], arrays[0].shape[1])
    with np.errstate(all="ignore"):
        s = q @ k.swapaxes(2, 3) * scale
        for m in mask:
            m = m.swapaxes(2, 3)
            s = np.where(m, s, -np.inf) if m.dtype == bool else s + m.astype(np.float64)
        if causal:
            s = np.where(np.tril(np.ones(s.shape[2:], bool)), s, -np.inf)
        top = s.max(-1, keepdims=True, initial=-np.inf)
        e = np.exp(s - np.where(top == -np.inf, 0, top))
        total = e.sum(-1, keepdims=True)
        p = np.where(total == 0, 0, e / total)
        return p, (top + np.log(total))[..., 0]


def threshold(drop: float) -> int:
    """Weights whose 32 random bits are below this are dropped."""
    return round(drop * 2**32)


def _kept(stream: Sequence[np.ndarray], shape: Shape, drop: float) -> np.ndarray | float:
    """What weights (B, H, L, S) are multiplied by."""
    if not stream:
        return 1.0
    key, first = stream
    *lead, s = shape
    wide = -(-s // 4) * 4
    start = (first + 3) // 4 * 4
    counter = start + np.arange(prod(lead) * wide, dtype=np.int64).reshape(*lead, wide)[..., :s]
    words = philox.random_bits(key, counter).view(np.uint32)
    return (words >= threshold(drop)) / (1 - drop)


def _kept_nodes(stream: Sequence[Node], shape: Shape, drop: float, dtype: DType) -> Node | None:
    """The same as a node."""
    if not stream:
        return None
    key, first = stream
    *lead, s = shape
    n, wide = prod(lead), -(-s // 4) * 4

    def whole(value: int) -> Node:
        return ew.constant(value, dtypes.int64)

    start = ew.and_(ew.add(first, whole(3)), whole(-4))
    row = mv.expand(mv.reshape(ew.mul(mv.iota(n), whole(wide)), (n, 1)), (n, s))
    counter = ew.add(ew.add(row, mv.expand(mv.iota(s), (n, s))), start)
    word = ew.cast(ew.random_bits(mv.expand(key, (n, s)), counter), dtypes.int64)
    stays = ew.ge(ew.and_(word, whole(0xFFFFFFFF)), whole(threshold(drop)))
    factor, zero = ew.constant(1 / (1 - drop), dtype), ew.constant(0, dtype)
    return mv.reshape(ew.where(stays, factor, zero), shape)


def _repeated(x: Node, times: int) -> Node:
    """Each head `times` times, side by side: (B, G, S, E) as (B, G times, S, E)."""
    if times == 1:
        return x
    b, g, s, e = x.shape
    wide = mv.expand(mv.reshape(x, (b, g, 1, s, e)), (b, g, times, s, e))
    return mv.reshape(wide, (b, g * times, s, e))


def _gathered(x: Node, groups: int) -> Node:
    """The sums over the heads that share one: what `_repeated` undoes."""
    b, h, s, e = x.shape
    return x if h == groups else reduce.sum_(mv.reshape(x, (b, groups, h // groups, s, e)), (2,))


def _weight_nodes(s: Node, mask: Sequence[Node], causal: bool) -> Node:
    """softmax over the last axis of masked scores (B, H, L, S); rows with nothing to see are 0."""
    minus, zero = ew.const_like(s, -np.inf), ew.const_like(s, 0)
    for m in mask:
        m = mv.expand(mv.permute(m, (0, 1, 3, 2)), s.shape)
        s = ew.where(m, s, minus) if m.dtype.kind == "bool" else ew.add(s, m)
    if causal:
        rows, columns = s.shape[2:]
        row = mv.expand(mv.reshape(mv.iota(rows), (rows, 1)), (rows, columns))
        column = mv.expand(mv.iota(columns), (rows, columns))
        s = ew.where(mv.expand(ew.ge(row, column), s.shape), s, minus)
    top = reduce.spread(reduce.reduce("max", s, (3,)), s.shape, (3,))
    e = ew.exp(ew.sub(s, ew.where(ew.eq(top, minus), zero, top)))
    total = reduce.spread(reduce.sum_(e, (3,)), s.shape, (3,))
    return ew.where(ew.eq(total, zero), zero, ew.div(e, total))


ATTENTION = register(Attention())
ATTENTION_GRADIENTS = register(AttentionGradients())
CACHED_ATTENTION = register(CachedAttention())


def attention(
    q: Node, k: Node, v: Node, mask: Node | None, scale: float, causal: bool,
    drop: float = 0.0, stream: Sequence[Node] = (),
) -> Node:  # fmt: skip
    """y: (B, H, L, V); see the module. Narrower floats are widened."""
    dtype, wide = q.dtype, q.dtype.compute
    inputs = [ew.cast(x, wide) for x in (q, k, v)]
    if mask is not None:
        inputs.append(mask if mask.dtype is dtypes.bool_ else ew.cast(mask, wide))
    flat = make_node(ATTENTION, (*inputs, *stream), (scale, causal, drop))
    y = mv.permute(_parts(flat, _result_shapes(inputs))[0], _HEADS_INSIDE)
    return ew.cast(y, dtype)


def cached_attention(q: Node, k: Node, v: Node, start: Node, scale: float) -> Node:
    """y: (B, H, L, V) of queries that see the keys up to start + their number."""
    flat = make_node(CACHED_ATTENTION, (q, k, v, start), (scale,))
    return mv.permute(_parts(flat, _result_shapes((q, k, v)))[0], _HEADS_INSIDE)
