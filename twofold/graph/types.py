"""The type of a graph value: shape, dtype and device."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..dtypes import DType


@dataclass(frozen=True, slots=True)
class Type:
    """What is known of a value before it runs.

    >>> from twofold import dtypes
    >>> Type((2, 3), dtypes.float32)
    float32[2, 3]
    """

    shape: tuple[int, ...]
    dtype: DType
    device: str = "cpu"

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes of a dense array of this type."""
        return math.prod(self.shape) * self.dtype.itemsize

    def with_shape(self, shape: tuple[int, ...]) -> Type:
        """This type with another shape."""
        return Type(shape, self.dtype, self.device)

    def with_dtype(self, dtype: DType) -> Type:
        """This type with another dtype."""
        return Type(self.shape, dtype, self.device)

    def __repr__(self) -> str:
        text = f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"
        return text if self.device == "cpu" else f"{text}@{self.device}"


def broadcast_shapes(op: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that all `shapes` broadcast to. RuntimeError, in PyTorch's words, if there is none.

    >>> broadcast_shapes("add", [(2, 1), (3,)])
    (2, 3)
    """
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, extent in enumerate(shape, rank - len(shape)):
            if extent != 1 and result[axis] != extent:
                if result[axis] != 1:
                    raise RuntimeError(
                        f"[{op}] The size of tensor a ({result[axis]}) must match the size of "
                        f"tensor b ({extent}) at non-singleton dimension {axis}; got shapes "
                        + " and ".join(str(s) for s in shapes)
                        + "; try reshape, unsqueeze or expand"
                    )
                result[axis] = extent
    return tuple(result)
