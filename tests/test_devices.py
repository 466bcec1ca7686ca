"""Devices: all that PyTorch names can be named, one can be used."""

from __future__ import annotations

import pytest

import twofold as tf


def test_devices_that_are_not_there_can_be_named() -> None:
    device = tf.device("cuda:1")
    assert (device.type, device.index, str(device)) == ("cuda", 1, "cuda:1")
    assert device != tf.device("cuda:0") and device == tf.device("cuda", 1)
    assert repr(tf.device("mps")) == "device(type='mps')" and tf.device("meta") != tf.device("cpu")
    for bad in ("gpu", "cuda:", "cuda:x", "cuda:-1"):
        with pytest.raises(RuntimeError, match=r"\[device\] is one of .*got '"):
            tf.device(bad)
    with pytest.raises(RuntimeError, match="got 'cuda:0'"):
        tf.device("cuda:0", 1)


def test_what_uses_another_device_is_refused() -> None:
    x, cuda = tf.ones(2), tf.device("cuda")
    for use in (
        lambda: x.to(cuda), lambda: tf.zeros(2, device=cuda), lambda: tf.nn.Linear(2, 2).to(cuda),
        lambda: tf.rand(2, device=cuda), lambda: tf.Generator(cuda), lambda: x.to("cuda"),
        lambda: tf.set_default_device(cuda), cuda.__enter__,
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="has the device 'cpu' only; got 'cuda'"):
            use()


def test_a_device_is_a_context() -> None:
    with tf.device("cpu") as device:
        assert tf.ones(1).device == device
