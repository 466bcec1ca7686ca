"""Variables of TensorFlow 1: values that a session keeps, scopes that share them, updates."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..dtypes import DType
from ..graph.types import Type
from ..tensor import Tensor as Value
from .graph import (
    GraphKeys,
    Operation,
    Tensor,
    as_dtype,
    default_session,
    enter,
    get_default_graph,
    group,
)
from .initializers import GlorotUniform, Zeros
from .operations import cast, convert_to_tensor, value_of
from .sizes import TensorShape
from .state import State, Update
from .symbol import Symbol


def refuse(where: str, **options: Any) -> None:
    """NotImplementedError for an option that would act in TensorFlow, and does not here."""
    for name, value in options.items():
        if value is not None:
            raise NotImplementedError(f"[{where}] {name} is not supported")


class Assignment(Tensor, Update):
    """A tensor whose computing gives a variable a new value."""

    def __init__(self, variable: Variable, value: Any, *function: Callable[..., Any]) -> None:
        Update.__init__(
            self, variable, value, None, get_default_graph().waits_for(),
            *(function or ()),
        )  # fmt: skip


def _stored(value: Any, dtype: DType) -> Value:
    return value_of(value, dtype).to(dtype)


def _added(old: Value, value: Any) -> Value:
    return old + value_of(value, old.dtype)


def _subtracted(old: Value, value: Any) -> Value:
    return old - value_of(value, old.dtype)


class Variable(Tensor, State):
    """A tensor whose value a session keeps from run to run.

    `initial_value` is a tensor, an array, a number, or a function of no arguments that gives one.
    Its initializer, which must be run first, computes it.
    """

    def __init__(
        self, initial_value: Any = None, trainable: bool = True,
        collections: Sequence[str] | None = None, validate_shape: bool = True,
        caching_device: Any = None, name: str | None = None, variable_def: Any = None,
        dtype: Any = None, expected_shape: Any = None, import_scope: Any = None,
        constraint: Any = None, use_resource: Any = None,
    ) -> None:  # fmt: skip
        refuse("Variable", variable_def=variable_def, constraint=constraint)
        graph = get_default_graph()
        taken = graph.unique_name(name or "Variable")
        with graph.name_scope(taken + "/"), graph.control_dependencies(None):
            start = initial_value() if callable(initial_value) else initial_value
            if start is None:
                raise ValueError("initial_value must be specified.")
            start = convert_to_tensor(start, dtype, name="initial_value")
            if dtype is not None and start.dtype is not as_dtype(dtype):
                start = cast(start, as_dtype(dtype))
            known = start.known
            if known is not None and None in known[0]:
                raise ValueError(f"initial_value must have a shape specified: {start!r}")
            held = None if known is None else Type(tuple(known[0]), known[1])
            State.__init__(self, held, None)
            graph.add(self, taken)
            self.initial_value = start
            self.trainable = trainable
            self._initializer = enter(Assignment(self, start), "Assign")
        kinds = [GraphKeys.GLOBAL_VARIABLES] if collections is None else list(collections)
        if trainable and GraphKeys.TRAINABLE_VARIABLES not in kinds:
            kinds.append(GraphKeys.TRAINABLE_VARIABLES)
        for kind in kinds:
            graph.add_to_collection(kind, self)

    _infer = State._infer

    @property
    def initializer(self) -> Operation:
        """The operation that gives it its first value."""
        return self._initializer.op

    @property
    def op(self) -> Operation:
        """The variable as an operation."""
        return Operation(self)

    def value(self) -> Tensor:
        """Its value as a tensor."""
        return self

    def read_value(self) -> Tensor:
        """Its value as the updates that this waits for have left it."""
        return convert_identity(self)

    def initialized_value(self) -> Tensor:
        """What it begins with."""
        return self.initial_value

    def assign(
        self,
        value: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Tensor:
        """The value after it became this."""
        return assign(self, value, name=name)

    def assign_add(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Tensor:
        """The value after this was added."""
        return assign_add(self, delta, name=name)

    def assign_sub(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Tensor:
        """The value after this was subtracted."""
        return assign_sub(self, delta, name=name)

    def load(self, value: Any, session: Any = None) -> None:
        """Give it a value in a session, without running anything."""
        default_session(session).set_value(self, value)

    def __repr__(self) -> str:
        kind = "?" if self.dtype is None else self.dtype.name
        return f"<tf.Variable {self.name!r} shape={self.shape} dtype={kind}_ref>"


def convert_identity(variable: Variable) -> Tensor:
    """The variable's value, read by an operation."""
    return enter(
        Tensor(_read, (variable,), None, None, get_default_graph().waits_for()),
        f"{variable.op_name}/read",
    )


def _read(value: Value) -> Value:
    return value


def _checked(variable: Any, value: Any) -> Any:
    """The value as a tensor of the variable's dtype. ValueError for another shape."""
    if not isinstance(variable, Variable):
        raise ValueError(f"Only variables can be assigned to; got {variable!r}")
    mine = variable.known
    if not isinstance(value, Symbol):
        value = convert_to_tensor(value, None if mine is None else mine[1])
    given = value.known
    if mine is None or given is None:
        return value
    fits = len(mine[0]) == len(given[0]) and all(
        m == n or n is None for m, n in zip(mine[0], given[0])
    )
    if not fits:
        raise ValueError(
            f"Dimension mismatch: {variable.name} has shape {variable.shape}, the value "
            f"{TensorShape(given[0])}"
        )
    if given[1] is not mine[1]:
        raise TypeError(
            f"Input 'value' of 'Assign' Op has type {given[1].name} that does not match type "
            f"{mine[1].name} of argument 'ref'."
        )
    return value


def assign(
    ref: Any, value: Any, validate_shape: bool = True, use_locking: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The value after the variable became this."""
    return enter(Assignment(ref, _checked(ref, value)), name or "Assign")


def assign_add(ref: Any, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The value after this was added to the variable."""
    return enter(Assignment(ref, _checked(ref, value), _added), name or "AssignAdd")


def assign_sub(ref: Any, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The value after this was subtracted from the variable."""
    return enter(Assignment(ref, _checked(ref, value), _subtracted), name or "AssignSub")


def global_variables(scope: str | None = None) -> list[Variable]:
    """All variables of the default graph."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


all_variables = global_variables


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The variables that optimizers change."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Variable]:
    """The variables that are not saved."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def variables_initializer(var_list: Sequence[Variable], name: str = "init") -> Operation:
    """An operation that gives these variables their first values."""
    return group(*[v.initializer for v in var_list], name=name)


def global_variables_initializer() -> Operation:
    """An operation that gives all variables their first values."""
    return variables_initializer(global_variables())


initialize_all_variables = global_variables_initializer


def local_variables_initializer() -> Operation:
    """An operation that gives the local variables their first values."""
    return variables_initializer(local_variables(), "init_local")


AUTO_REUSE = "auto"


class VariableScope:
    """Where `get_variable` looks: a name, whether variables are shared, and what they begin
    with."""

    def __init__(
        self, name: str = "", reuse: Any = False, initializer: Any = None, regularizer: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        self.name, self.reuse, self.initializer = name, reuse, initializer
        self.regularizer, self.dtype = regularizer, dtype
        self.original_name_scope = f"{name}/" if name else ""

    def reuse_variables(self) -> None:
        """Share the variables that are there from here on."""
        self.reuse = True


class _Store:
    """The scopes and named variables of a graph."""

    def __init__(self) -> None:
        self.scope = VariableScope()
        self.variables: dict[str, Variable] = {}
        self.counts: dict[str, int] = {}


def store_of(graph: Any) -> _Store:
    """The graph's store, made when it is first asked for."""
    if graph.store is None:
        graph.store = _Store()
    return graph.store


def get_variable_scope() -> VariableScope:
    """The scope that is open."""
    return store_of(get_default_graph()).scope


def unique_scope(base: str) -> str:
    """A scope's name that was not taken yet: base, base_1, ..."""
    store = store_of(get_default_graph())
    prefix = f"{store.scope.name}/" if store.scope.name else ""
    n = store.counts.get(prefix + base, 0)
    store.counts[prefix + base] = n + 1
    return base if n == 0 else f"{base}_{n}"


@contextlib.contextmanager
def variable_scope(
    name_or_scope: Any, default_name: str | None = None, values: Any = None,
    initializer: Any = None, regularizer: Any = None, reuse: Any = None, dtype: Any = None,
    caching_device: Any = None, partitioner: Any = None, custom_getter: Any = None,
    use_resource: Any = None, constraint: Any = None, auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:  # fmt: skip
    """A block in which `get_variable` makes variables below a name, or shares those that are there
    (`reuse`, which blocks within inherit). A variable is whole, whatever `partitioner` says."""
    refuse("variable_scope", custom_getter=custom_getter, constraint=constraint)
    graph = get_default_graph()
    store = store_of(graph)
    before = store.scope
    if name_or_scope is None:
        name_or_scope = unique_scope(default_name or "scope")
    if isinstance(name_or_scope, VariableScope):
        path, last = name_or_scope.name, name_or_scope.name.rpartition("/")[2]
        outer = name_or_scope
    else:
        path = f"{before.name}/{name_or_scope}" if before.name else name_or_scope
        last, outer = name_or_scope, before
        store.counts.setdefault(path, 1)
    shares = reuse or outer.reuse
    store.scope = VariableScope(
        path, shares, outer.initializer if initializer is None else initializer,
        outer.regularizer if regularizer is None else regularizer, dtype or outer.dtype,
    )  # fmt: skip
    try:
        with graph.name_scope(last) as scope:
            store.scope.original_name_scope = scope
            yield store.scope
    finally:
        store.scope = before
        # Layers within the scope are counted anew when it is opened again, to share by name.
        for below in [n for n in store.counts if n.startswith(f"{path}/")]:
            del store.counts[below]


def get_variable(
    name: str, shape: Any = None, dtype: Any = None, initializer: Any = None,
    regularizer: Any = None, trainable: bool = True, collections: Any = None,
    caching_device: Any = None, partitioner: Any = None, validate_shape: bool = True,
    use_resource: Any = None, custom_getter: Any = None, constraint: Any = None,
) -> Variable:  # fmt: skip
    """The variable of this name in the open scope: a new one, or, where the scope shares, the one
    that is there. ValueError where it is there and not to be shared, or the other way round.
    `initializer` may be a value, which says shape and dtype. A variable is whole, whatever
    `partitioner` says."""
    refuse("get_variable", custom_getter=custom_getter, constraint=constraint)
    graph = get_default_graph()
    store = store_of(graph)
    scope = store.scope
    path = f"{scope.name}/{name}" if scope.name else name
    known = store.variables.get(path)
    if known is not None:
        if not scope.reuse:
            raise ValueError(
                f"Variable {path} already exists, disallowed. Did you mean to set reuse=True or "
                "reuse=tf.AUTO_REUSE in VarScope?"
            )
        if shape is not None and TensorShape(shape) != known.shape:
            raise ValueError(
                f"Trying to share variable {path}, but specified shape {TensorShape(shape)} and "
                f"found shape {known.shape}."
            )
        if dtype is not None and known.dtype is not as_dtype(dtype):
            raise ValueError(
                f"Trying to share variable {path}, but specified dtype {as_dtype(dtype).name} and "
                f"found dtype {'?' if known.dtype is None else known.dtype.name}."
            )
        return known
    if scope.reuse is True:
        raise ValueError(
            f"Variable {path} does not exist, or was not created with tf.get_variable(). Did you "
            "mean to set reuse=tf.AUTO_REUSE in VarScope?"
        )
    kind = as_dtype(dtype or scope.dtype or "float32")
    start = scope.initializer if initializer is None else initializer
    if start is None:
        start = GlorotUniform() if kind.is_inexact else Zeros()
    if isinstance(start, type):
        start = start()

    def initial() -> Any:
        if not callable(start):
            return start
        return start([int(n) for n in TensorShape(shape)], dtype=kind)

    given = None if dtype is None and not callable(start) else kind
    with graph.name_scope(None):
        made = Variable(initial, trainable, collections, name=path, dtype=given)
    store.variables[path] = made
    regularizer = scope.regularizer if regularizer is None else regularizer
    if regularizer is not None:
        graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, regularizer(made))
    return made
