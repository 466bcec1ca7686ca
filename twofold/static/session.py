"""Sessions: they keep variables and run what is fetched."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..autograd_api import no_grad
from ..capture import Captured
from ..creation import from_numpy
from ..explanation import explain
from ..tensor import Tensor as Value
from .errors import FailedPreconditionError, InvalidArgumentError
from .function import copy_of, place_of, result
from .graph import Graph, Operation, Placeholder, Tensor, get_default_graph, opened
from .schedule import Schedule
from .state import State, Update
from .symbol import Symbol, leaves, replace

RUNS_BEFORE_WARNING = 10
"""Runs without an update after which a session says what was built and never run."""


class NeverUpdated(UserWarning):
    """A graph has updates of variables that no run has asked for."""


@dataclass
class Traffic:
    """What a session was fed and what was fetched from it, in bytes."""

    runs: int = 0
    fed: int = 0
    fetched: int = 0


class _Program:
    """What is run for some fetches and feeds."""

    def __init__(self, session: Session, fetches: Sequence[Symbol], fed: Sequence[Symbol]) -> None:
        self.session = session
        self.fetches, self.fed = list(fetches), list(fed)
        self.schedule = Schedule(fetches, fed)
        known = set(fed)
        for symbol in self.schedule.inputs:
            if symbol not in known:
                raise InvalidArgumentError(
                    f"You must feed a value for placeholder tensor {_title(symbol)!r} with dtype "
                    f"{symbol.given_dtype.name}{place_of(symbol)}"
                )
        self.captured = Captured(self._run)

    def __call__(self, values: Sequence[Value]) -> list[Any]:
        held = self.session.values
        written = [u.variable for u in self.schedule.updates.values()]
        for state in self.schedule.variables:
            if state not in held:
                raise FailedPreconditionError(
                    f"Attempting to use uninitialized value {_title(state)}; try running "
                    "tf.global_variables_initializer() first"
                )
        # A variable that is fetched is read as it is; what a run gives would be its own memory.
        read = [copy_of(held[s]) if s in held else None for s in self.fetches]
        if any(v not in held for v in written):
            found = self._run(values)
        elif self.schedule.order == self.schedule.variables:
            return read
        else:
            found = self.captured(list(values))
        return [y if x is None else x for x, y in zip(read, found)]

    def _run(self, values: Sequence[Value]) -> list[Any]:
        held = self.session.values
        known: dict[int, Any] = {id(s): v for s, v in zip(self.fed, values)}
        self.schedule.run(known, lambda state: held[state])
        fetched = [None if s in held else _fetched(known[id(s)]) for s in self.fetches]
        with no_grad():
            for update in self.schedule.updates.values():
                self._write(update.variable, known[id(update)])
        return fetched

    def _write(self, variable: State, new: Value) -> None:
        held = self.session.values
        old = held.get(variable)
        if old is not None and old.shape == new.shape and old.dtype is new.dtype:
            old.copy_(new)
        else:
            # Memory of its own, which no other variable that begins alike shares.
            held[variable] = copy_of(new)


def _fetched(value: Any) -> Any:
    return replace(value, lambda x: result(x) if isinstance(x, Value) else x)


def _title(symbol: Symbol) -> str:
    return symbol.op_name if isinstance(symbol, Tensor) else repr(symbol)


class Session:
    """Runs parts of a graph, and keeps its variables.

    Only what the fetches need is computed. A pair of fetches and fed tensors is compiled as one
    plan, which later runs repeat. `traffic` counts the bytes that went in and out.
    NotImplementedError for a `target`: all runs in this process.
    """

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        if target:
            raise NotImplementedError(f"[session] runs in this process alone; got {target!r}")
        self.graph = get_default_graph() if graph is None else graph
        self.values: dict[State, Value] = {}
        self.traffic = Traffic()
        self._programs: dict[tuple, _Program] = {}
        self._ran: set[Update] = set()
        self._quiet = 0
        self._warned = False
        self._contexts: list[Any] = []
        self.closed = False

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """The values of `fetches`: tensors, operations (None), their names, or nests of them.

        `feed_dict` has values for placeholders, or for any other tensor. InvalidArgumentError where
        a placeholder's value is missing, FailedPreconditionError where a variable has none yet,
        ValueError for a value of another shape, TypeError for what cannot be fetched or fed.
        """
        if self.closed:
            raise RuntimeError("Attempted to use a closed Session.")
        found = replace(fetches, self._fetch)
        symbols = list({id(s): s for s in leaves(found) if isinstance(s, Symbol)}.values())
        asked = list({id(_symbol(s)): _symbol(s) for s in leaves(found)}.values())
        fed = {self._fed(key): value for key, value in (feed_dict or {}).items()}
        key = (tuple(map(id, asked)), tuple(map(id, fed)))
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = _Program(self, asked, list(fed))
        values = [self._given(symbol, value) for symbol, value in fed.items()]
        got = program(values)
        by_id = {id(s): v for s, v in zip(asked, got)}
        arrays = {id(s): _array(by_id[id(s)]) for s in symbols}
        self._count(program, values, arrays)
        return replace(found, lambda s: arrays[id(s)] if isinstance(s, Symbol) else None)

    def explain(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> str:
        """What a run of these fetches computes, kernel by kernel, and the bytes that it is fed and
        that are fetched."""
        before = (self.traffic.fed, self.traffic.fetched)
        programs, self._programs = self._programs, {}
        try:
            found = explain(lambda: self.run(fetches, feed_dict))
        finally:
            self._programs = programs
        fed, fetched = self.traffic.fed - before[0], self.traffic.fetched - before[1]
        return f"{found}\nfed {fed:,} bytes, fetched {fetched:,} bytes\n"

    def _fetch(self, x: Any) -> Any:
        if isinstance(x, str):
            return self._named(x)
        if isinstance(x, (Symbol, Operation)):
            graph = x.graph if isinstance(x, (Tensor, Operation)) else self.graph
            if graph is not self.graph:
                raise ValueError(f"{x!r} is not an element of this session's graph")
            return x
        raise TypeError(
            f"Fetch argument {x!r} has invalid type {type(x).__name__}, must be a string or "
            "Tensor. (Can not convert it into a Tensor or Operation.)"
        )

    def _named(self, name: str) -> Any:
        if ":" in name:
            return self.graph.get_tensor_by_name(name)
        return self.graph.get_operation_by_name(name)

    def _fed(self, key: Any) -> Symbol:
        symbol = self._fetch(key)
        if not isinstance(symbol, Symbol):
            raise TypeError(f"Cannot interpret feed_dict key as Tensor: {key!r}")
        return symbol

    def _given(self, symbol: Symbol, value: Any) -> Value:
        """A fed value as a tensor of the dtype of what it stands for."""
        if isinstance(value, Symbol):
            raise TypeError(
                "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include "
                "Python scalars, strings, lists, numpy ndarrays, or TensorHandles."
            )
        dtype = None if symbol.known is None else symbol.known[1]
        if isinstance(symbol, Placeholder):
            dtype = symbol.given_dtype
        array = value.numpy() if isinstance(value, Value) else np.asarray(value)
        if array.dtype == object:
            raise ValueError("setting an array element with a sequence; the rows differ in length")
        if dtype is not None and array.dtype != dtype.storage:
            fed = array.astype(dtype.storage)
            if isinstance(value, int) and fed != value:
                raise TypeError(
                    f"Type of feed value {value} with type {type(value)} is not compatible with "
                    f"Tensor type {dtype.name}. Try explicitly setting the type of the feed tensor "
                    "to a larger type (e.g. int64)."
                )
            array = fed
        shape = (symbol.known or (None,))[0]
        fits = shape is None or (
            len(shape) == array.ndim
            and all(m is None or m == n for m, n in zip(shape, array.shape))
        )
        if not fits:
            wanted = symbol.shape if isinstance(symbol, Tensor) else shape
            raise ValueError(
                f"Cannot feed value of shape {array.shape} for Tensor {_title(symbol)!r}, which "
                f"has shape {str(wanted)!r}"
            )
        return from_numpy(np.ascontiguousarray(array) if array.ndim else np.array(array))

    def set_value(self, variable: State, value: Any) -> None:
        """Give a variable a value, without running anything. ValueError for another shape."""
        array = self._given(variable, value)
        self.values[variable] = array.clone()

    def _count(self, program: _Program, values: Sequence[Value], arrays: Mapping[int, Any]) -> None:
        t = self.traffic
        t.runs += 1
        t.fed += sum(v.numel() * v.element_size() for v in values)
        t.fetched += sum(getattr(a, "nbytes", 0) for a in arrays.values())
        self._ran |= set(program.schedule.updates.values())
        if program.schedule.updates:
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet == RUNS_BEFORE_WARNING:
            self._warn()

    def _warn(self) -> None:
        """Say which updates were built and never run; initializers are none."""
        if self._warned:
            return
        first = {v._initializer for v in self.graph.get_collection("variables")}
        built = [s for s in self.graph.symbols.values() if isinstance(s, Update)]
        never = [s for s in built if s not in first and s not in self._ran]
        if never and not (self._ran - first):
            self._warned = True
            listed = "; ".join(f"{_title(s)}{place_of(s)}" for s in never[:5])
            more = f" and {len(never) - 5} more" if len(never) > 5 else ""
            warnings.warn(
                f"[session] the graph updates variables, but no run has asked for that, so they "
                f"keep their values: {listed}{more}; try fetching them, or an operation that "
                "groups them (tf.group)",
                NeverUpdated,
                stacklevel=4,
            )

    def as_default(self) -> Any:
        """A block in which `tensor.eval()` and `operation.run()` use this session."""
        return _Default(self)

    def __enter__(self) -> Session:
        opened.sessions.append(self)
        self._contexts.append(self.graph.as_default())
        self._contexts[-1].__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.pop().__exit__(*error)
        opened.sessions.remove(self)
        self.close()

    def close(self) -> None:
        """Let go of the variables."""
        if not self.closed and self.traffic.runs > 1:
            self._warn()
        self.closed = True
        self.values, self._programs = {}, {}

    def list_devices(self) -> list[Any]:
        """The processor."""
        return [SimpleNamespace(name="/device:CPU:0", device_type="CPU")]


class _Default:
    """A block in which a session is the default one; it is not closed at the end."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __enter__(self) -> Session:
        opened.sessions.append(self.session)
        return self.session

    def __exit__(self, *error: Any) -> None:
        opened.sessions.remove(self.session)


class InteractiveSession(Session):
    """A session that is the default one from the start."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        opened.sessions.append(self)

    def close(self) -> None:
        """Let go of the variables."""
        if self in opened.sessions:
            opened.sessions.remove(self)
        super().close()


def _symbol(x: Any) -> Symbol:
    return x.symbol if isinstance(x, Operation) else x


def _array(value: Any) -> Any:
    """A fetched value as NumPy has it: arrays, and scalars for those without axes."""
    if isinstance(value, Value):
        array = value.numpy()
        return array[()] if array.ndim == 0 else array
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int32(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, (tuple, list)) and all(type(v) is int for v in value):
        return np.array(value, np.int32)
    if isinstance(value, (tuple, list)):
        return replace(value, _array)
    return value


def get_default_session() -> Session | None:
    """The session of the innermost block."""
    return opened.sessions[-1] if opened.sessions else None
