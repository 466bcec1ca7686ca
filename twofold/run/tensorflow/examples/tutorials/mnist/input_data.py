"""MNIST from its four files. They are read where they lie; nothing is downloaded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FILES = (
    "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
)  # fmt: skip


class DataSet:
    """Pictures and labels, given out in batches."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int | None) -> None:
        self.images, self.labels = images, labels
        self.num_examples = len(images)
        self.epochs_completed = 0
        self._order = np.arange(len(images))
        self._at = 0
        self._random = np.random.RandomState(seed)

    def next_batch(
        self, batch_size: int, fake_data: bool = False, shuffle: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next `batch_size` pictures and labels; the order is new with each epoch."""
        if self._at == 0 and self.epochs_completed == 0 and shuffle:
            self._random.shuffle(self._order)
        chosen: list[np.ndarray] = []
        missing = batch_size
        while missing:
            part = self._order[self._at : self._at + missing]
            chosen.append(part)
            self._at += len(part)
            missing -= len(part)
            if self._at == self.num_examples:
                self.epochs_completed += 1
                self._at = 0
                if shuffle:
                    self._order = self._random.permutation(self.num_examples)
        rows = np.concatenate(chosen)
        return self.images[rows], self.labels[rows]


class Datasets(NamedTuple):
    """The three parts."""

    train: DataSet
    validation: DataSet
    test: DataSet


def _read(path: str) -> np.ndarray:
    """The array in an idx file. ValueError for what is none."""
    with gzip.open(path, "rb") as file:
        content = file.read()
    rank = content[3] if len(content) > 4 and content[:3] == b"\0\0\x08" else 0
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    body = np.frombuffer(content, np.uint8, offset=4 + 4 * rank) if rank else np.zeros(0, np.uint8)
    if not rank or body.size != np.prod(sizes, dtype=np.int64):
        raise ValueError(f"[read_data_sets] {path!r} is no whole idx file of bytes")
    return body.reshape(sizes)


def read_data_sets(
    train_dir: str, fake_data: bool = False, one_hot: bool = False, dtype: object = None,
    reshape: bool = True, validation_size: int = 5000, seed: int | None = None,
    source_url: Sequence[str] | str = "",
) -> Datasets:  # fmt: skip
    """Train, validation and test set from the four files in `train_dir`. FileNotFoundError that
    names those that are missing."""
    missing = [f for f in FILES if not os.path.exists(os.path.join(train_dir, f))]
    if missing:
        raise FileNotFoundError(
            f"[read_data_sets] {train_dir!r} must hold {', '.join(missing)}; nothing is "
            "downloaded; try putting MNIST's files there"
        )
    pictures, labels, test_pictures, test_labels = (
        _read(os.path.join(train_dir, f)) for f in FILES
    )
    held = min(validation_size, len(pictures) // 6)

    def made(x: np.ndarray, y: np.ndarray) -> DataSet:
        images = x.reshape(len(x), -1) if reshape else x[..., None]
        images = images.astype(np.float32) / np.float32(255)
        return DataSet(images, np.eye(10)[y] if one_hot else y, seed)

    return Datasets(
        made(pictures[held:], labels[held:]), made(pictures[:held], labels[:held]),
        made(test_pictures, test_labels),
    )  # fmt: skip
