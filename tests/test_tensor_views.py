"""Views, in-place writes, copies and what a tensor tells of itself, against PyTorch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import twofold as tf

torch = pytest.importorskip("torch")


def start(t):
    return t.arange(24).reshape(2, 3, 4).double()


def check(ours, theirs):
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), equal_nan=True)


VIEWS = {
    "whole": lambda x: x,
    "int": lambda x: x[1],
    "slice": lambda x: x[:, 1:],
    "step": lambda x: x[..., ::2],
    "transpose": lambda x: x.transpose(0, 2),
    "permute_slice": lambda x: x.permute(2, 0, 1)[1:3, :, 0],
    "view": lambda x: x.view(6, 4)[2:5],
    "reshape_twice": lambda x: x.view(4, 6).t()[1].view(2, 2),
    "unsqueeze": lambda x: x[:, None, 1].squeeze(1),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "diagonal_off": lambda x: x.diagonal(-1, 1, 2),
    "split": lambda x: x.split(2, 2)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "unfold": lambda x: x.unfold(2, 2, 2),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "narrow": lambda x: x.narrow(2, 1, 2),
    "mT": lambda x: x.mT[0],
    "expand_one": lambda x: x.expand(2, 3, 4),
    "detach": lambda x: x.detach()[0],
    "data": lambda x: x.data[0],
    "flatten": lambda x: x.flatten(1)[:, 3:5],
    "empty": lambda x: x[:, 3:],
}
WRITES = {
    "add": lambda t, v: v.add_(10),
    "iadd": lambda t, v: v.__iadd__(v),
    "mul": lambda t, v: v.mul_(2.5),
    "zero": lambda t, v: v.zero_(),
    "fill": lambda t, v: v.fill_(3),
    "copy": lambda t, v: v.copy_(t.arange(v.numel()).reshape(v.shape)),
    "clamp": lambda t, v: v.clamp_(3, 9),
    "setitem": lambda t, v: v.__setitem__(Ellipsis, 7),
    "out": lambda t, v: t.neg(v, out=v),
    "mask": lambda t, v: v.__setitem__(v > 5, -1),
    "sqrt": lambda t, v: v.sqrt_(),
    "masked_fill": lambda t, v: v.masked_fill_(v > 5, -1),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("view", VIEWS)
def test_writing_through_a_view(view, write):
    """The storage and every other view of it see the write."""
    a, b = start(tf), start(torch)
    others = VIEWS.values()
    seen_a, seen_b = [f(a) for f in others], [f(b) for f in others]
    va, vb = VIEWS[view](a), VIEWS[view](b)
    check(va, vb)
    WRITES[write](tf, va)
    WRITES[write](torch, vb)
    check(a, b)
    for x, y in zip(seen_a, seen_b):
        check(x, y)


@pytest.mark.parametrize("view", VIEWS)
def test_layout(view):
    """Strides, offset and contiguity are those of PyTorch."""
    a, b = VIEWS[view](start(tf)), VIEWS[view](start(torch))
    assert a.stride() == b.stride()
    assert a.storage_offset() == b.storage_offset() or not b.numel()
    assert a.is_contiguous() == b.is_contiguous()
    assert tuple(a.contiguous().shape) == tuple(b.shape)
    for shape in ((-1,), (b.numel(), 1)):
        if b.numel() == 0:
            continue
        try:
            b.view(*shape)
        except RuntimeError:
            with pytest.raises(RuntimeError, match="view size is not compatible"):
                a.view(*shape)
        else:
            a.view(*shape).add_(1)
            b.view(*shape).add_(1)
            check(a, b)
    # A reshape aliases exactly where PyTorch's does.
    a.reshape(-1).zero_()
    b.reshape(-1).zero_()
    check(a, b)


INPLACE_GRADIENTS = {
    "base": lambda t, x: (x * 2).add_(1).mul_(x),
    "view": lambda t, x: _changed(x * 2, lambda y: y[0].mul_(3)),
    "view_before": lambda t, x: _view_before(x),
    "set_row": lambda t, x: _changed(x * 1, lambda y: y.__setitem__(1, y[0] * 5)),
    "set_leaf_value": lambda t, x: _changed(t.zeros(2, 3, 4).double(), lambda y: y[1].copy_(x[0])),
    "transposed": lambda t, x: _changed(x * 1, lambda y: y.transpose(0, 2)[1].mul_(x[:, :, 0].t())),
    "mask": lambda t, x: _changed(x * 1, lambda y: y.masked_fill_(y > 5, 0)),
    "data": lambda t, x: _changed(x * 3, lambda y: y.data.mul_(2)),
    "detach_chain": lambda t, x: _changed(x * 3, lambda y: y[0].detach().zero_()) * 2,
    "zero": lambda t, x: _changed(x * 3, lambda y: y.zero_()) + x,
    "copy_leaf": lambda t, x: t.zeros(2, 3, 4).double().copy_(x).mul_(2),
    "iadd_view": lambda t, x: _changed(x * 1, lambda y: y.view(-1)[3:9].add_(x.view(-1)[0])),
}


def _changed(y, write):
    write(y)
    return y


def _view_before(x):
    y = x * 2
    row = y[1]
    y.mul_(3)
    return y.sum() + (row * row).sum()


@pytest.mark.parametrize("name", INPLACE_GRADIENTS)
def test_gradient_through_writes(name):
    """Writes are part of the graph."""
    f = INPLACE_GRADIENTS[name]
    a, b = start(tf).requires_grad_(), start(torch).requires_grad_()
    y, z = f(tf, a), f(torch, b)
    check(y, z)
    (y * y).sum().backward()
    (z * z).sum().backward()
    check(a.grad, b.grad)


def test_update_of_a_leaf_under_no_grad():
    """An optimizer's write leaves a leaf that collects its gradient."""
    x = tf.ones(3, requires_grad=True)
    for _ in range(3):
        (x * x).sum().backward()
        with tf.no_grad():
            x -= 0.1 * x.grad
            x[0].mul_(2)
        assert x.is_leaf and x.requires_grad and x.grad_fn is None
        x.grad.zero_()
    np.testing.assert_allclose(x.detach().numpy(), [4.096, 0.512, 0.512], rtol=1e-6)


def test_gradient_of_a_value_since_overwritten():
    """The graph still holds the value that backward needs."""
    x = tf.ones(3, requires_grad=True)
    y = x.exp()
    z = (y * y).sum()
    y.zero_()
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full(3, 2 * np.e**2), rtol=1e-6)


def test_numpy_shares_memory():
    """Both ways, as in PyTorch."""
    array = np.zeros(4, np.float32)
    x = tf.from_numpy(array)
    array[1] = 5
    assert x[1].item() == 5
    x[2:].add_(7)
    assert array.tolist() == [0, 5, 7, 7]
    y = tf.tensor([1.0, 2.0, 3.0, 4.0]).view(2, 2)
    seen = y.numpy()
    y.mul_(2)
    assert seen.tolist() == [[2, 4], [6, 8]]
    seen[0, 0] = -1
    assert y.tolist() == [[-1, 4], [6, 8]]
    before = y.clone()
    y.zero_()
    assert before.tolist() == [[-1, 4], [6, 8]] and seen.tolist() == [[0, 0], [0, 0]]
    assert np.asarray(y).dtype == np.float32
    assert np.from_dlpack(y).tolist() == [[0, 0], [0, 0]]
    other = torch.arange(3)
    z = tf.from_dlpack(other)
    z.add_(1)
    assert other.tolist() == [1, 2, 3] == torch.from_dlpack(z).tolist()


def test_copies():
    """Pickle and deepcopy keep values, dtype, gradient state and what users attached."""
    x = tf.tensor([[1.0, 2.0]], dtype=tf.bfloat16, requires_grad=True)
    x.note = "kept"
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.tolist() == [[1, 2]] and y.dtype is tf.bfloat16 and y.requires_grad
        assert y.note == "kept" and y.is_leaf
    with tf.no_grad():
        y.zero_()
    assert x.tolist() == [[1, 2]]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)
    assert copy.deepcopy(tf.arange(6).view(2, 3)[:, 1]).tolist() == [1, 4]


def test_python_values():
    """item, tolist, bool, int, float, index, len, iteration, format, hash and equality."""
    x = tf.tensor([[1, 2], [3, 4]])
    assert x.tolist() == [[1, 2], [3, 4]] and len(x) == 2 and [r.tolist() for r in x][1] == [3, 4]
    assert int(x[0, 1]) == 2 and float(x[1, 1]) == 4.0 and [10, 20, 30][x[0, 1]] == 30
    assert bool(tf.tensor(0)) is False and bool(tf.tensor([2.5])) is True
    assert f"{tf.tensor(1.23456):.2f}" == "1.23" and x.size() == (2, 2) and x.size(-1) == 2
    assert len({x, x}) == 1 and (x == x).all() and (x == "a") is False and x != None  # noqa: E711
    assert x.shape.numel() == 4 and x.nbytes == 32 and x.ndim == 2 and isinstance(x.shape, tuple)


def test_dtype_changes():
    """to, type_as and the named casts."""
    x = tf.tensor([1.7, -2.3])
    assert x.to(tf.int32).tolist() == [1, -2] and x.to(x) is x and x.float() is x
    assert (
        x.to("cpu", tf.float64).dtype is tf.float64
        and x.type_as(tf.ones(1).half()).dtype is tf.half
    )
    assert x.bfloat16().float().tolist() == torch.tensor([1.7, -2.3]).bfloat16().float().tolist()
    with pytest.raises(RuntimeError):
        x.to("cuda")


def test_out():
    """`out=` takes the result's shape, and refuses gradients and narrowing."""
    out = tf.empty(0)
    tf.add(tf.ones(2), 1, out=out)
    assert out.tolist() == [2, 2]
    with pytest.raises(RuntimeError):
        tf.add(tf.ones(2), 0.5, out=tf.zeros(2, dtype=tf.int64))
    with pytest.raises(RuntimeError):
        tf.add(tf.ones(2, requires_grad=True), 0.5, out=tf.zeros(2))
    values, indices = tf.zeros(2), tf.zeros(2, dtype=tf.int64)
    tf.max(tf.tensor([[1.0, 3.0], [4.0, 2.0]]), 1, out=(values, indices))
    assert values.tolist() == [3, 4] and indices.tolist() == [1, 0]


def test_data_assignment():
    """`.data` replaces the values of a parameter and keeps it a leaf."""
    x = tf.ones(2, requires_grad=True)
    x.data = tf.tensor([3.0, 4.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [6, 8] and x.is_leaf
    x.data[0] = 9
    assert x.tolist() == [9, 4] and x.requires_grad


PRINTED = [
    lambda t: t.zeros(3), lambda t: t.zeros(()), lambda t: t.tensor(3.5), lambda t: t.tensor(3),
    lambda t: t.arange(10), lambda t: t.arange(12.0).reshape(3, 4) / 7, lambda t: t.arange(2000),
    lambda t: t.arange(24.0).reshape(2, 3, 4) * 12345.678, lambda t: t.zeros(50, 60),
    lambda t: t.tensor([1.0, 1e-6]), lambda t: t.tensor([1.0, 1e5]), lambda t: t.tensor([1e10]),
    lambda t: t.tensor([1.0, 2, float("nan")]), lambda t: t.tensor([float("inf"), 1.5]),
    lambda t: t.tensor([True, False]), lambda t: t.tensor([]), lambda t: t.zeros(0, 3),
    lambda t: t.zeros(3, dtype=t.float64), lambda t: t.arange(30).float(), lambda t: t.tensor(1e10),
    lambda t: t.zeros(2, 2, 2, 2, dtype=t.int32), lambda t: t.tensor([float("nan")]),
    lambda t: t.tensor([0.0, float("-inf")]), lambda t: t.arange(5005.0).reshape(5, 1001) / 3,
    lambda t: t.tensor([123456789.0, 1.0]), lambda t: t.tensor([-1.5, 22.25]).half(),
    lambda t: t.ones(2, requires_grad=True), lambda t: t.ones(2, requires_grad=True) * 2,
    lambda t: t.ones(2, dtype=t.bfloat16), lambda t: -t.arange(40).double() / 3,
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(PRINTED)))
def test_printing(case):
    """Tensors print as PyTorch's do."""
    f = PRINTED[case]
    assert repr(f(tf)).replace("twofold.", "torch.") == repr(f(torch))


def _arrays() -> dict[str, np.ndarray]:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    return {
        "turned": base.T,
        "columns": base[:, 1:3],
        "steps": base[::2, ::3],
        "a column": base[:, 0],
        "rows": base[1:3],
        "by columns": np.asfortranarray(base),
        "three axes": base.reshape(2, 3, 4).transpose(2, 0, 1),
    }


@pytest.mark.parametrize("name", _arrays())
def test_a_view_of_an_array_is_shared(name: str) -> None:
    """Changes of the array reach the tensor, and those of the tensor the array."""
    array = _arrays()[name]
    x = tf.from_numpy(array)
    array += 1
    assert (x * 1).tolist() == array.tolist()
    x.add_(5)
    assert x.tolist() == array.tolist()
    x[0] = -7
    assert x.tolist() == array.tolist() and array[0].min() == -7
    array[-1] = 99
    assert x[-1].tolist() == array[-1].tolist()


def test_arrays_that_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="stride"):
        tf.from_numpy(np.arange(4)[::-1])
    with pytest.raises(ValueError, match="byte order"):
        tf.from_numpy(np.arange(4).astype(">i4"))
    fixed = np.broadcast_to(np.float32(3), (2, 2))
    assert tf.from_numpy(fixed).tolist() == [[3, 3], [3, 3]]
    bytes_apart = np.zeros(3, dtype=[("a", "u1"), ("b", "<f4")])["b"]
    with pytest.warns(UserWarning, match="copied"):
        assert tf.from_numpy(bytes_apart).tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", [(1000, 1040), (1024, 2048), (3, 515, 700), (2100, 33)])
def test_large_transposed_copies(shape: tuple[int, ...]) -> None:
    """Whole squares and their rests, within the caches and past them; of shared memory too."""
    values = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    expected = values.swapaxes(-1, -2)
    shared = tf.from_numpy(values)
    copied = shared.transpose(-1, -2).contiguous()
    own = (shared + 0).transpose(-1, -2).contiguous()
    many = tf.stack([tf.tensor(values)] * 3).transpose(-1, -2).contiguous()
    assert np.array_equal(own.numpy(), expected)
    assert np.array_equal(many[2].numpy(), expected)
    values[...] = 0  # what was copied does not see it
    assert copied.numpy().any() and np.array_equal(copied.numpy(), own.numpy())


@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 4), (0,), (4, 2)])
def test_resizing_shows_the_storage_as_pytorch_does(shape):
    results = []
    for library in (tf, torch):
        x = library.arange(12).reshape(3, 4)
        view = x.T[1:3, :2]
        view.resize_(shape)
        shown, stride = view.tolist(), view.stride()
        view.fill_(-1)
        results.append((shown, stride, x.tolist()))
    assert results[0] == results[1]
    grown = tf.arange(4)[1:]
    assert grown.resize_(2, 3).tolist() == [[1, 2, 3], [0, 0, 0]]


def test_parameters_share_the_memory_of_the_views_they_are_made_of() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for m in (tf, torch):
        whole = m.zeros(3, 4)
        part, turned = m.nn.Parameter(whole[1:2]), m.nn.Parameter(whole.t())
        with m.no_grad():
            part.fill_(5.0)
        whole[0, 0] = 7.0
        row = whole[2].requires_grad_() if m is tf else whole[2].detach().requires_grad_()
        (turned.sum() + (part * 2).sum() + row.sum()).backward()
        m.optim.SGD([turned, part, row], lr=1.0).step()
        other = m.nn.Parameter(m.zeros(2))
        other.data = whole[0, :2]
        whole.add_(1.0)
        assert turned.is_leaf and part.is_leaf
        values = (whole, part, turned, row, other, part.grad, turned.grad)
        found.append([x.detach().tolist() for x in values])
    assert found[0] == found[1]
