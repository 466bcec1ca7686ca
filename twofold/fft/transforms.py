"""The transforms: complex, of real values, and to real values; along one axis or several."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..ops import elementwise as ew
from ..ops import fourier as fo
from ..ops import movement as mv
from ..ops.complex import conj
from ..tensor import NAMES, Tensor, number, wrap, wrap_dim

Dims = Sequence[int] | None


def _node(name: str, x: Tensor, complex_: bool) -> Node:
    """x as complex (or real floating-point) values."""
    node = x._node()
    dtype = node.dtype
    if not dtype.is_inexact:
        dtype = dtypes.get_default()
    if dtype.itemsize < 4:
        raise RuntimeError(f"Unsupported dtype {NAMES[dtype]}; try .float()")
    if dtype.is_complex and not complex_:
        raise RuntimeError(f"{name} expects a real input tensor, but got {NAMES[dtype]}")
    return ew.cast(node, dtype.to_complex() if complex_ else dtype)


def _axes(name: str, x: Node, s: Any, dim: Any) -> tuple[list[int], list[int | None]]:
    """The axes, from the front, and the sizes asked for."""
    s = (s,) if isinstance(s, int) else s
    rank = len(x.shape)
    if dim is None:
        given = None if s is None else list(s)
        axes = list(range(rank)) if given is None else list(range(rank - len(given), rank))
        if given is not None and len(given) > rank:
            raise RuntimeError(
                f"Got shape with {len(given)} values but input tensor only has {rank} dimensions."
            )
    else:
        dims = (dim,) if isinstance(dim, int) else dim
        axes = [wrap_dim(int(d), rank) for d in dims]
        given = None if s is None else list(s)
        if len(set(axes)) != len(axes):
            raise RuntimeError("FFT dims must be unique")
        if given is not None and len(given) != len(axes):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    if not rank:
        raise RuntimeError(f"[{name}] Dimension specified as -1 but tensor has no dimensions")
    sizes = [None if n in (None, -1) else int(n) for n in given or [None] * len(axes)]
    return axes, sizes


def _factor(norm: str | None, n: int, forward: bool) -> float:
    if norm in (None, "backward"):
        return 1.0 if forward else 1 / n
    if norm == "forward":
        return 1 / n if forward else 1.0
    if norm == "ortho":
        return 1 / sqrt(n)
    raise RuntimeError(f'Invalid normalization mode: "{norm}"')


def _scaled(x: Node, factor: float) -> Node:
    return x if factor == 1 else ew.mul(x, number(factor, x.dtype))


def _require_points(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _complex(x: Node, axes: Sequence[int], sizes: Sequence[Any], norm: Any, forward: bool) -> Node:
    wanted = [x.shape[a] if n is None else n for a, n in zip(axes, sizes)]
    for n in wanted:
        _require_points(n)
    x = fo.resized(x, list(zip(axes, wanted)))
    if not axes:
        return x
    back = tuple(a - len(x.shape) for a in axes)
    y = make_node(fo.FFT, (x,), (back, not forward))
    return _scaled(y, _factor(norm, prod(wanted), forward))


def _swapped(x: Node, axis: int) -> Node:
    """x with `axis` and the last axis exchanged."""
    order = list(range(len(x.shape)))
    order[axis], order[-1] = order[-1], order[axis]
    return mv.permute(x, tuple(order))


def _to_half(x: Node, axes: Sequence[int], sizes: Sequence[Any], norm: Any, forward: bool) -> Node:
    """A real x: half a transform along the last of `axes`, whole ones along the others."""
    axis, n = axes[-1], sizes[-1]
    n = x.shape[axis] if n is None else n
    _require_points(n)
    y = _swapped(make_node(fo.RFFT, (_swapped(fo.resized(x, [(axis, n)]), axis),)), axis)
    if not forward:
        y = conj(y)
    y = _scaled(y, _factor(norm, n, forward))
    return _complex(y, axes[:-1], sizes[:-1], norm, forward) if axes[:-1] else y


def _to_real(x: Node, axes: Sequence[int], sizes: Sequence[Any], norm: Any, forward: bool) -> Node:
    """Whole transforms along all of `axes` but the last, along which x is half a spectrum."""
    if axes[:-1]:
        x = _complex(x, axes[:-1], sizes[:-1], norm, forward)
    axis, n = axes[-1], sizes[-1]
    n = 2 * (x.shape[axis] - 1) if n is None else n
    _require_points(n)
    x = fo.resized(x, [(axis, n // 2 + 1)])
    if forward:
        x = conj(x)
    y = _swapped(make_node(fo.IRFFT, (_swapped(x, axis),), (n,)), axis)
    return _scaled(y, _factor(norm, n, forward))


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """y[k] = sum_j x[j] e^(-2 pi i jk / n) along `dim`, cut or filled up with zeros to n.

    >>> import twofold as tf
    >>> fft(tf.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    return fftn(input, None if n is None else (n,), (dim,), norm)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return ifftn(input, None if n is None else (n,), (dim,), norm)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first n // 2 + 1 values of `fft` of real values: the others are their conjugates."""
    return rfftn(input, None if n is None else (n,), (dim,), norm)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: n real values, by default an even number."""
    return irfftn(input, None if n is None else (n,), (dim,), norm)


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """`fft` of values that are half of a Hermitian signal: n real values."""
    return hfftn(input, None if n is None else (n,), (dim,), norm)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return ihfftn(input, None if n is None else (n,), (dim,), norm)


def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fft` along the axes `dim`, of the sizes s."""
    x = _node("fft", input, True)
    return wrap(_complex(x, *_axes("fft", x, s, dim), norm, True))


def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    x = _node("ifft", input, True)
    return wrap(_complex(x, *_axes("ifft", x, s, dim), norm, False))


def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fftn` of real values, of which the last of the axes is halved."""
    x = _node("rfft", input, False)
    return wrap(_to_half(x, *_axes("rfft", x, s, dim), norm, True))


def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    x = _node("irfft", input, True)
    return wrap(_to_real(x, *_axes("irfft", x, s, dim), norm, False))


def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fftn` of half of a Hermitian signal: real values."""
    x = _node("hfft", input, True)
    return wrap(_to_real(x, *_axes("hfft", x, s, dim), norm, True))


def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    x = _node("ihfft", input, False)
    return wrap(_to_half(x, *_axes("ihfft", x, s, dim), norm, False))


def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` along two axes."""
    return fftn(input, s, dim, norm)


def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ifftn` along two axes."""
    return ifftn(input, s, dim, norm)


def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` along two axes."""
    return rfftn(input, s, dim, norm)


def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` along two axes."""
    return irfftn(input, s, dim, norm)


def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` along two axes."""
    return hfftn(input, s, dim, norm)


def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`ihfftn` along two axes."""
    return ihfftn(input, s, dim, norm)
