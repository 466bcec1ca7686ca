"""Who takes part: Twofold and its peers, each behind the few calls that a workload needs."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 36),
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 36),
    "MALLOC_TOP_PAD_": str(64 << 20),
}
"""Tells the GNU C library to keep freed memory, so that fresh outputs do not cost page faults."""


@dataclass(frozen=True)
class Contestant:
    """A library and how it is run. `peer` is the name that `--peer` knows it by."""

    name: str
    library: str
    peer: str
    env: Mapping[str, str] = field(default_factory=dict)
    compiled: bool = False
    channels_last: bool = False


CONTESTANTS = {
    c.name: c
    for c in (
        Contestant("twofold", "twofold", ""),
        Contestant("twofold-last", "twofold", "", channels_last=True),
        Contestant("torch", "torch", "torch"),
        Contestant("torch-keep", "torch", "torch", KEEP_MEMORY),
        Contestant("torch-last", "torch", "torch", channels_last=True),
        Contestant("torch-last-keep", "torch", "torch", KEEP_MEMORY, channels_last=True),
        Contestant("torch-compiled", "torch", "torch-compiled", KEEP_MEMORY, compiled=True),
        Contestant("jax", "jax", "jax"),
        Contestant("onnxruntime", "onnxruntime", "onnxruntime"),
    )
}
"""`-keep`: with `KEEP_MEMORY`. `-last`: channels last. Compiled PyTorch keeps memory too."""


def environment(contestant: Contestant, threads: int) -> dict[str, str]:
    """The environment of a contestant's process: as many threads for everyone."""
    count = str(threads)
    names = ("TWOFOLD_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, count), **contestant.env, "JAX_PLATFORMS": "cpu"}


class Framework:
    """What a workload sees of a library. The library is imported at the first use of `module`."""

    def __init__(self, contestant: Contestant, threads: int) -> None:
        self.contestant = contestant
        self.name = contestant.library
        self.threads = threads

    @functools.cached_property
    def module(self) -> Any:
        """`twofold`, `torch`, `jax` or `onnxruntime`."""
        module = importlib.import_module(self.name)
        if self.name == "torch":
            module.set_num_threads(self.threads)
            module.manual_seed(0)
        return module

    @property
    def is_twofold(self) -> bool:
        return self.name == "twofold"

    def array(self, values: np.ndarray, requires_grad: bool = False) -> Any:
        """The values as a tensor of the library; images (4 axes) by the contestant's layout."""
        if self.name == "jax":
            return self.module.numpy.asarray(values)
        last = self.contestant.channels_last and values.ndim == 4
        if last and self.is_twofold:
            return self.module.from_numpy(values.transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
        tensor = self.module.from_numpy(np.array(values))
        if last:
            tensor = tensor.contiguous(memory_format=self.module.channels_last)
        return tensor.requires_grad_() if requires_grad else tensor

    def stored(self, images: Any) -> Any:
        """The images as the contestant's layout stores them: what is asked of Twofold, to which a
        layout is a permuted window."""
        if self.is_twofold and self.contestant.channels_last:
            return images.permute(0, 2, 3, 1).contiguous()
        return images

    def seen(self, images: Any) -> Any:
        """Images in `stored`'s form as all libraries index them, to be compared: the inverse."""
        if self.is_twofold and self.contestant.channels_last:
            return images.permute(0, 3, 1, 2)
        return images

    def layout(self, model: Any) -> Any:
        """The model with its weights in the contestant's layout."""
        if self.contestant.channels_last and not self.is_twofold:
            return model.to(memory_format=self.module.channels_last)
        return model

    def captured(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f` as the library runs it best when it may see the whole of it."""
        if self.name == "jax":
            return self.module.jit(f)
        if self.is_twofold or self.contestant.compiled:
            return self.module.compile(f)
        return f

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f` compiled where that is what the contestant stands for; Twofold is left dynamic."""
        return f if self.is_twofold else self.captured(f)

    def ready(self, *tensors: Any) -> Any:
        """Wait until the tensors have their values; gives the first."""
        if self.is_twofold:
            self.module.engine.realize([t._node() for t in tensors])
        elif self.name == "jax":
            for t in tensors:
                t.block_until_ready()
        return tensors[0]

    def numpy(self, value: Any) -> list[np.ndarray]:
        """All arrays in a result, flat."""
        if isinstance(value, (tuple, list)):
            return [array for part in value for array in self.numpy(part)]
        if self.name == "jax" or not hasattr(value, "detach"):
            return [np.asarray(value)]
        return [np.array(value.detach().numpy())]
