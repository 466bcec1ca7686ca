"""Symbols: values that are defined now and computed when a function or a session asks for them.

A symbol is a function with its arguments, some of which are symbols. Nothing is computed as it is
made, but what can be known of its type is: the function is called on stand-ins, at two sizes where
a size is left open (None), and what differs between the two is open in the result. So a shape that
does not fit is an error at the line that wrote it.

    x = placeholder((None, 784))       (12, 784) and (20, 784)
    y = x.reshape(-1, 28, 28)          (12, 28, 28) and (20, 28, 28): (None, 28, 28)

When a symbol is computed, its function is called on real tensors, so sizes, dtypes and Python
numbers (`x.shape[0]`) are those of that call, and gradients, fusing and compiling are the engine's.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..autograd_api import no_grad
from ..dtypes import DType
from ..func.tracing import Trace
from ..graph.node import user_location
from ..graph.types import Type
from ..tensor import Tensor

OPEN_SIZES = (12, 20)
"""What an open size is taken to be while types are found out: numbers that have divisors."""

TRIALS = 256
"""Choices of open sizes that are tried where those do not fit."""

Samples = tuple[Any, Any]

_NO_VALUE = (
    "[static] the value of a symbol is not known while the graph is defined; try run() or a "
    "function's call to compute it, and cond() or while_loop() for a decision"
)

_serials = itertools.count()


def next_serial() -> int:
    """A number that symbols made before are below, and later ones above."""
    return next(_serials)


def replace(value: Any, function: Callable[[Any], Any]) -> Any:
    """A nest of tuples, lists, dicts and slices with function(x) in the place of each leaf."""
    if isinstance(value, tuple):
        made = [replace(v, function) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, list):
        return [replace(v, function) for v in value]
    if isinstance(value, dict):
        return {k: replace(v, function) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(*[replace(v, function) for v in (value.start, value.stop, value.step)])
    return function(value)


def leaves(value: Any) -> Iterator[Any]:
    """The leaves of such a nest, in order."""
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from leaves(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from leaves(v)
    elif isinstance(value, slice):
        yield from leaves((value.start, value.stop, value.step))
    else:
        yield value


class Symbol:
    """The value of `function(*args, **kwargs)`, computed when it is asked for.

    `samples` are what is known of it: two nests of types and Python values, one for each of
    `OPEN_SIZES`, or None. `after` are symbols that are computed before, whatever the arguments say.
    """

    if TYPE_CHECKING:  # what `define_operators` gives to its kinds

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __floordiv__(self, other: Any) -> Any: ...
        def __rfloordiv__(self, other: Any) -> Any: ...
        def __mod__(self, other: Any) -> Any: ...
        def __rmod__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __and__(self, other: Any) -> Any: ...
        def __rand__(self, other: Any) -> Any: ...
        def __or__(self, other: Any) -> Any: ...
        def __ror__(self, other: Any) -> Any: ...
        def __xor__(self, other: Any) -> Any: ...
        def __rxor__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __pos__(self) -> Any: ...
        def __invert__(self) -> Any: ...
        def __abs__(self) -> Any: ...
        def __getitem__(self, index: Any) -> Any: ...

    __array_ufunc__ = None  # NumPy's arrays leave operators with symbols to the symbols

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None, name: str | None = None,
        after: Sequence[Symbol] = (),
    ) -> None:  # fmt: skip
        self.function = function
        self.args = tuple(args)
        self.kwargs = kwargs or {}
        self.name = name
        self.after = tuple(after)
        self.serial = next(_serials)
        self.location = user_location()
        self.samples = self._infer()

    def inputs(self) -> list[Symbol]:
        """The symbols among the arguments, each once."""
        found = {id(x): x for x in leaves((self.args, self.kwargs)) if isinstance(x, Symbol)}
        return list(found.values())

    def compute(self, value_of: Callable[[Symbol], Any]) -> Any:
        """The value, where `value_of` gives those of its inputs."""

        def given(x: Any) -> Any:
            return value_of(x) if isinstance(x, Symbol) else x

        return self.function(*replace(self.args, given), **replace(self.kwargs, given))

    def _infer(self) -> Samples | None:
        inputs = self.inputs()
        if any(x.samples is None for x in inputs):
            return self.guess()
        known = {id(x): x.samples for x in inputs if x.samples is not None}
        fixed = all(a == b for a, b in known.values())
        try:
            return self._sample(known, fixed)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            if str(error) == _NO_VALUE:
                return self.guess()
            if fixed:
                raise self.refusal(error) from None
        return self._fitting(inputs) or self.guess()

    def refusal(self, error: Exception) -> Exception:
        """What is raised where the arguments do not fit, at the user's line."""
        return error

    def guess(self) -> Samples | None:
        """What is known of the value where its function cannot be tried."""
        guess = getattr(self.function, "__self__", None)
        return guess.guess(*self.args, **self.kwargs) if isinstance(guess, Deferred) else None

    def _fitting(self, inputs: Sequence[Symbol]) -> Samples | None:
        """Samples of the value where open sizes are taken to be sizes that other inputs have: a
        matrix of open sizes can be multiplied by one of 784 rows."""
        places = [
            (x, axis)
            for x in inputs
            for axis, n in enumerate((x.known or ((), None))[0])
            if n is None
        ]
        sizes = {n for x in inputs for n in (x.known or ((), None))[0] if n is not None} - {1}
        trials = itertools.product((None, *sorted(sizes)), repeat=len(places))
        for chosen in sorted(
            itertools.islice(trials, TRIALS), key=lambda c: len(c) - c.count(None)
        ):
            known = {id(x): x.samples for x in inputs if x.samples is not None}
            for (x, axis), n in zip(places, chosen):
                if n is not None:
                    a, b = known[id(x)]
                    known[id(x)] = (_resized(a, axis, n), _resized(b, axis, n))
            try:
                return self._sample(known, False)
            except (RuntimeError, ValueError, IndexError, TypeError):
                continue
        return None

    def _sample(self, known: dict[int, Samples], fixed: bool) -> Samples:
        first = self._try({at: a for at, (a, _) in known.items()})
        return (
            (first, first) if fixed else (first, self._try({at: b for at, (_, b) in known.items()}))
        )

    def _try(self, known: dict[int, Any]) -> Any:
        """What comes of values like these."""
        with no_grad(), Trace(_NO_VALUE) as trace:

            def stand_in(x: Any) -> Any:
                return trace.of(x) if isinstance(x, Type) else x

            return replace(self.compute(lambda x: replace(known[id(x)], stand_in)), type_of)

    @property
    def known(self) -> tuple[tuple[int | None, ...], DType] | None:
        """Shape, with None for open sizes, and dtype; None where they are not known."""
        if self.samples is None:
            return None
        a, b = (_as_type(s) for s in self.samples)
        if a is None or b is None or len(a.shape) != len(b.shape):
            return None
        return tuple(m if m == n else None for m, n in zip(a.shape, b.shape)), a.dtype

    @property
    def ndim(self) -> int | None:
        """The number of axes, if it is known."""
        return None if self.known is None else len(self.known[0])

    def __repr__(self) -> str:
        text = "?"
        if self.known is not None:
            shape, dtype = self.known
            text = f"{dtype.name}[{', '.join('?' if n is None else str(n) for n in shape)}]"
        return f"<{type(self).__name__} {self.name or self.called}: {text}>"

    @property
    def called(self) -> str:
        """The name of what is called."""
        if self.function.__name__ == "call_method":
            return self.args[0]
        owner = getattr(self.function, "__self__", None)
        return (owner if isinstance(owner, Deferred) else self.function).__name__

    def __bool__(self) -> bool:
        raise TypeError(
            "Using a symbol as a Python bool is not allowed: its value is not known while the "
            "graph is defined. Use `if x is not None:` to test whether it is defined, and cond() "
            "to decide by its value."
        )

    def __iter__(self) -> Iterator[Any]:
        """The items along the first axis, where their number is known. TypeError otherwise."""
        count = None
        if self.samples is not None and isinstance(self.samples[0], (tuple, list)):
            count = len(self.samples[0])
        elif self.known is not None and self.known[0]:
            count = self.known[0][0]
        if count is None:
            raise TypeError(
                "[static] a symbol can be walked where its first size is known; got "
                f"{self!r}; try unstack with num="
            )
        return iter([self[i] for i in range(count)])

    def __len__(self) -> int:
        raise TypeError("[static] a symbol has no len(); try shape[0]")


class Deferred:
    """A function of values as a function of symbols: a call makes a symbol by `make`, which is
    called with this object and the arguments; `compute` is the function itself. `guess` gives
    samples of the value where it cannot be tried."""

    def __init__(
        self, function: Callable[..., Any], make: Callable[..., Any],
        guess: Callable[..., Samples | None] | None = None,
    ) -> None:  # fmt: skip
        functools.update_wrapper(self, function)
        self._function, self._make = function, make
        self._guess = guess

    def guess(self, *args: Any, **kwargs: Any) -> Samples | None:
        """Samples of the value, if something is known."""
        return self._guess(*args, **kwargs) if self._guess is not None else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._make(self, args, kwargs)

    def compute(self, *args: Any, **kwargs: Any) -> Any:
        """The value for values."""
        return self._function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method, the instance is its first argument."""
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> str:
        """Pickles hold where it stands."""
        return self.__qualname__  # type: ignore[attr-defined]


def samples_of(shape: Sequence[int | None], dtype: DType) -> Samples:
    """Samples of a tensor whose shape has None for open sizes."""
    first, second = (
        Type(tuple([n if size is None else size for size in shape]), dtype) for n in OPEN_SIZES
    )
    return first, second


def type_of(value: Any) -> Any:
    """A tensor's type; Python values stay."""
    return value._node().type if isinstance(value, Tensor) else value


def _resized(type_: Type, axis: int, n: int) -> Type:
    return type_.with_shape((*type_.shape[:axis], n, *type_.shape[axis + 1 :]))


def _as_type(sample: Any) -> Type | None:
    """The type of a sample, if it is a tensor's or a number's."""
    if isinstance(sample, Type):
        return sample
    if isinstance(sample, (tuple, list)) and all(type(x) is int for x in sample):
        return Type((len(sample),), _NUMBERS[int])
    kind = _NUMBERS.get(type(sample))
    return None if kind is None else Type((), kind)


_NUMBERS: dict[type, DType] = {}


def number_types(kinds: dict[type, DType]) -> None:
    """The dtypes that Python's numbers count as where a symbol's value is one."""
    _NUMBERS.update(kinds)


OPERATORS = {
    name: getattr(operator, name)
    for name in "add sub mul truediv floordiv mod pow matmul and_ or_ xor".split()
}
COMPARISONS = {name: getattr(operator, name) for name in "lt le gt ge".split()}
UNARY = {name: getattr(operator, name) for name in "neg pos invert".split()}


def define_operators(
    cls: type, apply: Callable[..., Any], table: dict[str, Callable[..., Any]]
) -> None:
    """Give a class Python's operators, which make symbols by `apply(function, args)`; `table` has
    functions that take the place of those of the module `operator`."""
    for name, plain in {**OPERATORS, **COMPARISONS, **UNARY, "abs": abs}.items():
        function = table.get(name, plain)
        special = f"__{name.rstrip('_')}__"
        setattr(cls, special, _method(special, function, apply, swapped=False))
        if name in OPERATORS:
            special = f"__r{name.rstrip('_')}__"
            setattr(cls, special, _method(special, function, apply, swapped=True))


def _method(
    name: str, function: Callable[..., Any], apply: Callable[..., Any], swapped: bool
) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        return apply(function, (*others, self) if swapped else (self, *others))

    method.__name__ = name
    return method
