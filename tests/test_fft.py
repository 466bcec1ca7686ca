"""Fourier transforms and windows against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.gradcheck import gradcheck, gradgradcheck

RNG = np.random.default_rng(11)
NAMES = (
    "fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn irfftn "
    "hfftn ihfftn"
).split()


def draw(name: str, *shape: int) -> np.ndarray:
    x = RNG.standard_normal(shape)
    return x if name.startswith(("rfft", "ihfft")) else x + 1j * RNG.standard_normal(shape)


@pytest.mark.parametrize("name", NAMES)
def test_transforms_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = draw(name, 3, 4, 5)
    many = name.endswith(("2", "n"))
    wide: Any = {"s": (6, 3), "dim": (0, 2)} if many else {"n": 6, "dim": 1}
    narrow: Any = {"s": (2, 3), "dim": (1, 2)} if many else {"n": 3, "dim": 0}
    for norm in (None, "ortho", "forward"):
        for options in ({}, wide, narrow):
            got, expected = (
                getattr(lib.fft, name)(lib.tensor(x), norm=norm, **options) for lib in (tf, torch)
            )
            np.testing.assert_allclose(got.numpy(), expected.resolve_conj().numpy(), atol=1e-12)
    single = tf.tensor(x).to(tf.float32 if x.dtype.kind == "f" else tf.complex64)
    assert getattr(tf.fft, name)(single).dtype.itemsize <= 8


@pytest.mark.parametrize("name", "fft ifft rfft irfft hfft ihfft rfft2 irfft2".split())
def test_gradients(name: str) -> None:
    x = tf.tensor(draw(name, 2, 4), requires_grad=True)
    assert gradcheck(getattr(tf.fft, name), (x,)) and gradgradcheck(getattr(tf.fft, name), (x,))


def test_frequencies_and_shifts() -> None:
    torch = pytest.importorskip("torch")
    for n in (1, 4, 5):
        for name in ("fftfreq", "rfftfreq"):
            got, expected = (getattr(lib.fft, name)(n, 0.1) for lib in (tf, torch))
            np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)
    x = np.arange(20.0).reshape(4, 5)
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 1, (0, 1)):
            got, expected = (getattr(lib.fft, name)(lib.tensor(x), dim) for lib in (tf, torch))
            np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hop_length": 5, "win_length": 12},
        {"center": False, "normalized": True},
        {"onesided": False, "pad_mode": "constant"},
    ],
)
def test_short_time_transform_and_back(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((2, 100))
    spectra, back = [], []
    for lib in (tf, torch):
        window = lib.hamming_window(options.get("win_length", 16), dtype=lib.float64)
        y = lib.stft(lib.tensor(x), 16, window=window, return_complex=True, **options)
        spectra.append(y.numpy())
        rest = {k: v for k, v in options.items() if k != "pad_mode"}
        back.append(lib.istft(y, 16, window=window, **rest).numpy())
    np.testing.assert_allclose(*spectra, atol=1e-12)
    np.testing.assert_allclose(*back, atol=1e-12)
    n = back[0].shape[1]
    np.testing.assert_allclose(back[0], x[:, :n], atol=1e-10)


def test_gradient_of_short_time_transform() -> None:
    x = tf.tensor(RNG.standard_normal(12), requires_grad=True)
    window = tf.hann_window(4, dtype=tf.float64)
    assert gradcheck(lambda v: tf.stft(v, 4, window=window, return_complex=True), (x,))


@pytest.mark.parametrize(
    "name",
    "bartlett blackman cosine exponential gaussian general_hamming hamming hann kaiser "
    "nuttall".split(),
)
def test_windows_match_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for n in (0, 1, 2, 9):
        for sym in (True, False):
            got, expected = (
                getattr(lib.signal.windows, name)(n, sym=sym, dtype=lib.float64)
                for lib in (tf, torch)
            )
            np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-12)


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="real input"):
        tf.fft.rfft(tf.tensor([1j]))
    with pytest.raises(RuntimeError, match="data points"):
        tf.fft.fft(tf.ones(3), 0)
    with pytest.raises(RuntimeError, match="normalization mode"):
        tf.fft.fft(tf.ones(3), norm="other")
    with pytest.raises(RuntimeError, match="return_complex"):
        tf.stft(tf.ones(30), 8)
