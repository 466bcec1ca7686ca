"""Windows as columns and back, and pooling undone."""

from __future__ import annotations

from typing import Any

from ...functions.casting import in_float32
from ...functions.shape import stack
from ...ops.custom import replace
from ...tensor import Tensor, wrap
from .padding import pad


def _pair(x: Any) -> tuple[int, int]:
    return (x, x) if isinstance(x, int) else (x[0], x[1])


def _counts(
    size: tuple[int, int], kernel: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[int, int]:
    """How many windows fit along each axis."""
    first, second = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride)
    )
    return first, second


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of (N, C, H, W) as columns: (N, C kh kw, windows)."""
    if input.dim() not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel, dilation, padding, stride = map(_pair, (kernel_size, dilation, padding, stride))
    x = input if input.dim() == 4 else input.unsqueeze(0)
    n, c, h, w = x.shape
    rows, columns = _counts((h, w), kernel, dilation, padding, stride)
    if rows <= 0 or columns <= 0:
        raise RuntimeError(
            f"Given input with spatial size ({h}, {w}), kernel_size={kernel}, "
            f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding "
            f"blocks as ({rows}, {columns}), but its components must be at least one."
        )
    x = pad(x, (padding[1], padding[1], padding[0], padding[0]))
    parts = []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            bottom = top + (rows - 1) * stride[0] + 1
            right = left + (columns - 1) * stride[1] + 1
            parts.append(x[:, :, top : bottom : stride[0], left : right : stride[1]])
    y = stack(parts, 2).reshape(n, c * kernel[0] * kernel[1], rows * columns)
    return y if input.dim() == 4 else y.squeeze(0)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
    stride: Any = 1,
) -> Tensor:  # fmt: skip
    """The sum of windows (N, C kh kw, windows) at their places: (N, C, H, W)."""
    size = _pair(output_size)
    kernel, dilation, padding, stride = map(_pair, (kernel_size, dilation, padding, stride))
    x = input if input.dim() == 3 else input.unsqueeze(0)
    n, width, blocks = x.shape
    area = kernel[0] * kernel[1]
    rows, columns = _counts(size, kernel, dilation, padding, stride)
    if width % area:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={width} and kernel_size={kernel}."
        )
    if blocks != rows * columns:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match "
            f"the calculated number of sliding blocks {rows} * {columns} = {rows * columns}, but "
            f"got input.size(2)={blocks}."
        )
    c = width // area
    x = x.reshape(n, c, kernel[0], kernel[1], rows, columns)
    y = x.new_zeros(n, c, size[0] + 2 * padding[0], size[1] + 2 * padding[1])
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            bottom = top + (rows - 1) * stride[0] + 1
            right = left + (columns - 1) * stride[1] + 1
            y[:, :, top : bottom : stride[0], left : right : stride[1]] += x[:, :, i, j]
    y = y[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    return y if input.dim() == 3 else y.squeeze(0)


def _unpooled(
    input: Tensor, indices: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any,
    rank: int,
) -> Tensor:  # fmt: skip
    """Each element at the place where `max_pool` with return_indices found it, 0 elsewhere."""
    spread = [(x,) * rank if isinstance(x, int) else tuple(x) for x in (kernel, padding)]
    steps = spread[0] if stride is None else (stride,) * rank if isinstance(stride, int) else stride
    if output_size is None:
        size = [
            (n - 1) * s - 2 * p + k
            for n, s, p, k in zip(input.shape[-rank:], steps, spread[1], spread[0])
        ]
    else:
        size = [int(n) for n in output_size][-rank:]
    lead = list(input.shape[:-rank])
    volume = 1
    for n in size:
        volume *= n
    flat = input.new_zeros(*lead, volume)
    places, values = indices.reshape(*lead, -1), input.reshape(*lead, -1)
    written = flat.scatter(-1, places, values.detach())
    # Where windows overlapped, several elements have one place: the last is seen there, and all of
    # them take the place's gradient, as in PyTorch.
    added = flat.scatter_add(-1, places, values)
    return wrap(replace(added._node(), written._node())).reshape(*lead, *size)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """`max_pool1d` undone: elements at their places, 0 elsewhere."""
    return _unpooled(input, indices, kernel_size, stride, padding, output_size, 1)


@in_float32
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """`max_pool2d` undone: elements at their places, 0 elsewhere."""
    return _unpooled(input, indices, kernel_size, stride, padding, output_size, 2)


@in_float32
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """`max_pool3d` undone: elements at their places, 0 elsewhere."""
    return _unpooled(input, indices, kernel_size, stride, padding, output_size, 3)
