"""Samples put together into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import dtypes
from ...creation import as_tensor, tensor
from ...functions.shape import stack
from ...tensor import Tensor, from_stored

_FAILURE = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of samples as one sample with a leading axis.

    Tensors and arrays are stacked, numbers become tensors, text stays a list; tuples (as lists),
    lists and mappings are put together element by element. RuntimeError if tensors differ in shape
    or sequences in length; TypeError for anything else.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stack_tensors(batch)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "OSUV":
            raise TypeError(_FAILURE.format(first.dtype))
        return from_stored(_stack_arrays(batch), dtypes.from_numpy(first.dtype))
    if isinstance(first, np.generic):
        return as_tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=dtypes.float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        parts = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return _like_mapping(first, parts)
    if isinstance(first, Sequence):
        for at, sample in enumerate(batch):
            if len(sample) != len(first):
                raise RuntimeError(
                    "each element in list of batch should be of equal size; got "
                    f"{len(first)} at entry 0 and {len(sample)} at entry {at}"
                )
        if isinstance(first, tuple) and not hasattr(first, "_fields"):
            return [default_collate(part) for part in zip(*batch)]
        return _like_sequence(first, [default_collate(part) for part in zip(*batch)])
    raise TypeError(_FAILURE.format(type(first)))


def default_convert(data: Any) -> Any:
    """A sample with its arrays as tensors: what a loader that makes no batches gives.

    >>> import numpy as np
    >>> default_convert({"x": np.array([1.0, 2.0]), "y": "text"})
    {'x': tensor([1., 2.], dtype=twofold.float64), 'y': 'text'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind not in "OSUV":
        return as_tensor(np.asarray(data))
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        parts = [default_convert(value) for value in data]
        if isinstance(data, tuple) and not hasattr(data, "_fields"):
            return parts
        return _like_sequence(data, parts)
    return data


def _stack_tensors(batch: Sequence[Tensor]) -> Tensor:
    """Values that are there are copied; what carries a gradient is stacked as part of the graph."""
    if any(t.requires_grad for t in batch):
        return stack(list(batch))
    dtype = batch[0].dtype
    if any(t.dtype is not dtype for t in batch):
        raise RuntimeError(
            "[default_collate] the tensors of a batch must have one dtype; got "
            + ", ".join(sorted({str(t.dtype) for t in batch}))
        )
    return from_stored(_stack_arrays([t._array() for t in batch]), dtype)


def _stack_arrays(batch: Sequence[np.ndarray]) -> np.ndarray:
    for at, array in enumerate(batch):
        if array.shape != batch[0].shape:
            raise RuntimeError(
                "stack expects each tensor to be equal size, but got "
                f"{list(batch[0].shape)} at entry 0 and {list(array.shape)} at entry {at}"
            )
    return np.stack(batch)


def _like_mapping(data: Mapping[Any, Any], parts: dict[Any, Any]) -> Any:
    return parts if type(data) is dict else type(data)(parts)  # type: ignore[call-arg]


def _like_sequence(data: Sequence[Any], parts: list[Any]) -> Any:
    if hasattr(data, "_fields"):
        return type(data)(*parts)
    return parts if isinstance(data, (list, range)) else type(data)(parts)  # type: ignore[call-arg]
