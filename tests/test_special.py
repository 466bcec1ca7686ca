"""Special functions against SciPy and PyTorch, with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.gradcheck import gradcheck

LINE = np.concatenate([np.linspace(-60, -1e-3, 150), np.linspace(1e-3, 60, 150)])
HALF = np.concatenate([np.linspace(1e-3, 30, 150), [100.0, 600.0]])

SCIPY: dict[str, tuple[str, np.ndarray, float]] = {
    "bessel_j0": ("j0", LINE, 1e-13), "bessel_j1": ("j1", LINE, 1e-13),
    "bessel_y0": ("y0", HALF, 1e-13), "bessel_y1": ("y1", HALF, 1e-13),
    "i0": ("i0", LINE, 0), "i0e": ("i0e", LINE, 0), "i1": ("i1", LINE, 0),
    "i1e": ("i1e", LINE, 0), "modified_bessel_i0": ("i0", LINE, 0),
    "modified_bessel_k0": ("k0", HALF, 0), "modified_bessel_k1": ("k1", HALF, 0),
    "scaled_modified_bessel_k0": ("k0e", HALF, 0), "scaled_modified_bessel_k1": ("k1e", HALF, 0),
    "erfcx": ("erfcx", np.linspace(-5, 50, 200), 0), "ndtr": ("ndtr", LINE / 3, 0),
    "log_ndtr": ("log_ndtr", LINE, 1e-20), "entr": ("entr", np.linspace(0, 3, 20), 0),
    "ndtri": ("ndtri", np.array([1e-300, 1e-100, 1e-20, 1e-5, 0.1, 0.3, 0.7, 0.99]), 0),
    "gammaln": ("gammaln", HALF, 1e-13), "psi": ("psi", HALF, 1e-12),
}  # fmt: skip


@pytest.mark.parametrize("name", SCIPY)
def test_functions_of_one_match_scipy(name: str) -> None:
    scipy = pytest.importorskip("scipy.special")
    peer, x, absolute = SCIPY[name]
    got = getattr(tf.special, name)(tf.tensor(x)).numpy()
    np.testing.assert_allclose(got, getattr(scipy, peer)(x), rtol=5e-12, atol=absolute)
    single = getattr(tf.special, name)(tf.tensor(x[:5].astype(np.float32)))
    assert single.dtype is tf.float32


def test_airy_and_spherical_match_scipy() -> None:
    scipy = pytest.importorskip("scipy.special")
    x = np.linspace(-30, 20, 301)
    got = tf.special.airy_ai(tf.tensor(x)).numpy()
    np.testing.assert_allclose(got, scipy.airy(x)[0], rtol=5e-12, atol=1e-13)
    got = tf.special.spherical_bessel_j0(tf.tensor(x)).numpy()
    np.testing.assert_allclose(got, scipy.spherical_jn(0, np.abs(x)), rtol=1e-12, atol=1e-15)


def test_functions_of_two_match_scipy() -> None:
    scipy = pytest.importorskip("scipy.special")
    a = np.array([0.3, 2.0, 30.0, 400.0])[:, None]
    x = a * np.linspace(0.01, 3, 20)
    for name in ("gammainc", "gammaincc"):
        got = getattr(tf.special, name)(tf.tensor(a), tf.tensor(x)).numpy()
        np.testing.assert_allclose(got, getattr(scipy, name)(a, x), rtol=2e-12, atol=1e-300)
    q = np.linspace(0.1, 40, 30)
    for s in (1.1, 2.0, 25.0):
        got = tf.special.zeta(s, tf.tensor(q)).numpy()
        np.testing.assert_allclose(got, scipy.zeta(s, q), rtol=1e-13)
    for n in range(5):
        got = tf.polygamma(n, tf.tensor(q)).numpy()
        np.testing.assert_allclose(got, scipy.polygamma(n, q), rtol=1e-12)
    np.testing.assert_allclose(
        tf.special.xlog1py(tf.tensor(q), 2.0).numpy(), scipy.xlog1py(q, 2.0), rtol=1e-14
    )
    got = tf.special.multigammaln(tf.tensor(q + 3), 3).numpy()
    np.testing.assert_allclose(got, [scipy.multigammaln(v + 3, 3) for v in q], rtol=1e-12)


EDGES = np.array([0.0, -1.0, 1.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize(
    "name",
    "bessel_j0 bessel_j1 bessel_y0 bessel_y1 i0e i1e modified_bessel_k0 scaled_modified_bessel_k1 "
    "erfcx ndtr log_ndtr ndtri entr expit logit sinc".split(),
)
def test_edges_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    # At infinity PyTorch's Bessel functions of the wave kind are NaN; here, as in SciPy, 0.
    x = EDGES[np.isfinite(EDGES)] if name[:8] in ("bessel_j", "bessel_y") else EDGES
    got, expected = (getattr(lib.special, name)(lib.tensor(x)).numpy() for lib in (tf, torch))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


def test_gamma_edges_match_pytorch() -> None:
    torch = pytest.importorskip("torch")
    a, x = (v.ravel() for v in np.meshgrid([0.0, 1.0, -1.0, np.inf], [0.0, 1.0, -1.0, np.inf]))
    keep = ~(np.isinf(a) & np.isinf(x))
    for name in ("gammainc", "gammaincc"):
        got, expected = (
            getattr(lib.special, name)(lib.tensor(a[keep]), lib.tensor(x[keep])).numpy()
            for lib in (tf, torch)
        )
        np.testing.assert_allclose(got, expected, rtol=1e-12)


KINDS = [
    *(f"{s}chebyshev_polynomial_{k}" for s in ("", "shifted_") for k in "tuvw"),
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
]


@pytest.mark.parametrize("name", KINDS)
def test_polynomials_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-0.9, 0.9, 7)
    for degree in (0, 1, 5, np.arange(7)):
        got, expected = (
            getattr(lib.special, name)(
                lib.tensor(x), degree if isinstance(degree, int) else lib.tensor(degree)
            ).numpy()
            for lib in (tf, torch)
        )
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "name", "i0 i0e i1 i1e erfcx ndtr log_ndtr ndtri entr bessel_j0 polygamma gammainc".split()
)
def test_gradients(name: str) -> None:
    x = tf.tensor([0.2, 0.45, 0.9], dtype=tf.float64, requires_grad=True)
    functions: dict[str, Any] = {
        "polygamma": lambda v: tf.polygamma(1, v),
        "gammainc": lambda v: tf.special.gammainc(1.5, v),
    }
    assert gradcheck(functions.get(name, getattr(tf.special, name)), (x,))


def test_names_of_the_package_and_methods() -> None:
    x = tf.tensor([0.5, 2.0], dtype=tf.float64)
    assert (x.i0() == tf.i0(x)).all() and (x.polygamma(1) == tf.polygamma(1, x)).all()
    assert (x.igamma(x) + x.igammac(x)).tolist() == pytest.approx([1, 1])
    assert tf.mvlgamma(x + 2, 2).tolist() == pytest.approx((x + 2).mvlgamma(2).tolist())
    with pytest.raises(AttributeError, match="nearest"):
        tf.special.gammalm  # noqa: B018
