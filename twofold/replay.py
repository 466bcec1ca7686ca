"""A run of a captured function as data: where its inputs come from, where its values go, and how to
do it again without the function."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import getrefcount
from typing import Any

import numpy as np

from . import engine
from .graph.node import Node, leaf
from .graph.storage import hold
from .graph.types import Type
from .runtime.buffers import Buffer
from .runtime.plan import KernelError
from .tensor import Tensor, wrap, write_back


@dataclass(frozen=True)
class Place:
    """Where a value of a run comes from or goes to.

    `kind` is "argument" or "script" (`at` is the position there), "storage" (`what`), "gradient"
    (of the tensor `what`), "constant" (`what` is its buffer), "number" (`what`), or "new", for a
    value that only the result holds.
    """

    kind: str
    at: int = -1
    what: Any = None

    def same(self, other: Place) -> bool:
        """Whether the places of two runs are one."""
        if self.kind != other.kind or self.at != other.at:
            return False
        if self.kind == "constant":
            return self.what is other.what or _bytes(self.what) == _bytes(other.what)
        if self.kind == "number":
            return repr(self.what) == repr(other.what)
        return self.what is other.what


def _bytes(buffer: Buffer) -> bytes:
    return buffer.as_numpy(np.dtype(np.uint8), (buffer.n_bytes,)).tobytes()


@dataclass(frozen=True)
class Target:
    """Where the value of a root goes, and the leaf that is put there. `tensor` is what gradients of
    that leaf are added to, as a node's `target`."""

    place: Place
    type: Type
    requires_grad: bool
    tensor: Any


@dataclass(frozen=True)
class Part:
    """A tensor of the result: a window on the value of root number `at`, on an argument, or a
    tensor that was there before (`what`)."""

    kind: str  # "root", "argument" or "tensor"
    at: int = -1
    window: tuple = ()
    what: Any = None


def same_result(a: Any, b: Any) -> bool:
    """Whether two results, with `Part`s for tensors, are alike."""
    if a.__class__ is not b.__class__:
        return False
    if isinstance(a, Part):
        same = (a.kind, a.at, a.window) == (b.kind, b.at, b.window)
        return same and a.what is b.what
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_result, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same_result(a[k], b[k]) for k in a)
    return a is b or bool(a == b)


class Run:
    """One observed run, ready to be repeated.

    `leaves` and `types` are the places and types of the leaves that the program reads, by position;
    `script` are the numbers to read and the actions to do, in order; `located` the nodes that may
    meet a bad value.
    """

    def __init__(
        self,
        program: engine.Program,
        leaves: dict[int, Place],
        types: dict[int, Type],
        targets: Sequence[Target],
        result: Any,
        script: Sequence[Callable[[], Any]],
        located: Sequence[Node],
    ) -> None:
        self.leaves = leaves
        self.types = types
        self.targets = list(targets)
        self.result = result
        self.script = list(script)
        self.located = [_alone(node) for node in located]
        self.key = program
        self._tie(program)

    def _tie(self, program: engine.Program) -> None:
        """Sort out which slots and numbers of the program come from where."""
        leaves, types = self.leaves, self.types
        self.program = program
        self._arguments: list[tuple[int, int]] = []
        self._states: list[tuple[int, Place, Type]] = []
        self._fixed: list[tuple[int, Buffer]] = []
        for slot, at in program.leaves:
            place = leaves[at]
            if place.kind == "argument":
                self._arguments.append((slot, place.at))
            elif place.kind == "constant":
                self._fixed.append((slot, place.what))
            else:
                self._states.append((slot, place, types[at]))
        self._numbers: list[tuple[int, Place, str]] = []
        for at, index, dtype in program.scalars:
            self._numbers.append((at, leaves[index], dtype.name))

        taken = {at for kind, at in program.results if kind == "over"}
        self._owned = [leaves[at].what for at in sorted(taken)]

    def overwritten(self) -> list[tuple[int, int]]:
        """(position of the root, index of the leaf) for state that is read and given a new value,
        so that the new value may take the place of the old."""
        leaf_at = {
            id(place.what): at for at, place in self.leaves.items() if place.kind == "storage"
        }
        pairs = []
        for position, target in enumerate(self.targets):
            place = target.place
            if place.kind == "storage" and id(place.what) in leaf_at:
                pairs.append((position, leaf_at[id(place.what)]))
        return pairs

    def in_place(self, program: engine.Program) -> None:
        """Repeat the run from now on by `program`, of the same graph, which overwrites state."""
        self._tie(program)

    def same(self, other: Run) -> bool:
        """Whether `other` did the same to the same places."""
        return (
            self.key is other.key
            and self.leaves.keys() == other.leaves.keys()
            and all(place.same(other.leaves[at]) for at, place in self.leaves.items())
            and len(self.targets) == len(other.targets)
            and all(a.place.same(b.place) for a, b in zip(self.targets, other.targets))
            and len(self.script) == len(other.script)
            and same_result(self.result, other.result)
        )

    def repeat(self, arguments: Sequence[Tensor]) -> Any:
        """Do the run again on `arguments`; gives its result."""
        pinned = [(s, s.pinned) for s in self._owned if s.pinned is not None]
        for storage in self._owned:
            _own(storage)
        addresses = [(slot, _value(arguments[at]._storage).address) for slot, at in self._arguments]
        for slot, place, type_ in self._states:
            storage = _storage_of(place)
            address = _value(storage).address
            if storage.node.structure.type is not type_ and storage.node.structure.type != type_:
                raise Changed
            addresses.append((slot, address))
        for slot, buffer in self._fixed:
            addresses.append((slot, buffer.address))
        program = self.program
        fresh = [Buffer(n_bytes) for _, n_bytes in program.outputs]
        for (slot, _), buffer in zip(program.outputs, fresh):
            addresses.append((slot, buffer.address))
        read = [step() for step in self.script]
        numbers = [
            (at, read[p.at] if p.kind == "script" else p.what, dtype)
            for at, p, dtype in self._numbers
        ]
        before = self._before(arguments)
        try:
            program.plan.run(engine.team(), addresses, numbers)
        except KernelError as error:
            raise engine.fault(program, self.located, error) from None
        values: list[Any] = []
        for kind, at in program.results:
            if kind == "output":
                values.append(fresh[at])
            else:
                values.append(before[at] if kind == "leaf" else None)
        self._put(values, arguments)
        for storage, array in pinned:
            storage.pinned = array
            storage.write(write_back(storage, storage.node))
        return self._built(self.result, values, arguments)

    def _before(self, arguments: Sequence[Tensor]) -> dict[int, Any]:
        """The values of leaves that are results as they are."""
        found = {}
        for kind, at in self.program.results:
            if kind == "leaf":
                place = self.leaves[at]
                if place.kind == "argument":
                    found[at] = _value(arguments[place.at]._storage)
                elif place.kind == "constant":
                    found[at] = place.what
                else:
                    found[at] = _value(_storage_of(place))
        return found

    def _put(self, values: Sequence[Any], arguments: Sequence[Tensor]) -> None:
        """Write the roots' values to storages, arguments and gradients."""
        for target, value in zip(self.targets, values):
            kind = target.place.kind
            if kind == "new":
                continue
            if value is None:  # the kernels have put it there
                target.place.what.version += 1
                continue
            node = leaf(value, target.type, target.requires_grad)
            node.target = target.tensor
            if kind == "gradient" and target.place.at:
                target.place.what.grad = wrap(node)
                continue
            if kind == "argument":
                storage = arguments[target.place.at]._storage
            else:
                storage = _storage_of(target.place)
            if storage.pinned is not None:
                node = write_back(storage, node)
            storage.write(node)

    def _built(self, result: Any, values: Sequence[Any], arguments: Sequence[Tensor]) -> Any:
        """The result with tensors for its parts."""
        if result.__class__ is Part:
            if result.kind == "tensor":
                return result.what
            if result.kind == "argument":
                base = arguments[result.at]
                return base if base._window == result.window else _window(base, result.window)
            made = wrap(leaf(values[result.at], self.targets[result.at].type))
            made._window = result.window
            return made
        if isinstance(result, tuple):
            parts = [self._built(r, values, arguments) for r in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        if isinstance(result, list):
            return [self._built(r, values, arguments) for r in result]
        if isinstance(result, dict):
            return {k: self._built(r, values, arguments) for k, r in result.items()}
        return result


NEW_GRADIENT = 1
"""`at` of a gradient's place where the tensor had none before."""


class Changed(Exception):
    """State that the run read is now of another type."""


def _storage_of(place: Place) -> Any:
    """The storage of a place among the state."""
    return place.what.grad._storage if place.kind == "gradient" else place.what


def _value(storage: Any) -> Any:
    """The memory of a storage's value, run if need be."""
    node: Node = storage.node
    if node.value is None:
        engine.realize([node])
    return node.value


def _own(storage: Any) -> None:
    """Make sure that nothing but `storage` knows the memory of its value, which will be
    overwritten: graphs, arrays and other tensors keep what they saw, and `storage` a copy."""
    node = storage.node
    value = _value(storage)
    alone = getrefcount(node) <= _ONE_OWNER and getrefcount(value) <= _ONE_OWNER
    if alone and storage.pinned is None:
        return
    if storage.pinned is not None:  # that memory gets the new value too
        value.let_parts_go()
        node.value = _copy(value)
    own = leaf(_copy(value), node.structure.type, node.structure.requires_grad)
    own.target = node.target
    storage.node, storage.pinned = own, None
    hold(weakref.ref(storage), own)


def _copy(value: Buffer) -> Buffer:
    made = Buffer(value.n_bytes)
    ctypes.memmove(made.address, value.address, value.n_bytes)
    return made


class _Cell:
    """Holds one object, as a storage holds its node."""

    def __init__(self) -> None:
        self.held = object()


def _one_owner() -> int:
    """What `getrefcount` tells of a local name's object that one attribute holds besides."""
    cell = _Cell()
    held = cell.held
    return getrefcount(held)


_ONE_OWNER = _one_owner()


def _alone(node: Node) -> Node:
    """`node` without its inputs, for the sake of its op, attributes and line."""
    made = leaf(None, node.structure.type)
    made.structure, made.location = node.structure, node.location
    return made


def _window(base: Tensor, window: tuple) -> Tensor:
    made = object.__new__(Tensor)
    made._storage = base._storage
    made._window = window
    return made
