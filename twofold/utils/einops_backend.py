"""einops on tensors: its functions find their backend by the classes of backends that there are."""

from __future__ import annotations

from typing import Any

from ..creation import arange, from_numpy
from ..functions import functions
from ..tensor import Tensor


def register_einops() -> None:
    """Let `einops.rearrange`, `reduce`, `repeat`, `einsum`, `pack` and `unpack` take tensors.

    Needs einops. `einops.array_api` takes tensors without this, and so does einops in a program
    that runs with `python -m twofold.run --as torch`.

    >>> import twofold as tf
    >>> tf.utils.register_einops()  # doctest: +SKIP
    >>> einops.rearrange(tf.ones(2, 3, 4), "a b c -> c (a b)").shape  # doctest: +SKIP
    twofold.Size([4, 6])
    """
    from einops import _backends

    if any(c.framework_name == "twofold" for c in _backends.AbstractBackend.__subclasses__()):
        return

    class TwofoldBackend(_backends.AbstractBackend):
        """What einops asks of a library of arrays."""

        framework_name = "twofold"

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Tensor)

        def from_numpy(self, x: Any) -> Tensor:
            return from_numpy(x)

        def to_numpy(self, x: Tensor) -> Any:
            return x.detach().numpy()

        def arange(self, start: int, stop: int) -> Tensor:
            return arange(start, stop)

        def reduce(self, x: Tensor, operation: str, axes: Any) -> Tensor:
            if operation in ("min", "max"):
                return functions["a" + operation](x, tuple(axes))
            if operation in ("sum", "mean"):
                return functions[operation](x, tuple(axes))
            for axis in sorted(axes, reverse=True):
                x = functions[operation](x, axis)
            return x

        def transpose(self, x: Tensor, axes: Any) -> Tensor:
            return x.permute(tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
            return functions["stack"](tensors)

        def add_axis(self, x: Tensor, new_position: int) -> Tensor:
            return x.unsqueeze(new_position)

        def add_axes(self, x: Tensor, n_axes: int, pos2len: dict[int, int]) -> Tensor:
            repeats = [-1] * n_axes
            for position, length in pos2len.items():
                x = x.unsqueeze(position)
                repeats[position] = length
            return x.expand(repeats)

        def tile(self, x: Tensor, repeats: Any) -> Tensor:
            return x.repeat(tuple(repeats))

        def concat(self, tensors: Any, axis: int) -> Tensor:
            return functions["cat"](tensors, axis)

        def is_float_type(self, x: Tensor) -> bool:
            return x.is_floating_point()

        def einsum(self, pattern: str, *x: Tensor) -> Tensor:
            return functions["einsum"](pattern, *x)
