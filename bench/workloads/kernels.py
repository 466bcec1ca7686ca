"""Single loop kernels against PyTorch: elementwise work, reductions, rows, movement."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

SIZES = {"1k": 32, "1M": 1024, "16M": 4096}
"""Rows and columns of the arrays by size: in the first cache, in the last, and in neither."""

SMALL_CALLS = 32
"""Independent calls a step at the smallest size, so that a step is not just the start of one."""

Kernel = Callable[[Any, list[Any], int], Any]
"""Of the library's module, the operands and the number of rows."""


def _f32(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, n), dtype=np.float32)


def _f64(n: int, seed: int) -> np.ndarray:
    return _f32(n, seed).astype(np.float64)


def _i32(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, (n, n), np.int32)


def _i64(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, (n, n), np.int64)


def _bool(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, n), np.int8) > 0


def _u8(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (n, n), np.uint8)


def _row(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n, dtype=np.float32)


def _ten(n: int, seed: int) -> np.ndarray:
    shape = (n * n // 10, 10)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _classes(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10, n * n // 10, np.int64)


def _columns(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, n, np.int64)


def _images(n: int, seed: int) -> np.ndarray:
    """8 images of 32 channels (of 2 at the smallest size)."""
    side = int((n * n // (16 if n < 256 else 256)) ** 0.5)
    shape = (8, 2 if n < 256 else 32, side, side)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _half(kind: str) -> Callable[..., Any]:
    """A maker of 16-bit floats: float32 values that the library converts."""

    def make(n: int, seed: int) -> tuple[str, np.ndarray]:
        return kind, _f32(n, seed)

    return make


_BF16, _F16 = _half("bfloat16"), _half("float16")


def _gradient(f: Callable[..., Any]) -> Kernel:
    """Forward and backward, with a gradient given, to all operands but the last (the gradient)."""

    def run(t: Any, x: list[Any], n: int) -> Any:
        inputs = [v.detach().requires_grad_() for v in x[:-1]]
        return t.autograd.grad(f(t, inputs, n), inputs, x[-1])

    return run


KERNELS: dict[str, tuple[tuple[Callable[..., Any], ...], Kernel]] = {
    "add": ((_f32, _f32), lambda t, x, n: x[0] + x[1]),
    "mul add": ((_f32, _f32, _f32), lambda t, x, n: t.addcmul(x[0], x[1], x[2])),
    "add row": ((_f32, _row), lambda t, x, n: x[0] + x[1]),
    "add column": ((_f32, _row), lambda t, x, n: x[0] + x[1][:, None]),
    "relu": ((_f32,), lambda t, x, n: t.relu(x[0])),
    "div": ((_f32, _f32), lambda t, x, n: x[0] / x[1]),
    "sqrt abs": ((_f32,), lambda t, x, n: x[0].abs().sqrt()),
    "where": ((_bool, _f32, _f32), lambda t, x, n: t.where(x[0], x[1], x[2])),
    "compare": ((_f32, _f32), lambda t, x, n: x[0] < x[1]),
    "clamp": ((_f32,), lambda t, x, n: x[0].clamp(-1, 1)),
    "exp": ((_f32,), lambda t, x, n: t.exp(x[0])),
    "sin": ((_f32,), lambda t, x, n: t.sin(x[0])),
    "tanh": ((_f32,), lambda t, x, n: t.tanh(x[0])),
    "sigmoid": ((_f32,), lambda t, x, n: t.sigmoid(x[0])),
    "silu": ((_f32,), lambda t, x, n: t.nn.functional.silu(x[0])),
    "gelu": ((_f32,), lambda t, x, n: t.nn.functional.gelu(x[0])),
    "gelu tanh": ((_f32,), lambda t, x, n: t.nn.functional.gelu(x[0], approximate="tanh")),
    "softplus": ((_f32,), lambda t, x, n: t.nn.functional.softplus(x[0])),
    "log1p exp": ((_f32,), lambda t, x, n: t.log1p(t.exp(x[0]))),
    "pow 1.5": ((_f32,), lambda t, x, n: t.pow(x[0].abs(), 1.5)),
    "gelu gradient": (
        (_f32, _f32),
        _gradient(lambda t, x, n: t.nn.functional.gelu(x[0])),
    ),
    "add float64": ((_f64, _f64), lambda t, x, n: x[0] + x[1]),
    "exp float64": ((_f64,), lambda t, x, n: t.exp(x[0])),
    "add int32": ((_i32, _i32), lambda t, x, n: x[0] + x[1]),
    "mul int64": ((_i64, _i64), lambda t, x, n: x[0] * x[1]),
    "floor div int64": ((_i64,), lambda t, x, n: x[0] // 7),
    "and bool": ((_bool, _bool), lambda t, x, n: x[0] & x[1]),
    "add uint8": ((_u8, _u8), lambda t, x, n: x[0] + x[1]),
    "add bfloat16": ((_BF16, _BF16), lambda t, x, n: x[0] + x[1]),
    "gelu bfloat16": ((_BF16,), lambda t, x, n: t.nn.functional.gelu(x[0])),
    "add float16": ((_F16, _F16), lambda t, x, n: x[0] + x[1]),
    "to bfloat16": ((_f32,), lambda t, x, n: x[0].to(t.bfloat16)),
    "uint8 to float": ((_u8,), lambda t, x, n: x[0].to(t.float32) / 255),
    "int64 to float": ((_i64,), lambda t, x, n: x[0].to(t.float32)),
    "sum": ((_f32,), lambda t, x, n: x[0].sum()),
    "sum 0": ((_f32,), lambda t, x, n: x[0].sum(0)),
    "sum 1": ((_f32,), lambda t, x, n: x[0].sum(1)),
    "sum middle": ((_images,), lambda t, x, n: x[0].sum(1)),
    "sum 0 2 3": ((_images,), lambda t, x, n: x[0].sum((0, 2, 3))),
    "sum float64": ((_f64,), lambda t, x, n: x[0].sum()),
    "sum int64": ((_i64,), lambda t, x, n: x[0].sum()),
    "sum bfloat16": ((_BF16,), lambda t, x, n: x[0].sum(1)),
    "max": ((_f32,), lambda t, x, n: x[0].max()),
    "amax 0": ((_f32,), lambda t, x, n: x[0].amax(0)),
    "argmax 1": ((_f32,), lambda t, x, n: x[0].argmax(1)),
    "argmax 0": ((_f32,), lambda t, x, n: x[0].argmax(0)),
    "any": ((_bool,), lambda t, x, n: x[0].any(1)),
    "var": ((_f32,), lambda t, x, n: x[0].var(1)),
    "norm": ((_f32,), lambda t, x, n: x[0].norm()),
    "sum 0 128x512": ((_f32,), lambda t, x, n: x[0].reshape(-1, n // 8)[:128].sum(0)),
    "cumsum 1": ((_f32,), lambda t, x, n: x[0].cumsum(1)),
    "cumsum 0": ((_f32,), lambda t, x, n: x[0].cumsum(0)),
    "softmax": ((_f32,), lambda t, x, n: x[0].softmax(1)),
    "log softmax": ((_f32,), lambda t, x, n: x[0].log_softmax(1)),
    "softmax 0": ((_f32,), lambda t, x, n: x[0].softmax(0)),
    "softmax of 10": ((_ten,), lambda t, x, n: x[0].softmax(1)),
    "log softmax of 10": ((_ten,), lambda t, x, n: x[0].log_softmax(1)),
    "softmax gradient": ((_f32, _f32), _gradient(lambda t, x, n: x[0].softmax(1))),
    "layer norm": (
        (_f32, _row, _row),
        lambda t, x, n: t.nn.functional.layer_norm(x[0], (n,), x[1], x[2]),
    ),
    "layer norm gradient": (
        (_f32, _row, _row, _f32),
        _gradient(lambda t, x, n: t.nn.functional.layer_norm(x[0], (n,), x[1], x[2])),
    ),
    "rms norm": ((_f32, _row), lambda t, x, n: t.nn.functional.rms_norm(x[0], (n,), x[1])),
    "batch norm": (
        (_images,),
        lambda t, x, n: t.nn.functional.batch_norm(x[0], None, None, training=True),
    ),
    "cross entropy of 10": (
        (_ten, _classes),
        lambda t, x, n: t.nn.functional.cross_entropy(x[0], x[1]),
    ),
    "cross entropy": (
        (_f32, _columns),
        lambda t, x, n: t.nn.functional.cross_entropy(x[0], x[1]),
    ),
    "max pool": ((_images,), lambda t, x, n: t.nn.functional.max_pool2d(x[0], 2)),
    "transpose": ((_f32,), lambda t, x, n: x[0].t().contiguous()),
    "transpose add": ((_f32, _f32), lambda t, x, n: x[0].t() + x[1]),
    "transpose bfloat16": ((_BF16,), lambda t, x, n: x[0].t().contiguous()),
    "channels last": ((_images,), lambda t, x, n: x[0].permute(0, 2, 3, 1).contiguous()),
    "every second": ((_f32,), lambda t, x, n: x[0][:, ::2] * 2),
    "flip": ((_f32,), lambda t, x, n: x[0].flip(1)),
    "cat": ((_f32, _f32), lambda t, x, n: t.cat([x[0], x[1]], 1)),
    "pad": ((_f32,), lambda t, x, n: t.nn.functional.pad(x[0], (1, 1, 1, 1))),
    "embedding": ((_f32, _columns), lambda t, x, n: t.nn.functional.embedding(x[1], x[0])),
    "gather 1": ((_f32, _columns), lambda t, x, n: x[0].gather(1, x[1][:, None])),
}
"""Each kernel's operands and what is done with them."""


@functools.lru_cache(8)
def _values(make: Callable[..., Any], n: int, seed: int) -> Any:
    return make(n, seed)


def _operand(f: Framework, make: Callable[..., Any], n: int, seed: int) -> Any:
    values = _values(make, n, seed)
    if isinstance(values, tuple):
        kind, array = values
        return f.array(array).to(getattr(f.module, kind))
    return f.array(values)


def _kernel(f: Framework, name: str, size: str) -> Step:
    makers, run = KERNELS[name]
    n = SIZES[size]
    calls = SMALL_CALLS if size == "1k" else 1
    operands = [
        [_operand(f, make, n, 10 * call + k) for k, make in enumerate(makers)]
        for call in range(calls)
    ]
    function = f.compiled(lambda x: run(f.module, x, n))

    def step() -> Any:
        results = [function(x) for x in operands]
        flat = [t for r in results for t in (r if isinstance(r, tuple) else (r,))]
        f.ready(*flat)
        values = results[0] if isinstance(results[0], tuple) else (results[0],)
        return [v.to(f.module.float32) if v.dtype is not None else v for v in values]

    return step


add(
    Workload(
        "kernels",
        "single kernels of many kinds at 1k (32 calls), 1M and 16M elements",
        {f"{name}, {size}": {"name": name, "size": size} for name in KERNELS for size in SIZES},
        _kernel,
        peers=("torch",),
        target=1.0,
        tolerance=1e-2,
    )
)
