"""Products with weights in strips of 32 columns: float32, and 8 and 4 bits in blocks."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.nn.modules.packed import in_blocks

RNG = np.random.default_rng(0)
KINDS = ("float", "signed", "bytes", "halves", "centred halves")


def blocks_of(kind: str, n: int, k: int, block: int) -> tuple[int, list]:
    """(bits, codes, scales, least values) at random."""
    shape = (n, k // block, block)
    scales = RNG.random(shape[:2]).astype(np.float16).astype(np.float32) / 16
    least = RNG.standard_normal(shape[:2]).astype(np.float16).astype(np.float32)
    bits, low, high = {
        "signed": (8, -128, 128), "bytes": (8, 0, 256), "halves": (4, 0, 16),
        "centred halves": (4, -8, 8),
    }[kind]  # fmt: skip
    codes = RNG.integers(low, high, shape).astype(np.int8 if low else np.uint8)
    return bits, [codes, scales, None if low else least]


def layer_of(kind: str, n: int, k: int, block: int = 32) -> tuple[tf.nn.PackedLinear, np.ndarray]:
    """A layer and its weights as float64."""
    if kind == "float":
        w = RNG.standard_normal((n, k)).astype(np.float32)
        return tf.nn.PackedLinear.from_array(w), w.astype(np.float64)
    bits, (codes, scales, least) = blocks_of(kind, n, k, block)
    w = codes.astype(np.float64) * scales[..., None] + (0 if least is None else least[..., None])
    return tf.nn.PackedLinear.from_blocks(bits, codes, scales, least), w.reshape(n, k)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m, k, n", [(1, 64, 32), (1, 576, 100), (3, 96, 31), (9, 64, 65)])
def test_values_and_gradient(kind: str, m: int, k: int, n: int) -> None:
    layer, w = layer_of(kind, n, k)
    x = tf.randn(m, k, requires_grad=True)
    y = layer(x)
    wide = x.detach().numpy().astype(np.float64)
    np.testing.assert_allclose(y.detach().numpy(), wide @ w.T, atol=2e-6 * k * abs(w).max())
    y.sum().backward()
    expected = np.broadcast_to(w.sum(0), (m, k))
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=2e-6 * n * abs(w).max())


@pytest.mark.parametrize("kind", KINDS[1:])
def test_blocks_of_sixteen(kind: str) -> None:
    layer, w = layer_of(kind, 40, 96, 16)
    x = tf.randn(2, 96)
    expected = x.numpy().astype(np.float64) @ w.T
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-4 * abs(w).max())


@pytest.mark.parametrize("m", [1, 5])
def test_floats_have_any_number_of_steps(m: int) -> None:
    layer, w = layer_of("float", 5, 7)
    x = tf.randn(m, 7)
    np.testing.assert_allclose(layer(x).numpy(), x.numpy() @ w.T, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_rows_and_threads(kind: str) -> None:
    layer, _ = layer_of(kind, 200, 64)
    x = tf.randn(9, 64)
    whole = layer(x).numpy()
    with config.override(threads=1):
        np.testing.assert_array_equal(layer(x).numpy(), whole)
    for i in range(9):
        np.testing.assert_array_equal(layer(x[i : i + 1]).numpy()[0], whole[i])


@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind: str) -> None:
    layer, w = layer_of(kind, 70, 64)
    table = tf.nn.PackedEmbedding.sharing(layer)
    numbers = tf.tensor([[0, 69], [33, 31]])
    np.testing.assert_allclose(table(numbers).numpy(), w[numbers.numpy()], rtol=1e-6)
    with pytest.raises(IndexError):
        table(tf.tensor([70])).numpy()


@pytest.mark.parametrize("size", [1, 1e5, 1e-3, 1e-7])
@pytest.mark.parametrize("bits", [8, 4])
def test_no_weight_is_off_by_more_than_half_a_step(bits: int, size: float) -> None:
    """Also where float16 cannot hold the scales."""
    w = (RNG.standard_normal((20, 128)) * size).astype(np.float32)
    w[3] = 1.5 * size
    w[4] = 0
    codes, scales, least = in_blocks(w, bits)
    assert scales.dtype == least.dtype
    assert size != 1 or scales.dtype == np.float16
    back = codes * scales[..., None].astype(np.float64) + least[..., None]
    parts = w.reshape(back.shape)
    steps = np.ptp(parts.astype(np.float64), -1) / (2**bits - 1)
    off = np.abs(back - parts).max(-1)
    assert (off <= steps / 2 + 2.0**-9 * np.abs(parts).max(-1)).all()
    x = tf.randn(3, 128)
    y = tf.nn.PackedLinear.from_array(w, bits)(x)
    expected = x.numpy().astype(np.float64) @ back.reshape(w.shape).T
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-4 * size)


def test_batches_and_saving() -> None:
    layer, _ = layer_of("halves", 40, 64)
    x = tf.randn(3, 2, 64)
    np.testing.assert_array_equal(tf.vmap(layer)(x).numpy(), layer(x).numpy())
    other = tf.nn.PackedLinear.from_linear(tf.nn.Linear(64, 40, bias=False), bits=4)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other(x).numpy(), layer(x).numpy())
    assert layer.codes.nbytes == 64 * 64 // 2  # two strips of 32 columns


def test_a_bias_is_added() -> None:
    linear = tf.nn.Linear(64, 40)
    x = tf.randn(3, 64)
    packed = tf.nn.PackedLinear.from_linear(linear)
    np.testing.assert_allclose(packed(x).detach().numpy(), linear(x).detach().numpy(), atol=1e-5)


def test_refused() -> None:
    with pytest.raises(ValueError, match="whole blocks of 32"):
        tf.nn.PackedLinear.from_array(np.zeros((4, 40), np.float32), bits=4)
    layer, _ = layer_of("halves", 40, 64)
    with pytest.raises(RuntimeError, match="block_product"):
        layer(tf.zeros(2, 65))
    with pytest.raises(RuntimeError, match="at least one axis"):
        layer(tf.zeros(()))
