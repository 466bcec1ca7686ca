"""Transforms that draw what they do from Twofold's default generator (`manual_seed`; within a
`DataLoader` each batch has a stream of its own, whatever the number of workers)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import nn
from ...functions.random import host_words, randn
from ...tensor import Tensor
from . import functional as f
from .always import Compose
from .pictures import InterpolationMode, Picture, by_channel, pair


def uniform(low: float = 0.0, high: float = 1.0) -> float:
    """A number from low to high."""
    return low + (high - low) * float(host_words(1)[0] >> np.uint32(8)) / (1 << 24)


def integer(low: int, high: int) -> int:
    """A whole number from low to high - 1."""
    return low + int(host_words(1)[0]) * (high - low) // (1 << 32)


def permutation(n: int) -> list[int]:
    """0 to n - 1 in any order."""
    return np.argsort(host_words(n), kind="stable").tolist()


class RandomApply(nn.Module):
    """A list of transforms, all of them or, with probability 1 - p, none."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if uniform() < self.p else img


class RandomChoice:
    """One of several transforms, with weights `p`."""

    def __init__(
        self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None
    ) -> None:
        if p is not None and len(p) != len(transforms):
            raise ValueError(
                f"[RandomChoice] one weight for each transform; got {len(p)} for {len(transforms)}"
            )
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        ends = np.cumsum(self.p if self.p is not None else [1.0] * len(self.transforms))
        place = int(np.searchsorted(ends, uniform(0.0, ends[-1]), side="right"))
        return self.transforms[min(place, len(ends) - 1)](img)


class RandomOrder:
    """Several transforms in any order."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for k in permutation(len(self.transforms)):
            img = self.transforms[k](img)
        return img


class _Sometimes(nn.Module):
    """A picture that `change` has changed, with probability p."""

    change: Callable[[Picture], Picture]

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Picture) -> Picture:
        return self.change(img) if uniform() < self.p else img

    def extra_repr(self) -> str:
        return f"p={self.p}"


class RandomHorizontalFlip(_Sometimes):
    """Left and right exchanged, with probability p."""

    change = staticmethod(f.hflip)


class RandomVerticalFlip(_Sometimes):
    """Top and bottom exchanged, with probability p."""

    change = staticmethod(f.vflip)


class RandomInvert(_Sometimes):
    """White minus the picture, with probability p."""

    change = staticmethod(f.invert)


class RandomGrayscale(_Sometimes):
    """Grays in as many channels, with probability p."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    @staticmethod
    def change(img: Picture) -> Picture:
        """The same picture in grays."""
        return f.rgb_to_grayscale(img, f.get_image_num_channels(img))


class RandomCrop(nn.Module):
    """A part of the picture, of `size`, anywhere; the picture is framed before, by `padding`, and
    with `pad_if_needed` to that size at least."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size, self.padding, self.pad_if_needed = pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img: Picture, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part."""
        w, h = f.get_image_size(img)
        height, width = output_size
        if h < height or w < width:
            raise ValueError(
                f"Required crop size {(height, width)} is larger than input image size {(h, w)}"
            )
        return integer(0, h - height + 1), integer(0, w - width + 1), height, width

    def forward(self, img: Picture) -> Picture:
        if self.padding is not None:
            img = f.pad(img, self.padding, self.fill, self.padding_mode)
        w, h = f.get_image_size(img)
        if self.pad_if_needed and w < self.size[1]:
            img = f.pad(img, [self.size[1] - w, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and h < self.size[0]:
            img = f.pad(img, [0, self.size[0] - h], self.fill, self.padding_mode)
        return f.crop(img, *self.get_params(img, self.size))


class RandomResizedCrop(nn.Module):
    """A part of the picture that has a share of its area from `scale` and a width over height from
    `ratio`, resized to `size`."""

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size, self.scale, self.ratio = pair(size), scale, ratio
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(
        img: Picture, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part; the middle if ten draws do not fit."""
        w, h = f.get_image_size(img)
        low, high = math.log(ratio[0]), math.log(ratio[1])
        for _ in range(10):
            area = h * w * uniform(scale[0], scale[1])
            shape = math.exp(uniform(low, high))
            width, height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < width <= w and 0 < height <= h:
                return integer(0, h - height + 1), integer(0, w - width + 1), height, width
        width, height = w, h
        if w / h < min(ratio):
            height = round(w / min(ratio))
        elif w / h > max(ratio):
            width = round(h * max(ratio))
        return (h - height) // 2, (w - width) // 2, height, width

    def forward(self, img: Picture) -> Picture:
        part = self.get_params(img, self.scale, self.ratio)
        return f.resized_crop(img, *part, self.size, self.interpolation, self.antialias)

    def extra_repr(self) -> str:
        return f"size={self.size}, scale={tuple(self.scale)}, ratio={tuple(self.ratio)}"


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed in any order: factors from 1 - x to 1 + x,
    or from a given (low, high); a hue turned by -x to x, at most 0.5."""

    def __init__(
        self,
        brightness: float | tuple[float, float] = 0,
        contrast: float | tuple[float, float] = 0,
        saturation: float | tuple[float, float] = 0,
        hue: float | tuple[float, float] = 0,
    ) -> None:
        super().__init__()
        self.brightness = self._range(brightness, "brightness")
        self.contrast = self._range(contrast, "contrast")
        self.saturation = self._range(saturation, "saturation")
        self.hue = self._range(hue, "hue", 0.0, (-0.5, 0.5))

    @staticmethod
    def _range(
        value: Any, name: str, center: float = 1.0, limits: tuple[float, float] = (0.0, math.inf)
    ) -> tuple[float, float] | None:
        if isinstance(value, numbers.Number):
            if value < 0:  # type: ignore[operator]
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            low, high = center - value, center + value  # type: ignore[operator]
            low = max(low, 0.0) if center else low
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = float(value[0]), float(value[1])
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not limits[0] <= low <= high <= limits[1]:
            raise ValueError(f"{name} values should be between {limits}, but got {(low, high)}.")
        return None if low == high == center else (low, high)

    def forward(self, img: Picture) -> Picture:
        steps = (
            (f.adjust_brightness, self.brightness), (f.adjust_contrast, self.contrast),
            (f.adjust_saturation, self.saturation), (f.adjust_hue, self.hue),
        )  # fmt: skip
        for k in permutation(4):
            change, limits = steps[k]
            if limits is not None:
                img = change(img, uniform(*limits))
        return img

    def extra_repr(self) -> str:
        return (
            f"brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue}"
        )


class RandomErasing(nn.Module):
    """A rectangle of a tensor filled with `value` (a number, one for each channel, or "random"),
    with probability p; its share of the area is from `scale`, its height over width from
    `ratio`."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError("Scale should be between 0 and 1")
        if not 0 <= p <= 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    def forward(self, img: Tensor) -> Tensor:
        if uniform() >= self.p:
            return img
        channels, h, w = f.get_dimensions(img)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = h * w * uniform(self.scale[0], self.scale[1])
            shape = math.exp(uniform(low, high))
            height, width = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if height < h and width < w:
                top, left = integer(0, h - height + 1), integer(0, w - width + 1)
                v = self._filling(channels, height, width, img)
                return f.erase(img, top, left, height, width, v, self.inplace)
        return img

    def _filling(self, channels: int, height: int, width: int, img: Tensor) -> Tensor | float:
        if self.value == "random":
            return randn(channels, height, width, dtype=img.dtype)
        if isinstance(self.value, numbers.Number):
            return self.value  # type: ignore[return-value]
        if len(self.value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of input channels)"
            )
        return by_channel(self.value, img)
