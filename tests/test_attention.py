"""Attention by one kernel: against float64 and PyTorch, with masks, odd sizes and shared heads;
gradients of two orders; the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
import twofold.nn.functional as F
from twofold import config
from twofold.graph.node import make
from twofold.graph.types import Type
from twofold.ops.attention import ATTENTION, ATTENTION_GRADIENTS
from twofold.ops.base import Op
from twofold.tensor import Tensor, wrap

torch = pytest.importorskip("torch")

CASES = {
    "one tile": ((1, 1, 12, 12, 64, 64), "none", False, 1),
    "several blocks": ((2, 3, 140, 290, 64, 64), "none", False, 3),
    "causal": ((1, 2, 260, 260, 64, 64), "none", True, 2),
    "causal, fewer keys": ((1, 2, 300, 157, 17, 33), "none", True, 2),
    "causal, more keys": ((2, 1, 33, 435, 40, 24), "none", True, 1),
    "narrow": ((1, 2, 33, 35, 5, 1), "none", True, 2),
    "shared heads": ((2, 8, 70, 70, 16, 16), "none", True, 2),
    "which keys": ((2, 3, 100, 130, 64, 64), "bool", False, 3),
    "padding": ((2, 3, 100, 130, 64, 20), "padding", False, 3),
    "added": ((2, 3, 100, 130, 32, 64), "added", False, 3),
    "added to all": ((2, 3, 50, 70, 32, 64), "added to all", False, 1),
}


def _mask(kind: str, sizes: tuple[int, ...], rng: np.random.Generator) -> np.ndarray | None:
    b, h, length, s, *_ = sizes
    if kind == "bool":
        mask = rng.random((length, s)) > 0.3
        mask[3] = False  # a query that sees nothing
        return mask
    if kind == "padding":
        return np.arange(s) < rng.integers(1, s + 1, (b, 1, 1, 1))
    if kind == "added":
        return rng.standard_normal((b, h, length, s))
    return rng.standard_normal((length, s)) if kind == "added to all" else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_pytorch(case: str, dtype: type) -> None:
    """Against PyTorch in float64."""
    sizes, kind, causal, groups = CASES[case]
    b, h, length, s, e, v = sizes
    rng = np.random.default_rng(len(case))
    shapes = [(b, h, length, e), (b, groups, s, e), (b, groups, s, v), (b, h, length, v)]
    *given, g = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    mask = _mask(kind, sizes, rng)
    if mask is not None and mask.dtype != bool:
        mask = mask.astype(dtype)
    theirs = [torch.tensor(x.astype(np.float64), requires_grad=True) for x in given]
    wide = mask if mask is None or mask.dtype == bool else mask.astype(np.float64)
    options = {"is_causal": causal, "enable_gqa": groups != h}
    y = torch.nn.functional.scaled_dot_product_attention(
        *theirs, attn_mask=None if wide is None else torch.tensor(wide), **options
    )
    y.backward(torch.tensor(g.astype(np.float64)))
    ours = [tf.tensor(x, requires_grad=True) for x in given]
    z = F.scaled_dot_product_attention(
        *ours, attn_mask=None if mask is None else tf.tensor(mask), **options
    )
    z.backward(tf.tensor(g))
    tolerance = 40 * np.finfo(dtype).eps
    for mine, other in [(z, y), *((a.grad, b.grad) for a, b in zip(ours, theirs))]:
        expected = other.detach().numpy()
        error = np.abs(mine.detach().numpy() - expected).max()
        assert error <= tolerance * max(1, np.abs(expected).max())


def test_it_is_one_kernel_whose_memory_grows_with_the_length() -> None:
    """No product is left, and no array has length x length elements."""
    q, k, v = (tf.randn(1, 2, 1024, 16).requires_grad_() for _ in range(3))

    def step() -> tuple[Tensor, ...]:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return tf.autograd.grad(y.sum(), [q, k, v])

    (program,) = tf.explain(step, show=False).programs
    labels = [kernel.label for kernel in program.kernels]
    assert "attention" in labels and "attention_gradients" in labels
    assert not any("matmul" in label for label in labels)
    assert program.arena_bytes < 1024 * 1024 * 4


def test_threads_change_no_bit() -> None:
    """Blocks follow from the shapes alone."""
    found = []
    for threads in (1, 2):
        with config.override(threads=threads):
            tf.manual_seed(0)
            q, k, v = (tf.randn(2, 3, 150, 24).requires_grad_() for _ in range(3))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            (y * y).sum().backward()
            found.append([x.numpy().tobytes() for x in (y.detach(), q.grad, k.grad, v.grad)])
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["none", "bool", "added to all"])
def test_gradients_of_two_orders(kind: str) -> None:
    """By differences, in float64."""
    rng = np.random.default_rng(3)
    mask = _mask(kind, (1, 4, 9, 6), rng)
    mask = None if mask is None else tf.tensor(mask)
    inputs = [
        tf.tensor(rng.standard_normal(shape), requires_grad=True)
        for shape in [(1, 4, 9, 3), (1, 2, 6, 3), (1, 2, 6, 2)]
    ]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )

    assert tf.autograd.gradcheck(attend, inputs)
    assert tf.autograd.gradgradcheck(attend, inputs)


@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_kernels_agree_with_their_references(masked: bool, drop: float) -> None:
    """Also the sums of exponents, which nothing but the gradients reads, and what is dropped."""
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal(s) for s in [(2, 4, 139, 6), (2, 2, 223, 6), (2, 2, 223, 5)])
    more = [rng.random((1, 4, 223, 139)) > 0.4] if masked else []
    more += [np.array(-7), np.array(12345)] if drop else []
    attrs = (0.3, not masked, drop)

    def both(op: Op, arrays: list[np.ndarray]) -> np.ndarray:
        types = [Type(x.shape, tf.tensor(x).dtype) for x in arrays]
        node = make(op, tuple(tf.tensor(x)._node() for x in arrays), attrs)
        expected = op.reference(arrays, types, attrs, node.type)
        np.testing.assert_allclose(wrap(node).numpy(), expected, rtol=1e-12, atol=1e-12)
        return expected

    flat = both(ATTENTION, [q, k, v, *more])
    n = 2 * 139 * 4 * 5
    y, sums = flat[:n].reshape(2, 139, 4, 5), flat[n:]
    g = rng.standard_normal((2, 4, 139, 5))
    rows = (g * y.transpose(0, 2, 1, 3)).sum(-1)
    both(ATTENTION_GRADIENTS, [q, k, v, g, sums.reshape(2, 4, 139), rows, *more])


def test_dropout_keeps_the_mean_and_differs_from_call_to_call() -> None:
    """A share p of the weights is 0, the others are larger; both directions drop the same."""
    q, k = tf.zeros(1, 2, 64, 4), tf.zeros(1, 2, 64, 4)
    v = tf.eye(64).expand(1, 2, 64, 64)

    def weights() -> np.ndarray:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy()

    tf.manual_seed(3)
    first, second = weights(), weights()
    assert set(np.unique(first).round(6)) == {0, np.float32(1 / 64 / 0.75).round(6)}
    assert abs((first == 0).mean() - 0.25) < 0.02 and (first != second).mean() > 0.3
    tf.manual_seed(3)
    np.testing.assert_array_equal(weights(), first)


def test_gradients_with_dropout() -> None:
    """Of two orders, by differences, the same weights being dropped each time."""
    rng = np.random.default_rng(5)
    inputs = [tf.tensor(rng.standard_normal((1, 2, 6, 3)), requires_grad=True) for _ in range(3)]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tf.manual_seed(1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.4)

    assert tf.autograd.gradcheck(attend, inputs)
    assert tf.autograd.gradgradcheck(attend, inputs)


def test_each_step_of_a_loop_drops_its_own() -> None:
    """And the loop's gradient the same as its steps did."""
    x = tf.randn(3, 1, 1, 8, 4, dtype=tf.float64).requires_grad_()
    eye = tf.eye(8, dtype=tf.float64).reshape(1, 1, 8, 8)

    def step(carry: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        y = F.scaled_dot_product_attention(x, x, eye, dropout_p=0.5)
        return carry + y, y

    tf.manual_seed(5)
    carry, ys = tf.scan(step, tf.zeros(1, 1, 8, 8, dtype=tf.float64), x)
    np.testing.assert_allclose(carry.detach().numpy(), ys.sum(0).detach().numpy(), rtol=1e-12)
    dropped = (ys == 0).reshape(3, -1).numpy()
    assert 0.3 < dropped.mean() < 0.7 and (dropped[0] != dropped[1]).any()


def test_batches_of_batches() -> None:
    """vmap, with and without a batch of keys, and a mask for all."""
    q, k, v = tf.randn(3, 2, 2, 9, 4), tf.randn(2, 2, 11, 4), tf.randn(3, 2, 2, 11, 4)
    mask = tf.rand(1, 1, 9, 11) > 0.2
    y = tf.vmap(lambda q, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))(q, v)
    for i in range(3):
        one = F.scaled_dot_product_attention(q[i], k, v[i], attn_mask=mask)
        np.testing.assert_allclose(y[i].numpy(), one.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 4), (3, 9, 4), (2, 1, 3, 9, 4)])
def test_any_number_of_leading_axes(shape: tuple[int, ...]) -> None:
    """None, one, and more than two."""
    q, k, v = (tf.randn(*shape) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v)
    weights = (q @ k.transpose(-2, -1) / 2).softmax(-1)
    np.testing.assert_allclose(y.numpy(), (weights @ v).numpy(), rtol=1e-5, atol=1e-6)


def test_heads_within_rows_are_read_where_they_lie() -> None:
    """q, k and v of one product, as transformers have them, of a size that is a power of two."""
    x = tf.randn(2, 40, 3 * 1024).requires_grad_()

    def attend(x: Tensor) -> Tensor:
        q, k, v = (t.reshape(2, 40, 16, 64).transpose(1, 2) for t in x.split(1024, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    y = attend(x)
    y.transpose(1, 2).reshape(2, 40, 1024).square().sum().backward()
    wide = x.detach().double().requires_grad_()
    attend(wide).square().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), wide.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_narrow_floats_are_computed_wide() -> None:
    """bfloat16 differs from float32 by its rounding alone."""
    q, k, v = (tf.randn(1, 2, 20, 8).bfloat16() for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v)
    wide = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
    assert y.dtype is tf.bfloat16
    np.testing.assert_array_equal(y.float().numpy(), wide.bfloat16().float().numpy())


def test_shapes_that_do_not_fit_are_refused() -> None:
    """At the line that made them."""
    q, k = tf.randn(1, 4, 9, 3)._node(), tf.randn(1, 3, 9, 3)._node()
    with pytest.raises(RuntimeError, match="a multiple of G"):
        make(ATTENTION, (q, k, k), (1.0, False, 0.0))
    with pytest.raises(RuntimeError, match="broadcast to"):
        make(ATTENTION, (q, q, q, tf.ones(1, 4, 8, 9)._node()), (1.0, False, 0.0))
    half = tf.randn(1, 4, 9, 3).half()._node()
    with pytest.raises(RuntimeError, match="float32 and float64"):
        make(ATTENTION, (half, half, half), (1.0, False, 0.0))
