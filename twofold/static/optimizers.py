"""`tf.train`'s optimizers: gradients, and operations that change variables by them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from . import arrays
from . import operations as ops
from .graph import (
    GraphKeys,
    Operation,
    Tensor,
    add,
    control_dependencies,
    get_default_graph,
    group,
    operation,
)
from .initializers import Constant
from .operations import value_of
from .state import Gradients, depends
from .symbol import Symbol
from .variables import Variable, assign, assign_add, assign_sub, trainable_variables


def gradients(
    ys: Any, xs: Any, grad_ys: Any = None, name: str = "gradients",
    colocate_gradients_with_ops: bool = False, gate_gradients: bool = False,
    aggregation_method: Any = None, stop_gradients: Any = None,
) -> list[Tensor | None]:  # fmt: skip
    """The gradients of the sum of ys for each x; None for an x that no y depends on, or
    only by whole numbers."""
    if stop_gradients:
        raise NotImplementedError(
            "[gradients] stop_gradients is not supported; try tf.stop_gradient"
        )
    ys = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    listed = list(xs) if isinstance(xs, (list, tuple)) else [xs]
    seeds = grad_ys if grad_ys is None or isinstance(grad_ys, (list, tuple)) else [grad_ys]
    reached = [x for x in listed if any(depends(y, x, smoothly=True) for y in ys)]
    made = Gradients(ys, reached, seeds)
    at = {id(x): k for k, x in enumerate(reached)}
    return [
        add(f"{name}/{x.op_name}_grad", operator.getitem, (made, at[id(x)]))
        if id(x) in at
        else None
        for x in listed
    ]


class Optimizer:
    """Changes variables so that a loss falls."""

    def __init__(self, use_locking: bool, name: str) -> None:
        self._name = name
        self._slots: dict[str, dict[Variable, Variable]] = {}

    def get_name(self) -> str:
        """Its name."""
        return self._name

    def minimize(
        self, loss: Any, global_step: Any = None, var_list: Sequence[Variable] | None = None,
        gate_gradients: int = 1, aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False, name: str | None = None, grad_loss: Any = None,
    ) -> Operation:  # fmt: skip
        """An operation that takes one step. ValueError where no variable has a gradient."""
        pairs = self.compute_gradients(loss, var_list, grad_loss=grad_loss)
        if all(g is None for g, _ in pairs):
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not "
                f"support gradients, between variables {[v.name for _, v in pairs]} and loss "
                f"{loss}."
            )
        return self.apply_gradients(pairs, global_step, name)

    def compute_gradients(
        self, loss: Any, var_list: Sequence[Variable] | None = None, gate_gradients: int = 1,
        aggregation_method: Any = None, colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Tensor | None, Variable]]:  # fmt: skip
        """Pairs of gradient and variable."""
        chosen = list(trainable_variables() if var_list is None else var_list)
        if not chosen:
            raise ValueError("No variables to optimize.")
        return list(zip(gradients(loss, chosen, grad_loss), chosen))

    def apply_gradients(
        self, grads_and_vars: Any, global_step: Any = None, name: str | None = None
    ) -> Operation:
        """An operation that changes the variables by these gradients."""
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        if not pairs:
            raise ValueError("No gradients provided for any variable.")
        graph = get_default_graph()
        title = name or self._name
        with graph.name_scope(graph.unique_name(title) + "/"):
            self._prepare([v for _, v in pairs])
            steps: list[Any] = [self._apply(g, v) for g, v in pairs]
            steps += self._finish(steps)
        if global_step is not None:
            with control_dependencies(steps):
                steps.append(assign_add(global_step, 1))
        made = group(*steps, name=f"{title}/update")
        graph.add_to_collection("train_op", made)
        return made

    def get_slot(self, var: Variable, name: str) -> Variable | None:
        """The variable of this name that goes with `var`."""
        return self._slots.get(name, {}).get(var)

    def get_slot_names(self) -> list[str]:
        """The names of such variables."""
        return sorted(self._slots)

    def variables(self) -> list[Variable]:
        """All such variables."""
        return [v for slots in self._slots.values() for v in slots.values()]

    def _slot(
        self, var: Variable, name: str, start: float = 0.0, title: str | None = None
    ) -> Variable:
        slots = self._slots.setdefault(name, {})
        if var not in slots:
            shape = [int(n) for n in var.shape]
            with get_default_graph().name_scope(None):
                slots[var] = Variable(
                    lambda: Constant(start)(shape, var.dtype), False,
                    name=f"{var.op_name}/{title or self._name}",
                )  # fmt: skip
        return slots[var]

    def _prepare(self, variables: Sequence[Variable]) -> None:
        """Make what all of them share."""

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        raise NotImplementedError

    def _finish(self, steps: Sequence[Any]) -> list[Any]:
        return []


def _minus(title: str, var: Variable, step: Any) -> Tensor:
    return assign_sub(var, step, name=title)


class GradientDescentOptimizer(Optimizer):
    """v -= rate g."""

    def __init__(
        self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent"
    ) -> None:
        super().__init__(use_locking, name)
        self._rate = learning_rate

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        return _minus(f"update_{var.op_name}", var, grad * self._rate)


class MomentumOptimizer(Optimizer):
    """m = momentum m + g; v -= rate m (or rate (g + momentum m), with `use_nesterov`)."""

    def __init__(
        self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._momentum, self._nesterov = learning_rate, momentum, use_nesterov

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        slot = self._slot(var, "momentum")
        new = assign(slot, slot * self._momentum + grad)
        step = grad + new * self._momentum if self._nesterov else new
        return _minus(f"update_{var.op_name}", var, step * self._rate)


@operation("AdamStep")
def _adam_step(m: Any, v: Any, rate: Any, power1: Any, power2: Any, epsilon: float) -> Any:
    """rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)."""
    rate = value_of(rate, m.dtype)
    scaled = rate * (1 - power2).sqrt() / (1 - power1)
    return scaled * m / (v.sqrt() + epsilon)


class AdamOptimizer(Optimizer):
    """Adam, as in Kingma and Ba's paper (the form before section 2.1, with its epsilon)."""

    def __init__(
        self, learning_rate: Any = 0.001, beta1: float = 0.9, beta2: float = 0.999,
        epsilon: float = 1e-8, use_locking: bool = False, name: str = "Adam",
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._betas, self._epsilon = learning_rate, (beta1, beta2), epsilon
        self._powers: list[Variable] = []

    def _prepare(self, variables: Sequence[Variable]) -> None:
        if not self._powers:
            with get_default_graph().name_scope(None):
                self._powers = [
                    Variable(beta, False, name=f"beta{k}_power")
                    for k, beta in enumerate(self._betas, start=1)
                ]

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        beta1, beta2 = self._betas
        m = self._slot(var, "m", title=self._name)
        v = self._slot(var, "v", title=self._name)
        new_m = assign(m, m * beta1 + grad * (1 - beta1))
        new_v = assign(v, v * beta2 + ops.square(grad) * (1 - beta2))
        step = _adam_step(new_m, new_v, self._rate, *self._powers, self._epsilon)
        return _minus(f"update_{var.op_name}", var, step)

    def _finish(self, steps: Sequence[Any]) -> list[Any]:
        with control_dependencies(steps):
            return [assign(p, p * b) for p, b in zip(self._powers, self._betas)]

    def variables(self) -> list[Variable]:
        """The moments and the powers of the betas."""
        return [*super().variables(), *self._powers]


class AdagradOptimizer(Optimizer):
    """a += g^2; v -= rate g / sqrt(a)."""

    def __init__(
        self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._start = learning_rate, initial_accumulator_value

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        slot = self._slot(var, "accumulator", self._start)
        new = assign(slot, slot + grad * grad)
        return _minus(f"update_{var.op_name}", var, grad * self._rate * ops.rsqrt(new))


class AdadeltaOptimizer(Optimizer):
    """Steps by the ratio of the running sizes of steps and gradients (Zeiler)."""

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-8,
        use_locking: bool = False, name: str = "Adadelta",
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._rho, self._epsilon = learning_rate, rho, epsilon

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        seen, moved = self._slot(var, "accum"), self._slot(var, "accum_update")
        rho, epsilon = self._rho, self._epsilon
        new = assign(seen, seen * rho + grad * grad * (1 - rho))
        step = ops.sqrt((moved + epsilon) / (new + epsilon)) * grad
        kept = assign(moved, moved * rho + step * step * (1 - rho))
        with control_dependencies([kept]):
            return _minus(f"update_{var.op_name}", var, step * self._rate)


class RMSPropOptimizer(Optimizer):
    """s = decay s + (1 - decay) g^2; m = momentum m + rate g / sqrt(s + epsilon); v -= m."""

    def __init__(
        self, learning_rate: Any, decay: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-10,
        use_locking: bool = False, centered: bool = False, name: str = "RMSProp",
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._decay, self._momentum = learning_rate, decay, momentum
        self._epsilon, self._centered = epsilon, centered

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        decay = self._decay
        square, momentum = self._slot(var, "rms", 1.0), self._slot(var, "momentum")
        size: Any = assign(square, square * decay + grad * grad * (1 - decay))
        if self._centered:
            mean = self._slot(var, "mg")
            new = assign(mean, mean * decay + grad * (1 - decay))
            size = size - new * new
        step = grad * self._rate * ops.rsqrt(size + self._epsilon)
        return _minus(
            f"update_{var.op_name}", var, assign(momentum, momentum * self._momentum + step)
        )


class FtrlOptimizer(Optimizer):
    """Follow the regularized leader (McMahan et al.)."""

    def __init__(
        self, learning_rate: Any, learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0, use_locking: bool = False, name: str = "Ftrl",
    ) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._rate, self._power, self._start = (
            learning_rate, learning_rate_power, initial_accumulator_value,
        )  # fmt: skip
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _apply(self, grad: Any, var: Variable) -> Tensor:
        seen, linear = self._slot(var, "accumulator", self._start), self._slot(var, "linear")
        power = -self._power
        new = assign(seen, seen + grad * grad)
        sigma = (new**power - seen**power) / self._rate
        z = assign(linear, linear + grad - sigma * var)
        quadratic = new**power / self._rate + 2 * self._l2
        shrunk = ops.sign(z) * self._l1 - z
        solved = arrays.where(ops.abs(z) > self._l1, shrunk / quadratic, arrays.zeros_like(z))
        return assign(var, solved, name=f"update_{var.op_name}")


def exponential_decay(
    learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any,
    staircase: bool = False, name: str = "ExponentialDecay",
) -> Tensor:  # fmt: skip
    """rate decay_rate^(step / decay_steps), the exponent rounded down with `staircase`."""
    times = ops.to_float(global_step) / float(decay_steps)
    if staircase:
        times = ops.floor(times)
    return ops.multiply(learning_rate, ops.pow(float(decay_rate), times), name=name)


def piecewise_constant(
    x: Any, boundaries: Sequence[Any], values: Sequence[Any], name: str | None = None
) -> Any:
    """The value of the interval that x lies in."""
    found: Any = ops.constant(values[-1])
    for edge, value in zip(reversed(boundaries), reversed(values[:-1])):
        found = arrays.where(x <= edge, ops.constant(value), found)
    return found


def get_global_step(graph: Any = None) -> Any:
    """The variable that counts steps, None where there is none."""
    found = (graph or get_default_graph()).get_collection(GraphKeys.GLOBAL_STEP)
    return found[0] if found else None


def create_global_step(graph: Any = None) -> Variable:
    """A variable that counts steps. ValueError where there is one."""
    if get_global_step(graph) is not None:
        raise ValueError('"global_step" already exists.')
    with (graph or get_default_graph()).name_scope(None):
        made = Variable(
            lambda: ops.constant(0, "int64"), False,
            [GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP], name="global_step",
        )  # fmt: skip
    return made


def get_or_create_global_step(graph: Any = None) -> Variable:
    """The variable that counts steps, made where there is none."""
    found = get_global_step(graph)
    return create_global_step(graph) if found is None else found


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """How many steps were taken."""
    return int(sess.run(global_step_tensor))


class ExponentialMovingAverage:
    """Averages that follow variables or tensors."""

    def __init__(
        self,
        decay: float,
        num_updates: Any = None,
        zero_debias: bool = False,
        name: str = "ExponentialMovingAverage",
    ) -> None:
        if zero_debias:
            raise NotImplementedError("[ExponentialMovingAverage] zero_debias is not supported")
        self._decay, self._updates, self.name = decay, num_updates, name
        self._averages: dict[Symbol, Variable] = {}

    def apply(self, var_list: Any = None) -> Operation:
        """An operation that lets the averages follow."""
        steps = []
        decay: Any = self._decay
        if self._updates is not None:
            n = ops.to_float(self._updates)
            decay = ops.minimum(self._decay, (1 + n) / (10 + n))
        for x in trainable_variables() if var_list is None else var_list:
            if x not in self._averages:
                start = x.initialized_value() if isinstance(x, Variable) else arrays.zeros_like(x)
                with get_default_graph().name_scope(None):
                    self._averages[x] = Variable(start, False, name=f"{x.op_name}/{self.name}")
            mean = self._averages[x]
            steps.append(assign_sub(mean, (mean - x) * (1 - decay)))
        return group(*steps, name=self.name)

    def average(self, var: Any) -> Variable | None:
        """The average that follows `var`."""
        return self._averages.get(var)
