"""Transforms of one picture: a PIL image, or a tensor (..., C, H, W).

Tensors of uint8 go from 0 to 255, of floating-point numbers from 0 to 1. Results are those of
torchvision: to the bit for PIL images, which Pillow transforms; within rounding for tensors.
"""

from __future__ import annotations

import enum
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ... import dtypes
from ...creation import from_numpy, tensor
from ...dtypes import DType
from ...nn import functional as nnf
from ...tensor import Tensor

Picture = Any
"""A PIL image or a tensor."""


class InterpolationMode(enum.Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


PILLOW_MODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.NEAREST_EXACT: 0,
}
"""Pillow's numbers of the modes."""


def _mode(given: InterpolationMode | int) -> InterpolationMode:
    """A mode, also given as Pillow's number."""
    if isinstance(given, int):
        given = next((mode for mode, number in PILLOW_MODES.items() if number == given), given)
    if not isinstance(given, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer"
            f" constant; got {given!r}"
        )
    return given


def _checked(picture: Picture) -> Picture:
    if not isinstance(picture, (Image.Image, Tensor)):
        raise TypeError(
            f"[vision] a picture is a PIL image or a tensor; got {type(picture).__name__}"
        )
    if isinstance(picture, Tensor) and picture.ndim < 2:
        raise TypeError(
            f"[vision] a tensor that is a picture has at least two axes; got {tuple(picture.shape)}"
        )
    return picture


def get_image_size(img: Picture) -> list[int]:
    """[width, height]."""
    if isinstance(_checked(img), Tensor):
        return [img.shape[-1], img.shape[-2]]
    return list(img.size)


def get_image_num_channels(img: Picture) -> int:
    """The number of channels."""
    if isinstance(_checked(img), Tensor):
        return img.shape[-3] if img.ndim > 2 else 1
    return len(img.getbands())


def get_dimensions(img: Picture) -> list[int]:
    """[channels, height, width]."""
    width, height = get_image_size(img)
    return [get_image_num_channels(img), height, width]


# Conversions.


def pil_to_tensor(pic: Image.Image) -> Tensor:
    """A PIL image as a tensor (C, H, W) of the same numbers."""
    if not isinstance(pic, Image.Image):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic, copy=True)
    array = array.astype(np.int32) if array.dtype == np.uint16 else array
    planes = array.reshape(pic.size[1], pic.size[0], -1).transpose(2, 0, 1)
    return from_numpy(np.ascontiguousarray(planes))


def to_tensor(pic: Image.Image | np.ndarray) -> Tensor:
    """A PIL image or an array (H, W, C) as a tensor (C, H, W); bytes become float32 from 0 to 1.

    >>> import numpy as np
    >>> to_tensor(np.full((2, 2, 3), 255, np.uint8)).shape
    twofold.Size([3, 2, 2])
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
    elif isinstance(pic, Image.Image):
        array = np.array(pic, copy=True)
        if pic.mode == "1":
            array = 255 * array.astype(np.uint8)
        if array.dtype == np.uint16:
            array = array.astype(np.int16)
        array = array.reshape(pic.size[1], pic.size[0], -1)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    if planes.dtype == np.uint8:
        planes = planes.astype(np.float32) / np.float32(255)
    return from_numpy(planes)


def to_pil_image(pic: Tensor | np.ndarray, mode: str | None = None) -> Image.Image:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image; of floating-point numbers, 1 becomes
    255."""
    if isinstance(pic, Tensor):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic.detach().numpy()
        array = array[None] if array.ndim == 2 else array
        if array.shape[0] > 4:
            raise ValueError(f"pic should not have > 4 channels. Got {array.shape[0]} channels.")
        if np.issubdtype(array.dtype, np.floating) and mode != "F":
            array = (array * 255).astype(np.uint8)
        array = array.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = array.shape[2]
    if channels == 1:
        flat = array[:, :, 0]
        own = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}.get(flat.dtype.name)
        if own is None:
            raise TypeError(f"Input type {array.dtype} is not supported")
        image = Image.fromarray(np.ascontiguousarray(flat))
        return image if mode in (None, own) else image.convert(mode)
    if array.dtype != np.uint8:
        raise TypeError(f"Input type {array.dtype} is not supported")
    usual = {2: "LA", 3: "RGB", 4: "RGBA"}
    if channels not in usual:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    allowed = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}[channels]
    if mode is not None and mode not in allowed:
        raise ValueError(f"Only modes {list(allowed)} are supported for {channels}D inputs")
    raw = np.ascontiguousarray(array)
    size = (raw.shape[1], raw.shape[0])
    return Image.frombytes(mode or usual[channels], size, raw.tobytes())


def convert_image_dtype(image: Tensor, dtype: DType = dtypes.float32) -> Tensor:
    """The picture in another dtype, its values scaled to that dtype's range."""
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    source, target = image.dtype, dtype
    if source == target:
        return image
    if source.is_floating_point:
        if target.is_floating_point:
            return image.to(target)
        if target.itemsize * 8 > (23 if source.itemsize == 4 else 52):
            raise RuntimeError(f"The cast from {source} to {target} cannot be performed safely")
        return (image * (bound(target) + 1.0 - 1e-3)).to(target)
    if target.is_floating_point:
        return image.to(target) / bound(source)
    low, high = bound(source), bound(target)
    if low > high:
        return (image // ((low + 1) // (high + 1))).to(target)
    return image.to(target) * ((high + 1) // (low + 1))


def bound(dtype: DType) -> int:
    """What stands for white."""
    if dtype.is_floating_point or dtype is dtypes.bool_:
        return 1
    return int(np.iinfo(dtype.name).max)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """y = (x - mean) / std, channel by channel.

    >>> import twofold as tf
    >>> normalize(tf.ones(1, 2, 2), [0.5], [0.25]).max().item()
    2.0
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tuple(tensor.shape)}"
        )
    middle, scale = by_channel(mean, tensor), by_channel(std, tensor)
    if not np.all(np.asarray(std, tensor.dtype.name)):
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero"
        )
    if inplace:
        return tensor.sub_(middle).div_(scale)
    return (tensor - middle) / scale


def by_channel(values: Sequence[float], like: Tensor) -> Tensor:
    flat = tensor(list(values), dtype=like.dtype)
    return flat.reshape(-1, 1, 1) if flat.ndim == 1 else flat


# Sizes and places.


def _resized(width: int, height: int, size: Any, max_size: int | None) -> tuple[int, int]:
    """(width, height) after a resize to `size`: the shorter side of one number, or (h, w)."""
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not {sizes}")
    if len(sizes) == 2:
        if max_size is not None:
            raise ValueError("max_size should only be passed if size specifies the smaller edge")
        return sizes[1], sizes[0]
    short, long = sorted((width, height))
    new_short, new_long = sizes[0], int(sizes[0] * long / short)
    if max_size is not None:
        if max_size <= sizes[0]:
            raise ValueError(f"max_size = {max_size} must be strictly greater than size = {size}")
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if width <= height else (new_long, new_short)


def resize(
    img: Picture,
    size: Any,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Picture:
    """The picture with `size` (height, width), or with one number as its shorter side and the other
    side in proportion, at most `max_size`. Where a tensor shrinks, `antialias` widens the kernel,
    as Pillow always does."""
    mode = _mode(interpolation)
    width, height = get_image_size(img)
    new_width, new_height = _resized(width, height, size, max_size)
    if (new_width, new_height) == (width, height):
        return img
    if not isinstance(img, Tensor):
        return img.resize((new_width, new_height), PILLOW_MODES[mode])
    known = ("nearest", "nearest-exact", "bilinear", "bicubic")
    if mode.value not in known:
        raise ValueError(f"[resize] a tensor is resized by one of {known}; got {mode.value}")
    smooth = mode.value in ("bilinear", "bicubic")
    exact = img if img.is_floating_point() else img.to(dtypes.float32)
    batch = exact.reshape(-1, *exact.shape[-3:]) if exact.ndim != 4 else exact
    options: dict[str, Any] = {"antialias": bool(antialias), "align_corners": False}
    out = nnf.interpolate(
        batch, (new_height, new_width), mode=mode.value, **(options if smooth else {})
    )
    out = out.reshape(*img.shape[:-2], new_height, new_width)
    if exact is img:
        return out
    if mode is InterpolationMode.BICUBIC:
        out = out.clamp(0, bound(img.dtype))
    return (out.round() if smooth else out).to(img.dtype)


def _four(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) from one, two or four numbers."""
    sides = [padding] if isinstance(padding, int) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element "
            "tuple"
        )
    sides = sides * 4 if len(sides) == 1 else sides * 2 if len(sides) == 2 else sides
    return sides[0], sides[1], sides[2], sides[3]


def pad(img: Picture, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Picture:
    """The picture with a frame: as wide on all sides, (left and right, top and bottom), or (left,
    top, right, bottom); of one colour (`constant`), or going on by the last pixel (`edge`) or
    backwards, without it (`reflect`) or with it (`symmetric`)."""
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    left, top, right, bottom = _four(padding)
    if not isinstance(_checked(img), Tensor):
        if padding_mode == "constant":
            colour = fill
            if isinstance(fill, Sequence) and len(fill) == 1:
                colour = fill[0]
            return ImageOps.expand(img, (left, top, right, bottom), fill=_colour(img, colour))
        array = np.asarray(img)
        widths = ((top, bottom), (left, right), (0, 0))[: array.ndim]
        framed = np.pad(array, widths, mode=padding_mode)  # type: ignore[call-overload]
        out = Image.fromarray(framed)
        if img.mode == "P":
            out.putpalette(img.getpalette())
        return out
    if padding_mode == "constant":
        return nnf.pad(img, (left, right, top, bottom), value=_number(fill))
    rows = _places(img.shape[-2], top, bottom, padding_mode)
    columns = _places(img.shape[-1], left, right, padding_mode)
    return img[..., rows, :][..., columns]


def _places(n: int, before: int, after: int, mode: str) -> Tensor:
    """Which of n elements stand where there are more before and after them."""
    return from_numpy(np.pad(np.arange(n), (before, after), mode=mode))  # type: ignore[call-overload]


def _number(fill: Any) -> float:
    if isinstance(fill, numbers.Number):
        return fill  # type: ignore[return-value]
    values = list(fill)
    if len(values) != 1:
        raise ValueError(f"[pad] a tensor is filled with one number; got {fill}")
    return values[0]


def _colour(img: Image.Image, fill: Any) -> Any:
    """A colour for each band of a PIL image."""
    bands = len(img.getbands())
    if isinstance(fill, numbers.Number):
        return tuple([fill] * bands) if bands > 1 else fill
    if len(fill) != bands:
        raise ValueError(
            f"The number of elements in 'fill' does not match {bands} channels: {fill}"
        )
    return tuple(fill)


def crop(img: Picture, top: int, left: int, height: int, width: int) -> Picture:
    """A part of the picture; what lies outside is 0."""
    if not isinstance(_checked(img), Tensor):
        return img.crop((left, top, left + width, top + height))
    w, h = get_image_size(img)
    right, bottom = left + width, top + height
    inner = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left < 0 or top < 0 or right > w or bottom > h:
        frame = (
            max(min(right, 0) - left, 0), max(right - max(w, left), 0),
            max(min(bottom, 0) - top, 0), max(bottom - max(h, top), 0),
        )  # fmt: skip
        return nnf.pad(inner, frame)
    return inner


def center_crop(img: Picture, output_size: Any) -> Picture:
    """The middle of the picture, of `output_size` (height, width); a smaller picture gets a black
    frame first.

    >>> import twofold as tf
    >>> center_crop(tf.arange(16).reshape(1, 4, 4), 2)
    tensor([[[ 5,  6],
             [ 9, 10]]])
    """
    height, width = pair(output_size)
    w, h = get_image_size(img)
    if width > w or height > h:
        wide, high = max(width - w, 0), max(height - h, 0)
        img = pad(img, (wide // 2, high // 2, (wide + 1) // 2, (high + 1) // 2))
        w, h = get_image_size(img)
        if (width, height) == (w, h):
            return img
    return crop(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


def pair(size: Any) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    values = list(size)
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def resized_crop(
    img: Picture,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Picture:
    """A part of the picture, resized."""
    part = crop(img, top, left, height, width)
    return resize(part, size, interpolation, antialias=antialias)


def hflip(img: Picture) -> Picture:
    """Left and right exchanged."""
    if isinstance(_checked(img), Tensor):
        return img.flip(-1)
    return img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Picture) -> Picture:
    """Top and bottom exchanged."""
    if isinstance(_checked(img), Tensor):
        return img.flip(-2)
    return img.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def five_crop(img: Picture, size: Any) -> tuple[Picture, ...]:
    """The four corners and the middle, each of `size`."""
    height, width = pair(size)
    w, h = get_image_size(img)
    if width > w or height > h:
        raise ValueError(
            f"Requested crop size {(height, width)} is bigger than input size {(h, w)}"
        )
    corners = ((0, 0), (0, w - width), (h - height, 0), (h - height, w - width))
    parts = [crop(img, top, left, height, width) for top, left in corners]
    return (*parts, center_crop(img, (height, width)))


def ten_crop(img: Picture, size: Any, vertical_flip: bool = False) -> tuple[Picture, ...]:
    """`five_crop` of the picture and of the flipped one."""
    other = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(other, size)


def erase(
    img: Tensor, i: int, j: int, h: int, w: int, v: Tensor | float, inplace: bool = False
) -> Tensor:
    """The picture with v in a rectangle."""
    if not isinstance(img, Tensor):
        raise TypeError(f"[erase] expected a tensor; got {type(img).__name__}")
    out = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out
