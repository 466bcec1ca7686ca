"""Sparse tensors against PyTorch's: construction, conversions, products, gradients, errors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from test_func import agree

import twofold as tf

torch = pytest.importorskip("torch")
PLACES = [[0, 2, 0, 1], [1, 0, 1, 2]]
VALUES = [1.0, 2.0, 3.0, 4.0]
DENSE = np.random.default_rng(5).standard_normal((3, 4)).astype(np.float32)


def made(m: Any, **how: Any) -> Any:
    return m.sparse_coo_tensor(m.tensor(PLACES), m.tensor(VALUES), (3, 3), **how)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_construction_and_conversions() -> None:
    for m in (tf, torch):
        x = made(m)
        assert x.is_sparse and tuple(x.shape) == (3, 3) and x._nnz() == 4
        assert not x.is_coalesced() and x.sparse_dim() == 2 and x.dense_dim() == 0
        y = x.coalesce()
        assert y.indices().tolist() == [[0, 1, 2], [1, 2, 0]]
        assert y.values().tolist() == [4, 4, 2]
        assert x.to_dense().tolist() == [[0, 4, 0], [0, 0, 4], [2, 0, 0]]
        z = y.to_sparse_csr()
        assert z.crow_indices().tolist() == [0, 1, 2, 3]
        assert z.col_indices().tolist() == [1, 2, 0]
        assert z.to_dense().tolist() == x.to_dense().tolist()
        assert x.t().to_dense().tolist() == x.to_dense().t().tolist()
        assert x.to_dense().to_sparse().values().tolist() == [4, 4, 2]
        assert (x + y).to_dense().tolist() == (x.to_dense() * 2).tolist()
        assert (x * 2).to_dense().sum().item() == 20
        begins, columns = m.tensor([0, 1, 3]), m.tensor([1, 0, 2])
        rows = m.sparse_csr_tensor(begins, columns, m.tensor([1.0, 2, 3]))
        assert rows.to_dense().tolist() == [[0, 1, 0], [2, 0, 3]]


def test_products_and_their_gradients() -> None:
    found = []
    for m in (tf, torch):
        x = made(m, requires_grad=True)
        b = m.tensor(DENSE, requires_grad=True)
        y = m.sparse.mm(x, b)
        (y**2).sum().backward()
        found.append((y, b.grad, x.grad.coalesce().to_dense()))
        column = x.detach() @ b[:, 0].detach()
        np.testing.assert_allclose(column.numpy(), y[:, 0].detach().numpy(), rtol=1e-5)
    agree(found[0][:2], found[1][:2])
    values = tf.tensor(VALUES, requires_grad=True)
    tf.sparse.mm(tf.sparse_coo_tensor(PLACES, values, (3, 3)), tf.tensor(DENSE)).sum().backward()
    expected = DENSE.sum(1)[PLACES[1]]
    np.testing.assert_allclose(values.grad.numpy(), expected, rtol=1e-5)


def test_what_is_dense_refuses() -> None:
    x = made(tf)
    with pytest.raises(RuntimeError, match="to_dense"):
        x.exp()
    with pytest.raises(RuntimeError, match="coalesce"):
        x.indices()
    with pytest.raises(RuntimeError, match="inconsistent"):
        tf.sparse_coo_tensor([[3], [0]], [1.0], (3, 3))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        x @ tf.ones(4, 2)
    with pytest.raises(TypeError, match="to_dense"):
        x.numpy()
    assert "nnz=4" in repr(x)


def test_what_cannot_be_is_refused() -> None:
    x = tf.tensor(DENSE).to_sparse()
    with pytest.raises(RuntimeError, match="to match"):
        x + tf.ones(2, 2).to_sparse()
    for begins, columns in (([0, 2, 1], [0, 1]), ([0, 1, 3], [0, 1]), ([0, 1, 2], [0, 5])):
        with pytest.raises(RuntimeError, match="indices must"):
            tf.sparse_csr_tensor(begins, columns, [1.0, 2.0], (2, 3))
    with pytest.raises(RuntimeError, match="device"):
        tf.sparse_coo_tensor([[0]], [1.0], (1,), device="cuda")
    with pytest.raises(RuntimeError, match="layouts"):
        tf.ones(2, 2).to_sparse(blocksize=(1, 1))


def test_a_copy_of_a_leaf_is_a_leaf() -> None:
    x = tf.sparse_coo_tensor([[0]], [1.0], (1,), requires_grad=True)
    y = copy.deepcopy(x)
    assert y.is_leaf and y.requires_grad


CALLS = {
    "mm": lambda m, a, d: m.mm(a, d),
    "matmul": lambda m, a, d: m.matmul(a, d),
    "addmm": lambda m, a, d: m.addmm(d, a, d, beta=0.5, alpha=2.0),
    "mv": lambda m, a, d: m.mv(a, d[0]),
    "bmm": lambda m, a, d: m.bmm(m.stack([a, a]), m.stack([d, d])),
    "dense mm": lambda m, a, d: d @ a,
    "smm": lambda m, a, d: m.smm(a, d),
    "sspaddmm": lambda m, a, d: m.sspaddmm(a, a, d, alpha=2.0),
    "hspmm": lambda m, a, d: m.hspmm(a, d),
    "two sparse": lambda m, a, d: m.sparse.mm(a, a.t()),
    "sampled_addmm": lambda m, a, d: m.sparse.sampled_addmm(a.to_sparse_csr(), d, d, alpha=3.0),
    "sum": lambda m, a, d: m.sparse.sum(a),
    "sum 0": lambda m, a, d: m.sparse.sum(a, 0),
    "sum all axes": lambda m, a, d: m.sparse.sum(a, (0, 1)),
    "softmax": lambda m, a, d: m.sparse.softmax(a, 1),
    "softmax 0": lambda m, a, d: m.sparse.softmax(a, 0),
    "log_softmax": lambda m, a, d: m.sparse.log_softmax(a, 1),
    "mul": lambda m, a, d: m.mul(a, d),
    "mul of two": lambda m, a, d: a * a.t().coalesce(),
    "add": lambda m, a, d: m.add(a, a.t(), alpha=2.0),
    "add to dense": lambda m, a, d: m.add(d, a, alpha=3.0),
    "sub": lambda m, a, d: a - a * 3.0,
    "sin": lambda m, a, d: m.sin(a),
    "pow": lambda m, a, d: a.pow(2),
    "div": lambda m, a, d: a / 4.0,
    "neg": lambda m, a, d: -a,
    "norm": lambda m, a, d: a.norm(),
    "transpose": lambda m, a, d: m.transpose(a, 0, 1),
    "permute": lambda m, a, d: a.permute(1, 0),
    "unsqueeze": lambda m, a, d: a.unsqueeze(0),
    "select": lambda m, a, d: a[2],
    "index_select": lambda m, a, d: a.index_select(0, m.tensor([2, 0])),
    "cat": lambda m, a, d: m.cat([a, a], 1),
    "stack": lambda m, a, d: m.stack([a, a]),
    "zeros_like": lambda m, a, d: m.zeros_like(a),
    "sparse_mask": lambda m, a, d: d.sparse_mask(a.coalesce()),
    "spdiags": lambda m, a, d: m.sparse.spdiags(d, m.tensor([0, -1, 2]), (3, 3)),
    "hybrid": lambda m, a, d: m.sparse.softmax(m.stack([d, d]).to_sparse(1), 1),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_functions_of_sparse_tensors_and_their_gradients(name: str) -> None:
    found = []
    for m in (tf, torch):
        values = m.tensor(VALUES, requires_grad=True)
        d = m.tensor(DENSE[:, :3], requires_grad=True)
        y = CALLS[name](m, m.sparse_coo_tensor(m.tensor(PLACES), values, (3, 3)), d)
        layout = str(y.layout).partition(".")[2]
        y = y.to_dense() if y.layout is not m.strided else y
        graded = y.requires_grad
        try:
            if graded:
                (y**2).sum().backward()
        except RuntimeError:
            assert m is torch  # which has no gradients of some of these
            graded = False
        found.append((layout, y, [values.grad, d.grad], graded))
    (layout, y, grads, mine), (expected_layout, expected, expected_grads, theirs) = found
    assert layout == expected_layout
    agree(y, expected)
    for g, e in zip(grads, expected_grads):
        if mine and theirs and g is not None and e is not None:
            agree(g, e.to_dense())


def test_in_place_methods_change_the_tensor_itself() -> None:
    for m in (tf, torch):
        x = made(m)
        y = x
        x.mul_(2.0)
        x += x
        assert y.to_dense()[0, 1].item() == 16
        assert m.ones(3, 3).add_(x, alpha=0.5)[0, 1].item() == 9
        x.zero_()
        assert y._nnz() == 0


def rows_of(m: Any, optimizer: str, steps: int = 3, **options: Any) -> Any:
    w = m.tensor(DENSE, requires_grad=True)
    method = getattr(m.optim, optimizer)([w], lr=0.1, **options)
    for i in range(steps):
        method.zero_grad()
        rows = m.nn.functional.embedding(m.tensor([0, 2, 2][: 3 - i]), w, sparse=True)
        (rows**2).sum().backward()
        assert w.grad.is_sparse
        method.step()
    return w


@pytest.mark.parametrize(
    "optimizer, options",
    [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adagrad", {}), ("SparseAdam", {})],
)
def test_optimizers_step_by_sparse_gradients(optimizer: str, options: dict[str, Any]) -> None:
    agree(*(rows_of(m, optimizer, **options) for m in (tf, torch)))


def test_sparse_gradients_add_up_and_are_refused_where_pytorch_refuses_them() -> None:
    found = []
    for m in (tf, torch):
        w = m.tensor(DENSE, requires_grad=True)
        seen = []
        w.register_hook(lambda g, seen=seen: seen.append(g.is_sparse))
        look_up = m.nn.functional.embedding
        look_up(m.tensor([[0, 1], [1, 2]]), w, padding_idx=1, sparse=True).sum().backward()
        look_up(m.tensor([2]), w, sparse=True).sum().backward()
        total = w.grad.to_dense()
        (g,) = m.autograd.grad(look_up(m.tensor([2, 2]), w, sparse=True).sum(), w)
        (w * 1.0).sum().backward()
        found.append((total, g.to_dense(), w.grad.to_dense()))
        assert g.is_sparse and not w.grad.is_sparse and True in seen
        with pytest.raises(RuntimeError, match="does not support sparse gradients"):
            rows_of(m, "Adam")
        with pytest.raises(RuntimeError, match="dense gradients"):
            w.grad = m.ones(3, 4)
            m.optim.SparseAdam([w]).step()
    agree(*found)


def test_a_captured_function_with_sparse_gradients_runs_dynamically() -> None:
    w = tf.tensor(DENSE, requires_grad=True)

    @tf.compile
    def step(i: tf.Tensor) -> tf.Tensor:
        loss = tf.nn.functional.embedding(i, w, sparse=True).sum()
        loss.backward()
        return loss

    for k in (0, 1, 2, 0):
        w.grad = None
        step(tf.tensor([k, k]))
        assert w.grad.coalesce().indices().tolist() == [[k]]


def test_edges_of_sizes() -> None:
    """Numbers without axes, no rows at all, and sizes that do not fit."""
    for value in (0.0, 2.0):
        found = tf.tensor(value).to_sparse()
        assert found._nnz() == (value != 0) and found.to_dense().item() == value
    x = tf.tensor(DENSE).to_sparse(1)
    none = tf.tensor([], dtype=tf.int64)
    assert tf.index_select(x, 0, none).to_dense().shape == (0, *x.shape[1:])
    picked = tf.index_select(x, 1, tf.tensor([1, 0, 1]))
    assert picked.to_dense().tolist() == tf.tensor(DENSE)[:, [1, 0, 1]].tolist()
    with pytest.raises(RuntimeError, match=r"len\(size\) == sparse_dim \+ dense_dim"):
        tf.sparse_coo_tensor([[0], [1]], [1.0], (3,))
    with pytest.raises(RuntimeError, match="between dense and sparse"):
        tf.tensor(DENSE).to_sparse().copy_(tf.tensor(DENSE))
