"""Recurrent networks: plain, LSTM and GRU, and their cells. Steps are loops of machine code
(`scan`): one for padded sequences, one for each width of packed ones (`Segments`); what the inputs
contribute to all steps of a layer is one product before them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...creation import empty, from_numpy
from ...functions.casting import lower
from ...functions.control import scan
from ...functions.pointwise import where
from ...functions.shape import cat, stack
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from ..utils.segments import Segments
from .module import Module

State = tuple[Tensor, ...]
Cell = Callable[[Tensor, State, Any], State]
"""(what the input contributes, state, (weight_hh, bias_hh, weight_hr)) to the next state."""


def _tanh_cell(gates: Tensor, state: State, weights: Any) -> State:
    """h' = tanh(W x + b + U h + c)."""
    return ((gates + F.linear(state[0], *weights[:2])).tanh(),)


def _relu_cell(gates: Tensor, state: State, weights: Any) -> State:
    """h' = max(W x + b + U h + c, 0)."""
    return ((gates + F.linear(state[0], *weights[:2])).relu(),)


def _lstm_cell(gates: Tensor, state: State, weights: Any) -> State:
    """c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'), s the sigmoid; h' through W_hr if there is
    one (Hochreiter and Schmidhuber, 1997)."""
    weight, bias, projection = weights
    i, f, g, o = (gates + F.linear(state[0], weight, bias)).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if projection is None else F.linear(h, projection)), c


def _gru_cell(gates: Tensor, state: State, weights: Any) -> State:
    """h' = (1 - z) n + z h, n = tanh(x_n + r h_n), r and z sigmoids (Cho et al., 2014)."""
    h = state[0]
    r, z, n = gates.chunk(3, -1)
    hr, hz, hn = F.linear(h, *weights[:2]).chunk(3, -1)
    r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
    n = (n + r * hn).tanh()
    return (n + z * (h - n),)


_CELLS: dict[str, Cell] = {
    "RNN_TANH": _tanh_cell, "RNN_RELU": _relu_cell, "LSTM": _lstm_cell, "GRU": _gru_cell,
}  # fmt: skip
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _run_padded(
    cell: Cell, x: Tensor, state: State, weights: Any, backwards: bool
) -> tuple[Tensor, State]:
    """All steps of x (T, N, gates); outputs (T, N, H) and the last state."""

    def step(state: State, gates: Tensor) -> tuple[State, Tensor]:
        after = cell(gates, state, weights)
        return after, after[0]

    state, outputs = scan(step, state, x, reverse=backwards)
    return outputs, state


def _run_segments(
    cell: Cell, x: Tensor, segments: Segments, state: State, weights: Any, backwards: bool
) -> tuple[Tensor, State]:
    """All steps of x (rows of the segments' layout, gates), a loop for each segment: sequences that
    have ended, or not yet begun, keep their state."""

    def step(state: State, given: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
        gates, alive = given
        after = cell(gates, state, weights)
        after = tuple(where(alive, new, old) for new, old in zip(after, state))
        return after, after[0]

    first, done = state, []
    outputs: list[Tensor] = []
    for part in reversed(segments.parts) if backwards else segments.parts:
        have = state[0].size(0)
        if backwards:
            begin = 0 if part is segments.parts[-1] else have
            new = tuple(f[begin : part.width] for f in first)
            state = tuple(cat([s, n]) for s, n in zip(state, new)) if begin else new
        elif part.width < have:
            done.append(tuple(s[part.width :] for s in state))
            state = tuple(s[: part.width] for s in state)
        given = (part.of(x), from_numpy(part.alive))
        state, y = scan(step, state, given, reverse=backwards)
        outputs.append(y.reshape(-1, y.size(-1)))
    state = tuple(cat([s[k] for s in (state, *reversed(done))]) for k in range(len(state)))
    return cat(outputs[::-1] if backwards else outputs), state


class RNNBase(Module):
    """What the recurrent layers share: weights by layer and direction, states, packed sequences."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1,
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
        bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if proj_size and mode != "LSTM":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                "element being zeroed"
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        directions = 2 if bidirectional else 1
        rows = _GATES[mode] * hidden_size
        out = proj_size or hidden_size
        self._flat_weights_names: list[str] = []
        for layer in range(num_layers):
            width = input_size if layer == 0 else out * directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, out),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    self._flat_weights_names.append(name + suffix)
                    values = empty(*shape, device=device, dtype=dtype)
                    self.register_parameter(name + suffix, Parameter(values))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 2 if self.bidirectional else 1]

    @property
    def _flat_weights(self) -> list[Any]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights, a list for each layer and direction."""
        n = (2 + 2 * self.bias) + bool(self.proj_size)
        flat = self._flat_weights
        return [flat[i : i + n] for i in range(0, len(flat), n)]

    def flatten_parameters(self) -> None:
        """Nothing: weights lie as they are."""

    def reset_parameters(self) -> None:
        """All uniform on [-1 / sqrt(hidden_size), 1 / sqrt(hidden_size)]."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _initial(self, x: Tensor, n: int) -> State:
        """States of zeros."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        h = x.new_zeros(rows, n, self.proj_size or self.hidden_size)
        return (h, x.new_zeros(rows, n, self.hidden_size)) if self.mode == "LSTM" else (h,)

    def _check(self, x: Tensor, state: State, n: int) -> None:
        if x.size(-1) != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {x.size(-1)}"
            )
        for k, (found, wanted) in enumerate(zip(state, self._initial(x, n))):
            if tuple(found.shape) != tuple(wanted.shape):
                name = "hidden" if self.mode != "LSTM" else f"hidden[{k}]"
                raise RuntimeError(
                    f"Expected {name} size {tuple(wanted.shape)}, got {list(found.shape)}"
                )

    def _layer(self, x: Tensor, segments: Any, state: State, suffix: str) -> tuple[Tensor, State]:
        """One direction of one layer."""
        bias = self.bias
        gates = F.linear(
            x,
            getattr(self, "weight_ih" + suffix),
            getattr(self, "bias_ih" + suffix) if bias else None,
        )
        weights = (
            getattr(self, "weight_hh" + suffix),
            getattr(self, "bias_hh" + suffix) if bias else None,
            getattr(self, "weight_hr" + suffix) if self.proj_size else None,
        )
        cell, backwards = _CELLS[self.mode], suffix.endswith("reverse")
        if segments is None:
            return _run_padded(cell, gates, state, weights, backwards)
        return _run_segments(cell, gates, segments, state, weights, backwards)

    def _run(self, x: Tensor, segments: Any, state: State) -> tuple[Tensor, State]:
        """All layers, each on the outputs of the one before."""
        final: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                own = tuple(s[len(final)] for s in state)
                y, last = self._layer(x, segments, own, suffix)
                outputs.append(y)
                final.append(last)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(stack([f[k] for f in final]) for k in range(len(state)))

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(outputs, last state) of input (T, N, input_size), (T, input_size) or packed."""
        given: Any = hx if hx is None or isinstance(hx, tuple) else (hx,)
        if isinstance(input, PackedSequence):
            counts = input.batch_sizes.tolist()
            x, order = input.data, input.sorted_indices
            if self.mode != "GRU":
                x, given = lower((x, given))
            state = self._initial(x, counts[0]) if given is None else given
            self._check(x, state, counts[0])
            if given is not None and order is not None:
                state = tuple(s.index_select(1, order) for s in state)
            segments = Segments(counts)
            y, final = self._run(segments.spread(x), segments, state)
            y = segments.packed(y)
            back = input.unsorted_indices
            if back is not None:
                final = tuple(s.index_select(1, back) for s in final)
            return input._replace(data=y), self._public(final)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self.mode.partition('_')[0]}: Expected input to be 2D or 3D, got "
                f"{input.dim()}D instead"
            )
        batched = input.dim() == 3
        if self.mode != "GRU":  # whose states stay as they are within `autocast`, as in PyTorch
            input, given = lower((input, given))
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        if given is not None and not batched:
            given = tuple(s.unsqueeze(1) for s in given)
        state = self._initial(x, x.size(1)) if given is None else given
        self._check(x, state, x.size(1))
        y, final = self._run(x, None, state)
        if not batched:
            return y.squeeze(1), self._public(tuple(s.squeeze(1) for s in final))
        return (y.transpose(0, 1) if self.batch_first else y), self._public(final)

    def _public(self, state: State) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def extra_repr(self) -> str:
        """Sizes and the options that are set."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """h_t = tanh(W x_t + b + U h_(t-1) + c), or relu, over sequences (T, N, input_size)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
        bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
        bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over sequences (T, N, input_size)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, proj_size, device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent units over sequences (T, N, input_size)."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            0, device, dtype,
        )  # fmt: skip


class RNNCellBase(Module):
    """What the cells share: one step's weights."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            values = Parameter(empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All uniform on [-1 / sqrt(hidden_size), 1 / sqrt(hidden_size)]."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, cell: Cell, input: Tensor, state: Any, n_states: int) -> State:
        """One step of input (N, input_size) or (input_size)."""
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if state is None:
            zero = x.new_zeros(x.size(0), self.hidden_size)
            state = (zero,) * n_states
        elif not batched:
            state = tuple(s.unsqueeze(0) for s in state)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        result = cell(gates, state, (self.weight_hh, self.bias_hh, None))
        return result if batched else tuple(s.squeeze(0) for s in result)

    def extra_repr(self) -> str:
        """Sizes and the options that are set."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text + (f", nonlinearity={nonlinearity}" if nonlinearity != "tanh" else "")


class RNNCell(RNNCellBase):
    """One step of `RNN`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        cell = _CELLS[f"RNN_{self.nonlinearity.upper()}"]
        return self._step(cell, input, None if hx is None else (hx,), 1)[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next (h, c)."""
        h, c = self._step(_lstm_cell, input, hx, 2)
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next h."""
        return self._step(_gru_cell, input, None if hx is None else (hx,), 1)[0]
