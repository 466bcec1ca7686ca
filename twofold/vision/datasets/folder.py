"""Files in one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ...utils.data import Dataset

IMG_EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip

Function = Callable[[Any], Any]


def default_loader(path: str | Path) -> Image.Image:
    """The picture in a file, as RGB."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


class DatasetFolder(Dataset):
    """The files below `root/CLASS/`, each with the number of its class, as (sample, number).

    Classes are numbered in the order of their names; within a class, files are in the order of
    theirs. `loader` reads a file. Either `extensions` or `is_valid_file` says which files count.
    Raises FileNotFoundError for a root without classes, and for a class without files unless
    `allow_empty`.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: Sequence[str] | None = None,
        transform: Function | None = None,
        target_transform: Function | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root, self.loader, self.extensions = str(root), loader, extensions
        self.transform, self.target_transform = transform, target_transform
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [number for _, number in self.samples]

    @staticmethod
    def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """The names of the folders within `directory`, in order, and their numbers."""
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
        return classes, {name: i for i, name in enumerate(classes)}

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int] | None = None,
        extensions: Sequence[str] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """(path, number of its class) of each file that counts."""
        if (extensions is None) == (is_valid_file is None):
            raise ValueError(
                "Both extensions and is_valid_file cannot be None or not None at the same time"
            )
        if class_to_idx is None:
            _, class_to_idx = DatasetFolder.find_classes(directory)
        ends = tuple(extensions or ())
        is_valid = is_valid_file or (lambda path: path.lower().endswith(ends))
        found: list[tuple[str, int]] = []
        empty: list[str] = []
        for name, number in sorted(class_to_idx.items()):
            before = len(found)
            for folder, _, files in sorted(
                os.walk(os.path.join(directory, name), followlinks=True)
            ):
                paths = [os.path.join(folder, file) for file in sorted(files)]
                found += [(path, number) for path in paths if is_valid(path)]
            if len(found) == before:
                empty.append(name)
        if empty and not allow_empty:
            message = f"Found no valid file for the classes {', '.join(empty)}."
            if extensions is not None:
                message += f" Supported extensions are: {', '.join(extensions)}"
            raise FileNotFoundError(message)
        return found

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target


class ImageFolder(DatasetFolder):
    """The pictures below `root/CLASS/` as (picture, number of its class).

        root/dog/a.png      root/cat/b.jpg

    `transform` gets a PIL image (RGB, unless `loader` reads otherwise).
    """

    def __init__(
        self,
        root: str | Path,
        transform: Function | None = None,
        target_transform: Function | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform,
            target_transform,
            is_valid_file,
            allow_empty,
        )
        self.imgs = self.samples
