"""Twofold: write it dynamic, run it static."""

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import Any as _Any

from . import (
    anomaly,
    autograd,
    autograd_api,
    creation,
    custom_function,
    gradcheck,
    indexing,
    interchange,
    printing,
    settings,
)
from .autograd_api import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .capture import NotCaptured
from .dtypes import (
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from .dtypes import DType as dtype
from .dtypes import bool_ as bool
from .dtypes import complex64 as cfloat
from .dtypes import complex128 as cdouble
from .dtypes import float16 as half
from .dtypes import float32 as float
from .dtypes import float64 as double
from .dtypes import get_default as get_default_dtype
from .dtypes import int16 as short
from .dtypes import int32 as int
from .dtypes import int64 as long
from .dtypes import promote as promote_types
from .dtypes import set_default as set_default_dtype
from .errors import explain_missing as _explain_missing
from .functions import functions as _functions
from .functions.random import Generator, default_generator
from .settings import Layout as layout
from .settings import MemoryFormat as memory_format
from .settings import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    finfo,
    iinfo,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from .tensor import Device as device
from .tensor import Size, Tensor

globals().update(_functions)
newaxis = None

for _module, _names in (
    (autograd_api, "backward enable_grad grad inference_mode no_grad set_grad_enabled"),
    (anomaly, "detect_anomaly set_detect_anomaly"),
    (custom_function, "Function once_differentiable"),
    (gradcheck, "gradcheck gradgradcheck"),
):
    for _name in _names.split():
        setattr(autograd, _name, getattr(_module, _name))


def _autograd_later(name: str) -> _Any:
    """`autograd.functional` and `autograd.forward_ad`, loaded when they are first asked for."""
    if name not in ("functional", "forward_ad"):
        return _explain_missing(autograd.__name__, dir(autograd))(name)
    module = _import_module(f".func.{_AUTOGRAD_LATER[name]}", __name__)
    setattr(autograd, name, module)
    return module


_AUTOGRAD_LATER = {"functional": "autograd_functional", "forward_ad": "forward_ad"}
autograd.__getattr__ = _autograd_later  # type: ignore[method-assign]

_LATER = {
    "nn": "nn", "optim": "optim", "utils": "utils", "serialization": "serialization",
    "models": "models", "jit": "jit", "profiler": "profiler", "array_api": "array_api",
    "vision": "vision",
    "save": "serialization", "load": "serialization", "explain": "explanation",
    "compile": "nn.modules.compiled",
    "func": "func", "vmap": "func", "fx": "fx", "distributions": "distributions",
    "linalg": "linalg", "amp": "amp", "fft": "fft", "signal": "signal", "special": "special",
    **dict.fromkeys("polygamma mvlgamma i0 igamma igammac".split(), "special.aliases"),
    "stft": "fft.spectrogram", "istft": "fft.spectrogram",
    **dict.fromkeys(
        "cholesky cholesky_inverse cholesky_solve det geqrf inverse logdet lu lu_solve lu_unpack "
        "matrix_exp nuclear_norm orgqr ormqr pca_lowrank pinverse qr slogdet svd svd_lowrank "
        "triangular_solve".split(), "linalg.aliases",
    ),
    "sparse": "sparse", "sparse_coo_tensor": "sparse", "sparse_csr_tensor": "sparse",
    **dict.fromkeys("hspmm smm spmm sspaddmm".split(), "sparse"),
    "onnx": "onnx", "save_program": "deploy", "load_program": "deploy", "deploy": "deploy",
    "static": "static", "function": "static.function", "In": "static.function",
    "placeholder": "static.expression", "shared": "static.expression",
    "random": "random", "autocast": "amp", "GradScaler": "amp",
    **dict.fromkeys(
        "alpha_dropout alpha_dropout_ avg_pool1d bilinear celu celu_ channel_shuffle conv1d conv2d "
        "conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss "
        "cosine_similarity ctc_loss dropout dropout_ feature_alpha_dropout group_norm "
        "hinge_embedding_loss layer_norm margin_ranking_loss max_pool1d max_pool2d max_pool3d "
        "native_channel_shuffle pairwise_distance pdist pixel_shuffle pixel_unshuffle "
        "poisson_nll_loss prelu relu_ rms_norm rrelu rrelu_ selu selu_ threshold threshold_ "
        "triplet_margin_loss".split(), "nn.functional",
    ),
}  # fmt: skip


def _array_namespace(self: Tensor, /, *, api_version: str | None = None) -> _Any:
    """The module with the functions of the Python array API standard."""
    module = _import_module(".array_api", __name__)
    known = ("2021.12", "2022.12", "2023.12", module.__array_api_version__)
    if api_version is not None and api_version not in known:
        raise ValueError(
            f"[__array_namespace__] versions are {', '.join(known)}; got {api_version}"
        )
    return module


Tensor.__array_namespace__ = _array_namespace  # type: ignore[attr-defined]


def __getattr__(name: str) -> _Any:
    """Names whose modules are loaded when they are first asked for, so that `import twofold` alone
    takes little time."""
    place = _LATER.get(name)
    if place is None:
        return _explain_missing(__name__, __dir__())(name)
    module = _import_module("." + place, __name__)
    value = module if name == place else getattr(module, name)
    globals()[name] = value
    return value


def _with_sparse(name: str) -> _Any:
    """A method of dense tensors that loads what it belongs to when it is first called."""

    def first(self: Tensor, *args: _Any, **kwargs: _Any) -> _Any:
        _import_module(".sparse", __name__)
        return getattr(self, name)(*args, **kwargs)

    first.__name__, first.__doc__ = name, "A conversion between layouts: see `twofold.sparse`."
    return first


for _name in (
    "_as_rows to_sparse to_sparse_coo to_sparse_csr to_dense sparse_mask smm sspaddmm coalesce "
    "is_coalesced indices values crow_indices col_indices sparse_dim dense_dim sparse_resize_ "
    "sparse_resize_and_clear_"
).split():
    setattr(Tensor, _name, _with_sparse(_name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
