"""Autocasting: blocks in which products are computed in a smaller dtype (see
`functions/casting.py` for which functions compute in which)."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..graph.node import recorder
from ..tensor import Tensor

_KNOWN = (
    "cpu", "cuda", "hpu", "ipu", "maia", "meta", "mps", "mtia", "privateuseone", "xla", "xpu",
)  # fmt: skip
_default: dict[str, DType] = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}


def _require_known(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(
            f"Expected `device_type` of type `str`, got: `{type(device_type).__name__}`"
        )
    if device_type not in _KNOWN:
        raise RuntimeError(
            f"[autocast] device_type must be one of {', '.join(_KNOWN)}; got {device_type!r}"
        )


def is_autocast_available(device_type: str) -> bool:
    """Whether dtypes can be chosen for programs on a device: on the CPU.

    >>> is_autocast_available("cpu"), is_autocast_available("cuda")
    (True, False)
    """
    _require_known(device_type)
    return device_type == "cpu"


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this is within a block of `autocast`."""
    return is_autocast_available(device_type) and recorder.autocast is not None


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype of `autocast`'s products: the block's, else the one of blocks that name none."""
    _require_known(device_type)
    if device_type == "cpu" and recorder.autocast is not None:
        return recorder.autocast
    return _default.get(device_type, dtypes.float16)


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Turn autocasting on or off without a block."""
    if is_autocast_available(device_type):
        recorder.autocast = _default["cpu"] if enabled else None


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """The dtype of the products of blocks that name none."""
    _require_known(device_type)
    _default[device_type] = dtype
    if device_type == "cpu" and recorder.autocast is not None:
        recorder.autocast = dtype


class autocast:
    """A block in which products, convolutions and attention are computed in a smaller dtype.

    Their floating-point tensors are cast to `dtype` (on the CPU bfloat16, the default, or float16),
    and so are their results; losses and decompositions take float32; all else computes in the
    dtypes it is given, and float64 stays as it is. Gradients pass back through the casts, so those
    of float32 weights are float32. Blocks nest; `enabled=False` computes as given. Without a GPU a
    block for one does nothing, and warns. A context manager and a decorator.

    >>> import twofold as tf
    >>> x = tf.ones(2, 2)
    >>> with autocast("cpu", dtype=tf.bfloat16):
    ...     print((x @ x).dtype, x.exp().dtype)
    twofold.bfloat16 twofold.float32
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _require_known(device_type)
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._before: list[DType | None] = []
        if enabled and device_type != "cpu":
            warnings.warn(
                f"User provided device_type of {device_type!r}, but there is no such device: "
                "autocast is disabled",
                stacklevel=2,
            )
            enabled = False
        if enabled and self.fast_dtype not in (dtypes.bfloat16, dtypes.float16):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast. CPU "
                f"autocast computes in bfloat16 or float16; got {self.fast_dtype}",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled

    def __enter__(self) -> autocast:
        self._before.append(recorder.autocast)
        if self.device == "cpu":
            recorder.autocast = self.fast_dtype if self._enabled else None
        return self

    def __exit__(self, *details: object) -> None:
        recorder.autocast = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


def _cast(value: Any, dtype: DType) -> Any:
    """The floating-point tensors within `value`, but for float64, as `dtype`."""
    if isinstance(value, Tensor):
        castable = value.dtype.is_floating_point and value.dtype is not dtypes.float64
        return value.to(dtype) if castable else value
    if isinstance(value, Mapping):
        return {_cast(k, dtype): _cast(v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, dtype) for v in value)
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: DType | None = None,
) -> Any:
    """Decorates `forward` of an `autograd.Function`: with `cast_inputs`, where `autocast` is on, it
    gets its floating-point tensors in that dtype and computes without autocasting."""
    _require_known(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        on = is_autocast_enabled(device_type)
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = on and cast_inputs is None
        if cast_inputs is None or not on:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorates `backward` of an `autograd.Function`: it computes as `forward` did."""
    _require_known(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)

    return decorated
