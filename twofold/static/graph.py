"""Graphs as TensorFlow 1 has them: named tensors and operations, scopes, collections.

A `Tensor` is a symbol (see `symbol.py`) with a name in a graph. Names are made as TensorFlow makes
them: an operation's is unique in its scope (`dense/MatMul`, `dense/MatMul_1`), a tensor's is that
of its operation and `:0`.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from .sizes import TensorShape
from .state import Input
from .symbol import Deferred, Samples, Symbol, define_operators, samples_of

_DTYPES = {"float": dtypes.float32, "double": dtypes.float64, "bool": dtypes.bool_}


def as_dtype(dtype: Any) -> DType:
    """A dtype by its name, or NumPy's. TypeError for what is none."""
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    found = _DTYPES.get(name) or getattr(dtypes, name, None)
    if not isinstance(found, DType):
        raise TypeError(f"Cannot convert value {dtype!r} to a TensorFlow DType.")
    return found


class Graph:
    """Tensors, operations and collections under names."""

    def __init__(self) -> None:
        self.symbols: dict[str, Tensor] = {}
        self.collections: dict[str, list[Any]] = {}
        self.seed: int | None = None
        self.seeded = 0
        self.finalized = False
        self._names: dict[str, int] = {}
        self._scope = ""
        self._after: list[Symbol] = []
        self.store: Any = None

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """The name, or the next free of name_1, name_2, ... in the current scope."""
        base = f"{self._scope}/{name}" if self._scope else name
        count = self._names.get(base.lower())
        if count is None:
            if mark_as_used:
                self._names[base.lower()] = 1
            return base
        found = base
        while found.lower() in self._names:
            found, count = f"{base}_{count}", count + 1
        if mark_as_used:
            self._names[base.lower()] = count
            self._names[found.lower()] = 1
        return found

    @contextlib.contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """A block whose operations have names below `name`; one that ends in / is taken as it
        stands."""
        before = self._scope
        if not name:
            self._scope = ""
        elif name.endswith("/"):
            self._scope = name[:-1]
        else:
            self._scope = self.unique_name(name)
        try:
            yield f"{self._scope}/" if self._scope else ""
        finally:
            self._scope = before

    @contextlib.contextmanager
    def control_dependencies(self, control_inputs: Sequence[Any] | None) -> Iterator[None]:
        """A block whose operations are computed after these, and see what they wrote."""
        before = self._after
        self._after = [] if control_inputs is None else [*before, *map(symbol_of, control_inputs)]
        try:
            yield
        finally:
            self._after = before

    @contextlib.contextmanager
    def as_default(self) -> Iterator[Graph]:
        """A block whose operations go to this graph."""
        opened.graphs.append(self)
        try:
            yield self
        finally:
            opened.graphs.pop()

    @contextlib.contextmanager
    def device(self, name: Any) -> Iterator[None]:
        """A block on a device: all run on the one there is."""
        yield

    def add(self, symbol: Tensor, name: str) -> None:
        """Enter a new tensor under a name. RuntimeError for a finalized graph."""
        if self.finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")
        symbol.graph = self
        symbol.op_name = name
        self.symbols[name] = symbol

    def waits_for(self) -> list[Symbol]:
        """What new operations are computed after."""
        return self._after

    def finalize(self) -> None:
        """Let nothing more be added."""
        self.finalized = True

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The tensor of a name such as `x:0`. KeyError where there is none."""
        op, _, at = name.partition(":")
        if op not in self.symbols or at != "0":
            raise KeyError(f"The name {name!r} refers to a Tensor which does not exist.")
        return self.symbols[op]

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation of a name. KeyError where there is none."""
        if name not in self.symbols:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.")
        return self.symbols[name].op

    def get_operations(self) -> list[Operation]:
        """All operations, in the order in which they were made."""
        return [s.op for s in list(self.symbols.values())]

    def add_to_collection(self, name: str, value: Any) -> None:
        """Append to a collection."""
        self.collections.setdefault(name, []).append(value)

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """A collection; with `scope`, what in it has a name that begins so."""
        found = self.collections.get(name, [])
        if scope is None:
            return list(found)
        return [x for x in found if hasattr(x, "name") and re.match(scope, x.name)]

    def get_collection_ref(self, name: str) -> list[Any]:
        """The collection itself."""
        return self.collections.setdefault(name, [])

    def next_seed(self, op_seed: int | None) -> int | None:
        """The seed of the next random operation, None for one that differs from run to run."""
        if self.seed is None and op_seed is None:
            return None
        self.seeded += 1
        graph_seed = 87654321 if self.seed is None else self.seed
        return (graph_seed * 1_000_003 + (self.seeded if op_seed is None else op_seed)) % 2**63


class _Open(threading.local):
    """The graphs and sessions whose blocks are open in this thread, the innermost last."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.sessions: list[Any] = []


opened = _Open()
_default = [Graph()]


def get_default_graph() -> Graph:
    """The graph that operations go to."""
    return opened.graphs[-1] if opened.graphs else _default[0]


def reset_default_graph() -> None:
    """Begin a new default graph. RuntimeError within a graph's block."""
    if opened.graphs:
        raise RuntimeError("Do not use tf.reset_default_graph() to clear nested graphs.")
    _default[0] = Graph()


class Tensor(Symbol):
    """A named symbol."""

    graph: Graph
    op_name: str

    @property
    def name(self) -> str:
        """The name of its operation and `:0`."""
        return f"{self.op_name}:0"

    @name.setter
    def name(self, value: str | None) -> None:
        """Names are given by the graph."""

    @property
    def op(self) -> Operation:
        """The operation that gives it."""
        return Operation(self)

    @property
    def dtype(self) -> DType | None:
        """The dtype, None where it is not known."""
        return None if self.known is None else self.known[1]

    @property
    def shape(self) -> TensorShape:
        """The sizes as far as they are known; `tf.shape` computes them."""
        return TensorShape(None if self.known is None else self.known[0])

    def get_shape(self) -> TensorShape:
        """The sizes as far as they are known."""
        return self.shape

    def set_shape(self, shape: Any) -> None:
        """Say what the sizes are where that is not known. ValueError where it contradicts."""
        said, mine = TensorShape(shape)._dims, self.shape._dims
        if said is None:
            return
        mine = (None,) * len(said) if mine is None else mine
        if len(mine) != len(said) or any(
            m != n for m, n in zip(mine, said) if m is not None and n is not None
        ):
            raise ValueError(f"Shapes {self.shape} and {TensorShape(said)} are incompatible")
        sizes = [n if m is None else m for m, n in zip(mine, said)]
        if self.dtype is not None and tuple(sizes) != self.shape._dims:
            self.samples = samples_of(sizes, self.dtype)

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """The value, computed by the session, or the default one."""
        return default_session(session).run(self, feed_dict)

    def __getitem__(self, index: Any) -> Tensor:
        return add("strided_slice", sliced, (self, index))

    def __repr__(self) -> str:
        kind = "?" if self.dtype is None else self.dtype.name
        return f"<tf.Tensor {self.name!r} shape={self.shape} dtype={kind}>"

    def refusal(self, error: Exception) -> Exception:
        """Shapes that do not fit are a ValueError."""
        return ValueError(str(error)) if type(error) is RuntimeError else error


def sliced(x: Any, index: Any) -> Any:
    """x[index]."""
    return x[index]


class Operation:
    """What computes a tensor, or nothing: running it gives None."""

    def __init__(self, symbol: Tensor) -> None:
        self.symbol = symbol
        self.graph = symbol.graph
        self.name = symbol.op_name

    @property
    def type(self) -> str:
        """What it computes."""
        return self.symbol.called

    @property
    def inputs(self) -> list[Symbol]:
        """The tensors it is computed from."""
        return self.symbol.inputs()

    @property
    def outputs(self) -> list[Tensor]:
        """The tensor it gives."""
        return [self.symbol]

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Compute it by the session, or the default one."""
        default_session(session).run(self, feed_dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and other.symbol is self.symbol

    def __hash__(self) -> int:
        return hash(self.symbol)

    def __repr__(self) -> str:
        return f"<tf.Operation {self.name!r} type={self.type}>"


def symbol_of(value: Any) -> Symbol:
    """The symbol of a tensor or operation. TypeError for what is neither."""
    if isinstance(value, Operation):
        return value.symbol
    if isinstance(value, Symbol):
        return value
    raise TypeError(f"Control input must be Operation or Tensor; got {type(value).__name__}")


def default_session(session: Any = None) -> Any:
    """The session, or the default one. ValueError where there is none."""
    if session is not None:
        return session
    if not opened.sessions:
        raise ValueError(
            "Cannot evaluate tensor using `eval()`: No default session is registered. Use `with "
            "sess.as_default()` or pass an explicit session to `eval(session=sess)`"
        )
    return opened.sessions[-1]


def enter(symbol: Tensor, name: str) -> Tensor:
    """Put a symbol into the graph of its inputs, else the default one, under a name like this.
    ValueError for inputs of several graphs."""
    graph = get_default_graph()
    inputs = [x for x in symbol.inputs() if isinstance(x, Tensor)]
    if inputs:
        graph = inputs[0].graph
        for x in inputs:
            if x.graph is not graph:
                raise ValueError(f"{x!r} must be from the same graph as {inputs[0]!r}.")
    graph.add(symbol, graph.unique_name(name))
    return symbol


def add(
    name: str, function: Callable[..., Any], args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
) -> Tensor:  # fmt: skip
    """A new tensor of the default graph: `function(*args, **kwargs)`."""
    after = get_default_graph().waits_for()
    return enter(Tensor(function, args, kwargs, None, after), name)


def _nothing(*values: Any) -> None:
    return None


def group(*inputs: Any, **options: Any) -> Operation:
    """An operation that computes all of the inputs."""
    listed = [i for x in inputs for i in (x if isinstance(x, (list, tuple)) else [x])]
    after = [*map(symbol_of, listed), *get_default_graph().waits_for()]
    made = Tensor(_nothing, (), None, None, after)
    return enter(made, options.get("name") or "group_deps").op


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing but wait for its control inputs."""
    return group(name=name or "NoOp")


class Placeholder(Tensor, Input):
    """A tensor that each run is given."""

    def __init__(self, shape: Any, dtype: DType) -> None:
        Input.__init__(self, TensorShape(shape)._dims, dtype, None)

    _infer = Input._infer

    @property
    def dtype(self) -> DType:
        """The dtype."""
        return self.given_dtype


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that each run is given by `feed_dict`; None in `shape` is an open size.

    >>> placeholder("float32", [None, 3], name="pixels").shape.as_list()
    [None, 3]
    """
    return enter(Placeholder(shape, as_dtype(dtype)), name or "Placeholder")


def operation(
    title: str, guess: Callable[..., Samples | None] | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator: a function of values becomes one that adds an operation, called `title` unless
    `name` says otherwise, to the default graph."""

    def decorate(function: Callable[..., Any]) -> Any:
        def make(deferred: Deferred, args: tuple, kwargs: dict[str, Any]) -> Tensor:
            name = kwargs.pop("name", None)
            return add(name or title, deferred.compute, args, kwargs)

        return Deferred(function, make, guess)

    return decorate


@contextlib.contextmanager
def name_scope(
    name: str | None, default_name: str | None = None, values: Any = None
) -> Iterator[str]:
    """A block of the default graph whose operations have names below `name`."""
    with get_default_graph().name_scope(name or default_name) as scope:
        yield scope


def control_dependencies(control_inputs: Sequence[Any] | None) -> Any:
    """A block of the default graph whose operations are computed after these."""
    return get_default_graph().control_dependencies(control_inputs)


def device(name: Any) -> Any:
    """A block on a device: all run on the one there is."""
    return get_default_graph().device(name)


def add_to_collection(name: str, value: Any) -> None:
    """Append to a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def get_collection(key: str, scope: str | None = None) -> list[Any]:
    """A collection of the default graph."""
    return get_default_graph().get_collection(key, scope)


def set_random_seed(seed: int | None) -> None:
    """The seed of the default graph's random operations."""
    get_default_graph().seed = seed


class GraphKeys:
    """Names of collections."""

    GLOBAL_VARIABLES = "variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    LOCAL_VARIABLES = "local_variables"
    GLOBAL_STEP = "global_step"
    LOSSES = "losses"
    REGULARIZATION_LOSSES = "regularization_losses"
    SUMMARIES = "summaries"
    UPDATE_OPS = "update_ops"
    MODEL_VARIABLES = "model_variables"
    WEIGHTS = "weights"
    BIASES = "biases"


_TITLES = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "truediv", "floordiv": "floordiv",
    "mod": "mod", "pow": "pow", "matmul": "matmul", "neg": "Neg", "abs": "Abs", "lt": "Less",
    "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual", "invert": "LogicalNot",
    "and_": "and", "or_": "or", "xor": "LogicalXor",
}  # fmt: skip


def give_operators(table: dict[str, Callable[..., Any]]) -> None:
    """Give tensors Python's operators, made of these functions."""
    titles = {function: _TITLES[name] for name, function in table.items()}

    def operate(function: Callable[..., Any], args: tuple) -> Tensor:
        return add(titles.get(function, function.__name__), function, args)

    define_operators(Tensor, operate, table)
