"""Sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...creation import from_numpy
from ...functions.pointwise import where
from ...functions.shape import stack
from ...tensor import Tensor
from ..functional.padding import pad
from .segments import moved, staircase


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences of several lengths, step by step: `data` holds the elements of step 0 of all
    sequences (longest first), then those of step 1, ...; `batch_sizes` says how many each has."""

    def __new__(
        cls, data: Tensor, batch_sizes: Tensor, sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:  # fmt: skip
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in another dtype."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def double(self) -> PackedSequence:
        """The data as float64."""
        return self._replace(data=self.data.double())

    def float(self) -> PackedSequence:
        """The data as float32."""
        return self._replace(data=self.data.float())

    def cpu(self) -> PackedSequence:
        """This, which is on the CPU."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU: no."""
        return False

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory: no."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another."""
    if permutation is None:
        return None
    return from_numpy(np.argsort(permutation.numpy(), kind="stable"))


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences (T, N, ...) of these lengths, packed; longest first unless not
    enforce_sorted."""
    sizes = np.asarray(lengths.numpy() if isinstance(lengths, Tensor) else lengths, np.int64)
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
                "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
                "to sidestep this requirement if you do not need ONNX exportability."
            )
    else:
        places = np.argsort(-sizes, kind="stable")
        sizes = sizes[places]
        order = from_numpy(places)
    if batch_first:
        input = input.transpose(0, 1)
    if len(sizes) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size="
            f"{input.size(1)})"
        )
    if sizes.min(initial=1) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    there = sizes[None] > np.arange(sizes.max(initial=0))[:, None]
    counts, (step, row) = there.sum(1), np.nonzero(there)
    places = step * len(sizes) + (row if order is None else order.numpy()[row])
    data = moved(input.reshape(-1, *input.shape[2:]), places)
    return PackedSequence(data, from_numpy(counts.astype(np.int64)), order, None)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(padded sequences (T, N, ...), lengths) of a packed sequence."""
    counts = sequence.batch_sizes.numpy()
    length = len(counts) if total_length is None else total_length
    if length < len(counts):
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in "
            f"input, but got total_length={total_length} and max sequence length being "
            f"{len(counts)}"
        )
    places = staircase([*counts, *[0] * (length - len(counts))], counts[0])
    lengths = (places >= 0).sum(0)
    if sequence.unsorted_indices is not None:
        back = sequence.unsorted_indices.numpy()
        places, lengths = places[:, back], lengths[back]
    padded = moved(sequence.data, places.ravel()).reshape(*places.shape, *sequence.data.shape[1:])
    if padding_value:
        there = from_numpy(places >= 0).reshape(*places.shape, *[1] * (padded.dim() - 2))
        padded = where(there, padded, padding_value)
    lengths = from_numpy(np.ascontiguousarray(lengths, np.int64))
    return (padded.transpose(0, 1) if batch_first else padded), lengths


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:  # fmt: skip
    """Sequences (T_i, ...) as one tensor (T, N, ...), padded on one side."""
    parts = list(sequences)
    if not parts:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError("padding_side should be either 'right' or 'left'")
    longest = max(x.size(0) for x in parts)
    rows = []
    for x in parts:
        width = longest - x.size(0)
        sides = (width, 0) if padding_side == "left" else (0, width)
        rows.append(pad(x, (*[0, 0] * (x.dim() - 1), *sides), value=padding_value))
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded tensor, each of its length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    sizes = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [x[:n] for x, n in zip(padded_sequences, sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (T_i, ...), packed."""
    lengths = [x.size(0) for x in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
