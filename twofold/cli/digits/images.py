"""Pictures of any size and mode as the 28 x 28 images that the net has learned to read."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from ..errors import UserError, require
from .data import SIDE

BOX = 20
"""MNIST's digits fit a box of 20 x 20, with their centre of mass in the middle of 28 x 28."""

MOST_PIXELS = 50_000_000
FAINTEST = 24
"""The least difference, of 255, between ink and paper."""


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture as a 28 x 28 image of uint8, light ink on black. UserError if it shows no digit.

    What is 28 x 28 with light ink on black already is taken as it is. Of other pictures the ink is
    found, cut out, and scaled and centred as MNIST's digits are.
    """
    grey = _grey(path)
    if grey.max() - grey.min() < FAINTEST:
        raise UserError(f"{path}: all pixels are alike; there is no digit to read")
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    is_light_ink = np.median(border) <= (grey.max() + grey.min()) / 2
    if grey.shape == (SIDE, SIDE) and is_light_ink:
        return np.round(grey).astype(np.uint8)
    ink = grey - grey.min() if is_light_ink else grey.max() - grey
    return _centred(ink * (255 / ink.max()))


def _grey(path: str | os.PathLike[str]) -> np.ndarray:
    """A picture's brightness, 0 to 255, on a background that its ink stands out from."""
    pillow = require("PIL.Image", "pillow")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise UserError(
                        f"{path}: a picture may have {MOST_PIXELS:,} pixels; got "
                        f"{picture.width} x {picture.height}"
                    )
                return _brightness(picture)
    except pillow.UnidentifiedImageError:
        raise UserError(f"{path}: this is no image that can be read") from None
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise UserError(f"{path}: too large: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (ValueError, SyntaxError, EOFError) as error:
        raise UserError(f"{path}: damaged image: {error}") from None


def _brightness(picture: Any) -> np.ndarray:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, np.float64)
        span = values.max() - values.min()
        return (values - values.min()) * (255 / span) if span else np.zeros_like(values)
    # Alpha may hide in a palette or a transparent colour, so every picture is given one.
    rgba = np.asarray(picture.convert("RGBA"), np.float64)
    light = rgba[..., :3] @ [0.299, 0.587, 0.114]
    alpha = rgba[..., 3] / 255
    if alpha.min() == 1:
        return light
    ink = (light * alpha).sum() / max(alpha.sum(), 1e-9)
    paper = 255.0 if ink < 128 else 0.0
    return light * alpha + paper * (1 - alpha)


def _centred(ink: np.ndarray) -> np.ndarray:
    """Ink of 0 to 255 scaled into MNIST's box, its centre of mass in the middle."""
    pillow = require("PIL.Image", "pillow")
    strong = ink > 0.25 * ink.max()
    rows, columns = np.flatnonzero(strong.any(1)), np.flatnonzero(strong.any(0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cut.shape)
    height, width = (max(1, round(n * scale)) for n in cut.shape)
    small = pillow.fromarray(np.round(cut).astype(np.uint8)).resize(
        (width, height), pillow.Resampling.BOX if scale < 1 else pillow.Resampling.BICUBIC
    )
    values = np.asarray(small, np.float64)
    values = values * (255 / max(values.max(), 1))
    total = values.sum()
    mass = [(values.sum(1 - axis) * np.arange(values.shape[axis])).sum() / total for axis in (0, 1)]
    image = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (
        min(max(round((SIDE - 1) / 2 - m), 0), SIDE - n) for m, n in zip(mass, values.shape)
    )
    image[top : top + height, left : left + width] = np.round(values)
    return image
