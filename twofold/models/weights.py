"""Where pretrained weights are: files of torchvision's names, checked by the hash in their names.

Nothing is downloaded. `weights=` takes a path, whose file is read as it is, or the name of a set of
weights; of a set that is not there, the error says which file to put where.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from .. import nn
from ..serialization import FormatError, load
from .weight_files import WEIGHT_FILES

M = TypeVar("M", bound=nn.Module)
_SOURCE = "https://download.pytorch.org/models/"


def folders() -> list[Path]:
    """Where weights are looked for: Twofold's own folder, then PyTorch's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    own = Path(os.environ.get("TWOFOLD_HOME", cache / "twofold")) / "weights"
    theirs = Path(os.environ.get("TORCH_HOME", cache / "torch")) / "hub" / "checkpoints"
    return [own, theirs]


def find(model: str, weights: str) -> Path:
    """The file with the set `weights` ("DEFAULT": the latest) of a model.

    ValueError if there is no such set, FileNotFoundError if the file is not there, FormatError if
    it is not the file of that name.
    """
    sets = WEIGHT_FILES.get(model, {})
    owner, _, name = weights.rpartition(".")
    chosen = list(sets)[-1] if name == "DEFAULT" and sets else name
    if chosen not in sets or owner.lower() not in ("", f"{model}_weights"):
        known = ", ".join(sets) or "none"
        raise ValueError(f"[{model}] the sets of weights are {known}; got {weights!r}")
    name = sets[chosen]
    for folder in folders():
        if (folder / name).is_file():
            _check_hash(folder / name)
            return folder / name
    raise FileNotFoundError(
        f"[{model}] the weights {chosen} are the file {name}, which is not there; put it into "
        f"{folders()[0]} (it comes from {_SOURCE}{name}), or give its path as weights="
    )


def _check_hash(path: Path) -> None:
    """FormatError unless the file's SHA-256 begins as its name says."""
    told = re.search(r"-([0-9a-f]{8})\.", path.name)
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if told is None or not found.startswith(told[1]):
        raise FormatError(
            f"[models] {path} is damaged or another file: its SHA-256 begins with {found[:8]}"
        )


def pretrained(model: M, name: str, weights: Any, rename: Callable[[str], str] | None = None) -> M:
    """The model with these weights: None leaves it as it is; a path, or the name of a set."""
    if weights is None:
        return model
    if isinstance(weights, Enum):
        weights = f"{type(weights).__name__}.{weights.name}"
    is_path = isinstance(weights, os.PathLike) or (
        isinstance(weights, str) and (os.sep in weights or Path(weights).suffix in _SUFFIXES)
    )
    state = load(weights if is_path else find(name, weights), map_location="cpu")
    if rename is not None:
        state = {rename(key): value for key, value in state.items()}
    model.load_state_dict(state)
    return model


_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
