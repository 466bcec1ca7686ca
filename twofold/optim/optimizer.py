"""Optimizer: parameter groups, state, and the one way in which every method steps.

A method states its options, the state it begins with and the update of one parameter, all in
arithmetic on tensors. Numbers that change from step to step (learning rates, bias corrections)
enter as run-time scalars, made by `_scalar`, so that no step compiles anew, and a step within a
captured function reads them at each call; when a step ends, all that is pending (forward, backward
and every update) runs as one plan.
"""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from ..autograd_api import RemovableHandle, enable_grad, no_grad
from ..creation import tensor
from ..dtypes import DType, float32
from ..engine import flush
from ..functions.complex import view_as_complex, view_as_real
from ..graph.modes import modes
from ..graph.node import Node
from ..graph.observe import Live, each_call
from ..graph.storage import Storage
from ..repeated import Repeated
from ..tensor import Tensor, number_tensor


class _Required:
    """Stands for an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_Record = dict[str, Any]
_Part = tuple[_Record, Tensor, _Record]
"""A group, a parameter of it, and the parameter's state."""

_Name = tuple[Callable[[_Record, _Record], float], int]
"""What reads a number, and of which part."""

_hook_keys = iter(range(1 << 62))


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` between the optimizer's hooks; then whatever is pending runs."""

    @functools.wraps(step)
    def apply(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        for hook in list(self._optimizer_step_pre_hooks.values()):
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"{hook} must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{changed}."
                    )
                args, kwargs = changed
        with self._whole():
            result = step(self, *args, **kwargs)
        for hook in list(self._optimizer_step_post_hooks.values()):
            hook(self, args, kwargs)
        with self._whole():
            flush()
        self._before = []
        return result

    apply._has_hooks = True  # type: ignore[attr-defined]
    return apply


def number_of(value: Any) -> Any:
    """A Python number, of a number or of a tensor with one element."""
    return value.item() if isinstance(value, Tensor) else value


def zeros_of(p: Tensor) -> Tensor:
    """Zeros in p's shape and dtype, in memory: the first step has the structure of all others."""
    return full_of(p, 0.0)


def full_of(p: Tensor, value: float) -> Tensor:
    """A value repeated in p's shape and dtype, in memory."""
    return tensor(np.full(tuple(p.shape), value, np.float32), dtype=p.dtype)


class Optimizer:
    """Base of all methods that change parameters to make a loss smaller.

    `params` are tensors, or dicts with "params" and options of their own (groups), or pairs of a
    name and a tensor.
    """

    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    _scalar_state: tuple[str, ...] = ("step",)
    """State that is a Python number here and a 0-d tensor in state_dicts."""

    _repeats = False
    """Whether an update follows from the options, the tensors of the state and `_scalar`'s numbers
    alone."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__ and not hasattr(cls.__dict__["step"], "_has_hooks"):
            cls.step = _with_hooks(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {params.dtype}"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group))
        # Initial values run now, so that the first step compiles what every later one runs.
        flush()

    def _make_hooks(self) -> None:
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._made: dict[Any, Tensor] = {}
        self._names: dict[int, _Name] = {}
        self._at = 0
        self._before: list[tuple[Storage, Node]] = []
        self._repeated = Repeated()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with options of its own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        if params and all(isinstance(p, tuple) for p in params):
            param_group["param_names"] = [name for name, _ in params]
            params = [p for _, p in params]
        param_group["params"] = params
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    + type(p).__name__
                )
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, deepcopy(default))
        if len({id(p) for p in params}) != len(params):
            raise ValueError("some parameters appear more than once in the same parameter group")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)
        modes.change()

    # Steps.

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Where a step meets an error, of a bad index that its loss looked up, say, parameters and
        state stay as they were."""
        try:
            yield
        except Exception:
            for storage, node in self._before:
                storage.node = node
            self._before = []
            raise

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; `closure`, if given, first computes the loss
        (which is returned) and the gradients."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        todo: list[_Part] = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state.get(p)
                    if not state:
                        state = self._initial_state(group, p)
                        if state:
                            self.state[p] = state
                    todo.append((group, p, state))

        def count() -> None:
            for group, _, state in todo:
                self._advance(group, state)

        each_call(count)
        found = _what_repeats(todo) if self._repeats else None
        if found is None:
            self._update_all(todo)
        else:
            self._repeated.run(
                *found,
                lambda: self._update_all(todo),
                lambda name: name[0](todo[name[1]][0], todo[name[1]][2]),
            )
        return loss

    step = _with_hooks(step)

    def _update_all(self, todo: Sequence[_Part]) -> Mapping[int, _Name]:
        """Record the updates; gives what reads each of their numbers, by the id of its node."""
        self._made.clear()
        self._names.clear()
        changed = [t for _, p, state in todo for t in (p, *state.values()) if isinstance(t, Tensor)]
        self._before = [(t._storage, t._storage.node) for t in changed]
        with no_grad():
            for self._at, (group, p, state) in enumerate(todo):
                grad: Tensor = p.grad  # type: ignore[assignment]
                grad = -grad if group.get("maximize") else grad
                if grad.is_sparse:
                    self._update_sparse(group, p, grad, state)
                elif p.is_complex():
                    self._update_parts(group, p, grad, state)
                else:
                    self._update(group, p, grad, state)
        return self._names

    def _update_sparse(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        """Update by a sparse gradient. RuntimeError for methods that have no such rule."""
        raise RuntimeError(
            f"{type(self).__name__} does not support sparse gradients, please consider SparseAdam "
            "instead"
        )

    def _update_rows(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any],
        update: Callable[..., None] | None = None,
    ) -> None:  # fmt: skip
        """Update the rows that a sparse gradient names, and what is kept for them, alone: by
        `update`, or as all rows would be."""
        grad = grad.coalesce()
        rows = grad.indices()[0]
        names = [k for k, v in state.items() if isinstance(v, Tensor) and v.shape == p.shape]
        part, kept = p[rows], {k: state[k][rows] for k in names}
        (update or self._update)(group, part, grad.values(), {**state, **kept})
        p.index_copy_(0, rows, part)
        for k in names:
            state[k].index_copy_(0, rows, kept[k])

    def _update_parts(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        """Update complex parameters as pairs of real ones, which are views of their memory."""
        parts = {k: view_as_real(v) if _is_complex(v) else v for k, v in state.items()}
        before = dict(parts)
        pair = view_as_real(p)
        self._update(group, pair, view_as_real(grad), parts)
        made = self.state.pop(pair, None)  # by a method that begins its state as it updates
        if made:
            parts.update(made)
            self.state[p] = state
        for name, value in parts.items():
            if value is not before.get(name):
                is_pair = isinstance(value, Tensor) and value.shape == (*p.shape, 2)
                state[name] = view_as_complex(value) if is_pair else value

    def _advance(self, group: dict[str, Any], state: dict[str, Any]) -> None:
        """Count the step in a parameter's state."""
        if "step" in state:
            state["step"] += 1

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """What the method keeps for a parameter, before its first step."""
        return {}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        """Change `p` and `state` by the gradient. Each method defines it."""
        raise NotImplementedError

    def _scalar(
        self,
        read: Callable[[dict[str, Any], dict[str, Any]], float],
        group: dict[str, Any],
        state: dict[str, Any],
        dtype: DType,
    ) -> Tensor:
        """The number `read(group, state)` of this step as a run-time scalar; parameters of one
        group at one step share it."""
        key = (read, id(group), state.get("step"), dtype)
        found = self._made.get(key)
        if found is None:
            value = Live(lambda: read(group, state))
            found = self._made[key] = number_tensor(value, dtype)
            self._names[id(found._node())] = (read, self._at)
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                else:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    # State.

    def _exported(self, state: Any) -> Any:
        """A parameter's state as PyTorch saves it."""
        if not isinstance(state, dict):
            return state
        return {
            k: tensor(float(v), dtype=float32)
            if k in self._scalar_state and isinstance(v, (int, float))
            else v
            for k, v in state.items()
        }

    def _imported(self, state: Any, p: Tensor) -> Any:
        """A parameter's state from what was saved: tensors in p's dtype, counts as numbers."""
        result = {}
        for k, v in state.items():
            if k in self._scalar_state:
                v = number_of(v)
                result[k] = int(v) if k == "step" else v
            elif isinstance(v, Tensor):
                cast = p.is_floating_point() and v.is_floating_point()
                result[k] = v.to(p.dtype if cast else v.dtype, copy=True)
            else:
                result[k] = deepcopy(v)
        return result

    def state_dict(self) -> dict[str, Any]:
        """The state by the positions of parameters, and the groups' options."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        places: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                places.setdefault(id(p), len(places))
            packed = {k: v for k, v in group.items() if k != "params"}
            packed["params"] = [places[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            places[id(k)] if isinstance(k, Tensor) else k: self._exported(v)
            for k, v in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state and the options of `state_dict`. ValueError if its groups are others."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = [dict(g) for g in state_dict["param_groups"]]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(self.param_groups, saved)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        mine = [p for g in self.param_groups for p in g["params"]]
        theirs = [i for g in saved for i in g["params"]]
        by_place: dict[Hashable, Tensor] = dict(zip(theirs, mine))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            p = by_place.get(key)
            state[key if p is None else p] = value if p is None else self._imported(value, p)
        groups = []
        for own, other in zip(self.param_groups, saved):
            group = {k: deepcopy(v) for k, v in other.items() if k != "params"}
            for name, default in self.defaults.items():
                group.setdefault(name, default)
            group["params"] = own["params"]
            groups.append(group)
        self.state, self.param_groups = state, groups
        modes.change()
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()

    # Hooks.

    def _hook(self, name: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        hooks = getattr(self, name)
        key = next(_hook_keys)
        hooks[key] = hook
        if prepend:
            hooks.move_to_end(key, last=False)
        return RemovableHandle(hooks, key)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return self._hook("_optimizer_step_pre_hooks", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._hook("_optimizer_step_post_hooks", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict`."""
        return self._hook("_optimizer_state_dict_pre_hooks", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; what it returns replaces it."""
        return self._hook("_optimizer_state_dict_post_hooks", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns takes its place."""
        return self._hook("_optimizer_load_state_dict_pre_hooks", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return self._hook("_optimizer_load_state_dict_post_hooks", hook, prepend)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join(lines) + "\n)"


_HOOKS = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks", "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)  # fmt: skip


def options(**given: Any) -> dict[str, Any]:
    """The options of a group, from keyword arguments."""
    return given


def check(name: str, value: Any, ok: bool) -> None:
    """ValueError `Invalid NAME: VALUE` unless ok."""
    if not ok:
        raise ValueError(f"Invalid {name}: {value}")


def check_betas(betas: Iterable[Any]) -> None:
    """ValueError unless both lie in [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= number_of(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_common(lr: Any, weight_decay: Any, eps: float | None = None) -> None:
    """ValueError for a negative learning rate, weight decay or epsilon."""
    check("learning rate", lr, number_of(lr) >= 0)
    if eps is not None:
        check("epsilon value", eps, eps >= 0)
    check("weight_decay value", weight_decay, number_of(weight_decay) >= 0)


def rate(group: dict[str, Any], state: dict[str, Any]) -> float:
    """The learning rate."""
    return number_of(group["lr"])


def decay_factor(group: dict[str, Any], state: dict[str, Any]) -> float:
    """1 - lr * weight_decay, by which decoupled decay scales a parameter."""
    return 1 - number_of(group["lr"]) * number_of(group["weight_decay"])


def decayed(grad: Tensor, p: Tensor, weight_decay: float) -> Tensor:
    """grad + weight_decay * p."""
    return grad + weight_decay * p if weight_decay else grad


_PLAIN = (float, int, bool, str, type(None))


def _what_repeats(todo: Sequence[_Part]) -> tuple[list[Tensor], tuple] | None:
    """The tensors of a step, and all else that its graph depends on; None where that is more than
    plain options and counts."""
    tensors: list[Tensor] = []
    found: list[Any] = []
    group_before = first = None
    for group, p, state in todo:
        if group is not group_before:
            group_before = group
            for name, value in group.items():
                if name in ("params", "param_names"):
                    continue
                parts = value if value.__class__ in (tuple, list) else (value,)
                if not all(part.__class__ in _PLAIN for part in parts):
                    return None
                if name != "lr":
                    found += (name, *parts)
        grad: Any = p.grad
        if grad.is_sparse or p.is_complex():
            return None
        tensors += (p, grad)
        step = state.get("step", 0)
        first = step if first is None else first
        found.append(step - first)
        for name, value in state.items():
            if isinstance(value, Tensor):
                found.append(name)
                tensors.append(value)
    return tensors, tuple(found)


def _is_complex(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_complex()
