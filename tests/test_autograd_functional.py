"""autograd.functional, forward_ad and anomaly mode: against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_func import agree

import twofold as tf

X = np.random.default_rng(3).standard_normal(3).astype(np.float32)
Y = np.random.default_rng(4).standard_normal(3).astype(np.float32)


def scalar(x: Any, y: Any) -> Any:
    return (x * x * y).sin().sum()


def vector(x: Any, y: Any) -> Any:
    return (x * y).exp(), x.sum() + y


CASES = {
    "jacobian": lambda f, t: f.jacobian(vector, (t(X), t(Y))),
    "forward": lambda f, t: f.jacobian(
        vector, (t(X), t(Y)), vectorize=True, strategy="forward-mode"
    ),
    "create_graph": lambda f, t: f.jacobian(vector, (t(X), t(Y)), create_graph=True),
    "hessian": lambda f, t: f.hessian(scalar, (t(X), t(Y))),
    "vjp": lambda f, t: f.vjp(vector, (t(X), t(Y)), (t(Y), t(X))),
    "jvp": lambda f, t: f.jvp(vector, (t(X), t(Y)), (t(Y), t(X))),
    "vhp": lambda f, t: f.vhp(scalar, (t(X), t(Y)), (t(Y), t(X))),
    "hvp": lambda f, t: f.hvp(scalar, (t(X), t(Y)), (t(Y), t(X))),
    "one": lambda f, t: f.hessian(lambda x: (x**3).sum(), t(X)),
}


@pytest.mark.parametrize("name", CASES)
def test_like_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine = CASES[name](tf.autograd.functional, tf.tensor)
    agree(mine, CASES[name](torch.autograd.functional, torch.tensor))


def test_strict_refuses_what_does_not_depend() -> None:
    with pytest.raises(RuntimeError, match="independent"):
        tf.autograd.functional.vjp(lambda x: tf.ones(3), tf.tensor(X), tf.tensor(X), strict=True)
    with pytest.raises(RuntimeError, match="single element"):
        tf.autograd.functional.hessian(tf.sin, tf.tensor(X))
    with pytest.raises(TypeError, match="has type"):
        tf.autograd.functional.jacobian(tf.sin, 3.0)


def test_dual_tensors() -> None:
    ad = tf.autograd.forward_ad
    with ad.dual_level():
        x = ad.make_dual(tf.tensor(X), tf.tensor(Y))
        y = (x.sin() * x).sum()
        primal, tangent = ad.unpack_dual(y)
        assert ad.unpack_dual(tf.ones(2)).tangent is None
        np.testing.assert_allclose(ad.unpack_dual(x).tangent.numpy(), Y)
    np.testing.assert_allclose(primal.item(), (np.sin(X) * X).sum(), rtol=1e-5)
    expected = ((np.cos(X) * X + np.sin(X)) * Y).sum()
    np.testing.assert_allclose(tangent.item(), expected, rtol=1e-5)
    assert not tangent.requires_grad
    with pytest.raises(RuntimeError, match="no dual level"):
        ad.make_dual(x, x)


def test_anomaly_mode_names_the_line_of_the_forward_op() -> None:
    x = tf.tensor([0.0], requires_grad=True)
    with tf.autograd.detect_anomaly():
        y = x.sqrt()
        loss = (y * 0).sum()
        with pytest.raises(RuntimeError, match="NaN") as caught:
            loss.backward()
            x.grad.tolist()
    line = test_anomaly_mode_names_the_line_of_the_forward_op.__code__.co_firstlineno + 3
    assert f"line {line}," in str(caught.value)
    assert not tf.is_anomaly_enabled()
    with tf.autograd.set_detect_anomaly(True):
        assert tf.is_anomaly_enabled()
    assert not tf.is_anomaly_enabled()


def test_anomaly_mode_is_on_also_where_it_does_not_look_for_nan() -> None:
    with tf.autograd.set_detect_anomaly(True, check_nan=False):
        assert tf.is_anomaly_enabled()
        assert not tf.is_anomaly_check_nan_enabled()
    assert not tf.is_anomaly_enabled()
