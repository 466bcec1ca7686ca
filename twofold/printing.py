"""Tensors as text, laid out as PyTorch prints them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import dtypes
from .functions._registry import function, method
from .tensor import Tensor


@dataclass
class PrintOptions:
    """How tensors are printed."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()
_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


@function()
def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed: digits, when to summarise, items at the edges, columns."""
    if profile is not None:
        for name, value in vars(_PROFILES[profile]).items():
            setattr(options, name, value)
    given = {
        "precision": precision, "threshold": threshold, "edgeitems": edgeitems,
        "linewidth": linewidth,
    }  # fmt: skip
    for name, setting in given.items():
        if setting is not None:
            setattr(options, name, setting)
    options.sci_mode = sci_mode


def _formatter(values: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """How to write each of `values`, and in how many columns."""
    flat = values.reshape(-1)
    if values.dtype.kind == "c":
        return _complex_formatter(values)
    if values.dtype.kind != "f":
        texts = [str(x) for x in flat.tolist()]
        width = max(map(len, texts), default=1)
        return str, width
    finite = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
    digits = options.precision
    if not finite.size:
        return lambda x: f"{x:.0f}." if x == 0 else f"{x}", 1
    size = np.abs(finite)
    low, high = float(size.min()), float(size.max())
    whole = bool((finite == np.ceil(finite)).all())
    if whole:
        sci = high / low > 1000.0 or high > 1.0e8
        write = (lambda x: f"{x:.{digits}e}") if sci else (lambda x: f"{x:.0f}.")
    else:
        sci = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        write = (lambda x: f"{x:.{digits}e}") if sci else (lambda x: f"{x:.{digits}f}")
    if options.sci_mode is not None and options.sci_mode != sci:
        sci = options.sci_mode
        if sci:
            write = lambda x: f"{x:.{digits}e}"  # noqa: E731
        else:
            write = (lambda x: f"{x:.0f}.") if whole else (lambda x: f"{x:.{digits}f}")

    def each(x: Any) -> str:
        return write(x) if math.isfinite(x) else f"{x}"

    width = max(len(write(x)) for x in finite.tolist())
    return each, width


def _complex_formatter(values: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """The parts, each with its own digits; the real ones aligned."""
    (write_re, width_re), (write_im, width_im) = _formatter(values.real), _formatter(values.imag)

    def each(x: Any) -> str:
        imag = write_im(x.imag)
        sign = "" if imag[0] in "+-" else "+"
        return f"{write_re(x.real).rjust(width_re)}{sign}{imag}j"

    return each, width_re + width_im + 1


def _summary(values: np.ndarray) -> np.ndarray:
    """The elements at the edges of each axis alone."""
    edge = options.edgeitems
    for axis, n in enumerate(values.shape):
        if n > 2 * edge:
            places = [*range(edge), *range(n - edge, n)]
            values = np.take(values, places, axis=axis)
    return values


def _text(
    values: np.ndarray, write: Callable[[Any], str], width: int, indent: int, cut: bool
) -> str:
    """`values` with brackets, lines broken and aligned."""
    edge = options.edgeitems
    if values.ndim == 0:
        if values.dtype.kind == "c":
            return write(values.item()).lstrip()
        return write(values.item()).rjust(width) if values.dtype.kind == "f" else str(values.item())
    n = values.shape[0]
    if values.ndim == 1:
        items = [write(x) for x in values.tolist()]
        if values.dtype.kind != "c":  # whose real parts are aligned
            items = [x.rjust(width) for x in items]
        if cut and n > 2 * edge:
            items = [*items[:edge], " ...", *items[-edge:]]
        per_line = max(1, (options.linewidth - indent) // (width + 2))
        lines = [items[i : i + per_line] for i in range(0, len(items), per_line)]
        joined = [", ".join(line) for line in lines]
        return "[" + ("," + "\n" + " " * (indent + 1)).join(joined) + "]"
    inner = [values[i] for i in range(n)]
    if cut and n > 2 * edge:
        rows = [_text(v, write, width, indent + 1, cut) for v in [*inner[:edge], *inner[-edge:]]]
        rows.insert(edge, "...")
    else:
        rows = [_text(v, write, width, indent + 1, cut) for v in inner]
    between = "," + "\n" * (values.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(rows) + "]"


def text_of(x: Tensor, prefix: str = "tensor(") -> str:
    """`x` as its repr shows it."""
    values = x._held()
    parts: list[str] = []
    dtype = x.dtype
    default = dtypes.get_default()
    shown = dtype in (default, default.to_complex(), dtypes.int64, dtypes.bool_)
    if values.size == 0:
        body = "[]"
        if values.ndim != 1:
            parts.append(f"size={tuple(values.shape)}")
        if dtype is not dtypes.get_default():
            parts.append(f"dtype={dtype}")
    else:
        cut = values.size > options.threshold
        write, width = _formatter(_summary(values) if cut else values)
        body = _text(values, write, 0 if values.ndim == 0 else width, len(prefix), cut)
        if not shown:
            parts.append(f"dtype={dtype}")
    if x.grad_fn is not None:
        parts.append(f"grad_fn={x.grad_fn}")
    elif x.requires_grad:
        parts.append("requires_grad=True")
    result = prefix + body
    last = len(result) - (result.rfind("\n") + 1)
    for part in parts:
        if last + len(part) + 2 > options.linewidth:
            result += ",\n" + " " * len(prefix) + part
            last = len(prefix) + len(part)
        else:
            result += ", " + part
            last += len(part) + 2
    return result + ")"


@method("__repr__")
def _repr(self: Tensor) -> str:
    return text_of(self)


@method("__str__")
def _str(self: Tensor) -> str:
    return text_of(self)
