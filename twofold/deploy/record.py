"""A function recorded as a graph over placeholders, without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import engine
from ..autograd_api import no_grad
from ..control import NotRewritable, recording_decisions, rewritten
from ..func import trees
from ..func.tracing import Trace, rebuild
from ..graph.node import Node, leaf, postorder, recorder
from ..graph.storage import Storage
from ..graph.text import Given, Graph
from ..graph.types import Type
from ..nn import Module
from ..tensor import Tensor
from .program import form_of

_REFUSAL = (
    "[save_program] the function looks at a value that depends on its inputs (item(), a condition, "
    "print, numpy()), which a program cannot; try cond() or where() in place of if, and "
    "while_loop() or scan() in place of a loop whose length depends on values"
)


@dataclass
class Recording:
    """What a function computes: `roots` over `inputs` and values of its own, of which `weights` has
    the names by id; and the form of what it returns (see `program.form_of`)."""

    roots: list[Node]
    inputs: list[Node]
    form: Any
    weights: dict[int, str]

    def leaves(self) -> list[Node]:
        """The given nodes, in the order in which the text of the graph names them."""
        return Graph(self.roots).leaves


def record(function: Callable[..., Any], types: Sequence[Type], names: Sequence[str]) -> Recording:
    """`function` called once on placeholders of these types; once more, with its decisions
    rewritten, where it decides by values.

    RuntimeError where it looks at a value, draws random numbers, or writes to a tensor that was
    there before; TypeError where it returns anything but tensors in tuples, lists and dicts.
    """
    try:
        return _record(function, function, types, names)
    except RuntimeError as error:
        if str(error) != _REFUSAL:
            raise
        try:
            own = rewritten(function)
        except NotRewritable as why:
            raise RuntimeError(f"{_REFUSAL}; its if and while are not rewritten: {why}") from None
    with recording_decisions() as against:
        try:
            return _record(function, own, types, names)
        except RuntimeError as error:
            if str(error) != _REFUSAL or not against:
                raise
            (file, line), reason = next(iter(against.items()))
            raise RuntimeError(f"{_REFUSAL}; {file}, line {line}: {reason}") from None


def _record(
    function: Callable[..., Any], called: Callable[..., Any], types: Sequence[Type],
    names: Sequence[str],
) -> Recording:  # fmt: skip
    """`record` of `function`, by calling `called`."""
    engine.flush()
    known = _named(function)
    before = [(name, x._storage, x._storage.node) for name, x in known.items()]
    inputs = [leaf(Given(name), type_) for name, type_ in zip(names, types, strict=True)]
    epoch = recorder.epoch
    try:
        with no_grad(), Trace(_REFUSAL) as trace:
            stand_ins = [trace.stand_in(x, x.shape) for x in inputs]
            placeholders = [x._node() for x in stand_ins]
            result = called(*stand_ins)
            form = form_of(result)
            found = [x._node() for x in trees.leaves(result)]
            roots = rebuild(found, list(zip(placeholders, inputs)))
            _refuse_writes(before, epoch)
    finally:
        for _, storage, node in before:
            if storage.node is not node:
                storage.write(node)
    for node in postorder(roots, pending_only=True):
        if node.structure.op.name == "random_bits":
            raise RuntimeError(
                "[save_program] the function draws random numbers, and a program would draw the "
                "same at each call; try model.eval() first, or give them as an input"
            )
    weights = {id(x._storage.node): name for name, x in known.items()}
    return Recording(roots, inputs, form, weights)


def _refuse_writes(state: Sequence[tuple[str, Storage, Node]], epoch: int) -> None:
    """RuntimeError where a tensor that was there before the recording was written to."""
    names = [name for name, storage, node in state if storage.node is not node]
    others = [r() for r in list.__iter__(recorder.pending)]
    if names or any(s is not None and s.born != epoch and s.node.value is None for s in others):
        what = f"its own state, {names[0]!r}" if names else "a tensor that is no input"
        raise RuntimeError(
            f"[save_program] the function writes to {what}; a program changes nothing; try "
            "model.eval() first, or return the new value"
        )


def _named(function: Callable[..., Any]) -> Mapping[str, Tensor]:
    """The parameters and buffers of a module, by name."""
    if not isinstance(function, Module):
        return {}
    found = dict(function.named_parameters())
    found.update(function.named_buffers())
    return found
