"""Transforms that do the same to every picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import dtypes, nn
from ...dtypes import DType
from ...tensor import Tensor
from . import functional as f
from .pictures import InterpolationMode, Picture, pair


class Compose:
    """One transform after the other.

    >>> import numpy as np
    >>> prepare = Compose([ToTensor(), Normalize([0.5], [0.5])])
    >>> prepare(np.zeros((2, 2, 1), np.uint8)).max().item()
    -1.0
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        lines = [f"\n    {transform}" for transform in self.transforms]
        return f"{type(self).__name__}({''.join(lines)}\n)"


class ToTensor:
    """A PIL image or an array (H, W, C) as a tensor (C, H, W); bytes become float32 from 0 to 1."""

    def __call__(self, pic: Any) -> Tensor:
        return f.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image as a tensor (C, H, W) of the same numbers."""

    def __call__(self, pic: Any) -> Tensor:
        return f.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image of a mode."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return f.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(nn.Module):
    """A tensor in another dtype, its values scaled to that dtype's range."""

    def __init__(self, dtype: DType = dtypes.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        return f.convert_image_dtype(image, self.dtype)


class Normalize(nn.Module):
    """y = (x - mean) / std, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return f.normalize(tensor, self.mean, self.std, self.inplace)

    def extra_repr(self) -> str:
        return f"mean={self.mean}, std={self.std}"


class Resize(nn.Module):
    """A resize to (height, width), or of the shorter side to one number; see
    `functional.resize`."""

    def __init__(
        self,
        size: Any,
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.interpolation = size, interpolation
        self.max_size, self.antialias = max_size, antialias

    def forward(self, img: Picture) -> Picture:
        return f.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def extra_repr(self) -> str:
        mode = self.interpolation
        name = mode.value if isinstance(mode, InterpolationMode) else mode
        return (
            f"size={self.size}, interpolation={name}, max_size={self.max_size}, "
            f"antialias={self.antialias}"
        )


class _Crop(nn.Module):
    """Parts of a picture, each of `size`."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def extra_repr(self) -> str:
        return f"size={self.size}"


class CenterCrop(_Crop):
    """The middle of a picture."""

    def forward(self, img: Picture) -> Picture:
        return f.center_crop(img, self.size)


class Pad(nn.Module):
    """A frame round the picture; see `functional.pad`."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Picture) -> Picture:
        return f.pad(img, self.padding, self.fill, self.padding_mode)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode}"


class FiveCrop(_Crop):
    """The four corners and the middle of a picture."""

    def forward(self, img: Picture) -> tuple[Picture, ...]:
        return f.five_crop(img, self.size)


class TenCrop(_Crop):
    """The four corners and the middle of a picture and of the flipped one."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Picture) -> tuple[Picture, ...]:
        return f.ten_crop(img, self.size, self.vertical_flip)

    def extra_repr(self) -> str:
        return f"size={self.size}, vertical_flip={self.vertical_flip}"


class Grayscale(nn.Module):
    """The luminance in one or three channels."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Picture) -> Picture:
        return f.rgb_to_grayscale(img, self.num_output_channels)


class Lambda:
    """A function of the user's own."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class LinearTransformation(nn.Module):
    """Whitening: the flat picture less a mean, times a square matrix."""

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns or mean_vector.shape[0] != rows:
            raise ValueError(
                "transformation_matrix should be square and as long as mean_vector; got "
                f"{(rows, columns)} and {tuple(mean_vector.shape)}"
            )
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        shape = tensor.shape
        if int(np.prod(shape[-3:])) != self.transformation_matrix.shape[0]:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape. Got "
                f"{tuple(shape)} and {tuple(self.transformation_matrix.shape)}"
            )
        flat = tensor.reshape(-1, self.mean_vector.shape[0]) - self.mean_vector
        return (flat @ self.transformation_matrix).reshape(shape)
