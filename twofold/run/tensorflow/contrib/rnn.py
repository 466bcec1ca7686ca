"""`tf.contrib.rnn`: cells, and nets made of them step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ....static import arrays, nn
from ....static import operations as ops
from ....static.initializers import Zeros
from ....static.variables import get_variable, variable_scope


class LSTMStateTuple(NamedTuple):
    """Cell and output of an LSTM."""

    c: Any
    h: Any


class _Cell:
    """A step of a recurrent net."""

    title = ""

    def __init__(
        self,
        num_units: int,
        activation: Any = None,
        reuse: Any = None,
        name: str | None = None,
    ) -> None:
        self.units, self.activation, self._reuse = num_units, activation or nn.tanh, reuse
        self._name = name or self.title
        self._built = False

    @property
    def output_size(self) -> int:
        """The width of the outputs."""
        return self.units

    @property
    def state_size(self) -> Any:
        """The width of the state."""
        return self.units

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """A state of zeros."""
        return arrays.zeros([batch_size, self.units], dtype)

    def _weights(self, inputs: Any, gates: int, bias: float = 0.0) -> tuple[Any, Any]:
        width = inputs.known[0][-1] + self.units
        kernel = get_variable("kernel", [width, gates * self.units])
        return kernel, get_variable("bias", [gates * self.units], initializer=Zeros())

    def __call__(self, inputs: Any, state: Any, scope: Any = None) -> tuple[Any, Any]:
        """The output and the new state."""
        with variable_scope(self._name, reuse=self._reuse or (True if self._built else None)):
            self._built = True
            return self._step(inputs, state)

    def _step(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        raise NotImplementedError


class BasicRNNCell(_Cell):
    """h = tanh([x h] kernel + bias)."""

    title = "basic_rnn_cell"

    def _step(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        kernel, bias = self._weights(inputs, 1)
        h = self.activation(ops.matmul(arrays.concat([inputs, state], 1), kernel) + bias)
        return h, h


class BasicLSTMCell(_Cell):
    """An LSTM whose forget gate begins open by `forget_bias`. NotImplementedError for a state that
    is no tuple."""

    title = "basic_lstm_cell"

    def __init__(
        self, num_units: int, forget_bias: float = 1.0, state_is_tuple: bool = True, **options: Any
    ) -> None:
        if not state_is_tuple:
            raise NotImplementedError(f"[{self.title}] state_is_tuple=False is not supported")
        super().__init__(num_units, **options)
        self.forget_bias = forget_bias

    @property
    def state_size(self) -> LSTMStateTuple:
        """The widths of cell and output."""
        return LSTMStateTuple(self.units, self.units)

    def zero_state(self, batch_size: Any, dtype: Any) -> LSTMStateTuple:
        """A state of zeros."""
        zeros = arrays.zeros([batch_size, self.units], dtype)
        return LSTMStateTuple(zeros, zeros)

    def _step(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        c, h = state
        kernel, bias = self._weights(inputs, 4)
        gates = ops.matmul(arrays.concat([inputs, h], 1), kernel) + bias
        i, j, f, o = arrays.split(gates, 4, 1)
        new = c * nn.sigmoid(f + self.forget_bias) + nn.sigmoid(i) * self.activation(j)
        out = self.activation(new) * nn.sigmoid(o)
        return out, LSTMStateTuple(new, out)


class LSTMCell(BasicLSTMCell):
    """The same by its other name, which its variables have; it has no peepholes or projections."""

    title = "lstm_cell"


class GRUCell(_Cell):
    """A GRU, whose gates begin open."""

    title = "gru_cell"

    def _step(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        width = inputs.known[0][-1] + self.units
        with variable_scope("gates"):
            kernel = get_variable("kernel", [width, 2 * self.units])
            bias = get_variable("bias", [2 * self.units], initializer=_ones)
            gates = nn.sigmoid(ops.matmul(arrays.concat([inputs, state], 1), kernel) + bias)
        r, u = arrays.split(gates, 2, 1)
        with variable_scope("candidate"):
            kernel = get_variable("kernel", [width, self.units])
            bias = get_variable("bias", [self.units], initializer=Zeros())
            c = ops.matmul(arrays.concat([inputs, r * state], 1), kernel) + bias
        new = u * state + (1 - u) * self.activation(c)
        return new, new


def _ones(shape: Any, dtype: Any = None) -> Any:
    return arrays.ones(shape, dtype)


def _masked(now: Any, before: Any, runs: Any) -> Any:
    """The new state where a sequence still runs, else the old one."""
    if isinstance(now, tuple):
        return type(now)(*[_masked(a, b, runs) for a, b in zip(now, before)])
    return arrays.where(runs, now, before)


def static_rnn(
    cell: Any, inputs: Sequence[Any], initial_state: Any = None, dtype: Any = None,
    sequence_length: Any = None, scope: Any = None,
) -> tuple[list[Any], Any]:  # fmt: skip
    """The outputs at each step, zeros after a sequence's end, and the last state."""
    with variable_scope(scope or "rnn"):
        state = initial_state
        if state is None:
            state = cell.zero_state(arrays.shape(inputs[0])[0], dtype)
        outputs = []
        for t, x in enumerate(inputs):
            out, now = cell(x, state)
            if sequence_length is not None:
                runs = sequence_length > t
                out = arrays.where(runs, out, arrays.zeros_like(out))
                now = _masked(now, state, runs)
            state = now
            outputs.append(out)
    return outputs, state


def static_bidirectional_rnn(
    cell_fw: Any, cell_bw: Any, inputs: Sequence[Any], initial_state_fw: Any = None,
    initial_state_bw: Any = None, dtype: Any = None, sequence_length: Any = None, scope: Any = None,
) -> tuple[list[Any], Any, Any]:  # fmt: skip
    """The outputs of both directions side by side, and both last states. NotImplementedError for
    sequences of several lengths."""
    if sequence_length is not None:
        raise NotImplementedError("[static_bidirectional_rnn] sequence_length is not supported")
    with variable_scope(scope or "bidirectional_rnn"):
        ahead, last = static_rnn(cell_fw, inputs, initial_state_fw, dtype, scope="fw")
        back, first = static_rnn(cell_bw, list(inputs)[::-1], initial_state_bw, dtype, scope="bw")
        both = [arrays.concat([a, b], 1) for a, b in zip(ahead, back[::-1])]
    return both, last, first
