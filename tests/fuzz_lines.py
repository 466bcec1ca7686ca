"""What random programs may say: lines with `{x}`, `{y}` (tensors that broadcast), `{d}`, `{e}`
(axes), and the functions that they call. The lists of `EXACT` lines hold those whose values are the
same in every run; the others may differ in the last digits from what the references say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import twofold as tf
from twofold import engine
from twofold.dtypes import DType
from twofold.tensor import Tensor

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTEGERS = ["int64", "int32", "uint8", "int8", "int16"]
COMPLEX = ["complex64", "complex128"]
SHAPES = [
    (), (1,), (3,), (4,), (7,), (2, 3), (3, 3), (3, 1), (1, 4), (4, 3), (2, 3, 4), (3, 2, 1),
    (0,), (2, 0), (17,), (33, 5), (2, 1, 3, 2), (130,), (1100,), (2, 3, 6, 7), (1, 4, 9), (2, 3, 3),
]  # fmt: skip

EXACT_UNARY = [
    "-{x}", "{x}.abs()", "{x} * 2", "{x} + 1", "1 - {x}", "{x}.sign()", "{x}.clamp(-1, 1)",
    "{x}.clone()", "{x} > 0", "{x} == {x}", "{x}.square()", "tf.where({x} > 0, {x}, -{x})",
    "{x}.contiguous()", "{x}.relu()", "tf.zeros_like({x})", "tf.ones_like({x})", "{x} ** 2",
    "{x}.clamp(min=0)", "tf.full_like({x}, 3)", "{x}.heaviside({x}.new_ones(()))",
]  # fmt: skip
EXACT_FLOAT_UNARY = [
    "{x}.floor()", "{x}.ceil()", "{x}.trunc()", "{x}.round()", "{x} * 0.5", "{x}.isnan()",
    "{x}.frac()", "{x} / 2", "{x}.detach()", "{x} * 0.375", "{x}.nan_to_num(0)", "{x}.isfinite()",
    "{x}.signbit()", "F.hardtanh({x})", "F.leaky_relu({x}, 0.25)", "F.threshold({x}, 0.5, -1.0)",
]  # fmt: skip
INEXACT_UNARY = [
    "{x}.clamp(-3, 3).exp()", "{x}.sin()", "{x}.cos()", "{x}.tanh()", "{x}.sigmoid()",
    "({x}.abs() + 1).log()", "({x}.abs() + 1).sqrt()", "({x}.abs() + 1).rsqrt()", "{x}.erf()",
    "1 / ({x}.abs() + 1)", "({x}.abs() + 1) ** 0.7", "{x}.atan()", "{x}.clamp(-3, 3).expm1()",
    "F.gelu({x})", "F.silu({x})", "F.softplus({x})", "{x}.abs().log1p()", "({x} / 20).asin()",
    "{x}.clamp(-3, 3).sinh()", "F.elu({x})", "{x}.tan().tanh()", "({x} / 20).atanh()",
]  # fmt: skip
BOOL_UNARY = [
    "~{x}", "{x}.logical_not()", "{x}.to(tf.int64)", "{x}.clone()", "{x}.to(tf.float32)",
    "{x}.any({d})", "{x}.all({d})", "{x}.sum({d})", "{x}.any()", "{x}.count_nonzero()",
]  # fmt: skip
COMPLEX_UNARY = [
    "-{x}", "{x}.conj()", "{x}.real", "{x}.imag", "{x} * 2", "{x} * 1j", "{x} + (1 + 2j)",
    "tf.view_as_real({x})", "{x}.clone()", "{x} == {x}", "{x} * {x}", "{x}.real + {x}.imag",
]  # fmt: skip
INEXACT_COMPLEX = [
    "{x}.abs()", "{x}.sum({d})", "{x}.mean()", "{x} / ({x} * {x}.conj() + 1)", "{x}.cumsum({d})",
    "({x} / 8).exp()", "{x}.prod({d}) / 1024", "{x} @ {x}.mH", "{x}.var({d}, unbiased=False)",
]  # fmt: skip
EXACT_BINARY = [
    "{x} + {y}", "{x} - {y}", "{x} * {y}", "tf.maximum({x}, {y})", "tf.minimum({x}, {y})",
    "{x} < {y}", "{x} >= {y}", "{x} != {y}", "tf.where({x} > {y}, {x}, {y})", "{x} + {y} * 2",
    "({x} > {y}) | ({x} == {y})", "({x} > 0) & ({y} > 0)", "{x}.masked_fill({y} > 0, 2)",
    "tf.where({y} == 0, 1, {x})", "tf.fmax({x}, {y})", "{x}.logical_xor({y})",
]  # fmt: skip
INEXACT_BINARY = [
    "{x} / ({y}.abs() + 1)", "({x} - {y}).tanh()", "tf.atan2({x}, {y}.abs() + 1)",
    "tf.hypot({x}, {y})", "tf.lerp({x}, {y}, 0.3)", "F.mse_loss({x}, {y})",
    "F.smooth_l1_loss({x}, {y}, reduction='none')", "tf.logaddexp({x}, {y})",
]  # fmt: skip
INTEGER_BINARY = [
    "{x} & {y}", "{x} | {y}", "{x} ^ {y}", "{x} // ({y}.abs() * 2 + 1)",
    "{x} % ({y}.abs() * 2 + 1)", "{x} << ({y} & 3)", "{x} >> ({y} & 3)", "tf.gcd({x}, {y})",
    "tf.fmod({x}, {y}.abs() * 2 + 1)",
]  # fmt: skip
EXACT_REDUCTIONS = [
    "{x}.amax({d})", "{x}.amin({d})", "{x}.argmax({d})", "{x}.argmin({d})", "{x}.max({d})[0]",
    "{x}.min({d})[1]", "{x}.max()", "({x} > 0).any({d})", "({x} > 0).all({d}, keepdim=True)",
    "({x} != 0).sum({d})", "{x}.cummax({d})[0]", "{x}.cummin({d})[0]", "{x}.aminmax(dim={d})[1]",
    "{x}.argmax()", "{x}.cummax({d})[1]",
]  # fmt: skip
INEXACT_REDUCTIONS = [
    "{x}.sum({d})", "{x}.mean({d})", "{x}.sum({d}, keepdim=True)", "{x}.var({d}, unbiased=False)",
    "{x}.softmax({d})", "{x}.log_softmax({d})", "{x}.logsumexp({d})", "{x} - {x}.mean({d}, True)",
    "{x}.cumsum({d})", "{x}.clamp(-1.5, 1.5).prod({d})", "({x} * {x}).sum()", "{x}.sum()",
    "{x}.norm()", "({x} + 1).std({d}, correction=0)", "{x}.var(correction=0)",
    "{x}.sum(({d}, {e}))",
    "{x}.clamp(-1.1, 1.1).cumprod({d})", "{x}.logcumsumexp({d})", "{x}.clamp(-1.1, 1.1).prod()",
    "F.layer_norm({x}, {x}.shape[-1:])", "F.normalize({x}, dim={d})", "{x}.abs().mean()",
    "{x}.flip({d}).cumsum({d})", "tf.var_mean({x}, {d}, correction=0)[1]", "{x}.norm(3, {d})",
]  # fmt: skip
INTEGER_REDUCTIONS = ["{x}.sum({d})", "{x}.cumsum({d})", "{x}.prod({d})", "{x}.cumprod({d})"]
SORTS = [
    "{x}.sort({d})[0]", "{x}.argsort({d}, stable=True)", "{x}.topk(1, {d})[0]",
    "{x}.sort({d}, descending=True, stable=True)[1]", "{x}.topk(2, {d}, largest=False)[0]",
    "{x}.kthvalue(1, {d})[0]", "{x}.median({d})[0]", "{x}.unique()", "{x}.nonzero()",
    "tf.searchsorted({x}.reshape(-1).sort()[0], {x})", "{x}.median()", "{x}.msort()",
    "tf.take_along_dim({x}, {x}.argsort({d}, stable=True), {d})",
]  # fmt: skip
VIEWS = [
    "{x}.transpose({d}, {e})", "{x}.unsqueeze({d})", "{x}.select({d}, 0)", "{x}.flip({d})",
    "{x}.narrow({d}, 0, 1)", "{x}.movedim({d}, {e})", "{x}.reshape(-1)", "{x}.unsqueeze(-1)",
    "{x}[..., ::2]", "{x}[1:]", "{x}[-1]", "{x}[None]", "{x}[:, 0]", "{x}[..., 1:]",
    "{x}.squeeze()", "{x}.expand(2, *{x}.shape)", "{x}.T", "{x}.diagonal()",
    "{x}.unfold({d}, 2, 1)", "{x}.reshape(*reversed({x}.shape))", "{x}.swapaxes({d}, {e})",
    "{x}.chunk(2, {d})[-1]", "{x}.t()", "{x}.broadcast_to(3, *{x}.shape)", "{x}.roll(1, {d})",
    "{x}.repeat(2, *{x}.shape)", "{x}[::3]", "{x}[1::2]", "{x}.mT", "{x}.flatten()",
    "{x}.flip(({d}, {e}))", "{x}.split(2, {d})[0]", "{x}.unbind({d})[-1]",
    "{x}.flip({d})[..., ::2]",
    "{x}.rot90(1, ({d}, {e}))", "{x}.repeat_interleave(2, {d})", "{x}[..., -2:]",
]  # fmt: skip
ARRANGED = [
    "tf.cat([{x}, {y}], {d})", "tf.stack([{x}, {y}], {d})", "{x} @ {y}", "{x} @ {y}.T",
    "{x}.gather({d}, tf.zeros_like({x}, dtype=tf.int64))", "{x}[tf.tensor([0, -1, 0])]",
    "{x}.index_select({d}, tf.tensor([0, 0]))", "{x}[..., tf.tensor([True])]", "{x}[{x} > 0]",
    "{x}.tril()", "{x}.triu(1)", "tf.outer({x}, {y})", "{x}.masked_fill({x} > 0, 0.25)",
    "F.pad({x}, (1, 2))", "F.pad({x}, (0, 1), value=2.0)", "F.pad({x}, (-1, 1))",
    "tf.cat([{x}, {x}.flip({d}), {y}], {d})", "{x}[tf.tensor([[0], [-1]]), ..., 0]",
    "{x}.take(tf.tensor([[0, -1], [0, 0]]))", "{x}[:, tf.tensor([0, -1])]", "tf.diag_embed({x})",
    "{x}.scatter({d}, tf.zeros_like({x}, dtype=tf.int64), 0.5)", "tf.kron({x}, {y})",
    "{x}.index_fill({d}, tf.tensor([0, -1]), 2)", "{x}[({x} > 0).nonzero(as_tuple=True)]",
    "{x}.index_put((tf.tensor([0, -1]),), {x}[0])", "tf.meshgrid({x}, {y}, indexing='ij')[1]",
    "{x}.index_copy({d}, tf.tensor([0]), {x}.narrow({d}, 0, 1) * 2)", "tf.block_diag({x}, {y})",
    "{x}.masked_scatter({x} > 0, {y})", "F.pad({x}, (1, 1), mode='reflect')",
]  # fmt: skip
SCATTERED = [
    "{x}.scatter_add({d}, spots({x}, {d}), {x})",
    "{x}.index_add({d}, tf.tensor([0]), part({x}, {d}))",
    "{x}.scatter_reduce({d}, spots({x}, {d}), {x}, 'amax')", "{x}.gather({d}, spots({x}, {d}))",
    "{x}.clamp(-1.5, 1.5).scatter_reduce({d}, spots({x}, {d}), {x}.clamp(-1, 1), 'prod')",
    "{x}.index_put((tf.tensor([0, -1, 0]),), {x}[0], accumulate=True)",
    "{x}.put(tf.tensor([0]), {x}.reshape(-1)[:1])",
    "{x}.scatter_reduce({d}, spots({x}, {d}), {x}, 'mean', include_self=False)",
    "{x}.scatter({d}, spots({x}, {d}), {x})",
    "F.embedding(spots({x}, {d}), leaf(11, (9, 3), 'float32'))",
]  # fmt: skip
PRODUCTS = [
    "{x} @ weight({s}, ({x}.size(-1), 5), {x}.dtype)",
    "{x} @ weight({s}, (6, {x}.size(-1)), {x}.dtype).T",
    "{x}.mT @ weight({s}, ({x}.size(-2), 4), {x}.dtype)",
    "{x}.mT @ weight({s}, (3, {x}.size(-2)), {x}.dtype).mT",
    "weight({s}, (5, {x}.size(-2)), {x}.dtype) @ {x}",
    "weight({s}, ({x}.size(-2), 17), {x}.dtype).T @ {x}",
    "weight({s}, ({x}.size(-2), 3), {x}.dtype).T @ {x}.flip(-1)", "{x} @ {x}.mT", "{x}.mT @ {x}",
    "{x} @ weight({s}, ({x}.size(-1),), {x}.dtype)",
    "F.linear({x}, weight({s}, (7, {x}.size(-1)), {x}.dtype), weight(3, (7,), {x}.dtype))",
    "tf.einsum('...i,ij->j...', {x}, weight({s}, ({x}.size(-1), 4), {x}.dtype))",
    "({x} @ {x}.mT).mT",
    "tf.tensordot({x}, weight({s}, (3, {x}.size(-1)), {x}.dtype), ([-1], [1]))",
    "{x}[..., ::2] @ {x}[..., ::2].mT",
]  # fmt: skip
WINDOWS = [
    "F.max_pool1d({x}, 2)", "F.max_pool2d({x}, 2)", "F.max_pool2d({x}, 3, 2, 1)",
    "F.avg_pool1d({x}, 3, 1, 1)", "F.avg_pool2d({x}, 2)", "F.avg_pool2d({x}, 3, 2, 1)",
    "F.adaptive_avg_pool2d({x}, 2)", "F.adaptive_max_pool1d({x}, 2)",
    "F.conv1d({x}, weight({s}, (4, {x}.size(1), 3), {x}.dtype), padding=1)",
    "F.conv2d({x}, weight({s}, (4, {x}.size(1), 3, 3), {x}.dtype), padding=1)",
    "F.conv2d({x}, weight({s}, (5, {x}.size(1), 2, 2), {x}.dtype), stride=2)",
    "F.conv2d({x}, weight({s}, ({x}.size(1), 1, 3, 3), {x}.dtype), groups={x}.size(1))",
    "F.conv2d({x}, weight({s}, (6, {x}.size(1), 1, 1), {x}.dtype))",
    "F.conv2d({x}, weight({s}, (2, {x}.size(1), 2, 3), {x}.dtype), dilation=2, padding=2)",
    "F.conv_transpose2d({x}, weight({s}, ({x}.size(1), 2, 3, 3), {x}.dtype), stride=2)",
    "F.batch_norm({x}, None, None, training=True)", "F.unfold({x}, 2)", "F.pad({x}, (1, 1, 2, 0))",
    "F.interpolate({x}, scale_factor=2)", "F.group_norm({x}, 1)",
    "F.avg_pool1d({x}, 2, ceil_mode=True)",
]  # fmt: skip
"""Lines on (N, C, ...)."""
WRITES = [
    "{x}.add_({y})", "{x}.mul_({y})", "{x}.zero_()", "{x}.fill_(0.5)", "{x}.copy_({y})",
    "{x}[0] = {y}", "{x}[..., 0] = 1", "{x}[1:] += 1", "{x}[..., ::2] = {y}", "{x} += {y}",
    "{x}[{x} > 0] = 0.5", "{x}.clamp_(-1, 1)", "{x}[-1].mul_(2)", "{x}[:, 0].add_(1)",
    "{x}.neg_()", "{x}.T.add_(1)", "{x}[tf.tensor([0])] = {y}", "{x}.masked_fill_({x} < 0, 0.25)",
    "{x}.index_add_(0, tf.tensor([0, 0]), {x}[:1].expand(2, *{x}.shape[1:]).clone())",
    "{x}.transpose({d}, {e}).copy_({y})", "{x}.diagonal().zero_()", "poke({x})",
    "{x}[::2].mul_(2)", "{x}.flip({d}).add_({y})", "{x}.select({d}, -1).copy_({y})",
    "{x}.reshape(-1)[1:].zero_()", "{x}.index_fill_({d}, tf.tensor([-1]), 1)", "{x}.abs_()",
    "{x}.scatter_({d}, spots({x}, {d}), 2)", "{x}[1:] = {x}[:-1]", "{x}[:, 1:] -= {y}",
    "{x}.swapaxes({d}, {e})[0].fill_(3)", "{x}.view(-1)[::3].mul_(2)", "{x}.tril_()",
]  # fmt: skip
INEXACT_WRITES = [
    "{x}.sub_({y}.mean())", "{x}.tanh_()", "{x}.div_({x}.abs() + 2)", "{x}[0] -= {x}.mean()",
    "{x}.T.sigmoid_()", "{x}.addcmul_({y}, {y}, value=0.1)", "{x}.lerp_({y}, 0.25)",
]  # fmt: skip
LOOKS = ["look({x})", "{x}.sum().item()", "repr({x})", "flush()"]
BACKWARD = ["backward({x})", "backward(({x} * {x}).sum())", "backward({x}.float().mean())"]
SLOPES = ["slope({x}, {y})", "slope(({x} * {x}).sum(), {y})", "slope(slope({x} ** 3, {y}), {y})"]
RANDOM = [
    "tf.rand(3, 4)", "tf.randn(5)", "tf.randint(0, 5, (7,))", "tf.rand_like({x})",
    "F.dropout({x}, 0.5, True)", "tf.bernoulli(({x} > 0).float() * 0.5)", "tf.randperm(6)",
    "tf.randn_like({x})", "tf.empty(3, 2).uniform_(1, 2)", "tf.empty(4).normal_()",
]  # fmt: skip
JUMPS = (
    ">", "<", "==", "!=", "floor", "ceil", "trunc", "round", "frac", "sign", "arg", "heaviside",
    "logical", "sort", "cummax({d})[1]", "min({d})[1]", "amax')", "threshold",
)  # fmt: skip
"""What is in lines whose values jump, so that values that differ in a last digit may differ a lot
after them."""

other_sizes = {3: 5, 4: 6, 7: 9, 17: 21, 33: 40, 130: 90, 1100: 700, 2: 3, 6: 8, 9: 12}
"""What extents become where a program runs at other sizes."""
at_other_sizes = [False]


def leaf(seed: int, shape: Sequence[int], dtype: str, requires_grad: bool = False) -> Tensor:
    """A tensor of small integers, small multiples of 1/8 (with which sums stay exact), or, where
    the seed is odd, of any floats (with which the order of sums shows)."""
    rng = np.random.default_rng(seed)
    if at_other_sizes[0]:
        shape = tuple(other_sizes.get(n, n) for n in shape)
    if dtype == "bool":
        return tf.tensor(rng.integers(0, 2, shape).astype(bool))
    low = 0 if dtype == "uint8" else -9
    values = rng.integers(low, 10, shape)
    if dtype in COMPLEX:
        return tf.tensor((values + 1j * rng.integers(-9, 10, shape)).astype(dtype))
    if dtype in FLOATS:
        wide = rng.standard_normal(shape) if seed % 2 else values / 8
        made = tf.tensor(wide, dtype=getattr(tf, dtype))
        return made.requires_grad_() if requires_grad else made
    return tf.tensor(values, dtype=getattr(tf, dtype))


def weight(seed: int, shape: Sequence[int], dtype: DType) -> Tensor:
    """A tensor of small multiples of 1/8, at whatever sizes the program runs."""
    values = np.random.default_rng(seed).integers(-9, 10, shape) / 8
    return tf.tensor(values if dtype.is_inexact else values * 8).to(dtype)


def look(x: Tensor) -> np.ndarray:
    """The values of `x` now."""
    return np.array(x.detach()._held())


def poke(x: Tensor) -> None:
    """Write to `x` through the NumPy array that shares its memory."""
    array = x.detach().numpy()
    if array.flags.writeable and array.size:
        array[...] = array[...] * 0 + 1


def backward(x: Tensor) -> None:
    """Go backward from the sum of `x`."""
    x.sum().backward()


def slope(x: Tensor, y: Tensor) -> Tensor:
    """The gradient of the sum of `x` for `y`, to be used further."""
    return tf.autograd.grad(x.sum(), y, create_graph=True)[0]


def spots(x: Tensor, d: int) -> Tensor:
    """Positions along axis d of x, of x's shape, each met several times or never."""
    i = tf.arange(x.numel()).reshape(x.shape)
    return (i * 5 + 3) % x.size(d)


def part(x: Tensor, d: int) -> Tensor:
    """The first of x along axis d, doubled."""
    return x.narrow(d, 0, 1) * 2


def environment() -> dict[str, Any]:
    """The names that programs may use."""
    return {
        "tf": tf, "F": tf.nn.functional, "leaf": leaf, "look": look, "poke": poke, "part": part,
        "weight": weight, "backward": backward, "slope": slope, "spots": spots,
    "flush": engine.flush,
    }  # fmt: skip
