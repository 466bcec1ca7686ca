"""`amp.GradScaler`: the factor's course, steps left out, and what it refuses."""

from __future__ import annotations

import pytest

import twofold as tf


def _one(value: float) -> tuple[tf.Tensor, tf.optim.Optimizer]:
    p = tf.tensor([value], requires_grad=True)
    return p, tf.optim.SGD([p], lr=1.0)


def test_steps_with_infinite_gradients_are_left_out_and_shrink_the_factor() -> None:
    p, optimizer = _one(1.0)
    scaler = tf.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    for factor, value, scale in ((2.0, -1.0, 16.0), (float("inf"), -1.0, 8.0), (1.0, -2.0, 16.0)):
        optimizer.zero_grad()
        scaler.scale(p * factor).sum().backward()
        scaler.step(optimizer)
        scaler.update()
        assert p.tolist() == [value]
        assert scaler.get_scale() == scale


def test_gradients_are_scaled_back_once() -> None:
    p, optimizer = _one(1.0)
    scaler = tf.amp.GradScaler("cpu")
    scaler.scale(p * 3).sum().backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called since the last update"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    scaler.step(optimizer)


def test_what_is_refused() -> None:
    with pytest.raises(AssertionError, match="growth_factor"):
        tf.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(AssertionError, match="backoff_factor"):
        tf.amp.GradScaler("cpu", backoff_factor=1.0)
    scaler = tf.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    with pytest.raises(ValueError, match="iterable of Tensors"):
        scaler.scale(1.0)
    half = tf.ones(2, dtype=tf.float16, requires_grad=True)
    scaler.scale(half).sum().backward()
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(tf.optim.SGD([half], lr=1.0))


def test_without_a_gpu_a_scaler_for_one_says_that_it_does_nothing() -> None:
    with pytest.warns(UserWarning, match="no GPU"):
        scaler = tf.amp.GradScaler("cuda")
    assert not scaler.is_enabled()
    assert tf.amp.GradScaler("cuda", enabled=False).get_scale() == 1.0
