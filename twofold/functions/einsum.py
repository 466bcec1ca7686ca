"""Sums of products by Einstein's convention, in the order of products that costs least."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

from ..dtypes import result_type
from ..graph.node import Node, recorder
from ..ops import contract
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import reduce as rd
from ..tensor import Tensor, broadcast_to, wrap
from ._registry import function
from .casting import lower

MOST_PLANNED = 8
"""Operands up to which every order of pairs is weighed; beyond, the cheapest pair is next."""

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_lists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The equation and operands of `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""

    def term(places: Sequence[Any]) -> str:
        for place in places:
            if place is not Ellipsis and not (isinstance(place, int) and 0 <= place < 52):
                raise RuntimeError(
                    "einsum(): expected subscripts to be integers in [0, 52) or Ellipsis; got "
                    f"{place!r}"
                )
        return "".join("..." if p is Ellipsis else _LETTERS[p] for p in places)

    operands, lists = arguments[0 : len(arguments) // 2 * 2 : 2], arguments[1::2]
    equation = ",".join(map(term, lists))
    if len(arguments) % 2:
        equation += "->" + term(arguments[-1])
    return equation, tuple(operands)


def _labels(equation: str, operands: Sequence[Tensor]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, with characters of their own for "..."."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        few = "fewer" if len(operands) < len(terms) else "more"
        raise RuntimeError(
            f"einsum(): {few} operands were provided than specified in the equation; got "
            f"{len(operands)} for {len(terms)} terms"
        )
    for part in [*terms, right]:
        for c in part.replace("...", "", 1):
            if c not in _LETTERS:
                raise RuntimeError(
                    f"einsum(): invalid subscript given: {c!r}, subscripts must be in [a-zA-Z]"
                )
    longest = 0
    for term, x in zip(terms, operands):
        if "..." in term:
            longest = max(longest, x.dim() - len(term) + 3)
    dots = "".join(chr(0x2460 + k) for k in range(longest))
    full = []
    for term, x in zip(terms, operands):
        if "..." in term:
            n = x.dim() - len(term) + 3
            term = term.replace("...", dots[longest - max(n, 0) :])
        if len(term) != x.dim():
            raise RuntimeError(
                "einsum(): the number of subscripts in the equation does not match the number of "
                f"dimensions for operand; got {term!r} for {x.dim()} dimensions"
            )
        full.append(term)
    joined = "".join(full)
    if not arrow:
        once = sorted(c for c in set(joined) if joined.count(c) == 1 and c not in dots)
        return full, dots + "".join(once)
    output = right.replace("...", dots)
    for c in output:
        if output.count(c) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {c} appears more than once in the output"
            )
        if c not in joined:
            raise RuntimeError(
                f"einsum(): output subscript {c} does not appear in the equation for any input "
                "operand"
            )
    return full, output


@lru_cache(maxsize=4096)
def _order(
    terms: tuple[str, ...], shapes: tuple[tuple[int, ...], ...], output: str
) -> tuple[tuple[int, int], ...]:
    """Which two of the operands left to multiply next, again and again; the product goes last.

    The cost of a product is the product of the extents of all its labels. Up to `MOST_PLANNED`
    operands the least sum over all orders is found, from small sets of operands to large ones.
    """
    n = len(terms)
    extent: dict[str, int] = {}
    for term, shape in zip(terms, shapes):
        for c, size in zip(term, shape):
            extent[c] = max(extent.get(c, 1), size)

    def kept(inside: frozenset[int]) -> frozenset[str]:
        outside = set(output).union(*(terms[k] for k in range(n) if k not in inside))
        return frozenset(c for k in inside for c in terms[k] if c in outside)

    def cost(a: frozenset[int], b: frozenset[int]) -> int:
        return math.prod(extent[c] for c in kept(a) | kept(b))

    if n > MOST_PLANNED:
        return _greedy(n, cost)
    best: dict[frozenset[int], tuple[int, Any]] = {frozenset([k]): (0, None) for k in range(n)}
    for size in range(2, n + 1):
        for chosen in combinations(range(n), size):
            whole = frozenset(chosen)
            options = []
            for half in range(1, size // 2 + 1):
                for some in combinations(chosen, half):
                    a = frozenset(some)
                    b = whole - a
                    options.append((best[a][0] + best[b][0] + cost(a, b), sorted(a), (a, b)))
            total, _, parts = min(options, key=lambda option: option[:2])
            best[whole] = total, parts
    steps: list[tuple[frozenset[int], frozenset[int]]] = []
    stack = [frozenset(range(n))]
    while stack:
        parts = best[stack.pop()][1]
        if parts is not None:
            steps.append(parts)
            stack.extend(parts)
    return _places(n, reversed(steps))


def _greedy(n: int, cost: Any) -> tuple[tuple[int, int], ...]:
    left = [frozenset([k]) for k in range(n)]
    steps = []
    while len(left) > 1:
        a, b = min(combinations(left, 2), key=lambda pair: cost(*pair))
        steps.append((a, b))
        left = [x for x in left if x is not a and x is not b] + [a | b]
    return _places(n, steps)


def _places(n: int, steps: Any) -> tuple[tuple[int, int], ...]:
    """Sets of operands to multiply as positions in a list from which both are taken."""
    left = [frozenset([k]) for k in range(n)]
    result = []
    for a, b in steps:
        i, j = sorted((left.index(a), left.index(b)))
        result.append((i, j))
        del left[j], left[i]
        left.append(a | b)
    return tuple(result)


def _single(x: Node, term: str) -> tuple[Node, str]:
    """x with repeated labels of one operand reduced to their diagonal."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i, j = [k for k, d in enumerate(term) if d == c][:2]
            view: Any = wrap(x)
            x = view.diagonal(0, i, j)._node()
            term = "".join(d for k, d in enumerate(term) if k not in (i, j)) + c
    return x, term


def _pair_product(x: Node, a: str, y: Node, b: str, kept: str) -> tuple[Node, str]:
    """Two operands multiplied; labels that nothing later needs are summed."""
    x, a = _summed(x, a, set(b) | set(kept))
    y, b = _summed(y, b, set(a) | set(kept))
    batch = [c for c in a if c in b and c in kept]
    inner_ = [c for c in a if c in b and c not in kept]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    extent = dict(zip(a, x.shape))
    for c, n in zip(b, y.shape):
        if extent.get(c, 1) == 1:
            extent[c] = n
        elif c in extent and n not in (1, extent[c]):
            raise RuntimeError(
                f"einsum(): operands do not broadcast with remapped shapes; got {extent[c]} and "
                f"{n} "
                f"for subscript {c}"
            )

    def laid(z: Node, own: str, groups: tuple[list[str], ...]) -> Node:
        order = [c for g in groups for c in g]
        z = mv.permute(z, tuple(own.index(c) for c in order))
        z = broadcast_to(z, tuple(extent[c] for c in order))
        sizes = [math.prod(extent[c] for c in g) for g in groups]
        return mv.reshape(z, tuple(sizes))

    left = laid(x, a, (batch, rows, inner_))
    right = laid(y, b, (batch, inner_, columns))
    labels = [*batch, *rows, *columns]
    if not inner_:
        dtype = result_type([(left.dtype, 2), (right.dtype, 2)])
        left, right = ew.cast(left, dtype), ew.cast(right, dtype)
        result = ew.mul(left, mv.reshape(right, (right.shape[0], 1, right.shape[2])))
    else:
        if recorder.autocast is not None:
            left, right = (x._node() for x in lower((wrap(left), wrap(right))))
        result = contract.matmul(left, right)
    return mv.reshape(result, tuple(extent[c] for c in labels)), "".join(labels)


def _summed(x: Node, own: str, needed: set[str]) -> tuple[Node, str]:
    axes = tuple(i for i, c in enumerate(own) if c not in needed)
    if not axes:
        return x, own
    return rd.sum_(x, axes), "".join(c for c in own if c in needed)


@function()
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's convention: labels that the result lacks are summed over.

    The equation is text ("bik,bkj->bij", with "..." for further axes, labels that occur once in
    order if there is no "->"), or lists of numbers behind each operand: einsum(x, [0, 1], y, [1,
    2], [0, 2]). Several operands are multiplied in the order that costs least. RuntimeError for
    labels that do not fit.

    >>> import twofold as tf
    >>> tf.einsum("ij,j->i", tf.ones(2, 3), tf.ones(3))
    tensor([3., 3.])
    """
    if isinstance(equation, Tensor):
        equation, operands = _from_lists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    terms, output = _labels(equation, operands)
    nodes = [x._node() for x in operands]
    dtype = result_type([(n.dtype, 2) for n in nodes])
    parts = [_single(ew.cast(n, dtype), t) for n, t in zip(nodes, terms)]
    if len(parts) > 1:
        shapes = tuple(x.shape for x, _ in parts)
        for i, j in _order(tuple(t for _, t in parts), shapes, output):
            (x, own), (y, other) = parts[i], parts[j]
            del parts[j], parts[i]
            later = "".join(t for _, t in parts) + output
            parts.append(_pair_product(x, own, y, other, later))
    x, own = _summed(*parts[0], set(output))
    return wrap(mv.permute(x, tuple(own.index(c) for c in output)))
