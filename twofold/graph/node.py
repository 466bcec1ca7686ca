"""Nodes of the graph, and the structural keys that let a known graph be found without a walk.

A node is one application of an op; it never changes, save that it gets its value when it is run
(and may then let go of its inputs). Every op application with the same op, attributes and input
structures shares one `Structure`, found in a table of exact keys, so shapes are inferred once per
structure and two graphs are equal if the keys of their roots are. Leaves (nodes with a value) are
numbered by their first use since the last flush: `Recorder.leaves` holds them in that order.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Protocol

from .. import config
from ..dtypes import DType
from ..errors import InternalError
from .types import Type

_TABLE_LIMIT = 200_000
NEVER = 1 << 62
"""A serial that no node reaches."""


class OpLike(Protocol):
    """What a node asks of its op (see `ops/base.py`)."""

    name: str
    complex_rule: str

    def infer(self, types: list[Type], attrs: tuple) -> Type: ...


class Structure:
    """What all nodes of one structure share. Structures are equal if they are the same object, so
    they are keys themselves."""

    __slots__ = ("attrs", "dtype", "op", "requires_grad", "shape", "type")

    def __init__(self, op: Any, attrs: tuple, type_: Type, requires_grad: bool) -> None:
        self.op = op
        self.attrs = attrs
        self.type = type_
        self.shape = type_.shape
        self.dtype = type_.dtype
        self.requires_grad = requires_grad


class Node:
    """One value of the graph: `op(*inputs, **attrs)`, or a leaf that holds its value.

    `target` is the tensor that gradients arriving at this node are accumulated into, as a weak
    reference, for leaves that require a gradient. `released` says that a backward pass has gone
    through and that no other one may. `serial` grows from node to node, so inputs have smaller ones
    than users.
    """

    __slots__ = (
        "__weakref__",
        "epoch",
        "holder",
        "inputs",
        "key",
        "location",
        "released",
        "serial",
        "structure",
        "target",
        "value",
    )

    structure: Structure
    inputs: tuple[Node, ...]
    value: Any
    key: Structure
    epoch: int
    holder: Any
    location: tuple[str, int, str] | None
    target: Any
    released: bool
    serial: int

    @property
    def op(self) -> Any:
        return self.structure.op

    @property
    def attrs(self) -> tuple:
        return self.structure.attrs

    @property
    def type(self) -> Type:
        return self.structure.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.structure.shape

    @property
    def dtype(self) -> DType:
        return self.structure.dtype

    @property
    def requires_grad(self) -> bool:
        return self.structure.requires_grad

    def __repr__(self) -> str:
        return f"<{self.structure.op.name} {self.structure.type}>"


class Leaf:
    """The op of nodes that are given rather than computed: arrays, and Python numbers
    (`scalar`)."""

    name = "leaf"
    kind = "leaf"
    differentiable = False
    starts_gradient = False
    locates = False
    has_body = False
    is_bundle = False
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        raise InternalError("a leaf's type is given, not inferred")


class Parameter(Leaf):
    """The op of the parameters of a graph that is a value itself: a loop's body. Attributes: how
    deep the body lies in others, its number, its type."""

    name = "parameter"
    params = ("depth", "number", "type")
    starts_gradient = True

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return attrs[2]

    def reference(self, *args: Any) -> Any:
        """RuntimeError: it has no value."""
        raise RuntimeError(
            "[scan] a value within a loop's body is known only as the loop runs; it was asked for "
            "outside, or while the body was recorded; try where() in place of if, and results in "
            "place of side effects"
        )


class Recorder:
    """The state of recording: the current epoch, its leaves, and the table of structures.

    `serial` is the last node's; when it passes `flush_at`, too much is pending. `observer`, while a
    function is being captured, is told what a replay must do besides running the graph. `tracing`,
    while a function runs on placeholders, is called with the nodes whose values are asked for.
    `site`, where it is not None, is the user's line for nodes made now: a gradient's is that of
    its op. `autocast`, within a block of that name, is the dtype of its products.
    """

    def __init__(self) -> None:
        self.epoch = 1
        self.leaves: list[Node] = []
        self.table: dict[tuple, Structure] = {}
        self.types: dict[Type, Type] = {}
        self.grad_enabled = True
        self.autocast: DType | None = None
        self.locate = False
        self.serial = 0
        self.flush_at = config.current().pending_limit
        self.pending: list[Any] = []
        self.observer: Any = None
        self.tracing: Any = None
        self.site: tuple[str, int, str] | None = None

    def advance(self) -> None:
        """Start a new epoch: leaves are numbered anew."""
        with _numbering:
            self.epoch += 1
            if self.flush_at < NEVER:
                self.flush_at = self.serial + config.current().pending_limit
            self.leaves = []
            self.pending = type(self.pending)()
        if len(self.table) > _TABLE_LIMIT:
            self.table.clear()
            self.types.clear()


_MODES: dict[str, Any] = {
    "grad_enabled": True, "autocast": None, "locate": False, "flush_at": NEVER, "observer": None,
    "tracing": None, "site": None,
}  # fmt: skip


class _Modes(threading.local):
    """What of a recorder is each thread's own: the first one's is what it was before there were
    others."""

    def __init__(self) -> None:
        known = recorder.__dict__
        if threading.current_thread() is threading.main_thread():
            self.__dict__.update({name: known[name] for name in (*_MODES, "pending")})
        else:
            self.__dict__.update(_MODES, pending=type(known["pending"])())


def _own(name: str) -> property:
    def get(self: Recorder) -> Any:
        return getattr(_modes, name)

    def set_(self: Recorder, value: Any) -> None:
        setattr(_modes, name, value)

    return property(get, set_)


class ThreadedRecorder(Recorder):
    """A recorder in whose modes threads do not see each other. What they record is one graph: its
    leaves are numbered together, but a thread runs what is pending of its own alone."""


for _name in (*_MODES, "pending"):
    setattr(ThreadedRecorder, _name, _own(_name))


def let_threads_record() -> None:
    """From now on each thread has modes of its own. A program of one thread does not pay for it: it
    is called before another records."""
    global _modes
    if type(recorder) is Recorder:
        _modes = _Modes()
        recorder.__class__ = ThreadedRecorder


LEAF = Leaf()
PARAMETER = Parameter()
recorder = Recorder()
_modes: _Modes


def leaf(value: Any, type_: Type, requires_grad: bool = False, scalar: bool = False) -> Node:
    """A node that holds `value` from the start."""
    table_key = (LEAF, type_.shape, type_.dtype, type_.device, requires_grad, scalar)
    found = recorder.table.get(table_key)
    if found is None:
        found = Structure(LEAF, (scalar,), type_, requires_grad)
        recorder.table[table_key] = found
    node = Node()
    node.structure = found
    node.inputs = ()
    node.value = value
    node.key = found
    node.epoch = 0
    node.location = None
    node.holder = None
    node.target = None
    node.released = False
    recorder.serial += 1
    node.serial = recorder.serial
    return node


def make(op: Any, inputs: tuple[Node, ...], attrs: tuple = ()) -> Node:
    """The node `op(*inputs)` with `attrs`. The op's shape errors are raised here."""
    rec = recorder
    epoch = rec.epoch
    keys: list[Any] = [op, attrs, rec.grad_enabled]
    for x in inputs:
        if x.epoch != epoch:
            refresh(x)
        keys.append(x.key)
    table_key = tuple(keys)
    found = rec.table.get(table_key)
    if found is None:
        found = _infer(op, inputs, attrs, table_key)
    node = Node()
    node.structure = found
    node.inputs = inputs
    node.value = None
    node.key = found
    node.epoch = epoch
    node.location = user_location() if rec.locate or op.locates else None
    node.holder = None
    node.target = None
    node.released = False
    rec.serial = node.serial = rec.serial + 1
    return node


def parameter(depth: int, number: int, type_: Type) -> Node:
    """Parameter `number` of a body that lies `depth` deep."""
    return make(PARAMETER, (), (depth, number, type_))


def is_given(node: Node) -> bool:
    """Whether the node's value is given, not computed."""
    return node.value is not None or node.structure.op.kind == "leaf"


def _infer(op: Any, inputs: tuple[Node, ...], attrs: tuple, table_key: tuple) -> Structure:
    rec = recorder
    types = [x.structure.type for x in inputs]
    for t in types:
        if t.dtype.kind == "complex" and not op.complex_rule:
            raise RuntimeError(
                f'[{op.name}] "{op.name}" is not implemented for {t.dtype}; try .real, .imag or '
                ".abs()"
            )
    type_ = op.infer(types, attrs)
    if type_.n_bytes >= 1 << 63:
        raise RuntimeError(
            f"[{op.name}] Storage size calculation overflowed with sizes={list(type_.shape)}"
        )
    requires_grad = (
        rec.grad_enabled
        and op.differentiable
        and type_.dtype.is_inexact
        and any(x.structure.requires_grad for x in inputs)
    ) or op.starts_gradient
    # `refresh` looks for what was inferred, whatever the mode was then: the same structure is
    # found.
    inferred = (op, attrs, requires_grad, *table_key[3:])
    found = rec.table.get(inferred)
    if found is None or found.requires_grad != requires_grad:
        type_ = rec.types.setdefault(type_, type_)
        found = rec.table[inferred] = Structure(op, attrs, type_, requires_grad)
    rec.table[table_key] = found
    return found


def refresh(node: Node) -> None:
    """Give `node`, made before the last flush, its key in this epoch."""
    rec = recorder
    stack = [node]
    while stack:
        x = stack[-1]
        # Another thread may begin an epoch, or give x its value and let go of its inputs, at any
        # time: the inputs read before it had one are all of them.
        epoch, inputs = rec.epoch, x.inputs
        if x.epoch == epoch:
            stack.pop()
            continue
        if x.value is not None:
            stack.pop()
            _number(x)
            continue
        if not inputs:  # a constant, which depends on no leaf: its key stays
            stack.pop()
            x.epoch = epoch
            continue
        late = [i for i in inputs if i.epoch != epoch]
        if late:
            stack.extend(late)
            continue
        stack.pop()
        old = x.structure
        table_key = (old.op, old.attrs, old.requires_grad, *[i.key for i in inputs])
        found = rec.table.get(table_key)
        if found is None or found.requires_grad != old.requires_grad:
            found = Structure(old.op, old.attrs, old.type, old.requires_grad)
            rec.table[table_key] = found
        x.structure = found
        x.key = found
        x.epoch = epoch


def _number(node: Node) -> None:
    """Key a node that has a value by the order of its first use. Locked, since data loaders record
    in threads of their own."""
    rec = recorder
    s = node.structure
    scalar = s.op is LEAF and s.attrs[0]
    with _numbering:
        if node.epoch == rec.epoch:  # another thread was first
            return
        table_key = (len(rec.leaves), s.shape, s.dtype, s.type.device, s.requires_grad, scalar)
        found = rec.table.get(table_key)
        if found is None:
            found = Structure(LEAF, (scalar,), s.type, s.requires_grad)
            rec.table[table_key] = found
        rec.leaves.append(node)
        node.key = found
        node.epoch = rec.epoch


_numbering = threading.Lock()


def _after_fork() -> None:
    """Locks that other threads held at the fork would never be let go in the child."""
    global _numbering
    _numbering = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


_PACKAGE = __name__.rsplit(".", 2)[0]


def is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of Twofold's own."""
    return frame.f_globals.get("__name__", "").startswith(_PACKAGE + ".")


def _named(innermost: FrameType, name: str) -> str:
    return name


describe_call: Callable[[FrameType, str], str] = _named
"""From the frame that makes a node, and the name of the user's function, what an error is to call
the place (`nn` names the modules that are being called)."""


def user_location() -> tuple[str, int, str] | None:
    """File, line and function of the nearest caller outside Twofold."""
    if recorder.site is not None:
        return recorder.site
    innermost = frame = sys._getframe(1)
    while frame is not None:
        if not is_ours(frame):
            code = frame.f_code
            return code.co_filename, frame.f_lineno, describe_call(innermost, code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def postorder(roots: Iterable[Node], pending_only: bool = False) -> list[Node]:
    """Every node below `roots` once, inputs before users. With `pending_only`, nodes that have a
    value count as leaves."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[Node | None] = [*reversed(list(roots))]
    while stack:
        node = stack.pop()
        if node is None:  # all inputs of the one below are in order
            order.append(stack.pop())  # type: ignore[arg-type]
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        inputs = node.inputs
        if not inputs or (pending_only and node.value is not None):
            order.append(node)
            continue
        stack.append(node)
        stack.append(None)
        for x in inputs[::-1]:
            if id(x) not in seen:
                stack.append(x)
    return order
