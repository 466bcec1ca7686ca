"""Split complex nodes into pairs of real ones, so that kernels never see a complex number.

    z: a leaf            =>  (as_real(z)[..., 0], as_real(z)[..., 1]), the same memory
    f(z), "parts"        =>  (f(re z), f(im z))
    f(z, w), "product"   =>  (f(re, re) - f(im, im), f(re, im) + f(im, re))
    exp(z), ...          =>  formulas of `complex_functions.py`
    a complex root       =>  as_complex(concatenate([re, im], -1))

What "parts" and "product" mean, an op states itself (`Op.complex_rule`). Calls of host functions
keep their complex inputs and outputs, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from .. import dtypes
from ..graph import node as graph
from ..graph.node import LEAF, Node, postorder
from ..graph.node import make as make_node
from ..ops import complex as cx
from ..ops import elementwise as ew
from ..ops import movement as mv
from . import complex_functions as formulas
from .complex_functions import Pair


def split_complex(roots: Sequence[Node]) -> list[Node]:
    """The roots, computed from real nodes alone."""
    order = postorder(roots, pending_only=True)
    if not any(node.dtype.is_complex for node in order):
        return list(roots)
    enabled = graph.recorder.grad_enabled
    graph.recorder.grad_enabled = False
    try:
        split = _Split()
        for node in order:
            split.visit(node)
        return [split.whole(root) for root in roots]
    finally:
        graph.recorder.grad_enabled = enabled


class _Split:
    """What stands for each node seen so far: a real node, a pair, or a complex node in memory."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.pairs: dict[int, Pair] = {}

    def visit(self, node: Node) -> None:
        """Find what stands for `node`, whose inputs have been visited."""
        op, attrs = node.structure.op, node.structure.attrs
        if node.value is not None or op is LEAF:
            self.nodes[id(node)] = node
        elif op.kind == "call":
            self.nodes[id(node)] = self._made(node, [self.whole(x) for x in node.inputs])
        elif op.name in TAKEN and not node.dtype.is_complex:
            self.nodes[id(node)] = TAKEN[op.name](self, node)
        elif not node.dtype.is_complex:
            self.nodes[id(node)] = self._made(node, [self.nodes[id(x)] for x in node.inputs])
        elif op.name in MADE:
            self.pairs[id(node)] = MADE[op.name](self, node)
        elif op.complex_rule == "parts":
            given = [self.both(x) for x in node.inputs]
            re, im = (make_node(op, tuple(x[k] for x in given), attrs) for k in (0, 1))
            self.pairs[id(node)] = re, im
        elif op.complex_rule == "product":
            (a, b), (c, d) = (self.pair(x) for x in node.inputs)

            def product(x: Node, y: Node) -> Node:
                return make_node(op, (x, y), attrs)

            re = ew.sub(product(a, c), product(b, d))
            self.pairs[id(node)] = re, ew.add(product(a, d), product(b, c))
        else:
            raise RuntimeError(f"[{op.name}] is not implemented for {node.dtype}")

    def _made(self, node: Node, inputs: list[Node]) -> Node:
        """`node` with other inputs."""
        if all(a is b for a, b in zip(inputs, node.inputs)):
            return node
        new = make_node(node.structure.op, tuple(inputs), node.structure.attrs)
        new.location = node.location
        return new

    def pair(self, x: Node) -> Pair:
        """The parts of a complex node."""
        found = self.pairs.get(id(x))
        if found is None:
            parts = cx.as_real(self.nodes[id(x)])
            found = self.pairs[id(x)] = _part(parts, 0), _part(parts, 1)
        return found

    def both(self, x: Node) -> Pair:
        """The parts of a complex node; a real one twice."""
        return self.pair(x) if x.dtype.is_complex else (self.nodes[id(x)],) * 2

    def whole(self, x: Node) -> Node:
        """The node itself, complex numbers in memory."""
        found = self.nodes.get(id(x))
        if found is None:
            found = self.nodes[id(x)] = cx.as_complex(_joined(*self.pairs[id(x)]))
        return found


def _part(parts: Node, k: int) -> Node:
    """parts[..., k]."""
    shape = parts.shape[:-1]
    return mv.reshape(mv.slice_(parts, (*((0, n, 1) for n in shape), (k, 1, 1))), shape)


def _joined(re: Node, im: Node) -> Node:
    """The parts side by side along a new last axis; they may have to broadcast first."""
    shape = ew.add(re, im).shape if re.shape != im.shape else re.shape
    wide = [mv.reshape(mv.expand(x, shape), (*shape, 1)) for x in (re, im)]
    return mv.concatenate(wide, len(shape))


def _compared(s: _Split, node: Node) -> Node:
    """z == w where both parts are; z != w where one is not."""
    (a, b), (c, d) = (s.pair(x) for x in node.inputs)
    op = node.structure.op
    both = make_node(op, (a, c)), make_node(op, (b, d))
    return (ew.and_ if op.name == "eq" else ew.or_)(*both)


def _tested(s: _Split, node: Node) -> Node:
    """Finite if both parts are; NaN or infinite if one is."""
    op = node.structure.op
    a, b = (make_node(op, (x,)) for x in s.pair(node.inputs[0]))
    return (ew.and_ if op.name == "isfinite" else ew.or_)(a, b)


def _from_complex(s: _Split, node: Node) -> Node:
    """A complex number as a real one: its real part; as bool: whether a part is not 0."""
    x = node.inputs[0]
    if not x.dtype.is_complex:
        return s._made(node, [s.nodes[id(x)]])
    a, b = s.pair(x)
    if node.dtype is dtypes.bool_:
        return ew.or_(ew.cast(a, node.dtype), ew.cast(b, node.dtype))
    return ew.cast(a, node.dtype)


def _to_complex(s: _Split, node: Node) -> Pair:
    real = node.dtype.to_real()
    x = node.inputs[0]
    if x.dtype.is_complex:
        a, b = s.pair(x)
        return ew.cast(a, real), ew.cast(b, real)
    return ew.cast(s.nodes[id(x)], real), _zeros(x, node)


def _zeros(x: Node, node: Node) -> Node:
    return mv.expand(ew.constant(0, node.dtype.to_real()), x.shape)


def _constant(s: _Split, node: Node) -> Pair:
    value = complex(node.structure.op.value(node.structure.attrs))
    real = node.dtype.to_real()
    return ew.constant(value.real, real), ew.constant(value.imag, real)


def _complex(s: _Split, node: Node) -> Pair:
    a, b = (mv.expand(s.nodes[id(x)], node.shape) for x in node.inputs)
    return a, b


def _conj(s: _Split, node: Node) -> Pair:
    a, b = s.pair(node.inputs[0])
    return a, ew.neg(b)


def _as_complex(s: _Split, node: Node) -> Pair:
    parts = s.nodes[id(node.inputs[0])]
    return _part(parts, 0), _part(parts, 1)


def _as_real(s: _Split, node: Node) -> Node:
    x = node.inputs[0]
    return s._made(node, [s.nodes[id(x)]]) if id(x) in s.nodes else _joined(*s.pair(x))


def _prod(s: _Split, node: Node) -> Pair:
    """The product of halves, again and again: the order follows from the shape alone."""
    x, axes = node.inputs[0], node.structure.attrs[0]
    rank = len(x.shape)
    kept = tuple(a for a in range(rank) if a not in axes)
    shape = tuple(x.shape[a] for a in kept)
    a, b = (
        mv.reshape(mv.permute(v, kept + axes), (*shape, prod(x.shape[a] for a in axes)))
        for v in s.pair(x)
    )
    n = a.shape[-1]
    if not n:
        one, zero = (ew.constant(v, a.dtype) for v in (1, 0))
        return mv.expand(one, shape), mv.expand(zero, shape)
    while n > 1:
        if n % 2:
            widths = (*((0, 0) for _ in shape), (0, 1))
            a = mv.pad(a, widths, ew.constant(1, a.dtype))
            b = mv.pad(b, widths)
        n = -(-n // 2)
        a, b = formulas.mul(_run(a, b, 0, n), _run(a, b, n, n))
    return mv.reshape(a, shape), mv.reshape(b, shape)


def _run(a: Node, b: Node, start: int, size: int) -> Pair:
    """The parts from `start` on along the last axis."""
    bounds = (*((0, n, 1) for n in a.shape[:-1]), (start, size, 1))
    return mv.slice_(a, bounds), mv.slice_(b, bounds)


def _later(x: Pair, distance: int, reverse: bool, first: float) -> Pair:
    """x moved by `distance` steps along the middle axis, `first` coming in."""
    b, n, r = x[0].shape
    cut = ((0, b, 1), (distance if reverse else 0, n - distance, 1), (0, r, 1))
    widths = ((0, 0), (0, distance) if reverse else (distance, 0), (0, 0))
    re, im = (mv.slice_(v, cut) for v in x)
    return mv.pad(re, widths, ew.constant(first, re.dtype)), mv.pad(im, widths)


def _cumprod(s: _Split, node: Node) -> Pair:
    """Products of 1, 2, 4, ... neighbours."""
    x, (reverse,) = s.pair(node.inputs[0]), node.structure.attrs
    distance = 1
    while distance < node.shape[1]:
        x = formulas.mul(x, _later(x, distance, reverse, 1))
        distance *= 2
    return x


def _recurrence(s: _Split, node: Node) -> Pair:
    """Of 1, 2, 4, ... steps at once: (a, b) after (a', b') is (a a', a b' + b)."""
    (a, b), (reverse,) = (s.pair(x) for x in node.inputs), node.structure.attrs
    distance = 1
    while distance < node.shape[1]:
        b = formulas.add(formulas.mul(a, _later(b, distance, reverse, 0)), b)
        a = formulas.mul(a, _later(a, distance, reverse, 1))
        distance *= 2
    return b


TAKEN: dict[str, Callable[[_Split, Node], Node]] = {
    "real": lambda s, node: s.pair(node.inputs[0])[0],
    "imag": lambda s, node: s.pair(node.inputs[0])[1],
    "as_real": _as_real,
    "cast": _from_complex,
}
"""Ops of complex numbers that give real ones."""

MADE: dict[str, Callable[[_Split, Node], Pair]] = {
    "constant": _constant,
    "cast": _to_complex,
    "complex": _complex,
    "conj": _conj,
    "as_complex": _as_complex,
    "prod": _prod,
    "cumprod": _cumprod,
    "recurrence": _recurrence,
}
"""Ops that give complex numbers, by rules of their own."""


def _unary(f: Callable[[Pair], Pair]) -> Callable[[_Split, Node], Pair]:
    return lambda s, node: f(s.pair(node.inputs[0]))


def _binary(f: Callable[[Pair, Pair], Pair]) -> Callable[[_Split, Node], Pair]:
    return lambda s, node: f(s.pair(node.inputs[0]), s.pair(node.inputs[1]))


MADE.update({name: _unary(f) for name, f in formulas.UNARY.items()})
MADE.update({name: _binary(f) for name, f in formulas.BINARY.items()})


def _if_complex(f: Callable[[_Split, Node], Node]) -> Callable[[_Split, Node], Node]:
    """`f` for complex inputs; else the node itself."""

    def apply(s: _Split, node: Node) -> Node:
        if node.inputs[0].dtype.is_complex:
            return f(s, node)
        return s._made(node, [s.nodes[id(x)] for x in node.inputs])

    return apply


for _name, _rule in {
    "eq": _compared, "ne": _compared, "isnan": _tested, "isinf": _tested, "isfinite": _tested,
}.items():  # fmt: skip
    TAKEN[_name] = _if_complex(_rule)
