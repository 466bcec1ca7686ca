"""Recurrent operators: loops over time by `scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..functions._registry import functions
from ..tensor import Tensor
from .registry import UnsupportedOperator, op

f = functions
Step = Callable[[Any, Tensor], Any]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "Sigmoid": f["sigmoid"], "Tanh": f["tanh"], "Relu": f["relu"],
}  # fmt: skip


def _activations(given: Any, default: tuple[str, ...], directions: int) -> list[Callable]:
    names = [n.decode() if isinstance(n, bytes) else n for n in given or default * directions]
    unknown = [n for n in names if n not in _ACTIVATIONS]
    if unknown:
        raise UnsupportedOperator(f"[onnx] activations {unknown} are not supported")
    return [_ACTIVATIONS[n] for n in names]


class _Layer:
    """What recurrent operators share: directions, layouts, lengths.

    x is (T, N, input); w, r and b have the directions first; states are (directions, N, hidden).
    """

    def __init__(
        self, x: Tensor, lengths: Tensor | None, direction: str | bytes, layout: int
    ) -> None:
        self.layout = layout
        self.x = x.transpose(0, 1) if layout else x
        self.lengths = lengths
        name = direction.decode() if isinstance(direction, bytes) else direction
        self.reverse = {
            "forward": (False,), "reverse": (True,), "bidirectional": (False, True),
        }[name]  # fmt: skip
        self.steps, self.n = int(self.x.shape[0]), int(self.x.shape[1])

    def state(self, given: Tensor | None, k: int, hidden: int) -> Tensor:
        """The state of direction k at the start."""
        if given is None:
            return f["zeros"](self.n, hidden, dtype=self.x.dtype)
        return given[:, k] if self.layout else given[k]

    def run(self, k: int, step: Step, start: tuple[Tensor, ...], gates: Tensor) -> Any:
        """All steps of direction k on `gates` (T, N, ...): the last states, and all outputs."""
        if self.lengths is None:
            return f["scan"](
                lambda c, g: (lambda new: (new, new[0]))(step(c, g)), start, gates,
                reverse=self.reverse[k],
            )  # fmt: skip
        inside = (f["arange"](self.steps)[:, None] < self.lengths[None, :].long())[:, :, None]

        def masked(carry: Any, row: Any) -> Any:
            g, here = row
            new = step(carry, g)
            kept = tuple(f["where"](here, a, b) for a, b in zip(new, carry))
            return kept, f["where"](here, new[0], f["zeros_like"](new[0]))

        # `where` wants one dtype in a loop: the mask goes in as numbers.
        mask = inside.to(gates.dtype).expand(self.steps, self.n, 1)
        return f["scan"](
            lambda c, r: masked(c, (r[0], r[1] > 0)), start, (gates, mask), reverse=self.reverse[k]
        )

    def outputs(self, found: list[tuple[tuple[Tensor, ...], Tensor]]) -> tuple[Tensor, ...]:
        """Y (T, directions, N, hidden) and the last states, in the layout asked for."""
        y = f["stack"]([out for _, out in found], 1)
        states = [f["stack"](list(parts), 0) for parts in zip(*[last for last, _ in found])]
        if self.layout:
            return y.permute(2, 0, 1, 3), *[s.transpose(0, 1) for s in states]
        return y, *states


def _halves(b: Tensor | None, k: int, n: int) -> tuple[Any, Any]:
    """The two biases of direction k: of the input's product and of the state's."""
    return (0, 0) if b is None else (b[k, :n], b[k, n:])


@op("LSTM")
def lstm(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None,
    h: Tensor | None = None, c: Tensor | None = None, p: Tensor | None = None, *,
    hidden_size: int, direction: Any = "forward", layout: int = 0, activations: Any = None,
    activation_alpha: Any = None, activation_beta: Any = None, clip: float | None = None,
    input_forget: int = 0, output_sequence: int = 0,
) -> Any:  # fmt: skip
    """Long short-term memory; gates in the order i, o, f, c, with peepholes p."""
    if input_forget or clip is not None:
        raise UnsupportedOperator("[onnx] LSTM: input_forget and clip are not supported")
    layer = _Layer(x, lengths, direction, layout)
    functions_ = _activations(activations, ("Sigmoid", "Tanh", "Tanh"), len(layer.reverse))
    n, found = hidden_size, []
    for k in range(len(layer.reverse)):
        gate, cell, out = functions_[3 * k : 3 * k + 3]
        of_x, of_h = _halves(b, k, 4 * n)
        gates = f["matmul"](layer.x, w[k].T) + (of_x + of_h)
        peep = None if p is None else [p[k, j * n : (j + 1) * n] for j in range(3)]
        weight = r[k].T

        def step(
            carry: Any, g: Tensor, weight: Any = weight, peep: Any = peep, gate: Any = gate,
            cell: Any = cell, out: Any = out,
        ) -> Any:  # fmt: skip
            h, c = carry
            i, o, forget, new = f["split"](g + f["matmul"](h, weight), n, -1)
            if peep is not None:
                i, forget = i + peep[0] * c, forget + peep[2] * c
            c = gate(forget) * c + gate(i) * cell(new)
            o = o if peep is None else o + peep[1] * c
            return gate(o) * out(c), c

        start = (layer.state(h, k, n), layer.state(c, k, n))
        found.append(layer.run(k, step, start, gates))
    return layer.outputs(found)


@op("GRU")
def gru(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None,
    h: Tensor | None = None, *, hidden_size: int, direction: Any = "forward", layout: int = 0,
    activations: Any = None, activation_alpha: Any = None, activation_beta: Any = None,
    clip: float | None = None, linear_before_reset: int = 0, output_sequence: int = 0,
) -> Any:  # fmt: skip
    """Gated recurrent units; gates in the order z, r, h."""
    if clip is not None:
        raise UnsupportedOperator("[onnx] GRU: clip is not supported")
    layer = _Layer(x, lengths, direction, layout)
    functions_ = _activations(activations, ("Sigmoid", "Tanh"), len(layer.reverse))
    n, found = hidden_size, []
    for k in range(len(layer.reverse)):
        gate, new_gate = functions_[2 * k : 2 * k + 2]
        of_x, of_h = _halves(b, k, 3 * n)
        gates = f["matmul"](layer.x, w[k].T) + of_x
        two, last = r[k, : 2 * n].T, r[k, 2 * n :].T
        bias_two = 0 if b is None else of_h[: 2 * n]
        bias_last = 0 if b is None else of_h[2 * n :]

        def step(
            carry: Any, g: Tensor, two: Any = two, last: Any = last, bias_two: Any = bias_two,
            bias_last: Any = bias_last, gate: Any = gate, new_gate: Any = new_gate,
        ) -> Any:  # fmt: skip
            (h,) = carry
            z, reset = f["split"](gate(g[:, : 2 * n] + f["matmul"](h, two) + bias_two), n, -1)
            if linear_before_reset:
                new = new_gate(g[:, 2 * n :] + reset * (f["matmul"](h, last) + bias_last))
            else:
                new = new_gate(g[:, 2 * n :] + f["matmul"](reset * h, last) + bias_last)
            return ((1 - z) * new + z * h,)

        found.append(layer.run(k, step, (layer.state(h, k, n),), gates))
    return layer.outputs(found)


@op("RNN")
def rnn(
    x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, lengths: Tensor | None = None,
    h: Tensor | None = None, *, hidden_size: int, direction: Any = "forward", layout: int = 0,
    activations: Any = None, activation_alpha: Any = None, activation_beta: Any = None,
    clip: float | None = None, output_sequence: int = 0,
) -> Any:  # fmt: skip
    """Plain recurrent layers."""
    if clip is not None:
        raise UnsupportedOperator("[onnx] RNN: clip is not supported")
    layer = _Layer(x, lengths, direction, layout)
    functions_ = _activations(activations, ("Tanh",), len(layer.reverse))
    n, found = hidden_size, []
    for k in range(len(layer.reverse)):
        of_x, of_h = _halves(b, k, n)
        gates = f["matmul"](layer.x, w[k].T) + (of_x + of_h)
        weight, act = r[k].T, functions_[k]

        def step(carry: Any, g: Tensor, weight: Any = weight, act: Any = act) -> Any:
            return (act(g + f["matmul"](carry[0], weight)),)

        found.append(layer.run(k, step, (layer.state(h, k, n),), gates))
    return layer.outputs(found)
