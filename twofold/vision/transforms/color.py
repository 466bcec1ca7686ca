"""Changes of colour: of PIL images by Pillow, of tensors (..., C, H, W) with C = 1 or 3."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from ... import dtypes
from ...functions.pointwise import where
from ...functions.shape import stack
from ...tensor import Tensor
from .pictures import Picture, bound, convert_image_dtype, get_image_num_channels


def _check(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _blend(x: Tensor, y: Tensor | float, ratio: float) -> Tensor:
    """ratio x + (1 - ratio) y, within the range of x."""
    mixed = (x * ratio + y * (1.0 - ratio)).clamp(0, bound(x.dtype))
    return mixed.to(x.dtype)


def rgb_to_grayscale(img: Picture, num_output_channels: int = 1) -> Picture:
    """The luminance, 0.2989 red + 0.587 green + 0.114 blue, in one or three channels."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if not isinstance(img, Tensor):
        gray = img.convert("L")
        return gray if num_output_channels == 1 else Image.merge("RGB", [gray] * 3)
    if get_image_num_channels(img) == 3:
        red, green, blue = (img[..., c, :, :] for c in range(3))
        gray = (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(-3)
    else:
        gray = img.clone()
    if num_output_channels == 3:
        return gray.expand(*img.shape[:-3], 3, *img.shape[-2:])
    return gray


to_grayscale = rgb_to_grayscale


def adjust_brightness(img: Picture, brightness_factor: float) -> Picture:
    """0 gives black, 1 the picture, 2 twice its brightness."""
    _check("brightness_factor", brightness_factor)
    if not isinstance(img, Tensor):
        return ImageEnhance.Brightness(img).enhance(brightness_factor)
    return _blend(img, 0.0, brightness_factor)


def adjust_contrast(img: Picture, contrast_factor: float) -> Picture:
    """0 gives the mean gray, 1 the picture, 2 twice its contrast."""
    _check("contrast_factor", contrast_factor)
    if not isinstance(img, Tensor):
        return ImageEnhance.Contrast(img).enhance(contrast_factor)
    dtype = img.dtype if img.is_floating_point() else dtypes.float32
    gray = rgb_to_grayscale(img) if get_image_num_channels(img) == 3 else img
    mean = gray.to(dtype).mean((-3, -2, -1), keepdim=True)
    return _blend(img, mean, contrast_factor)


def adjust_saturation(img: Picture, saturation_factor: float) -> Picture:
    """0 gives grays, 1 the picture, 2 twice its saturation."""
    _check("saturation_factor", saturation_factor)
    if not isinstance(img, Tensor):
        return ImageEnhance.Color(img).enhance(saturation_factor)
    if get_image_num_channels(img) == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img: Picture, hue_factor: float) -> Picture:
    """Colours turned by a share of the circle, from -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if not isinstance(img, Tensor):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        step = np.uint8(int(hue_factor * 255) % 256)
        around = np.asarray(hue, dtype=np.uint8) + step  # modulo 256
        whole = Image.merge("HSV", (Image.fromarray(around), saturation, value))
        return whole.convert(img.mode)
    if get_image_num_channels(img) == 1:
        return img
    exact = convert_image_dtype(img, dtypes.float32)
    hue, saturation, value = _to_hsv(exact)
    turned = _from_hsv((hue + hue_factor) % 1.0, saturation, value)
    return convert_image_dtype(turned, img.dtype)


def adjust_gamma(img: Picture, gamma: float, gain: float = 1) -> Picture:
    """gain x^gamma, for x from 0 to 1."""
    _check("gamma", gamma)
    if not isinstance(img, Tensor):
        table = [int((255 + 1 - 1e-3) * gain * (k / 255.0) ** gamma) for k in range(256)] * 3
        return img.convert("RGB").point(table).convert(img.mode)
    exact = convert_image_dtype(img, dtypes.float32) if not img.is_floating_point() else img
    return convert_image_dtype((gain * exact**gamma).clamp(0, 1), img.dtype)


def invert(img: Picture) -> Picture:
    """White minus the picture."""
    if isinstance(img, Tensor):
        return bound(img.dtype) - img
    return img.point(lambda k: 255 - k)


def _to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value, from 0 to 1 each."""
    red, green, blue = (img[..., c, :, :] for c in range(3))
    high, low = img.amax(-3), img.amin(-3)
    gray = high == low
    span = high - low
    saturation = span / where(gray, 1.0, high)
    divisor = where(gray, 1.0, span)
    to_red, to_green, to_blue = ((high - c) / divisor for c in (red, green, blue))
    is_red = high == red
    is_green = (high == green) & ~is_red
    hue = where(is_red, to_blue - to_green, 0.0)
    hue = hue + where(is_green, 2.0 + to_red - to_blue, 0.0)
    hue = hue + where(is_red | is_green, 0.0, 4.0 + to_green - to_red)
    return (hue / 6.0 + 1.0).fmod(1.0), saturation, high


def _from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The red, green and blue of the same colours."""
    sector = (hue * 6.0).floor()
    rest = hue * 6.0 - sector
    sector = sector % 6
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * rest)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - rest))).clamp(0.0, 1.0)
    of_red = (value, falling, low, low, rising, value)
    of_green = (rising, value, value, falling, low, low)
    of_blue = (low, low, rising, value, value, falling)
    channels = []
    for parts in (of_red, of_green, of_blue):
        channel = parts[5]
        for k in range(5):
            channel = where(sector == k, parts[k], channel)
        channels.append(channel)
    return stack(channels, -3)
