"""Programs: a graph with its weights, called like the function it was made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..dtypes import DType
from ..graph.node import Node, leaf
from ..graph.text import Graph, parse
from ..graph.types import Type
from ..ops.base import registry
from ..ops.body import substitute
from ..tensor import Tensor, wrap
from .harden import hardened
from .sizes import fill, number

GRAPHS = 64
"""Graphs, of so many sizes, that a program keeps."""


@dataclass(frozen=True)
class Input:
    """An input of a program. Sizes that may vary stand in `shape` by name."""

    name: str
    dtype: DType
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype.name}[{', '.join(map(str, self.shape))}]"

    def type_at(self, sizes: Mapping[str, int]) -> Type:
        """Its type at these sizes."""
        return Type(tuple(sizes[n] if isinstance(n, str) else n for n in self.shape), self.dtype)


class Program:
    """A graph with its weights, called like the function it was made of; see `save_program`.

    `inputs` and `sizes` say what it takes, `weights` are its tensors by name, `graph(...)` shows
    what it computes. It holds no code of the function. Gradients go through it to its inputs.
    """

    def __init__(
        self,
        text: str,
        inputs: Sequence[Input],
        leaves: Sequence[Mapping[str, Any]],
        outputs: Any,
        weights: Mapping[str, Tensor],
        examples: Mapping[str, int],
    ) -> None:
        self.text = text
        self.inputs = tuple(inputs)
        self.leaves = tuple(leaves)
        self.outputs = outputs
        self.weights = dict(weights)
        self.examples = dict(examples)
        self.sizes = sorted({n for i in inputs for n in i.shape if isinstance(n, str)})
        self._graphs: OrderedDict[tuple[int, ...], Graph] = OrderedDict()

    def __repr__(self) -> str:
        return f"<program ({', '.join(map(str, self.inputs))}) -> {_form_text(self.outputs)}>"

    def __call__(self, *args: Tensor, **kwargs: Tensor) -> Any:
        """The function's result. TypeError for inputs that are missing or unknown, RuntimeError for
        those of another dtype or shape."""
        given = self._bound(args, kwargs)
        sizes = self.sizes_of([x.shape for x in given], [x.dtype for x in given])
        graph = self.graph(**sizes)
        env = {
            id(old): given[source["input"]]._node() if value is None else value
            for old, source, value in zip(graph.arguments, self.leaves, self.values(**sizes))
        }
        return _formed(self.outputs, iter([wrap(x) for x in substitute(graph.roots, env)]))

    def graph(self, **sizes: int) -> Graph:
        """The graph at these sizes, which prints as text; its leaves have no values. ValueError for
        sizes that are missing or do not fit."""
        if sorted(sizes) != self.sizes:
            raise ValueError(f"[program] its sizes are {self.sizes}; got {sorted(sizes)}")
        key = tuple(sizes[name] for name in self.sizes)
        found = self._graphs.get(key)
        if found is None:
            found = parse(fill(self.text, sizes), registry)
            self._check(found, sizes)
            found.roots = hardened(found.roots)
            self._graphs[key] = found
            if len(self._graphs) > GRAPHS:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return found

    def values(self, **sizes: int) -> list[Node | None]:
        """For each leaf of the graph the leaf that holds its value, None for an input."""
        found: list[Node | None] = []
        for old, source in zip(self.graph(**sizes).arguments, self.leaves):
            if "weight" in source:
                found.append(self.weights[source["weight"]]._node())
            elif "number" in source:
                value = number(source["number"], sizes)
                found.append(leaf(value, old.type, scalar=True))
            else:
                found.append(None)
        return found

    def sizes_of(
        self, shapes: Sequence[Sequence[int]], kinds: Sequence[DType] | None = None
    ) -> dict[str, int]:
        """The sizes that inputs of these shapes give. RuntimeError where they do not fit."""
        sizes: dict[str, int] = {}
        for k, (i, shape) in enumerate(zip(self.inputs, shapes, strict=True)):
            fits = len(shape) == len(i.shape) and (kinds is None or kinds[k] is i.dtype)
            for named, n in zip(i.shape, shape):
                wanted = sizes.setdefault(named, n) if isinstance(named, str) else named
                fits = fits and wanted == n
            if not fits:
                kind = "" if kinds is None else kinds[k].name
                raise RuntimeError(
                    f"[program] an input must be {i}; got {kind}[{', '.join(map(str, shape))}]"
                    + (f" where {sizes}" if sizes else "")
                )
        return sizes

    def _check(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        """ValueError unless each leaf of the graph has a source of its type."""
        if len(graph.arguments) != len(self.leaves):
            raise ValueError(
                f"[program] {len(graph.arguments)} leaves, and sources of {len(self.leaves)}"
            )
        for old, source in zip(graph.arguments, self.leaves):
            if "input" in source:
                type_ = self.inputs[source["input"]].type_at(sizes)
            elif "weight" in source:
                type_ = self.weights[source["weight"]]._node().type
            else:
                type_ = Type((), old.dtype)
            if old.type != type_:
                raise ValueError(f"[program] a leaf is {old.type!r}, its source {type_!r}")
            if "number" in source:
                number(source["number"], sizes)
        if len(graph.roots) != count(self.outputs):
            raise ValueError(f"[program] {len(graph.roots)} results for {self.outputs}")

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The inputs in order, from a call."""
        names = [i.name for i in self.inputs]
        given = dict(zip(names, args))
        unknown = [n for n in kwargs if n not in names or n in given]
        given.update(kwargs)
        if unknown or len(args) > len(names) or len(given) < len(names):
            raise TypeError(
                f"[program] takes {names}; got {len(args)} by position and {sorted(kwargs)} by name"
            )
        for name in names:
            if not isinstance(given[name], Tensor):
                raise TypeError(
                    f"[program] {name} must be a tensor; got {type(given[name]).__name__}; try "
                    "twofold.tensor(...)"
                )
        return [given[name] for name in names]


def form_of(result: Any) -> Any:
    """The containers of a result as JSON has them, with "tensor" for tensors."""
    if isinstance(result, Tensor):
        return "tensor"
    if isinstance(result, Mapping):
        if not all(isinstance(k, str) for k in result):
            raise TypeError(f"[program] names of results are text; got {list(result)}")
        return {"dict": [[k, form_of(v)] for k, v in result.items()]}
    if isinstance(result, (tuple, list)):
        kind = "tuple" if isinstance(result, tuple) else "list"
        return {kind: [form_of(v) for v in result]}
    raise TypeError(
        "[program] a program returns tensors, in tuples, lists and dicts; got "
        f"{type(result).__name__}; try twofold.tensor(...)"
    )


def _formed(form: Any, tensors: Iterator[Tensor]) -> Any:
    """A result of this form."""
    if form == "tensor":
        return next(tensors)
    ((kind, parts),) = form.items()
    if kind == "dict":
        return {k: _formed(f, tensors) for k, f in parts}
    made = [_formed(f, tensors) for f in parts]
    return tuple(made) if kind == "tuple" else made


def _form_text(form: Any) -> str:
    if form == "tensor":
        return form
    ((kind, parts),) = form.items()
    if kind == "dict":
        return "{" + ", ".join(f"{k}: {_form_text(f)}" for k, f in parts) + "}"
    inner = ", ".join(map(_form_text, parts))
    return f"({inner})" if kind == "tuple" else f"[{inner}]"


def count(form: Any) -> int:
    """Tensors in a form. ValueError for what is none."""
    if form == "tensor":
        return 1
    if isinstance(form, dict) and len(form) == 1:
        ((kind, parts),) = form.items()
        if kind in ("tuple", "list") and isinstance(parts, list):
            return sum(map(count, parts))
        pairs = kind == "dict" and isinstance(parts, list)
        if pairs and all(isinstance(p, list) and len(p) == 2 for p in parts):
            return sum(count(f) for k, f in parts if isinstance(k, str))
    raise ValueError(f"[program] no form of a result: {str(form)[:80]}")
