"""Linear algebra: NumPy's functions as steps of a plan, against PyTorch, with both gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.gradcheck import gradcheck, gradgradcheck
from twofold.ops.custom import replace
from twofold.tensor import wrap

RNG = np.random.default_rng(3)


def draw(*shape: int, dtype: str = "float64") -> np.ndarray:
    x = RNG.standard_normal(shape)
    return (x + 1j * RNG.standard_normal(shape) if "complex" in dtype else x).astype(dtype)


def positive(n: int, dtype: str) -> np.ndarray:
    x = draw(2, n, n, dtype=dtype)
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(n, dtype=dtype)


CASES: dict[str, Callable[[Any, Any], Any]] = {
    "inv": lambda lib, a: lib.linalg.inv(a),
    "det": lambda lib, a: lib.det(a),
    "slogdet": lambda lib, a: lib.slogdet(a),
    "solve": lambda lib, a: lib.linalg.solve(a, a[..., :2] * 2),
    "solve_vector": lambda lib, a: lib.linalg.solve(a, a[..., 0] + 1),
    "solve_right": lambda lib, a: lib.linalg.solve(a, a * 2 + 1, left=False),
    "solve_triangular": lambda lib, a: lib.linalg.solve_triangular(a, a[..., :2], upper=True),
    "unitriangular": lambda lib, a: lib.linalg.solve_triangular(
        a, a + 1, upper=False, left=False, unitriangular=True
    ),
    "lu": lambda lib, a: lib.linalg.lu(a)[1:],
    "lu_factor": lambda lib, a: lib.linalg.lu_factor(a)[0],
    "lu_solve": lambda lib, a: lib.linalg.lu_solve(*lib.linalg.lu_factor(a), a + 1),
    "svdvals": lambda lib, a: lib.linalg.svdvals(a),
    "pinv": lambda lib, a: lib.linalg.pinv(a[..., :2]),
    "qr": lambda lib, a: lib.linalg.qr(a)[1].abs(),
    "qr_tall": lambda lib, a: lib.linalg.qr(a[..., :2]),
    "matrix_exp": lambda lib, a: lib.linalg.matrix_exp(a),
    "matrix_power": lambda lib, a: lib.linalg.matrix_power(a, -2),
    "multi_dot": lambda lib, a: lib.linalg.multi_dot([a[0], a[1][:, :1], a[0][:1]]),
    "norm_nuc": lambda lib, a: lib.linalg.matrix_norm(a, "nuc"),
    "norm_nuc_old": lambda lib, a: lib.norm(a, "nuc", (0, 2), True),
    "norm_2": lambda lib, a: lib.linalg.matrix_norm(a, 2),
    "norm_1": lambda lib, a: lib.linalg.norm(a, 1, (0, 2), True),
    "norm_inf": lambda lib, a: lib.linalg.matrix_norm(a, -float("inf")),
    "vector_norm": lambda lib, a: lib.linalg.vector_norm(a, 3, dim=(0, 1)),
    "cond": lambda lib, a: lib.linalg.cond(a),
    "vander": lambda lib, a: lib.linalg.vander(a),
    "vecdot": lambda lib, a: lib.linalg.vecdot(a, a + 1),
    "householder": lambda lib, a: lib.linalg.householder_product(a, a[:, 0] / 3),
    "lstsq": lambda lib, a: lib.linalg.lstsq(a, a + 1).solution,
}
CASES["lstsq_tall"] = lambda lib, a: lib.linalg.lstsq(a[..., :2].clone(), a[..., 2:]).solution
HERMITIAN: dict[str, Callable[[Any, Any], Any]] = {
    "cholesky": lambda lib, a: lib.linalg.cholesky(a),
    "cholesky_upper": lambda lib, a: lib.linalg.cholesky(a, upper=True),
    "cholesky_solve": lambda lib, a: lib.cholesky_solve(a[..., :2], lib.linalg.cholesky(a)),
    "cholesky_inverse": lambda lib, a: lib.cholesky_inverse(lib.linalg.cholesky(a)),
    "eigvalsh": lambda lib, a: lib.linalg.eigvalsh(a),
    "eigh": lambda lib, a: lib.linalg.eigh(a)[1].abs(),
    "logdet": lambda lib, a: lib.logdet(a).real,
}


def _tuple(x: Any) -> tuple[Any, ...]:
    return (x,) if hasattr(x, "detach") else tuple(x)


def _check(f: Callable[[Any, Any], Any], values: np.ndarray, hermitian: bool) -> None:
    torch = pytest.importorskip("torch")
    x, t = tf.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    ours, theirs = ((v + v.mH) / 2 if hermitian else v for v in (x, t))
    got, expected = _tuple(f(tf, ours)), _tuple(f(torch, theirs))
    assert len(got) == len(expected)
    loss, peer = 0, 0
    for a, b in zip(got, expected, strict=True):
        assert str(a.dtype).split(".")[1] == str(b.dtype).split(".")[1]
        np.testing.assert_allclose(
            a.detach().numpy(), b.detach().resolve_conj().numpy(), rtol=1e-9, atol=1e-9
        )
        loss, peer = loss + (a.abs() * (1 + a.real)).sum(), peer + (b.abs() * (1 + b.real)).sum()
    loss.backward()
    peer.backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.resolve_conj().numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_match_pytorch(name: str, dtype: str) -> None:
    _check(CASES[name], draw(2, 3, 3, dtype=dtype), False)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", HERMITIAN)
def test_hermitian_functions_match_pytorch(name: str, dtype: str) -> None:
    _check(HERMITIAN[name], positive(3, dtype), True)


SECOND = {
    "inv": lambda a: tf.linalg.inv(a),
    "svd": lambda a: tf.linalg.svd(a[:, :2], full_matrices=False)[1],
    "qr": lambda a: tf.linalg.qr(a[:2]),
    "lu": lambda a: tf.linalg.lu_factor(a[:, :2])[0],
    "cholesky": lambda a: tf.linalg.cholesky(a @ a.mH + tf.eye(3, dtype=a.dtype)),
    "matrix_exp": lambda a: tf.linalg.matrix_exp(a),
    "pinv": lambda a: tf.linalg.pinv(a[:2]),
    "eig": lambda a: tf.linalg.eigvals(a).abs(),
    "slogdet": lambda a: tf.slogdet(a).logabsdet,
}


@pytest.mark.parametrize("name", SECOND)
def test_second_gradients(name: str) -> None:
    dtype = "complex128" if name in ("qr", "cholesky", "svd") else "float64"
    x = tf.tensor(draw(3, 3, dtype=dtype), requires_grad=True)
    assert gradcheck(SECOND[name], (x,)) and gradgradcheck(SECOND[name], (x,))


def test_eigenvalues_and_vectors() -> None:
    a = tf.tensor(draw(4, 5, 5))
    w, v = tf.linalg.eig(a)
    residual = a.to(tf.complex128) @ v - v * w.unsqueeze(-2)
    assert residual.abs().max().item() < 1e-12
    u, s, h = tf.linalg.svd(a[:, :3])
    assert u.shape == (4, 3, 3) and h.shape == (4, 5, 5)
    assert ((u * s.unsqueeze(-2)) @ h[:, :3] - a[:, :3]).abs().max().item() < 1e-12
    p, lower, upper = tf.linalg.lu(a)
    assert (p @ lower @ upper - a).abs().max().item() < 1e-12


def test_a_call_is_a_step_of_the_plan() -> None:
    """Kernels around it stay kernels; the report shows it; a captured step repeats it."""
    a = tf.tensor(positive(6, "float64"))
    text = str(tf.explain(lambda: tf.linalg.inv(a + 1) * 2))
    assert "call inv" in text and "of 3 kernels" in text

    @tf.compile
    def step(x: Any) -> Any:
        return tf.linalg.cholesky(x + 1).sum()

    for k in range(4):
        x = positive(4, "float64") + k
        lower = np.linalg.cholesky(x + 1)
        np.testing.assert_allclose(step(tf.tensor(x)).item(), lower.sum(), rtol=1e-12)


def test_errors_name_the_rule_and_the_line() -> None:
    singular = tf.tensor([[[1.0, 0], [0, 1]], [[1.0, 2.0], [2.0, 4.0]]])
    for f in (tf.linalg.inv, lambda x: tf.linalg.solve(x, x), tf.linalg.cholesky):
        y = f(singular)
        with pytest.raises(tf.linalg.LinAlgError, match=r"Batch element 1.*test_linalg.py"):
            y.tolist()
    assert issubclass(tf.linalg.LinAlgError, Exception)
    assert tf.linalg.inv_ex(singular).info.tolist() == [0, 1]
    assert tf.linalg.cholesky_ex(singular).info.tolist() == [0, 2]
    assert tf.linalg.solve_ex(singular, singular).info.tolist() == [0, 1]
    with pytest.raises(RuntimeError, match="square"):
        tf.linalg.inv(tf.ones(2, 3))
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        tf.linalg.det(tf.ones(2))
    with pytest.raises(RuntimeError, match="floating point or complex"):
        tf.linalg.inv(tf.ones(2, 2, dtype=tf.int64))
    with pytest.raises(RuntimeError, match="Low precision"):
        tf.linalg.inv(tf.eye(2).half())
    # After an error all goes on.
    assert tf.linalg.inv(tf.eye(2) * 2).tolist() == [[0.5, 0], [0, 0.5]]


def test_reference_backend_agrees_and_raises() -> None:
    a = tf.tensor(draw(3, 3))
    native = tf.linalg.qr(a).Q.tolist()
    with config.override(backend="reference"):
        assert tf.linalg.qr(a * 1).Q.tolist() == native
        with pytest.raises(tf.linalg.LinAlgError):
            tf.linalg.inv(tf.zeros(2, 2)).tolist()


def test_older_names_and_methods() -> None:
    a = tf.tensor(draw(4, 3))
    u, s, v = tf.svd(a)
    assert ((u * s) @ v.mH - a).abs().max().item() < 1e-12
    assert (a.pinverse() @ a - tf.eye(3)).abs().max().item() < 1e-12
    square = a[:3]
    assert (square.inverse() @ square - tf.eye(3)).abs().max().item() < 1e-12
    x = tf.triangular_solve(a[:3], square).solution
    assert (square.triu() @ x - a[:3]).abs().max().item() < 1e-10
    assert (square.det() - square.slogdet().sign * square.slogdet()[1].exp()).abs().item() < 1e-12
    out = tf.empty(3, 3, dtype=tf.float64)
    assert tf.linalg.inv(square, out=out) is out and out.dtype is tf.float64
    assert tf.linalg.matrix_rank(a).item() == 3 and tf.linalg.matrix_rank(a @ a.mT).item() == 3


def test_batching_rule() -> None:
    """`vmap` over matrices is the stack's own function."""
    a = tf.tensor(draw(5, 3, 3))
    assert (tf.vmap(tf.linalg.inv)(a) - tf.linalg.inv(a)).abs().max().item() < 1e-12


EMPTY: dict[str, Callable[[Any, Any], Any]] = {
    "lu": lambda lib, a: lib.linalg.lu(a),
    "lu_factor": lambda lib, a: lib.linalg.lu_factor(a),
    "cond": lambda lib, a: lib.linalg.cond(a),
    "norm_2": lambda lib, a: lib.linalg.matrix_norm(a, 2),
    "norm_1": lambda lib, a: lib.linalg.matrix_norm(a, 1),
    "norm_inf": lambda lib, a: lib.linalg.matrix_norm(a, float("inf")),
}


@pytest.mark.parametrize("name", EMPTY)
def test_matrices_without_elements_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for shape in ((0, 0), (2, 0, 0), (0, 3, 3), (0, 3), (3, 0)):
        got, expected = (EMPTY[name](lib, lib.ones(shape)) for lib in (tf, torch))
        if not isinstance(got, tuple):
            got, expected = (got,), (expected,)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_pinv_of_hermitian_matrices_reads_the_lower_triangle(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    values = draw(2, 3, 3, dtype=dtype)
    found = []
    for lib in (tf, torch):
        x = lib.tensor(values + np.conj(np.swapaxes(values, -1, -2)), requires_grad=True)
        y = lib.linalg.pinv(x, hermitian=True)
        (y.abs() ** 3).sum().backward()
        lower = lib.linalg.pinv(lib.tensor(values), hermitian=True)
        found.append((y.detach(), x.grad, lower))
    for got, expected in zip(*found):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-8, atol=1e-9)


def test_nuclear_norm_needs_two_axes() -> None:
    with pytest.raises(RuntimeError, match="2-tuple"):
        tf.norm(tf.ones(2, 3), "nuc", 1)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_ldl_is_lapacks(dtype, hermitian):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    a = rng.normal(size=(6, 5, 5)).astype(dtype)
    if dtype == "complex128":
        a = a + 1j * rng.normal(size=a.shape)
    a = a + (a.conj() if hermitian else a).transpose(0, 2, 1)
    a[0], a[1, 0], a[1, :, 0] = 0, 0, 0  # nothing, and a column of zeros
    a[2][np.diag_indices(5)] = 0  # blocks of two
    got = tf.linalg.ldl_factor_ex(tf.tensor(a), hermitian=hermitian)
    want = torch.linalg.ldl_factor_ex(torch.tensor(a), hermitian=hermitian)
    assert (want.pivots < 0).any()
    np.testing.assert_array_equal(got.pivots.numpy(), want.pivots.numpy())
    np.testing.assert_array_equal(got.info.numpy(), want.info.numpy())
    np.testing.assert_allclose(got.LD.numpy(), want.LD.numpy(), atol=1e-12)
    b = rng.normal(size=(4, 5, 2)).astype(dtype)
    right = tf.tensor(b, requires_grad=True)
    factors = tf.linalg.ldl_factor(tf.tensor(a[2:]), hermitian=hermitian)
    x = tf.linalg.ldl_solve(*factors, right, hermitian=hermitian)
    np.testing.assert_allclose(a[2:] @ x.detach().numpy(), b, atol=1e-10)
    weights = rng.normal(size=x.shape)
    (x.abs() * tf.tensor(weights)).sum().backward()
    same = tf.tensor(b, requires_grad=True)
    (tf.linalg.solve(tf.tensor(a[2:]), same).abs() * tf.tensor(weights)).sum().backward()
    np.testing.assert_allclose(right.grad.numpy(), same.grad.numpy(), atol=1e-9)


def test_ldl_refuses():
    with pytest.raises(RuntimeError, match="square"):
        tf.linalg.ldl_factor(tf.ones(2, 3))
    with pytest.raises(np.linalg.LinAlgError, match="at 1 of the matrix D is zero"):
        tf.linalg.ldl_factor_ex(tf.zeros(2, 2), check_errors=True)
    with pytest.raises(RuntimeError, match="pivots to be integers"):
        tf.linalg.ldl_solve(tf.eye(2), tf.ones(2), tf.ones(2, 1))


@pytest.mark.parametrize("p", [-2, -1, -0.5, 0.5, 1.5, 3])
def test_gradients_of_norms_are_0_where_elements_are(p):
    torch = pytest.importorskip("torch")
    x = np.array([[0.0, 0, 0], [0, 1, -2], [3, 1, 2]])

    def run(m):
        leaf = m.tensor(x, requires_grad=True)
        y = m.linalg.vector_norm(leaf, p, -1)
        y.sum().backward()
        return y.tolist(), leaf.grad.tolist()

    for got, want in zip(run(tf), run(torch), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_edges_of_products_of_matrices():
    torch = pytest.importorskip("torch")
    assert tuple(tf.linalg.vander(tf.tensor(2.0), N=3).shape) == (1, 3)
    x = tf.eye(3, requires_grad=True)
    tf.matrix_power(x, 0).sum().backward()
    assert x.grad.tolist() == [[0.0] * 3] * 3
    rng = np.random.default_rng(3)
    a, tau, c = rng.normal(size=(2, 5)), rng.normal(size=2), rng.normal(size=(5, 2))
    got = tf.ormqr(*map(tf.tensor, (a, tau, c)), left=False).numpy()
    want = torch.ormqr(*map(torch.tensor, (a, tau, c)), left=False).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_what_has_a_gradient_is_what_has_one_in_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))

    def run(m):
        left = m.tensor(a, requires_grad=True)
        found = m.linalg.lstsq(left, m.tensor(b), driver="gelsd")
        norm = m.linalg.vector_norm(left, 0, dim=-1)
        empty = m.gather(left, 0, m.zeros(0, dtype=m.int64))
        (norm.sum() + empty.sum()).backward()
        return (
            [x.requires_grad for x in found], norm.requires_grad, norm.tolist(),
            left.grad.tolist(), tuple(empty.shape),
        )  # fmt: skip

    assert run(tf) == run(torch)


@pytest.mark.parametrize(
    "rows",
    [[[1, 2, 3], [2, 4, 6], [0, 1, 1]], [[1, 1], [1, 1]], [[0, 0, 0]] * 3, [[2, 1], [1, 3]], [[0]]],
    ids=["rank 2 of 3", "rank 1 of 2", "zero", "regular", "one"],
)
def test_gradient_of_determinants_is_that_of_cofactors_also_where_they_are_zero(rows: Any) -> None:
    a = np.array(rows, np.float64)
    x = tf.tensor(a, requires_grad=True)
    x.det().backward()
    n = len(a)
    minors = [
        [np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) if n > 1 else 1.0 for j in range(n)]
        for i in range(n)
    ]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    np.testing.assert_allclose(x.grad.numpy(), signs * minors, atol=1e-12)


def test_calls_read_the_value_that_replaces_another() -> None:
    a = tf.tensor([[1.0, 2.0], [5.0, 3.0]])
    replaced = wrap(replace(a._node(), a.mT._node()))
    np.testing.assert_allclose(replaced.inverse().numpy(), np.linalg.inv(a.numpy().T), rtol=1e-6)
