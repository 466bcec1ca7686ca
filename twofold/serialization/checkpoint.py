"""Checkpoints: all that training needs to go on bit for bit where it was, in one file."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..functions.random import default_generator
from ..tensor import Tensor
from . import tree
from .files import FormatError

VERSION = 1


@dataclass
class Checkpoint:
    """Weights, optimizer, random numbers, the loader's position, where training stands, and more.

    `metadata` is a tree of whatever the program wants to find again. `scheduler` and `loader` may
    be None.

    >>> import os, tempfile, twofold as tf
    >>> class Net:
    ...     def state_dict(self):
    ...         return {"w": tf.ones(2)}
    >>> path = os.path.join(tempfile.mkdtemp(), "net.ckpt")
    >>> Checkpoint.of(Net(), epoch=3, metadata={"classes": 10}).save(path)
    >>> Checkpoint.load(path).epoch
    3
    """

    model: dict[str, Any]
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    loader: dict[str, Any] | None = None
    random: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    step: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: Any,
        optimizer: Any = None,
        scheduler: Any = None,
        loader: Any = None,
        epoch: int = 0,
        step: int = 0,
        metadata: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """What these objects hold now, by their `state_dict`."""
        return cls(
            model=model.state_dict(),
            optimizer=None if optimizer is None else optimizer.state_dict(),
            scheduler=None if scheduler is None else scheduler.state_dict(),
            loader=None if loader is None else loader.state_dict(),
            random=random_state(),
            epoch=epoch,
            step=step,
            metadata=dict(metadata or {}),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the checkpoint. The one before it at `path` is kept as `path` + ".previous"."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        content = {"twofold.checkpoint": VERSION, **content}
        tree.save(content, path, f"{os.fspath(path)}.previous")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Read a checkpoint. FormatError if it is none, cut short or damaged."""
        content: Any
        try:
            content = tree.load(path)
        except FormatError as error:
            previous = Path(f"{os.fspath(path)}.previous")
            if previous.exists():
                raise FormatError(f"{error}; try the one before it, {previous}") from None
            raise
        if not isinstance(content, dict) or "twofold.checkpoint" not in content:
            raise FormatError(f"[checkpoint] {os.fspath(path)} holds no checkpoint of training")
        version = content.pop("twofold.checkpoint")
        names = {f.name for f in fields(cls)}
        if version != VERSION or set(content) != names or not isinstance(content["model"], dict):
            raise FormatError(
                f"[checkpoint] {os.fspath(path)} is of version {version}; this Twofold reads "
                f"version {VERSION}"
            )
        return cls(**content)

    def restore(
        self, model: Any, optimizer: Any = None, scheduler: Any = None, loader: Any = None
    ) -> None:
        """Put the state into these objects and the random generators.

        RuntimeError, before anything is changed, if the checkpoint is of another net or lacks what
        is asked for.
        """
        check_same_net(self.model, model.state_dict())
        parts = {"optimizer": optimizer, "scheduler": scheduler, "loader": loader}
        for name, part in parts.items():
            if part is not None and getattr(self, name) is None:
                raise RuntimeError(f"[checkpoint] the checkpoint has no state of the {name}")
        model.load_state_dict(self.model)
        for name, part in parts.items():
            if part is not None:
                part.load_state_dict(getattr(self, name))
        if self.random:
            set_random_state(self.random)


def random_state() -> dict[str, Any]:
    """The state of Twofold's default generator, NumPy's global one and that of Python's
    `random`."""
    numpy_state: Any = np.random.get_state(legacy=False)
    words = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in numpy_state["state"].items()
    }
    return {
        "twofold": [default_generator.key, default_generator.offset],
        "numpy": {**numpy_state, "state": words},
        "python": random.getstate(),
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go on from a state that `random_state` gave."""
    default_generator.key, default_generator.offset = state["twofold"]
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def check_same_net(saved: Mapping[str, Any], own: Mapping[str, Any], most: int = 8) -> None:
    """RuntimeError that lists what differs unless both hold the same names in the same shapes."""
    groups = {
        "only in the checkpoint": [_described(n, saved[n]) for n in saved if n not in own],
        "only in this net": [_described(n, own[n]) for n in own if n not in saved],
        "of another shape": [
            f"{n}: {_shape(saved[n])} in the checkpoint, {_shape(own[n])} in this net"
            for n in own
            if n in saved and _shape(saved[n]) != _shape(own[n])
        ],
    }
    lines = []
    for title, found in groups.items():
        if found:
            more = [f"... and {len(found) - most} more"] if len(found) > most else []
            lines.append(f"  {title}:")
            lines += [f"    {line}" for line in found[:most] + more]
    if lines:
        raise RuntimeError("\n".join(["[checkpoint] the checkpoint is of another net", *lines]))


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _described(name: str, value: Any) -> str:
    return f"{name} {_shape(value)}"
