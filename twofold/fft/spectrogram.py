"""Short-time Fourier transforms: spectra of overlapping windows of a signal."""

from __future__ import annotations

from typing import Any

from ..functions import functions
from ..functions.casting import in_float32
from ..tensor import Tensor
from .transforms import fft, ifft, irfft, rfft


def _window(window: Tensor | None, n_fft: int, win_length: int, like: Tensor) -> Tensor:
    """The window, in the middle of n_fft samples."""
    real = like.dtype.to_real()
    if window is None:
        window = functions["ones"](win_length, dtype=real)
    if tuple(window.shape) != (win_length,):
        raise RuntimeError(
            f"expected a 1D window tensor of size equal to win_length={win_length}, but got window "
            f"with size {list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    zeros = functions["zeros"]
    parts = [zeros(left, dtype=window.dtype), window]
    parts.append(zeros(n_fft - win_length - left, dtype=window.dtype))
    return functions["cat"](parts)


@in_float32
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The spectra of windows of n_fft samples, `hop_length` apart: (*B, L) gives (*B, n_fft // 2 +
    1, frames), complex; all n_fft frequencies unless `onesided`. With `center`, window t is
    around sample t * hop_length. RuntimeError for other ranks, or without `return_complex`.
    """
    if (
        return_complex is None
        and not input.is_complex()
        and not (window is not None and window.is_complex())
    ):
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further "
            "require that return_complex=True in a future PyTorch release."
        )
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor; got {input.dim()}D")
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if not 0 < length <= n_fft or hop <= 0:
        raise RuntimeError(
            f"stft: expected 0 < win_length <= n_fft and hop_length > 0; got {length}, {n_fft}, "
            f"{hop}"
        )
    x = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    if x.shape[-1] < n_fft:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {x.shape[-1]}; got n_fft={n_fft}")
    frames = x.unfold(-1, n_fft, hop) * _window(window, n_fft, length, x)
    is_complex = frames.is_complex()
    if onesided is None:
        onesided = not is_complex
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    y = (rfft if onesided else fft)(frames, norm=norm).transpose(-1, -2)
    y = y if input.dim() == 2 else y.squeeze(0)
    return functions["view_as_real"](y) if return_complex is False else y


def _padded(x: Tensor, n: int, mode: str) -> Tensor:
    """x (B, L) with n samples more on both sides."""
    length = x.shape[-1]
    if mode == "constant":
        zeros = x.new_zeros((x.shape[0], n), dtype=x.dtype)
        return functions["cat"]([zeros, x, zeros], -1)
    if mode == "reflect" and n >= length:
        raise RuntimeError(
            f"Padding size should be less than the corresponding input dimension, but got: padding "
            f"({n}, {n}) at dimension 1 of input {list(x.shape)}"
        )
    if mode == "reflect":
        left, right = x[:, 1 : n + 1].flip(-1), x[:, length - n - 1 : length - 1].flip(-1)
    elif mode == "replicate":
        left, right = x[:, :1].expand(-1, n), x[:, -1:].expand(-1, n)
    elif mode == "circular":
        left, right = x[:, length - n :], x[:, :n]
    else:
        raise RuntimeError(f"Unrecognised padding mode {mode}")
    return functions["cat"]([left, x, right], -1)


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of which `stft` gave input (*B, frequencies, frames), by least squares: windows
    are added up and divided by the sum of their squares. RuntimeError where that is 0."""
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    x = input if input.dim() == 3 else input.unsqueeze(0)
    if onesided is None:
        onesided = x.shape[-2] != n_fft
    norm = "ortho" if normalized else None
    spectra = x.transpose(-1, -2)
    weights = _window(window, n_fft, size, x)
    if return_complex:
        frames = ifft(spectra, n_fft, norm=norm)
    elif onesided:
        frames = irfft(spectra, n_fft, norm=norm)
    else:
        frames = ifft(spectra, n_fft, norm=norm).real
    signal = _added(frames * weights, hop)
    envelope = _added((weights * weights).expand(1, frames.shape[1], n_fft), hop)
    start = n_fft // 2 if center else 0
    whole = signal.shape[-1]
    end = start + length if length is not None else whole - (n_fft // 2 if center else 0)
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    if bool((envelope.abs() < 1e-11).any()):
        raise RuntimeError("window overlap add min: 1; the windows leave samples uncovered")
    y = signal / envelope
    if length is not None and length > y.shape[-1]:
        zeros = y.new_zeros((y.shape[0], length - y.shape[-1]), dtype=y.dtype)
        y = functions["cat"]([y, zeros], -1)
    return y if input.dim() == 3 else y.squeeze(0)


def _added(frames: Tensor, hop: int) -> Tensor:
    """(B, frames, n) added up, each `hop` after the one before."""
    batch, count, n = frames.shape
    arange = functions["arange"]
    places: Any = (arange(count).unsqueeze(1) * hop + arange(n)).reshape(-1)
    zeros = frames.new_zeros((batch, n + hop * (count - 1)), dtype=frames.dtype)
    return zeros.index_add(1, places, frames.reshape(batch, -1))
