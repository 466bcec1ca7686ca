"""Complex tensors against NumPy and PyTorch: values, gradients, views, promotion, printing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config, engine
from twofold.gradcheck import gradcheck, gradgradcheck
from twofold.graph import node as graph
from twofold.ops.base import registry
from twofold.serialization.safetensors import load_file, save_file

RNG = np.random.default_rng(7)


def draw(*shape: int, dtype: Any = np.complex128) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh "
    "asinh acosh atanh sigmoid reciprocal square abs angle sgn neg conj real imag sum prod mean"
).split()

POINTS = np.array([0.3 + 0.4j, -2 + 0.1j, 1.5 - 3j, -0.7 - 0.2j, 4 + 5j, 1e-3 + 1e-4j])


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_functions_of_one_match_pytorch(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    values = POINTS.astype(dtype)
    x = tf.tensor(values, requires_grad=True)
    t = torch.tensor(values, requires_grad=True)
    got, expected = _called(tf, x, name), _called(torch, t, name)
    tolerance = 5e-6 if dtype == "complex64" else 1e-13
    np.testing.assert_allclose(
        got.detach().numpy(),
        expected.detach().resolve_conj().numpy(),
        rtol=tolerance,
        atol=tolerance,
    )
    weight = draw(*got.shape).astype(got.detach().numpy().dtype) if got.is_complex() else None
    if weight is None:
        got.sum().backward()
        expected.sum().backward()
    else:
        got.backward(tf.tensor(weight))
        expected.backward(torch.tensor(weight))
    np.testing.assert_allclose(
        x.grad.numpy(), t.grad.resolve_conj().numpy(), rtol=20 * tolerance, atol=20 * tolerance
    )


def _called(library: Any, x: Any, name: str) -> Any:
    return getattr(x, name) if name in ("real", "imag") else getattr(library, name)(x)


EDGES = np.array(
    [0, 1, -1, 1j, -1j, 30 + 2j, -30 - 1j, 1e-30 + 1j, 1 + 1e-8j, 1e30 + 1e30j, -1e30j, -4 + 0j]
)


@pytest.mark.parametrize("name", "exp log sqrt tanh div mul log1p expm1 asinh abs".split())
def test_extreme_values_keep_their_digits(name: str) -> None:
    """No overflow and no loss of digits on the way to a result that can be represented."""
    x = tf.tensor(EDGES)
    more = (1.0,) if name in ("div", "mul") else ()
    got = getattr(tf, name)(x, *(x + v for v in more))
    numpy_name = {"asinh": "arcsinh", "div": "divide", "mul": "multiply"}.get(name, name)
    with np.errstate(all="ignore"):
        expected = getattr(np, numpy_name)(EDGES, *(EDGES + v for v in more))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(got.numpy()[finite], expected[finite], rtol=1e-13, atol=1e-300)


SPECIAL = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan]
NUMPY_NAMES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_special_values_are_numpys(dtype: str) -> None:
    """Zeros of both signs, infinities and NaN: the values of C99, Annex G. It leaves signs open
    where the other part is NaN."""
    x = np.array([complex(a, b) for a in SPECIAL for b in SPECIAL], dtype)
    names = "exp log sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh".split()
    found = [getattr(tf, name)(tf.tensor(x)) for name in names]
    tf.eval(*found)
    for name, y in zip(names, found, strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(np, NUMPY_NAMES.get(name, name))(x)
        known = ~np.isnan(expected.real) & ~np.isnan(expected.imag)
        for part in ("real", "imag"):
            got, want = getattr(y.numpy(), part), getattr(expected, part)
            np.testing.assert_allclose(np.abs(got), np.abs(want), rtol=5e-6, err_msg=name)
            np.testing.assert_array_equal(
                np.signbit(got)[known], np.signbit(want)[known], err_msg=name
            )


def test_expm1_of_special_values() -> None:
    """The array API standard's; NumPy has NaN."""
    inf, nan = np.inf, np.nan
    x = [complex(*v) for v in ((inf, 0), (inf, inf), (-inf, inf), (-inf, nan), (nan, 0))]
    expected = [complex(*v) for v in ((inf, 0), (inf, nan), (-1, 0), (-1, 0), (nan, 0))]
    np.testing.assert_array_equal(tf.tensor(x).expm1().numpy(), expected)
    with config.override(backend="reference"):
        np.testing.assert_array_equal(tf.tensor(x).expm1().numpy(), expected)
        assert tf.tensor(complex(np.inf, 0)).expm1().item() == complex(np.inf, 0)


BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "matmul": lambda a, b: a @ b,
    "scaled": lambda a, b: (2 - 3j) * a + b * 0.5,
    "conj": lambda a, b: a * b.conj() + a.abs() * b.angle(),
}


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_have_right_gradients(name: str) -> None:
    a = tf.tensor(draw(3, 3), requires_grad=True)
    b = tf.tensor(draw(3, 3), requires_grad=True)
    f = BINARY[name]
    expected = f(*(x.detach().numpy() for x in (a, b))) if name != "conj" else None
    if expected is not None:
        np.testing.assert_allclose(f(a, b).detach().numpy(), expected, rtol=1e-11)
    assert gradcheck(f, (a, b))
    assert gradgradcheck(f, (a, b))


MORE: dict[str, Callable[..., Any]] = {
    "cumsum": lambda x: x.cumsum(0),
    "cumprod": lambda x: x.cumprod(1),
    "prod": lambda x: x.prod(0),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(),
    "norm": lambda x: x.norm(),
    "norm1": lambda x: x.norm(1, 0),
    "index": lambda x: x[[2, 0, 0], 1:],
    "gather": lambda x: x.gather(1, tf.tensor([[0, 1], [3, 3], [2, 0]])),
    "scatter": lambda x: tf.zeros(3, 4, dtype=x.dtype).scatter_add(
        1, tf.tensor([[0, 1, 1, 0]] * 3), x
    ),
    "where": lambda x: tf.where(tf.tensor([True, False, True, False]), x, x * x),
    "cat": lambda x: tf.cat([x, x.conj()], 1),
    "stack": lambda x: tf.stack([x, 1j * x]).flip(0),
    "flat": lambda x: x.T.reshape(6, 2).exp(),
    "real": lambda x: tf.view_as_real(x).pow(2).sum(-1),
    "polar": lambda x: tf.polar(x.abs(), x.angle() * 2),
    "masked": lambda x: x.masked_fill(tf.tensor([True, False, False, True]), 1 - 2j),
    "outer": lambda x: tf.einsum("ij,kj->ik", x, x.conj()),
    "pad": lambda x: tf.nn.functional.pad(x, (1, 2)),
    "to_complex": lambda x: x.real.to(tf.complex128) * x,
}


@pytest.mark.parametrize("name", MORE)
def test_gradients_of_movement_and_reductions(name: str) -> None:
    x = tf.tensor(draw(3, 4), requires_grad=True)
    assert gradcheck(MORE[name], (x,))


PLAIN = "cumsum cumprod prod var std norm norm1 index flat".split()


@pytest.mark.parametrize("name", PLAIN)
def test_movement_and_reductions_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    values = draw(3, 4)
    got, expected = (MORE[name](lib.tensor(values)) for lib in (tf, torch))
    np.testing.assert_allclose(got.numpy(), expected.resolve_conj().numpy(), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_promotion_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    names = "bool uint8 int64 float16 float32 float64 complex64 complex128".split()
    for a in names:
        for b in names:
            for shape_a, shape_b in (((2,), (2,)), ((2,), ()), ((), (2,))):
                pair = [
                    (
                        lib.ones(shape_a, dtype=getattr(lib, a)),
                        lib.ones(shape_b, dtype=getattr(lib, b)),
                    )
                    for lib in (tf, torch)
                ]
                got, expected = (str((x * y).dtype).split(".")[1] for x, y in pair)
                if expected == "complex32":  # which Twofold has not
                    expected = "complex64"
                assert got == expected, (a, b, shape_a, shape_b)
        for number in (2j, 1.5, 3):
            got, expected = (
                str((lib.ones(2, dtype=getattr(lib, a)) * number).dtype).split(".")[1]
                for lib in (tf, torch)
            )
            assert got == ("complex64" if expected == "complex32" else expected), (a, number)


def test_views_share_memory() -> None:
    """Parts and pairs are windows: what is written to one is seen in the other."""
    z = tf.tensor([1 + 2j, 3 - 4j])
    z.real[0] = 10
    z.imag.mul_(2)
    assert z.tolist() == [10 + 4j, 3 - 8j]
    pairs = tf.view_as_real(z)
    pairs[1] = tf.tensor([7.0, 8.0])
    assert z.tolist() == [10 + 4j, 7 + 8j]
    assert pairs.stride() == (2, 1) and z.imag.storage_offset() == 1
    x = tf.zeros(2, 2)
    tf.view_as_complex(x)[0] = 3j
    assert x.tolist() == [[0, 3], [0, 0]]
    z.real = tf.tensor([0.0, 1.0])
    assert z.tolist() == [4j, 1 + 8j]
    z[0] += 1
    z *= 1j
    assert z.tolist() == [-4 + 1j, -8 + 1j]
    array = z.numpy()
    array[0] = 5
    assert z[0].item() == 5
    shared = np.array([1j, 2])
    t = tf.from_numpy(shared)
    t.mul_(2)
    assert shared.tolist() == [2j, 4]
    np.testing.assert_array_equal(t.imag.numpy(), [2, 0])


def test_conversions_and_files() -> None:
    z = tf.tensor([1 + 2j, 0, 1j], dtype=tf.complex128)
    assert z.to(tf.bool).tolist() == [True, False, True]
    assert z.to(tf.float32).tolist() == [1, 0, 0]
    assert (z == tf.tensor([1 + 2j, 0, 2j])).tolist() == [True, True, False]
    assert (z != 0).tolist() == [True, False, True]
    assert z.isfinite().all() and not z.isnan().any()
    assert pickle.loads(pickle.dumps(z)).tolist() == z.tolist()
    assert copy.deepcopy(z).dtype is tf.complex128
    assert z[0].item() == 1 + 2j and complex(z[0]) == 1 + 2j
    assert tf.tensor([1j]).dtype is tf.complex64
    assert tf.zeros(2, dtype=tf.complex64).tolist() == [0, 0]
    assert tf.full((1,), 2j).tolist() == [2j]
    assert tf.is_complex(z) and not z.is_floating_point()


def test_what_is_not_defined_says_so() -> None:
    z = tf.tensor([1 + 2j])
    with pytest.raises(RuntimeError, match="complex64"):
        z < z  # noqa: B015
    with pytest.raises(RuntimeError, match="complex64"):
        z.max()
    with pytest.raises(RuntimeError, match="can't be cast"):
        tf.ones(1).mul_(z)
    with pytest.raises(RuntimeError, match="non-complex"):
        tf.ones(1).imag  # noqa: B018


def test_a_training_step_with_complex_parameters_is_captured() -> None:
    target = tf.tensor(draw(8, 4, dtype=np.complex64))
    data = tf.tensor(draw(8, 3, dtype=np.complex64))
    w = tf.tensor(draw(3, 4, dtype=np.complex64), requires_grad=True)

    def step(x: Any, y: Any) -> Any:
        loss = (x @ w - y).abs().pow(2).mean()
        loss.backward()
        with tf.no_grad():
            w.sub_(0.2 * w.grad)
            w.grad = None
        return loss

    compiled = tf.compile(step)
    losses = [compiled(data, target).item() for _ in range(200)]
    best = np.linalg.lstsq(data.numpy(), target.numpy(), rcond=None)[0]
    np.testing.assert_allclose(w.detach().numpy(), best, atol=2e-3)
    assert losses[-1] < losses[0]


def test_native_and_reference_agree() -> None:
    x = draw(5, 6, dtype=np.complex64)

    def run() -> list[np.ndarray]:
        z = tf.tensor(x)
        parts = [z.exp(), z @ z.T, z.sum(0), z.cumprod(0), z.prod(1), (z * 2j).conj(), z.tan()]
        return [p.numpy().copy() for p in parts]

    native = run()
    with config.override(backend="reference"):
        reference = run()
    for a, b in zip(native, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_printing_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for values in (
        [1 + 2j, 3 - 4j], [1.5 + 2j, -0.5 + 0.25j], [1e5 + 1j, 3 - 4e-3j], [[1 + 2j, 3], [0, 1j]],
        1 + 2.5j, [complex("nan+1j"), 1],
    ):  # fmt: skip
        assert repr(tf.tensor(values)) == repr(torch.tensor(values))


@pytest.mark.parametrize("name", ["real", "imag", "conj", "as_real", "as_complex", "complex"])
def test_batching_rules(name: str) -> None:
    """A batch of values gives what each gives alone."""
    op = registry[name]
    shape = (3, 4, 2)
    real = name in ("as_complex", "complex")
    arrays = [RNG.standard_normal(shape) if real else draw(*shape)] * (1 + (name == "complex"))
    nodes = [engine.from_numpy(a) for a in arrays]
    whole = engine.to_numpy(op.batch(nodes, [True] * len(nodes), (), 3))
    for k in range(3):
        alone = [engine.from_numpy(a[k]) for a in arrays]
        np.testing.assert_array_equal(whole[k], engine.to_numpy(graph.make(op, tuple(alone))))


def test_random_numbers_have_both_parts() -> None:
    tf.manual_seed(0)
    z = tf.randn(4000, dtype=tf.complex128)
    assert (
        abs(z.abs().pow(2).mean().item() - 1) < 0.06 and abs(z.real.std().item() ** 2 - 0.5) < 0.05
    )
    u = tf.rand(100, dtype=tf.complex64)
    assert u.real.min().item() >= 0 and u.imag.max().item() < 1
    w = tf.nn.Linear(3, 2, dtype=tf.complex64)
    assert w(tf.ones(1, 3, dtype=tf.complex64)).dtype is tf.complex64
    assert w.weight.imag.abs().max().item() > 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_optimizers_update_both_parts(name: str) -> None:
    torch = pytest.importorskip("torch")
    start = np.array([1 + 2j, -0.5j])
    found = []
    for lib in (tf, torch):
        w = lib.tensor(start, requires_grad=True)
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(lib.optim, name)([w], lr=0.1, **options)
        for _ in range(4):
            optimizer.zero_grad()
            ((w - 1j).abs() ** 2).sum().backward()
            optimizer.step()
        found.append(w.detach().numpy())
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_backward_of_a_complex_number_needs_a_gradient() -> None:
    z = tf.tensor([1j], requires_grad=True)
    with pytest.raises(RuntimeError, match="real scalar outputs but got ComplexFloat"):
        z.sum().backward()


def test_safetensors_hold_complex_numbers(tmp_path: Any) -> None:
    save_file({"z": tf.tensor([1 + 2j])}, tmp_path / "z.safetensors")
    assert load_file(tmp_path / "z.safetensors")["z"].tolist() == [1 + 2j]
    with pytest.raises(TypeError, match="complex128"):
        save_file({"z": tf.tensor([1j], dtype=tf.complex128)}, tmp_path / "w.safetensors")


def test_products_of_complex_values_seen_as_pairs() -> None:
    """The memory of a value that is there is read through both a reshape and a view of pairs."""
    z = np.arange(6).reshape(2, 3) * (1 - 2j)
    w = np.arange(10.0).reshape(2, 5)
    x = tf.tensor(z) * 2
    x.tolist()
    pairs = np.stack([2 * z.real, 2 * z.imag], -1)
    assert ((tf.view_as_real(x) @ tf.tensor(w)).numpy() == pairs @ w).all()
