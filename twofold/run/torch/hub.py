"""`torch.hub`: files from the network, with `urllib` alone."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from ._program import torch_module

try:
    from tqdm import tqdm as tqdm
except ImportError:
    from ._progress import tqdm as tqdm

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_BLOCK = 1 << 16
_folder: list[str] = []


def _get_torch_home() -> str:
    """Where PyTorch keeps what it downloads."""
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The folder of what was downloaded."""
    return _folder[-1] if _folder else os.path.join(_get_torch_home(), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep what is downloaded in folder d."""
    _folder.append(os.path.expanduser(d))


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Download `url` to the file `dst`, written whole or not at all.

    RuntimeError if its SHA-256 does not begin with `hash_prefix`.
    """
    folder = os.path.dirname(os.path.abspath(dst))
    digest = hashlib.sha256()
    with urllib.request.urlopen(url) as source:
        handle, partial = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as out:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    out.write(block)
            if hash_prefix and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(
                    f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")'
                )
            os.replace(partial, dst)
        except BaseException:
            os.unlink(partial)
            raise


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> dict[str, Any]:
    """The state in the file at `url`, downloaded unless it is there already."""
    model_dir = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir, name)
    if not os.path.exists(path):
        found = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    load: Callable[..., Any] = torch_module().load
    return load(path, map_location=map_location, weights_only=weights_only)
