"""Saved programs: a function's graph, its weights and its signature in one file.

The file is a safetensors file (see `serialization/safetensors.py`), so that its weights can be read
by all that reads those. Its metadata, text by name, are

    format    "twofold program"
    version   "1"
    graph     the graph as text (see `graph/text.py`), with formulas of the sizes in holes
              (see `sizes.py`)
    inputs    JSON: for each input its name, dtype and shape, where a size that may vary is a name
    leaves    JSON: for each parameter of the graph, in order, {"input": position},
              {"weight": name of an array of the file} or {"number": number or formula as text}
    sizes     JSON: an example for each size that may vary, by name
    outputs   JSON: "tensor", {"tuple": [...]}, {"list": [...]} or {"dict": [[name, ...], ...]},
              whose tensors are the graph's results, in order

Nothing in a file is run. The text is parsed, each op's own rule checks types and attributes, and
positions that are read or written at are checked as the program runs (`harden.py`).
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..engine import array_of
from ..graph.node import LEAF, Node
from ..graph.text import Given, Graph
from ..nn import Module
from ..serialization.files import FormatError, write_atomically
from ..serialization.safetensors import Header, parse_header, read_array, write
from ..tensor import Tensor, from_stored, wrap
from .program import Input, Program
from .record import Recording, record
from .sizes import MAX_SYMBOLS, NotPolynomial, formula, grid, template

FORMAT, VERSION = "twofold program", "1"

Shapes = Mapping[str, Mapping[int, str]]


def save_program(
    function: Callable[..., Any],
    path: str | os.PathLike[str],
    inputs: Sequence[Tensor] | Mapping[str, Tensor],
    dynamic_shapes: Shapes | None = None,
) -> Program:
    """Write what `function`, or a module, computes for such inputs to a file, and give the program.

    `inputs` are examples, of which only dtypes and shapes count. `dynamic_shapes` names the sizes
    that may vary, by input and axis; inputs may share them. The function is called on stand-ins, so
    it must not look at values, draw random numbers or write to tensors; its branches, loops and
    other Python become part of the graph as they went, and whatever prepares the data belongs in
    it. Parameters and buffers keep their names.

    Errors: RuntimeError where the function does one of these, or its graph at other sizes is no
    polynomial of them; TypeError for arguments or results that are no tensors.

    >>> import os, tempfile, twofold as tf
    >>> net = tf.nn.Sequential(tf.nn.Flatten(), tf.nn.Linear(4, 2)).eval()
    >>> path = os.path.join(tempfile.mkdtemp(), "net.program")
    >>> tf.save_program(net, path, [tf.zeros(5, 2, 2)], {"input": {0: "batch"}})
    <program (input: float32[batch, 2, 2]) -> tensor>
    >>> x = tf.randn(3, 2, 2)
    >>> bool((tf.load_program(path)(x) == net(x)).all())
    True
    """
    program = program_of(function, inputs, dynamic_shapes)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "graph": program.text,
        "inputs": json.dumps([[i.name, i.dtype.name, list(i.shape)] for i in program.inputs]),
        "sizes": json.dumps(program.examples),
        "leaves": json.dumps(program.leaves),
        "outputs": json.dumps(program.outputs),
    }
    write_atomically(path, lambda file: write(file, program.weights, metadata))
    return program


def program_of(
    function: Callable[..., Any],
    inputs: Sequence[Tensor] | Mapping[str, Tensor],
    dynamic_shapes: Shapes | None = None,
) -> Program:
    """The program of a function, in memory; arguments as for `save_program`."""
    given = _named(function, inputs)
    specs = [_input(name, x, (dynamic_shapes or {}).get(name, {})) for name, x in given.items()]
    unknown = sorted(set(dynamic_shapes or {}) - set(given))
    if unknown:
        raise ValueError(
            f"[save_program] dynamic_shapes names inputs {sorted(given)}; got {unknown}"
        )
    examples: dict[str, int] = {}
    for spec, x in zip(specs, given.values()):
        examples.update({n: size for n, size in zip(spec.shape, x.shape) if isinstance(n, str)})
    if len(examples) > MAX_SYMBOLS:
        raise ValueError(
            f"[save_program] at most {MAX_SYMBOLS} sizes may vary; got {sorted(examples)}"
        )
    points = grid(examples)
    names = [spec.name for spec in specs]
    found = []
    for point in points:
        try:
            found.append(record(function, [spec.type_at(point) for spec in specs], names))
        except RuntimeError as error:
            if not point or point == points[0]:
                raise
            raise RuntimeError(
                f"[save_program] the function fails at other sizes, {point}: {error}"
            ) from error
    try:
        text = template([str(Graph(r.roots, "program")) for r in found], points)
        leaves, weights = _leaves(found, points, names)
    except NotPolynomial as error:
        raise RuntimeError(
            f"[save_program] the function cannot take other sizes as one program: {error}; try "
            "fewer dynamic_shapes, or a program for each size"
        ) from None
    program = Program(text, specs, leaves, found[0].form, weights, points[0])
    program.graph(**program.examples)
    return program


def _named(
    function: Callable[..., Any], inputs: Sequence[Tensor] | Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The example inputs by the function's names for them."""
    if isinstance(inputs, Tensor) or not isinstance(inputs, (Sequence, Mapping)):
        raise TypeError(
            f"[save_program] inputs are a list, or a dict by name; got {type(inputs).__name__}; "
            "try [x]"
        )
    call = function.forward if isinstance(function, Module) else function
    if not isinstance(inputs, Mapping):
        names = list(inspect.signature(call).parameters)
        names += [f"input{k}" for k in range(len(names), len(inputs))]
        inputs = dict(zip(names, inputs))
    for name, x in inputs.items():
        if not isinstance(x, Tensor):
            raise TypeError(
                f"[save_program] the input {name} must be a tensor; got {type(x).__name__}; try "
                "functools.partial for what does not vary"
            )
    return dict(inputs)


def _input(name: str, x: Tensor, dynamic: Mapping[int, str]) -> Input:
    """The signature of an input."""
    shape: list[int | str] = list(x.shape)
    for axis, size in dynamic.items():
        if not isinstance(size, str) or not size.isidentifier():
            raise ValueError(f"[save_program] a size is called by a name; got {size!r} for {name}")
        if not -len(shape) <= axis < len(shape):
            raise IndexError(f"[save_program] {name} has {len(shape)} axes; got axis {axis}")
        shape[axis] = size
    return Input(name, x.dtype, tuple(shape))


def _leaves(
    found: Sequence[Recording], points: Sequence[Mapping[str, int]], names: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Where the value of each leaf comes from, and the weights by name."""
    leaves: list[dict[str, Any]] = []
    weights: dict[str, Tensor] = {}
    taken: dict[int, str] = {}
    known = found[0].weights
    for column in zip(*[r.leaves() for r in found], strict=True):
        node = column[0]
        if isinstance(node.value, Given):
            leaves.append({"input": names.index(node.value.name)})
        elif node.structure.op is LEAF and node.structure.attrs[0]:
            texts = [repr(n.value) for n in column]
            same = len(set(texts)) == 1
            leaves.append({"number": texts[0] if same else formula(texts, points)})
        else:
            if any(not _equal(node, other) for other in column[1:]):
                raise NotPolynomial("it holds an array that depends on the sizes")
            if id(node) not in taken:
                name = known.get(id(node)) or f"constant.{len(weights)}"
                taken[id(node)] = name
                weights[name] = wrap(node)
            leaves.append({"weight": taken[id(node)]})
    return leaves, weights


def _equal(a: Node, b: Node) -> bool:
    return a is b or (a.type == b.type and array_of(a).tobytes() == array_of(b).tobytes())


def load_program(path: str | os.PathLike[str]) -> Program:
    """The program that a file holds; nothing of the code that it was made of is needed, and none is
    run. FormatError for a file that is none, damaged, or of a later version.

    >>> load_program("nowhere.program")
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.program'
    """
    where = os.fspath(path)
    with open(path, "rb") as file:
        header = parse_header(file, where)
        about = header.metadata
        if about.get("format") != FORMAT:
            raise FormatError(f"[load_program] {where}: no program; try save_program(...)")
        if about.get("version") != VERSION:
            raise FormatError(
                f"[load_program] {where}: of version {about.get('version')!r}; this Twofold reads "
                f"version {VERSION!r}; try a later Twofold"
            )
        arrays = {name: read_array(file, header, name, where) for name in header.entries}
    try:
        return _read(header, arrays)
    except _FAULTS as error:
        raise FormatError(f"[load_program] {where}: damaged: {str(error)[:300]}") from None


_FAULTS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, RecursionError,
    MemoryError, OverflowError, ZeroDivisionError, AssertionError,
)  # fmt: skip
"""What reading a damaged text may raise; anything is told as FormatError."""


def _read(header: Header, arrays: Mapping[str, np.ndarray]) -> Program:
    about = header.metadata
    kinds = {d.name: d for d in dtypes.ALL}
    inputs = [
        Input(str(name), kinds[kind], tuple(_size(n) for n in shape))
        for name, kind, shape in json.loads(about["inputs"])
    ]
    if len({i.name for i in inputs}) != len(inputs):
        raise ValueError("two inputs have one name")
    leaves = [_source(source, inputs, arrays) for source in json.loads(about["leaves"])]
    outputs = json.loads(about["outputs"])
    weights = {
        name: from_stored(array, header.entries[name].dtype) for name, array in arrays.items()
    }
    examples = {str(name): int(n) for name, n in json.loads(about["sizes"]).items()}
    program = Program(about["graph"], inputs, leaves, outputs, weights, examples)
    program.graph(**examples)
    return program


def _size(n: Any) -> int | str:
    if isinstance(n, str) and n.isidentifier():
        return n
    if type(n) is not int or not 0 <= n < 1 << 48:
        raise ValueError(f"a size must be a count or a name; got {n!r}")
    return n


def _source(source: Any, inputs: Sequence[Input], arrays: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, value),) = source.items()
    known = (
        (kind == "input" and type(value) is int and 0 <= value < len(inputs))
        or (kind == "weight" and value in arrays)
        or (kind == "number" and isinstance(value, str))
    )
    if not known:
        raise ValueError(f"no source of a value: {source}")
    return {kind: value}
