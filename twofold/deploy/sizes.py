"""Graphs of any size, from the texts of the same graph at a few sizes.

A graph knows its sizes as numbers: `reshape(x, shape=(35, 8))`. A program that is to run on other
sizes is therefore recorded at several, and the numbers of its texts are compared. One that differs
is written as the polynomial of the sizes that gives it, `shape=({5*batch}, 8)`, of degree 2 at most
in each, found by exact interpolation on a grid and checked at one more point. So nothing is assumed
of how the numbers came about, and what is no such polynomial is refused.

    before   x.reshape(35, 8)  at batch 7,   x.reshape(50, 8)  at batch 10, ...
    after    x.reshape({5*batch}, 8)
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")
"""A number in a graph's text that is not part of a name."""

HOLE = re.compile(r"\{([^{}]*)\}")

MAX_SYMBOLS = 3
"""Sizes that may vary, since the grid has three points along each."""

Sizes = Mapping[str, int]


class NotPolynomial(ValueError):
    """A number of the graph is no polynomial of the sizes."""


def grid(examples: Sizes) -> list[dict[str, int]]:
    """The sizes to record at: three multiples of each example's, every combination, and last one
    more to check. Multiples, since a graph may ask for divisible sizes; none is 1, which
    broadcasts."""
    steps = {name: max(n, 2) for name, n in examples.items()}
    points = [
        {name: k * step for (name, step), k in zip(steps.items(), factors)}
        for factors in itertools.product((1, 2, 3), repeat=len(steps))
    ]
    if steps:
        points.append({name: (5 + i) * step for i, (name, step) in enumerate(steps.items())})
    return points


def template(texts: Sequence[str], points: Sequence[Sizes]) -> str:
    """One text with holes from those at `points`. NotPolynomial where they differ otherwise."""
    if len(texts) == 1:
        return texts[0]
    first = texts[0]
    skeletons = {NUMBER.sub("#", text) for text in texts}
    if len(skeletons) != 1:
        raise NotPolynomial("its operations are others at other sizes")
    columns = zip(*[NUMBER.findall(text) for text in texts])
    parts = [c[0] if len(set(c)) == 1 else "{" + formula(c, points) + "}" for c in columns]
    filler = iter(parts)
    return NUMBER.sub(lambda _: next(filler), first)


def formula(values: Sequence[str], points: Sequence[Sizes]) -> str:
    """The polynomial that has these values at these points, or 1 over one."""
    numbers = [Fraction(v) if "e" not in v and "." not in v else Fraction(float(v)) for v in values]
    if all(n.denominator == 1 for n in numbers):
        found = _polynomial(numbers, points)
        if found is not None:
            return found
    elif all(numbers):
        inverses = [1 / n for n in numbers]
        nearest = [Fraction(round(n)) for n in inverses]
        if all(float(1 / n) == float(m) for n, m in zip(nearest, numbers) if n):
            found = _polynomial(nearest, points)
            if found is not None:
                return f"1/({found})"
    known = ", ".join(f"{v} at {dict(p)}" for v, p in list(zip(values, points))[:3])
    raise NotPolynomial(f"it holds a number that is no polynomial of the sizes: {known}")


def _polynomial(values: Sequence[Fraction], points: Sequence[Sizes]) -> str | None:
    """The polynomial as text; None if there is none of degree 2 in each size."""
    names = list(points[0])
    powers = list(itertools.product(range(3), repeat=len(names)))
    rows = [[Fraction(_monomial(point, names, power)) for power in powers] for point in points[:-1]]
    found = _solve(rows, list(values[:-1]))
    last = points[-1]
    at_last = sum(c * _monomial(last, names, p) for c, p in zip(found, powers))
    if at_last != values[-1]:
        return None
    common = math.lcm(*[c.denominator for c in found])
    terms = []
    for c, power in sorted(zip(found, powers), key=lambda term: term[1], reverse=True):
        if c:
            factors = [n for n, p in zip(names, power) for _ in range(p)]
            k = int(c * common)
            terms.append("*".join([str(k), *factors] if k != 1 or not factors else factors))
    text = " + ".join(terms).replace("+ -", "- ") or "0"
    return text if common == 1 else f"({text})//{common}"


def _monomial(point: Sizes, names: Sequence[str], power: Sequence[int]) -> int:
    return math.prod(point[name] ** p for name, p in zip(names, power))


def _solve(rows: list[list[Fraction]], values: list[Fraction]) -> list[Fraction]:
    """The solution of a square system, by elimination."""
    n = len(rows)
    table = [[*row, v] for row, v in zip(rows, values)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if table[i][k])
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [x / table[k][k] for x in table[k]]
        for i in range(n):
            if i != k and table[i][k]:
                factor = table[i][k]
                table[i] = [x - factor * y for x, y in zip(table[i], table[k])]
    return [row[n] for row in table]


def fill(text: str, sizes: Sizes) -> str:
    """A template's text at these sizes. ValueError for holes that hold anything but a formula."""
    return HOLE.sub(lambda hole: repr(evaluate(hole.group(1), sizes)), text)


def number(text: str, sizes: Sizes) -> int | float | bool:
    """The number that a text stands for: one in Python's spelling, or a formula.

    >>> number("0.5", {}), number("True", {}), number("1/(batch)", {"batch": 4})
    (0.5, True, 0.25)
    """
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return evaluate(text, sizes)


def evaluate(text: str, sizes: Sizes) -> int | float:
    """The value of a formula: whole numbers, names of sizes, + - * // and 1/(...).

    >>> evaluate("2*batch*steps + 1", {"batch": 3, "steps": 4})
    25
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"[sizes] {text[:80]!r} is no formula") from None
    return _evaluate(tree.body, sizes)


def _evaluate(tree: ast.expr, sizes: Sizes) -> int | float:
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return tree.value
    if isinstance(tree, ast.Name):
        if tree.id not in sizes:
            raise ValueError(f"[sizes] no size is called {tree.id!r}; known: {sorted(sizes)}")
        return sizes[tree.id]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_evaluate(tree.operand, sizes)
    if isinstance(tree, ast.BinOp):
        a, b = _evaluate(tree.left, sizes), _evaluate(tree.right, sizes)
        if isinstance(tree.op, ast.Add):
            return a + b
        if isinstance(tree.op, ast.Sub):
            return a - b
        if isinstance(tree.op, ast.Mult):
            return a * b
        if isinstance(tree.op, ast.FloorDiv) and b:
            return a // b
        if isinstance(tree.op, ast.Div) and b:
            return a / b
    raise ValueError(f"[sizes] {ast.unparse(tree)[:80]!r} is no formula of sizes")
