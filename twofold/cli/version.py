"""Versions of Twofold and of what it stands on."""

from __future__ import annotations

from importlib import metadata


def version(package: str = "twofold") -> str | None:
    """The installed version of a package; None where it is not installed.

    >>> version("no such package")
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
