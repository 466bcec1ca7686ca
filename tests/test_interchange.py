"""Memory shared with other libraries: from_numpy, __array__, DLPack; the array API's namespace."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf

VIEWS = {
    "transposed": lambda a: a.T,
    "columns": lambda a: a[:, 1::2],
    "rows": lambda a: a[::2],
    "last columns": lambda a: a[1:, 3:],
    "one column": lambda a: a[:, 2],
    "Fortran order": lambda a: a.reshape(2, 2, 6).transpose(2, 0, 1),
}


@pytest.mark.parametrize("name", VIEWS)
def test_arrays_that_are_not_dense_are_shared(name):
    memory = np.arange(24.0).reshape(4, 6)
    array = VIEWS[name](memory)
    x = tf.from_numpy(array)
    assert x.tolist() == array.tolist()
    assert x.stride() == tuple(s // 8 for s in array.strides)
    array.flat[0] = 50.0
    assert x.reshape(-1)[0].item() == 50
    before = memory.copy()
    x += 1
    expected = before.copy()
    VIEWS[name](expected)[...] += 1
    np.testing.assert_array_equal(memory, expected)
    np.testing.assert_array_equal(x.numpy(), array)


def test_numpy_and_dlpack_share_memory():
    array = np.arange(6.0).reshape(2, 3)
    x = tf.from_dlpack(array)
    x[0, 0] = 9.0
    assert array[0, 0] == 9
    back = np.from_dlpack(x)
    assert np.shares_memory(back, array) and np.shares_memory(np.asarray(x), array)
    y = tf.zeros(3)
    view = np.from_dlpack(y)
    y += 2
    assert view.tolist() == [2, 2, 2] and y.__dlpack_device__() == (1, 0)
    copied = tf.from_dlpack(array, copy=True)
    copied[0, 1] = 77.0
    assert array[0, 1] == 1
    kept = np.arange(3.0)
    kept.flags.writeable = False
    assert tf.from_dlpack(kept).tolist() == [0, 1, 2]
    with pytest.raises(BufferError, match="must not be written needs a copy"):
        tf.from_dlpack(kept, copy=False)
    with pytest.raises(ValueError, match="not writable needs a copy"):
        x.__array_namespace__().asarray(kept, copy=False)
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(tf.ones(1, requires_grad=True))
    assert np.asarray(tf.ones(2), dtype=np.int32).dtype == np.int32


def test_pytorch_shares_memory_both_ways():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6.0).reshape(2, 3)
    ours = tf.from_dlpack(theirs.T)
    ours[2, 0] = 50.0
    assert theirs[0, 2] == 50 and ours.stride() == (1, 3)
    x = tf.ones(2, 3)
    back = torch.from_dlpack(x)
    back[1, 1] = 7
    assert x[1, 1].item() == 7 and x.numpy().__array_interface__["data"][0] == back.data_ptr()


def test_the_namespace_of_the_standard():
    x = tf.tensor([3, 1, 2], dtype=tf.int8)
    xp = x.__array_namespace__(api_version="2024.12")
    assert xp.add(x, xp.asarray(1, dtype=xp.int16)).dtype is tf.int16
    assert xp.sum(x).dtype is tf.int64 and xp.sort(x, descending=True).tolist() == [3, 2, 1]
    assert xp.isdtype(x.dtype, ("signed integer", "bool"))
    assert xp.floor_divide(xp.asarray(xp.inf), 2.0).item() == xp.inf
    assert xp.clip(x, 2, None).tolist() == [3, 2, 2]
    assert xp.unique_inverse(x).inverse_indices.tolist() == [2, 0, 1]
    assert xp.cumulative_sum(x, include_initial=True).tolist() == [0, 3, 4, 6]
    assert xp.take_along_axis(x[None], xp.asarray([[-1, 0]]), axis=1).tolist() == [[2, 3]]
    assert xp.take(x, xp.asarray([[-1], [0]])).tolist() == [[2], [3]]
    assert xp.__array_namespace_info__().default_dtypes()["integral"] is tf.int64
    with pytest.raises(ValueError, match=r"versions are.*got 2099\.12"):
        x.__array_namespace__(api_version="2099.12")
    with pytest.raises(TypeError, match=r"2\.5 cannot be combined with twofold\.int8"):
        xp.add(x, 2.5)


def test_the_extensions_of_the_standard():
    xp = tf.ones(1).__array_namespace__()
    a = xp.asarray([[4.0, 1.0], [1.0, 3.0]])
    np.testing.assert_allclose(xp.linalg.solve(a, xp.asarray([1.0, 2.0])).numpy(), [1 / 11, 7 / 11])
    np.testing.assert_allclose(xp.linalg.eigh(a).eigenvalues.sum().item(), 7, rtol=1e-6)
    assert xp.linalg.trace(a).item() == 7
    crossed = xp.linalg.cross(xp.eye(3)[:2], xp.asarray([0.0, 0.0, 1.0]))
    assert crossed.tolist() == [[0, -1, 0], [1, 0, 0]]
    wave = xp.fft.rfft(xp.ones(8), axis=0)
    assert wave.real.tolist() == [8, 0, 0, 0, 0] and xp.fft.fftfreq(4, d=0.5).tolist() == [
        0, 0.5, -1, -0.5,
    ]  # fmt: skip


def test_einops_works():
    einops = pytest.importorskip("einops")
    tf.utils.register_einops()
    tf.utils.register_einops()
    array = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    x = tf.tensor(array, requires_grad=True)
    for call in (
        lambda lib, x: lib.rearrange(x, "a b c -> c (a b)"),
        lambda lib, x: lib.rearrange(x, "a b (c d) -> a (b d) c", d=2),
        lambda lib, x: lib.repeat(x, "a b c -> a (b two) c", two=2),
        lambda lib, x: lib.repeat(x, "a b c -> a new b c", new=5),
        lambda lib, x: lib.reduce(x, "a b c -> b", "mean"),
        lambda lib, x: lib.reduce(x, "a (b one) c -> b c", "max", one=1),
        lambda lib, x: lib.reduce(x, "a b c -> a c", "prod"),
        lambda lib, x: lib.rearrange([x, x], "list a b c -> a b (list c)"),
        lambda lib, x: lib.pack([x, x], "a b *")[0],
    ):
        ours, expected = call(einops, x), call(einops, array)
        np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(
        einops.einsum(x, x, "a b c, a b d -> a c d").detach().numpy(),
        np.einsum("abc,abd->acd", array, array), rtol=1e-5,
    )  # fmt: skip
    einops.reduce(x, "a b c -> ", "sum").backward()
    assert x.grad.sum().item() == 24
    assert einops.parse_shape(x, "a _ c") == {"a": 2, "c": 4}
    from einops import array_api

    assert array_api.rearrange(x.detach(), "a b c -> (a b) c").shape == (6, 4)
