"""Every function on tensors against PyTorch, in values, dtypes and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"]


def both(array, grad=False):
    """The array as a tensor of both libraries."""
    ours, theirs = tf.tensor(array), torch.tensor(array)
    if grad:
        ours.requires_grad_()
        theirs.requires_grad_()
    return ours, theirs


def name_of(dtype):
    return str(dtype).rpartition(".")[2]


def same(ours, theirs, tolerance=1e-6):
    """Compare results: tensors, tuples of them, or plain values."""
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            same(a, b, tolerance)
        return
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs
        return
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert name_of(ours.dtype) == name_of(theirs.dtype)
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    if ours.dtype == np.float16:
        tolerance = 2e-3
    np.testing.assert_allclose(ours, theirs, rtol=tolerance * 10, atol=tolerance, equal_nan=True)


X = RNG.uniform(0.1, 0.9, (2, 3, 4))
Y = RNG.uniform(0.1, 0.9, (3, 1))
M = RNG.normal(size=(4, 4))

FLOAT_CASES = {
    name: (lambda t, x, name=name: getattr(x, name)())
    for name in (
        "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh "
        "asinh atanh erf erfc erfinv lgamma digamma sigmoid neg abs sign floor ceil trunc frac "
        "reciprocal square relu rad2deg deg2rad sinc round logit sum mean prod var std amax amin "
        "max "
        "min logsumexp0 clone contiguous ravel flatten T0 exp0"
    ).split()
    if not name.endswith("0")
} | {
    "acosh": lambda t, x: (x + 1).acosh(),
    "add_broadcast": lambda t, x: x + x[0, :, :1],
    "sub_number": lambda t, x: 1 - x,
    "div": lambda t, x: x / (x + 1),
    "rdiv": lambda t, x: 2 / x,
    "floordiv": lambda t, x: x.detach() // 0.3,
    "mod": lambda t, x: x % 0.3,
    "pow2": lambda t, x: x**2,
    "pow3": lambda t, x: x**3,
    "pow_half": lambda t, x: x**0.5,
    "pow_float": lambda t, x: x**2.7,
    "pow_neg": lambda t, x: x**-2,
    "pow_one": lambda t, x: x**1,
    "rpow": lambda t, x: 2**x,
    "pow_tensor": lambda t, x: x ** (x + 1),
    "atan2": lambda t, x: t.atan2(x, x + 1),
    "hypot": lambda t, x: t.hypot(x, x + 1),
    "copysign": lambda t, x: t.copysign(x, x - 0.5),
    "logaddexp": lambda t, x: t.logaddexp(x, x * 2),
    "xlogy": lambda t, x: t.xlogy(x, x + 1),
    "maximum": lambda t, x: t.maximum(x, 1 - x),
    "minimum": lambda t, x: t.minimum(x, 1 - x),
    "fmod": lambda t, x: t.fmod(x, 0.3),
    "remainder": lambda t, x: t.remainder(-x, 0.3),
    "clamp": lambda t, x: x.clamp(0.3, 0.6),
    "clamp_min": lambda t, x: x.clamp(min=0.3),
    "clamp_tensor": lambda t, x: t.clamp(x, max=1 - x),
    "lerp": lambda t, x: t.lerp(x, 1 - x, 0.3),
    "addcmul": lambda t, x: t.addcmul(x, x, x, value=0.5),
    "addcdiv": lambda t, x: t.addcdiv(x, x, x + 1, value=0.5),
    "where": lambda t, x: t.where(x > 0.5, x, x * 2),
    "where_number": lambda t, x: t.where(x > 0.5, x, 0.0),
    "masked_fill": lambda t, x: x.masked_fill(x > 0.5, 7.0),
    "nan_to_num": lambda t, x: t.nan_to_num(x / 0),
    "add_alpha": lambda t, x: t.add(x, x, alpha=2.5),
    "sub_alpha": lambda t, x: t.sub(x, x, alpha=0.5),
    "div_floor": lambda t, x: t.div(x, 0.3, rounding_mode="floor"),
    "div_trunc": lambda t, x: t.div(-x, 0.3, rounding_mode="trunc"),
    "round_decimals": lambda t, x: t.round(x, decimals=1),
    "sum_dim": lambda t, x: x.sum(1),
    "sum_dims": lambda t, x: x.sum((0, -1), keepdim=True),
    "sum_empty_dims": lambda t, x: x.sum(()),
    "sum_dtype": lambda t, x: x.sum(dtype=t.float32),
    "mean_dim": lambda t, x: x.mean(-1, keepdim=True),
    "var_dim": lambda t, x: x.var(1),
    "var_biased": lambda t, x: x.var(1, unbiased=False),
    "var_correction": lambda t, x: t.var(x, (0, 1), correction=2, keepdim=True),
    "std_dim": lambda t, x: x.std(2, keepdim=True),
    "var_mean": lambda t, x: t.var_mean(x, 1),
    "std_mean": lambda t, x: t.std_mean(x, 1),
    "prod_dim": lambda t, x: x.prod(1),
    "amax_dims": lambda t, x: x.amax((0, 2)),
    "aminmax": lambda t, x: t.aminmax(x, dim=1),
    "max_dim": lambda t, x: x.max(1),
    "min_dim_keep": lambda t, x: x.min(-1, keepdim=True),
    "argmax": lambda t, x: x.argmax(),
    "argmin_dim": lambda t, x: x.argmin(1, keepdim=True),
    "logsumexp": lambda t, x: x.logsumexp((0, 1)),
    "softmax": lambda t, x: x.softmax(-1),
    "log_softmax": lambda t, x: t.log_softmax(x, 1),
    "norm": lambda t, x: x.norm(),
    "norm_1": lambda t, x: x.norm(1, dim=1),
    "norm_inf": lambda t, x: t.norm(x, float("inf"), dim=2),
    "norm_3": lambda t, x: x.norm(3, dim=(0, 1)),
    "count_nonzero": lambda t, x: t.count_nonzero(x > 0.5, 1),
    "any": lambda t, x: (x > 0.8).any(1),
    "all": lambda t, x: (x > 0.2).all(),
    "nansum": lambda t, x: t.where(x > 0.5, x, float("nan")).nansum(1),
    "nanmean": lambda t, x: t.where(x > 0.5, x, float("nan")).nanmean(),
    "isclose": lambda t, x: t.isclose(x, x + 1e-9),
    "allclose": lambda t, x: t.allclose(x, x + 1e-9),
    "equal": lambda t, x: t.equal(x, x * 1),
    "reshape": lambda t, x: x.reshape(4, -1),
    "view": lambda t, x: x.view(-1),
    "permute": lambda t, x: x.permute(2, 0, 1),
    "transpose": lambda t, x: x.transpose(0, -1) * 2,
    "mT": lambda t, x: x.mT,
    "movedim": lambda t, x: t.movedim(x, (0, 1), (1, 2)),
    "squeeze": lambda t, x: x[:, :1].squeeze(1),
    "unsqueeze": lambda t, x: x.unsqueeze(-2),
    "flatten": lambda t, x: x.flatten(1),
    "unflatten": lambda t, x: x.unflatten(2, (2, -1)),
    "expand": lambda t, x: x[:, :1].expand(-1, 5, -1),
    "select": lambda t, x: x.select(1, -1),
    "narrow": lambda t, x: x.narrow(2, 1, 2),
    "split": lambda t, x: x.split(2, 1),
    "split_sizes": lambda t, x: t.split(x, [1, 3], 2),
    "chunk": lambda t, x: x.chunk(3, 2),
    "tensor_split": lambda t, x: t.tensor_split(x, 3, 2),
    "unbind": lambda t, x: x.unbind(1),
    "diagonal": lambda t, x: x.diagonal(1, 1, 2),
    "diagonal_low": lambda t, x: x.diagonal(-1, 2, 0),
    "unfold": lambda t, x: x.unfold(2, 2, 1),
    "unfold_apart": lambda t, x: x.unfold(2, 2, 2),
    "cat": lambda t, x: t.cat([x, x * 2], 1),
    "stack": lambda t, x: t.stack([x, x * 2], -1),
    "hstack": lambda t, x: t.hstack([x, x]),
    "vstack": lambda t, x: t.vstack([x[0], x[1]]),
    "flip": lambda t, x: x.flip(0, 2),
    "roll": lambda t, x: x.roll((1, -1), (0, 2)),
    "roll_flat": lambda t, x: t.roll(x, 5),
    "rot90": lambda t, x: t.rot90(x, 1, (1, 2)),
    "rot270": lambda t, x: t.rot90(x, 3, (1, 2)),
    "repeat": lambda t, x: x.repeat(2, 1, 2, 1),
    "tile": lambda t, x: t.tile(x, (2, 1)),
    "repeat_interleave": lambda t, x: x.repeat_interleave(2, 1),
    "tril": lambda t, x: t.tril(x, -1),
    "triu": lambda t, x: x.triu(1),
    "index_int": lambda t, x: x[1],
    "index_slices": lambda t, x: x[:, 1:, ::2],
    "index_none": lambda t, x: x[None, ..., None, 0],
    "index_negative": lambda t, x: x[-1, :-1],
    "meshgrid": lambda t, x: t.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
    "broadcast_tensors": lambda t, x: t.broadcast_tensors(x, x[0, :, :1]),
    "to": lambda t, x: x.to(t.float32),
    "half": lambda t, x: x.half(),
    "long": lambda t, x: (x * 10).long(),
    "comparison": lambda t, x: (x > 0.5, x <= x, x == x, x != 1, x < 1 - x, x >= 0.3),
    "isnan": lambda t, x: (x.isnan(), x.isinf(), x.isfinite()),
    "logical": lambda t, x: (t.logical_and(x, x > 0.5), ~(x > 0.5), t.logical_not(x)),
    "matmul": lambda t, x: x @ x.mT,
    "matmul_vector": lambda t, x: x @ x[0, 0],
    "vector_matmul": lambda t, x: x[0, :, 0] @ x,
    "matmul_one_matrix": lambda t, x: x @ x[0].t(),
    "matmul_broadcast": lambda t, x: x[:, None] @ x.mT[None],
    "mm": lambda t, x: t.mm(x[0], x[1].t()),
    "bmm": lambda t, x: t.bmm(x, x.mT),
    "mv": lambda t, x: t.mv(x[0], x[0, 0]),
    "dot": lambda t, x: t.dot(x[0, 0], x[1, 1]),
    "outer": lambda t, x: t.outer(x[0, 0], x[0, :, 0]),
    "inner": lambda t, x: t.inner(x, x[0]),
    "addmm": lambda t, x: t.addmm(x[0, 0, :3], x[0], x[1].t(), beta=0.5, alpha=2),
    "baddbmm": lambda t, x: t.baddbmm(x[:, :, :3], x, x.mT),
    "addmv": lambda t, x: t.addmv(x[0, :, 0], x[0], x[0, 0]),
    "trace": lambda t, x: t.trace(x[0]),
    "diag": lambda t, x: (t.diag(x[0, 0], 1), t.diag(x[0], -1)),
    "diag_embed": lambda t, x: t.diag_embed(x, -1),
    "tensordot": lambda t, x: t.tensordot(x, x, ([0, 2], [0, 2])),
    "kron": lambda t, x: t.kron(x[0], x[1]),
    "matrix_power": lambda t, x: t.matrix_power(x[:, :, :3], 3),
    "einsum_matmul": lambda t, x: t.einsum("bij,bkj->bik", x, x),
    "einsum_implicit": lambda t, x: t.einsum("bij,kj", x, x[0]),
    "einsum_three": lambda t, x: t.einsum("bij,bkj,b->ki", x, x, x[:, 0, 0]),
    "einsum_dots": lambda t, x: t.einsum("...ij,...j->...i", x, x[:, 0]),
    "einsum_diagonal": lambda t, x: t.einsum("bii->bi", x[:, :, :3]),
    "einsum_sum": lambda t, x: t.einsum("bij->j", x),
    "einsum_outer": lambda t, x: t.einsum("i,j->ij", x[0, 0], x[0, 1]),
    "heaviside": lambda t, x: t.heaviside(x.detach() - 0.5, x.detach()),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_value_and_gradient(name):
    """One function, with its first gradient where it has one."""
    f = FLOAT_CASES[name]
    ours, theirs = both(X, grad=True)
    y, z = f(tf, ours), f(torch, theirs)
    same(y, z)
    ys = [v for v in (y if isinstance(y, (tuple, list)) else [y]) if isinstance(v, tf.Tensor)]
    zs = [v for v in (z if isinstance(z, (tuple, list)) else [z]) if isinstance(v, torch.Tensor)]
    pairs = [(a, b) for a, b in zip(ys, zs) if b.requires_grad]
    if not pairs:
        assert not any(a.requires_grad for a in ys)
        return
    total = sum((a.double() * 0.7).sin().sum() for a, _ in pairs)
    expected = sum((b.double() * 0.7).sin().sum() for _, b in pairs)
    total.backward()
    expected.backward()
    same(ours.grad, theirs.grad, 1e-5 if name in ("to", "half", "sum_dtype") else 1e-8)


BINARY = ["add", "sub", "mul", "true_divide", "floor_divide", "remainder", "fmod", "pow", "maximum",
          "minimum", "eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor",
          "atan2", "logical_and", "logical_or", "logical_xor"]  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_promotion(name):
    """Every pair of dtypes, with tensors and Python numbers: result dtype and value as
    PyTorch's."""
    a = np.array([1, 0, 2, 3, 7])
    b = np.array([1, 1, 3, 2, 2])
    for first in DTYPES:
        for second in [*DTYPES, True, 2, 2.5]:
            x, tx = tf.tensor(a.astype(first)), torch.tensor(a.astype(first))
            if isinstance(second, str):
                y, ty = tf.tensor(b.astype(second)), torch.tensor(b.astype(second))
            elif name.startswith("logical"):
                continue
            elif name in ("maximum", "minimum", "atan2"):
                y, ty = tf.tensor(second), torch.tensor(second)
            else:
                y = ty = second
            try:
                expected = getattr(torch, name)(tx, ty)
            except RuntimeError:
                with pytest.raises(RuntimeError):
                    getattr(tf, name)(x, y)
                continue
            same(getattr(tf, name)(x, y), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions_of_dtypes(dtype):
    """Sums, products and extremes of every dtype."""
    x, y = both(np.array([[3, 0, 2], [1, 5, 2]]).astype(dtype))
    for name in ("sum", "prod", "amax", "amin", "argmax", "argmin", "any", "all", "count_nonzero"):
        if dtype == "bool" and name in ("argmax", "argmin"):
            continue
        same(getattr(x, name)(), getattr(y, name)())
        same(getattr(x, name)(1), getattr(y, name)(1))


def test_creation():
    """Factories give PyTorch's values and dtypes."""
    for f in (
        lambda t: t.tensor([1, 2]), lambda t: t.tensor(2.5), lambda t: t.tensor([True]),
        lambda t: t.tensor([]), lambda t: t.tensor([[1, 2.5]]), lambda t: t.tensor(3,
        dtype=t.float16), lambda t: t.zeros(2, 3), lambda t: t.ones((2,), dtype=t.int32), lambda t:
        t.full((2, 2), 7), lambda t: t.full((), 1.5), lambda t: t.arange(5),
        lambda t: t.arange(1, 2, 0.3),
        lambda t: t.arange(5, 0, -2), lambda t: t.linspace(0, 1, 7), lambda t: t.logspace(0, 2, 5),
        lambda t: t.eye(3, 2), lambda t: t.zeros_like(t.ones(2, dtype=t.int64)),
        lambda t: t.full_like(t.ones(3), 4), lambda t: t.ones(2).new_zeros(3, 2),
        lambda t: t.linspace(3, 3, 1), lambda t: t.arange(0), lambda t: t.tensor([float("nan")]),
    ):  # fmt: skip
        same(f(tf), f(torch))


ERRORS = [
    lambda t: t.ones(2, 3) + t.ones(2, 4),
    lambda t: t.ones(2).reshape(3),
    lambda t: t.ones(2, 3).t().view(-1),
    lambda t: t.ones(2)[2],
    lambda t: t.ones(2)[0, 0],
    lambda t: t.ones(2)[::-1],
    lambda t: t.ones(2).sum(1),
    lambda t: t.ones(2, 2).sum((0, 0)),
    lambda t: t.ones(3).expand(2),
    lambda t: t.tensor([1, 2]).mean(),
    lambda t: -t.tensor([True]),
    lambda t: t.tensor([True]) - t.tensor([True]),
    lambda t: t.ones(2).item(),
    lambda t: bool(t.ones(2)),
    lambda t: len(t.ones(())),
    lambda t: t.ones(2).add_(t.ones(2, 2)),
    lambda t: t.tensor([1]).add_(0.5),
    lambda t: t.ones(2, requires_grad=True).add_(1),
    lambda t: t.ones(2, requires_grad=True)[0].add_(1),
    lambda t: t.ones(1).expand(3).add_(1),
    lambda t: t.ones(2, requires_grad=True).numpy(),
    lambda t: t.tensor([1], requires_grad=True),
    lambda t: t.ones(2, requires_grad=True).backward(),
    lambda t: t.ones(()).backward(),
    lambda t: t.cat([]),
    lambda t: t.stack([t.ones(1), t.ones(2)]),
    lambda t: t.zeros(0).max(),
    lambda t: t.ones(2) + "a",
    lambda t: t.ones(2, 3).permute(0, 0),
    lambda t: t.tensor([1]) ** -1,
    lambda t: t.ones(2)[1.5],
    lambda t: t.zeros(2, 3).split(-1),
    lambda t: t.arange(0, 1, -1),
    lambda t: t.ones(3).narrow(0, 2, 2),
    lambda t: t.manual_seed("a"),
    lambda t: t.ones(2, 3) @ t.ones(2, 3),
    lambda t: t.ones(2, 3) @ t.ones(3, 2).double(),
    lambda t: t.ones(2, 3) @ t.ones(()),
    lambda t: t.mm(t.ones(2), t.ones(2)),
    lambda t: t.dot(t.ones(2), t.ones(3)),
    lambda t: t.einsum("ij,jk->ik", t.ones(2, 3), t.ones(2, 3)),
    lambda t: t.einsum("ij->k", t.ones(2, 3)),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    """Faults raise PyTorch's exception classes."""
    with pytest.raises(Exception) as expected:
        ERRORS[case](torch)
    with pytest.raises(expected.type):
        ERRORS[case](tf)


def _complex(f: Any) -> Any:
    return f.tensor([1 + 2j, 3 - 1j, 0.5j, 2 + 0j])


@pytest.mark.parametrize(
    "function",
    [
        lambda f: f.vander(_complex(f)),
        lambda f: f.cov(_complex(f).reshape(2, 2)),
        lambda f: f.cov(_complex(f).reshape(2, 2), aweights=f.tensor([0.5, 2.0])),
        lambda f: f.corrcoef(_complex(f).reshape(2, 2) ** f.tensor([[1.0], [2.0]])),
        lambda f: f.gradient(_complex(f))[0],
        lambda f: _complex(f).sum_to_size(4),
        lambda f: f.tensor([1, 2], dtype=f.int32).sum_to_size(2),
    ],
)
def test_dtypes_are_kept(function: Any) -> None:
    """Complex numbers keep their imaginary parts, and integers that are not summed their size."""
    ours, theirs = function(tf), function(torch)
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
def test_windows_refuse_what_they_cannot_be(name: str) -> None:
    window = getattr(tf, f"{name}_window")
    with pytest.raises(RuntimeError, match="non-negative"):
        window(-1)
    with pytest.raises(RuntimeError, match="floating point"):
        window(4, dtype=tf.int64)
    with pytest.raises(RuntimeError, match="cpu"):
        window(4, device="cuda")
    assert window(4, requires_grad=True).requires_grad


def test_random_refuses_an_empty_range() -> None:
    with pytest.raises(RuntimeError, match="less than 'to'"):
        tf.zeros(3).random_(5, 5)


def test_shapes_may_be_given_by_name():
    """What is given one by one, as one argument of PyTorch's name for it."""
    for make in (tf.zeros, tf.ones, tf.empty, tf.rand, tf.randn):
        assert make(size=(2, 3)).shape == make(size=[2, 3], dtype=tf.float64).shape == (2, 3)
    x = tf.arange(6).view(size=(2, 3))
    assert x.new_zeros(size=(4,)).shape == x.new_ones(size=(4,)).shape == (4,)
    assert x.reshape(shape=(3, 2)).shape == tf.reshape(x, shape=(-1, 2)).shape == (3, 2)
    assert x.expand(size=(4, 2, 3)).shape == (4, 2, 3)
    assert x.permute(dims=(1, 0)).tolist() == tf.permute(x, dims=(1, 0)).tolist() == x.T.tolist()
    assert x.repeat(repeats=(2, 1)).shape == x.tile(dims=(2, 1)).shape == (4, 3)
