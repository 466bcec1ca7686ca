"""Data sets of pictures."""

from .folder import IMG_EXTENSIONS, DatasetFolder, ImageFolder, default_loader

__all__ = ["IMG_EXTENSIONS", "DatasetFolder", "ImageFolder", "default_loader"]
