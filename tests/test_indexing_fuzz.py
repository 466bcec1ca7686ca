"""Random index expressions, to read and to write, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twofold as tf

torch = pytest.importorskip("torch")

SMALL = st.integers(0, 4)


@st.composite
def arrays(draw: Any, n: int) -> np.ndarray:
    """Integer positions on an axis of n; now and then one that is out of range."""
    shape = draw(st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (0,)]))
    low, high = (-n, n - 1) if n else (0, 0)
    if draw(st.integers(0, 40)) == 0:
        high += 1
    values = draw(st.lists(st.integers(low, high), min_size=6, max_size=6))
    return np.resize(np.array(values), shape).astype(np.int64)


@st.composite
def slices(draw: Any, n: int) -> slice:
    ends = st.one_of(st.none(), st.integers(-n - 1, n + 1))
    return slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, 3])))


@st.composite
def indices(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An index expression for an array of `shape`, its arrays as NumPy's."""
    items: list[Any] = []
    axis, ellipsis = 0, False
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from("int slice slice none ellipsis array array mask stop".split()))
        if kind == "stop":
            break
        if kind == "none":
            items.append(None)
            continue
        if kind == "ellipsis":
            if not ellipsis:
                items.append(Ellipsis)
                axis += draw(st.integers(0, len(shape) - axis))
                ellipsis = True
            continue
        if kind == "mask":
            rank = draw(st.integers(1, min(2, len(shape) - axis)))
            own = shape[axis : axis + rank]
            size = int(np.prod(own))
            bits = draw(st.lists(st.booleans(), min_size=size, max_size=size))
            items.append(np.array(bits, bool).reshape(own))
            axis += rank
            continue
        if kind == "int":
            items.append(draw(st.integers(-n, max(n - 1, -n))))
        elif kind == "slice":
            items.append(draw(slices(n)))
        else:
            items.append(draw(arrays(n)))
        axis += 1
    return tuple(items)


@st.composite
def cases(draw: Any) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    shape = tuple(draw(st.lists(SMALL, min_size=1, max_size=4)))
    return shape, draw(indices(shape))


def of(module: Any, index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(module.tensor(i) if isinstance(i, np.ndarray) else i for i in index)


def attempt(f: Any) -> Any:
    """f's result as an array, or the class of its error."""
    try:
        return f().numpy()
    except (IndexError, RuntimeError) as error:
        return type(error)


def agree(a: Any, b: Any, what: str) -> None:
    """Equal arrays, or errors on both sides. PyTorch looks at no position if there is nothing to
    read."""
    if a is IndexError and isinstance(b, np.ndarray) and not b.size:
        return
    if isinstance(b, type) or isinstance(a, type):
        assert isinstance(a, type) and isinstance(b, type), (what, a, b)
        return
    assert a.shape == b.shape, (what, a.shape, b.shape)
    np.testing.assert_array_equal(a, b, err_msg=what)


@settings(max_examples=150, deadline=None)
@given(cases(), st.booleans())
def test_reading(case: tuple, turned: bool) -> None:
    shape, index = case
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    ours, theirs = tf.tensor(x), torch.tensor(x)
    if turned:
        axes = tuple(range(len(shape)))[::-1]
        stored = np.ascontiguousarray(x.transpose(axes))
        ours, theirs = tf.tensor(stored).permute(axes), torch.tensor(stored).permute(axes)
    agree(
        attempt(lambda: ours[of(tf, index)]), attempt(lambda: theirs[of(torch, index)]), str(index)
    )


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(["number", "values", "row"]), st.booleans())
def test_writing(case: tuple, kind: str, within: bool) -> None:
    shape, index = case
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)

    def written(module: Any) -> Any:
        whole = module.tensor(x)
        y = whole
        if within:
            whole = module.zeros(2, *shape)
            y = whole[1]
        where = of(module, index)
        wanted = tuple(y[where].shape)
        if 0 in wanted:
            return whole
        if kind == "number":
            y[where] = 7.5
            return whole
        if kind == "row" and wanted:
            wanted = (*(1,) * (len(wanted) - 1), wanted[-1])
        count = int(np.prod(wanted))
        values = -np.arange(1, count + 1, dtype="float32").reshape(wanted)
        y[where] = module.tensor(values)
        return whole

    ours, theirs = attempt(lambda: written(tf)), attempt(lambda: written(torch))
    if not _repeats(index, shape):
        agree(ours, theirs, str(index))


def _repeats(index: tuple[Any, ...], shape: tuple[int, ...]) -> bool:
    """Whether some place is named twice, so that the order of the writes would matter."""
    flat = torch.arange(int(np.prod(shape))).reshape(shape)
    try:
        found = flat[of(torch, index)].reshape(-1).tolist()
    except (IndexError, RuntimeError):
        return False
    return len(set(found)) != len(found)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_gradients(case: tuple) -> None:
    shape, index = case
    x = np.arange(np.prod(shape), dtype="float64").reshape(shape)
    grads = []
    for module in (tf, torch):
        t = module.tensor(x, requires_grad=True)
        try:
            y = t[of(module, index)]
            if not y.numel():
                return
            weight = module.arange(1, y.numel() + 1, dtype=module.float64).reshape(y.shape)
            (y * weight).sum().backward()
            grads.append(t.grad.numpy())
        except IndexError:
            grads.append(IndexError)
    agree(*grads, str(index))
