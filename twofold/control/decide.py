"""Decisions of rewritten functions (see `rewrite.py`), as they are met.

On Python values, and wherever no graph is being recorded that has to serve both ways, a decision is
Python's. On tensors, while a function is captured or saved, or within the body of a branch or loop,
it becomes part of the graph. Python numbers that differ between branches, or from round to round,
become tensors: of the dtype and shape of what else the name holds, else int64, float64 or bool.

Where it cannot be recorded (an effect, results of several kinds), the value is looked at, which
whoever records then explains; `reasons` has what stood against it.
"""

from __future__ import annotations

import operator
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from .. import dtypes
from ..functions._registry import functions
from ..functions.branch import one
from ..functions.random import no_random
from ..graph.node import Node, postorder
from ..ops import branch as br
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import while_loop as wh
from ..ops.body import recording, trace
from ..tensor import Tensor, wrap

Site = tuple[str, int, Sequence[str], Sequence[str], str, Sequence[str], Sequence[str]]
"""File, line, names assigned, those of them changed in place alone, what bars recording, and those
names that are read elsewhere, too, and those of which elements are set, or that are augmented."""


class NotRewritable(Exception):
    """Why a function stays as it is."""


class CannotRecord(RuntimeError):
    """Why a decision cannot be part of the graph."""


class Undefined:
    """What a name holds that is not bound."""


_UNDEFINED = Undefined()


def is_unbound(held: Any) -> bool:
    """Whether a name that holds this is not bound."""
    return held is _UNDEFINED


def _once_bound(name: str, site: Site) -> CannotRecord:
    return CannotRecord(
        f"{name} may not be bound after line {site[1]}; try giving it a value before that"
    )


class _Reasons(threading.local):
    """What stood against recording decisions, by file and line, and whether any are recorded."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], str] = {}
        self.on = False
        self.depth = 0

    @contextmanager
    def within(self) -> Iterator[None]:
        """A block that records what may not be run, or more than once."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


reasons = _Reasons()


@contextmanager
def recording_decisions() -> Iterator[dict[tuple[str, int], str]]:
    """Within the block decisions on tensors become part of the graph; gives the reasons of those
    that did not, by file and line."""
    before = reasons.on, reasons.found
    reasons.on, reasons.found = True, {}
    try:
        yield reasons.found
    finally:
        reasons.on, reasons.found = before


def effect(what: str) -> None:
    """CannotRecord where a statement with an effect is met within a recorded branch or loop."""
    if reasons.depth and reasons.on:
        raise CannotRecord(what)


def changes(held: Any, what: str) -> None:
    """CannotRecord where a statement within a recorded branch or loop changes what it was given,
    unless that is a tensor."""
    if not isinstance(held, _VALUES):
        effect(what)


def _is_open(value: Any) -> bool:
    """Whether a decision by this value is to be recorded."""
    return isinstance(value, Tensor) and reasons.on


def value(read: Callable[[], Any]) -> Any:
    """What a name holds, or that it holds nothing."""
    try:
        return read()
    except NameError:
        return _UNDEFINED


def called(function: Any) -> Any:
    """What is called in the place of `function`: a user's function is rewritten, too. CannotRecord
    within a recorded branch or loop for what Python's own objects keep."""
    if not reasons.on:
        return function
    if reasons.depth and _has_effect(function):
        raise CannotRecord(f"{function.__name__}() has an effect")
    return rewriting[0](function)


def iterated(values: Any) -> Any:
    """What a loop over a name goes over. CannotRecord within a recorded branch or loop for an
    iterator, of which it uses what is left."""
    if hasattr(values, "__next__"):
        effect("a loop goes over an iterator")
    return values


def called_on_own(function: Any) -> Any:
    """`called` for a method of a list or dict that the function itself made."""
    return rewriting[0](function) if reasons.on else function


def _has_effect(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (list, dict, set, deque, bytearray)):
        return function.__name__ in _CHANGES
    if getattr(function, "__name__", "") == "<lambda>":  # which is not rewritten
        return not CHANGES_ALONE.isdisjoint(function.__code__.co_names)
    kind = type(owner).__module__
    return function is next or kind in ("random", "_io") or kind.startswith("numpy.random.")


CHANGES_ALONE = frozenset(
    "__delitem__ __next__ __setitem__ append appendleft clear difference_update discard extend "
    "extendleft insert intersection_update move_to_end next pop popitem popleft remove reverse "
    "setdefault symmetric_difference_update update".split()
)
"""Names, which tensors have no methods of, of what changes Python's containers and iterators."""

_CHANGES = CHANGES_ALONE | {"add", "rotate", "sort", "subtract"}


rewriting: list[Callable[[Any], Any]] = []
"""How a function is rewritten; `rewrite.py`, which builds on this file, says so."""


def not_(x: Any) -> Any:
    """`not x`."""
    return functions["logical_not"](x) if _is_open(x) else not x


_DRAWS = (
    "random numbers within a branch are drawn only where it is taken; try drawing them before it"
)


def all_of(*parts: Callable[[], Any]) -> Any:
    """`a and b and ...`, of which only the truth is asked for."""
    return _joined(parts, "logical_and", bool, False)


def any_of(*parts: Callable[[], Any]) -> Any:
    """`a or b or ...`, of which only the truth is asked for."""
    return _joined(parts, "logical_or", operator.not_, False)


def last_of(*parts: Callable[[], Any]) -> Any:
    """`a and b and ...`: the first that is false, or the last."""
    return _joined(parts, "logical_and", bool, True)


def first_of(*parts: Callable[[], Any]) -> Any:
    """`a or b or ...`: the first that is true, or the last."""
    return _joined(parts, "logical_or", operator.not_, True)


def _joined(
    parts: Sequence[Callable[[], Any]], name: str, goes_on: Callable[[Any], bool], exact: bool
) -> Any:
    """Truth values are joined in the graph, and other values where just their truth is asked for;
    for one of other values (`exact`), Python decides."""
    found: Any = None
    for k, part in enumerate(parts):
        if found is not None:
            try:
                with reasons.within(), no_random(name, _DRAWS):
                    x = part()
            except Exception:  # which may be guarded by what comes before it: Python decides
                if not goes_on(found):
                    return found
                found = None
        if found is None:
            x = part()
        else:
            if exact and not _is_truth(x, found.shape):
                if not goes_on(found):
                    return found
            else:
                x = functions[name](
                    found, x if isinstance(x, Tensor) else wrap(ew.constant(bool(x), dtypes.bool_))
                )
            found = None
        if _is_open(x) and (not exact or x.dtype is dtypes.bool_):
            found = x
        elif k + 1 == len(parts) or not goes_on(x):
            return x
    return found


def _is_truth(x: Any, shape: Sequence[int]) -> bool:
    if isinstance(x, Tensor):
        return x.dtype is dtypes.bool_ and tuple(x.shape) == tuple(shape)
    return isinstance(x, bool)


COMPARISONS = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge,
    "Eq": operator.eq, "NotEq": operator.ne,
}  # fmt: skip
"""Comparisons by the names of their syntax."""


def chain(names: Sequence[str], first: Callable[[], Any], *others: Callable[[], Any]) -> Any:
    """`first() < other() < ...`, each evaluated once, as far as is needed."""
    at = [first()]

    def compared(name: str, other: Callable[[], Any]) -> Any:
        at.append(other())
        return COMPARISONS[name](at[-2], at[-1])

    return all_of(*[partial(compared, n, other) for n, other in zip(names, others)])


def choice(test: Any, then: Callable[[], Any], other: Callable[[], Any], site: Site) -> Any:
    """`then() if test else other()`."""
    (result,) = branch(test, lambda _: (then(),), lambda _: (other(),), site, lambda: None)
    return result


def branch(
    test: Any, then: Callable[..., tuple], other: Callable[..., tuple], site: Site,
    *reads: Callable[[], Any],
) -> tuple:  # fmt: skip
    """What the names of `site` hold after `if test: then else: other`."""
    values = [value(read) for read in reads]
    if _is_open(test):
        try:
            return _put_back(site, values, _recorded(test, (then, other), site, values))
        except Exception as error:  # Python decides, and raises what is the program's own fault
            _note(site, error)
    return (then if test else other)(*values)


def branch_returning(
    test: Any, then: Callable[..., Any], other: Callable[..., Any], site: Site,
    *reads: Callable[[], Any],
) -> Any:  # fmt: skip
    """What a function returns after `if test: then else: other`, both of which return."""
    values = [value(read) for read in reads]
    if _is_open(test):
        own = (*site[:2], ("the result",), (), site[4], (), site[6])
        pair = [lambda *v, f=f: (f(*v),) for f in (then, other)]
        try:
            if site[3]:
                raise CannotRecord(f"{site[3][0]} is changed in place in line {site[1]}")
            return _recorded(test, pair, own, values)[0]
        except Exception as error:  # as above
            _note(site, error)
    return (then if test else other)(*values)


def _note(site: Site, error: Exception) -> None:
    reasons.found.setdefault((site[0], site[1]), str(error) or type(error).__name__)


def _require_values(site: Site, values: Sequence[Any]) -> None:
    """CannotRecord where an object that Python knows would be changed by recording."""
    if site[4]:
        raise CannotRecord(site[4])
    for name, held in zip(site[2], values):
        if name in site[6] and not isinstance(held, _VALUES):
            raise CannotRecord(
                f"{name}, of type {type(held).__name__}, is changed by what line {site[1]} decides"
            )


class _Inside:
    """Stand-ins for the tensors among `values`, one for each object, within a body."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.outer = list({id(v): v for v in values if isinstance(v, Tensor)}.values())

        self.written: set[int] = set()
        self.given_back: set[int] = set()

    def given(self, values: Sequence[Any], nodes: Sequence[Node]) -> list[Any]:
        """`values` with new tensors of `nodes` for the outer ones."""
        self.inner = [wrap(n) for n in nodes]
        self.versions = [x._storage.version for x in self.inner]
        known = {id(x): y for x, y in zip(self.outer, self.inner)}
        return [known.get(id(v), v) for v in values]

    def results(self, found: Sequence[Any]) -> list[Any]:
        """What a body gave. CannotRecord where it wrote to one of several views of a tensor, which
        the others would not show."""
        storages = [id(x._storage) for x in self.outer]
        for place, inner, version in zip(storages, self.inner, self.versions):
            if storages.count(place) > 1 and inner._storage.version != version:
                raise CannotRecord("two names hold one tensor that is written to; try clone()")
        nodes = {id(x._storage): id(x._storage.node) for x in self.outer}
        changed = [inner._storage.version != v for inner, v in zip(self.inner, self.versions)]
        self.written |= {nodes[place] for place, c in zip(storages, changed) if c}
        own = [id(x._storage) for x in found if isinstance(x, Tensor)]
        self.given_back |= {nodes[place] for place in own if place in nodes}
        return [self._result(x) for x in found]

    def require_apart(self, outputs: Sequence[Node]) -> None:
        """CannotRecord where the body reads a tensor that it writes to under another name, which
        would not show what was written."""
        if not self.written:
            return
        own = [n for n in postorder(outputs) if n.serial > recording.since]
        read = {id(x) for n in own for x in n.inputs} | self.given_back
        if read & self.written:
            raise CannotRecord("a tensor that is written to has another name; try clone()")

    def _result(self, x: Any) -> Any:
        """A result of the body, with the outer tensor for a stand-in that nothing was written
        to."""
        for outer, inner, version in zip(self.outer, self.inner, self.versions):
            if x is inner and inner._storage.version == version:
                return outer
        return x


def _recorded(
    test: Tensor, functions_: Sequence[Callable[..., tuple]], site: Site, values: Sequence[Any]
) -> list[Any]:
    """What the names hold after a branch of the graph."""
    _require_values(site, values)
    inside = _Inside(values)
    kinds: list[Any] = []

    def body(parameters: list[Node]) -> list[Node]:
        results = []
        for f in functions_:
            with reasons.within(), no_random("if", _DRAWS):
                found = f(*inside.given(values, parameters))
            results.append(inside.results(found))
        outputs: list[list[Node]] = [[], []]
        for name, a, b in zip(site[2], *results):
            kinds.append(_paired(name, a, b, site, outputs))
        inside.require_apart([*outputs[0], *outputs[1]])
        return [*outputs[0], *outputs[1]]

    nodes = [x._node() for x in inside.outer]
    traced, outer = trace(body, [n.type for n in nodes], whole=True)
    inside.inner = []  # which have no values, so nothing is to run them
    flags = mv.reshape(one("if", test, dtypes.bool_), (1,))
    found = iter(br.branch(flags, traced, 2, [*nodes, *outer]))
    return [_filled(kind, found) for kind in kinds]


def _paired(name: str, a: Any, b: Any, site: Site, outputs: list[list[Node]]) -> Any:
    """Tensor, where the branches give one, whose nodes are appended to the outputs; else what both
    give."""
    if isinstance(a, (tuple, list)) and type(a) is type(b) and len(a) == len(b):
        return _Several(type(a), [_paired(name, x, y, site, outputs) for x, y in zip(a, b)])
    if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        parts = [_paired(name, x, y, site, outputs) for x, y in zip(a.values(), b.values())]
        return _Several(dict, parts, list(a))
    if a is b or (type(a) is type(b) and isinstance(a, _PLAIN) and a == b):
        return a
    if a is _UNDEFINED or b is _UNDEFINED:
        if name in site[5]:
            raise _once_bound(name, site)
        return _UNDEFINED
    if not all(isinstance(x, (Tensor, bool, int, float)) for x in (a, b)):
        raise CannotRecord(
            f"{name} holds {type(a).__name__} or {type(b).__name__} after line {site[1]}"
        )
    pair = [_node_like(a, b), _node_like(b, a)]
    if pair[0].type != pair[1].type:
        raise CannotRecord(
            f"{name} is {pair[0].type!r} after one branch of line {site[1]} and {pair[1].type!r} "
            "after the other; try .to(), expand() or reshape()"
        )
    for to, y in zip(outputs, pair):
        to.append(y)
    return Tensor


_PLAIN = (bool, int, float, str, type(None))

_VALUES = (Tensor, *_PLAIN, complex, bytes, tuple, Undefined)
"""Types that Python does not change in place, and tensors, for which stand-ins are changed."""


class _Several:
    """A container of results."""

    def __init__(self, kind: type, parts: list[Any], keys: list[Any] | None = None) -> None:
        self.kind, self.parts, self.keys = kind, parts, keys

    def whole(self, tensors: Iterator[Any]) -> Any:
        """The container, with the next of `tensors` for each tensor."""
        made = [_filled(p, tensors) for p in self.parts]
        if self.keys is not None:
            return dict(zip(self.keys, made))
        return self.kind(*made) if hasattr(self.kind, "_fields") else self.kind(made)


def _filled(kind: Any, tensors: Iterator[Any]) -> Any:
    if isinstance(kind, _Several):
        return kind.whole(tensors)
    return wrap(next(tensors)) if kind is Tensor else kind


def _node_like(x: Any, other: Any) -> Node:
    """A result as a node: a number of the dtype that it has with the other one."""
    if isinstance(x, Tensor):
        return x._node()
    if isinstance(other, Tensor) and not isinstance(x, bool):
        promoted = functions["result_type"](other, x)
        if promoted is other.dtype:
            return mv.expand(ew.number(x, other.dtype), tuple(other.shape))
    return ew.number(x, _weak_dtype(x))


def _weak_dtype(x: Any) -> Any:
    if isinstance(x, bool):
        return dtypes.bool_
    return dtypes.int64 if isinstance(x, int) else dtypes.float64


def _put_back(site: Site, values: Sequence[Any], results: Sequence[Any]) -> tuple:
    """The results, where those of names that are changed in place are written to their tensors."""
    found = []
    for name, old, new in zip(site[2], values, results):
        if name in site[3] and isinstance(old, Tensor) and new is not old:
            if not isinstance(new, Tensor) or new.shape != old.shape or new.dtype != old.dtype:
                raise CannotRecord(f"{name} is changed in place to another type")
            old.copy_(new)
            new = old
        found.append(new)
    return tuple(found)


class Span:
    """The numbers of a `range`, of which the bounds may be tensors."""

    def __init__(self, start: Any, stop: Any, step: Any) -> None:
        self.first, self.stop, self.step = start, stop, step
        self.most: int | None = None
        if all(isinstance(x, int) for x in (start, stop, step)):
            self.most = len(range(start, stop, step))

    def holds(self, at: Any) -> Any:
        """Whether a number is one of them."""
        return at < self.stop if self.step > 0 else at > self.stop

    def after(self, at: Any) -> Any:
        """The next number."""
        return at + self.step


def span(range_: Any, *bounds: Any) -> Span:
    """`range_(*bounds)`."""
    if range_ is not range:
        raise TypeError("[compile] the name range has another meaning here; try another name")
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if isinstance(step, Tensor):
        raise TypeError("[compile] the step of a range must be a number; got a tensor")
    if step == 0:
        raise ValueError("range() arg 3 must not be zero")
    return Span(_bound(start), _bound(stop), range(step).stop)


def _bound(x: Any) -> Any:
    """A bound of a range: an integer, or a tensor of one."""
    is_open = _is_open(x) and not x.dtype.is_inexact and x.numel() == 1
    return x.reshape(()) if is_open else range(x).stop


def loop(
    go: Callable[..., Any], step: Callable[..., tuple], site: Site, among: Span | None,
    *reads: Callable[[], Any],
) -> tuple:  # fmt: skip
    """What the names of `site` hold after `while go: step`."""
    values = tuple([value(read) for read in reads])
    failed = False
    while True:
        test = go(*values)
        if _is_open(test) and not failed:
            try:
                made = _Loop(go, step, site, values, None if among is None else among.most)
                return _put_back(site, values, made.run())
            except Exception as error:  # Python goes on, and raises what is the program's own fault
                _note(site, error)
                failed = True
        if not test:
            return values
        values = step(*values)


def _distinct(values: Sequence[Any]) -> list[Any]:
    """`values` with another tensor on the same storage where two names hold one, as they may part
    in the first round."""
    found: list[Any] = []
    seen: set[int] = set()
    for v in values:
        if isinstance(v, Tensor) and id(v) in seen:
            other = object.__new__(Tensor)
            other._storage, other._window = v._storage, v._window
            v = other
        seen.add(id(v))
        found.append(v)
    return found


class _Loop:
    """A loop of the graph. `starts` are what it carries at first, by the positions of the names."""

    def __init__(
        self, go: Callable[..., Any], step: Callable[..., tuple], site: Site,
        values: Sequence[Any], maximum: int | None,
    ) -> None:  # fmt: skip
        _require_values(site, values)
        self.go, self.step, self.site = go, step, site
        self.maximum = maximum
        self.values = _distinct(values)
        self.inside = _Inside(self.values)
        self.starts: dict[int, Node] = {}

    def run(self) -> list[Any]:
        """What the names hold at its end."""
        self._probe()
        while True:
            grown = len(self.starts)
            body, outer = trace(self._body, [x.type for x in self.starts.values()], whole=True)
            if len(self.starts) == grown:
                break
        self.inside.inner = []  # which have no values, so nothing is to run them
        found = wh.while_loop(body, list(self.starts.values()), outer, self.maximum)
        results = list(self.values)
        for i, y in zip(self.starts, found):
            results[i] = wrap(y)
        return results

    def _given(self, parameters: dict[int, Node]) -> list[Any]:
        """What a round begins with: parameters for what is carried, else the value."""
        nodes = [
            next((parameters[i] for i, v in enumerate(self.values)
                  if v is x and i in parameters), x._node())
            for x in self.inside.outer
        ]  # fmt: skip
        given = self.inside.given(self.values, nodes)
        for i, p in parameters.items():
            if not isinstance(self.values[i], Tensor):
                given[i] = wrap(p)
        return given

    def _results(self, given: list[Any]) -> list[Any]:
        with reasons.within():
            return self.inside.results(self.step(*given))

    def _probe(self) -> None:
        """Find what is carried, and as what, by a round that is thrown away: a number becomes a
        tensor of the type that it has after it."""
        tensors = [i for i, v in enumerate(self.values) if isinstance(v, Tensor)]

        def body(parameters: list[Node]) -> list[Node]:
            given = self._given(dict(zip(tensors, parameters)))
            after = self._results(given)
            for i, (old, new) in enumerate(zip(self.values, after)):
                self._carry(i, old, new)
            return []

        trace(body, [self.values[i]._node().type for i in tensors], whole=True)

    def _carry(self, i: int, old: Any, new: Any) -> None:
        """Carry the value of name i, unless a round leaves it as it is."""
        name, line = self.site[2][i], self.site[1]
        same = old is new or (type(old) is type(new) and isinstance(old, _PLAIN) and old == new)
        if not same and old is _UNDEFINED and name in self.site[5]:
            raise _once_bound(name, self.site)
        if same or old is _UNDEFINED:
            return
        if isinstance(old, Tensor) and isinstance(new, (Tensor, bool, int, float)):
            self.starts[i] = old._node()
        elif isinstance(old, (bool, int, float)) and isinstance(new, (Tensor, bool, int, float)):
            self.starts[i] = self._start(old, new)
        else:
            raise CannotRecord(
                f"{name} holds {type(old).__name__} before and {type(new).__name__} after a round "
                f"of the loop in line {line}"
            )

    def _start(self, old: Any, new: Any) -> Node:
        """A number that the loop starts with, as what a round makes of it."""
        if not isinstance(new, Tensor):
            wide = max(old, new, key=lambda x: (isinstance(x, float), not isinstance(x, bool)))
            return ew.number(old, _weak_dtype(wide))
        if isinstance(old, float) and not new.dtype.is_inexact:
            raise CannotRecord("a float becomes a tensor of integers")
        return mv.expand(ew.number(old, new.dtype), tuple(new.shape))

    def _body(self, parameters: list[Node]) -> list[Node]:
        own = dict(zip(self.starts, parameters))
        with no_random("while"):
            with reasons.within():
                test = self.go(*self._given(own))
            after = self._results(self._given(own))
        found: dict[int, Node] = {}
        for i, (old, new) in enumerate(zip(self.values, after)):
            if i not in self.starts:
                self._carry(i, old, new)
                continue
            start, name = self.starts[i], self.site[2][i]
            y = new._node() if isinstance(new, Tensor) else ew.number(new, start.dtype)
            y = mv.expand(y, start.shape) if not isinstance(new, Tensor) else y
            if y.type != start.type:
                raise CannotRecord(
                    f"{name} is {start.type!r} before and {y.type!r} after a round of the loop in "
                    f"line {self.site[1]}; try .to(), expand() or reshape() before it"
                )
            found[i] = y
        if len(found) < len(self.starts):
            return []  # more is carried than was known, so this is done again
        outputs = [one("while", test, dtypes.bool_), *[found[i] for i in self.starts]]
        self.inside.require_apart(outputs)
        return outputs
