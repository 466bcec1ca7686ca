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


def test_sparse_adam_changes_the_rows_that_were_used() -> None:
    results = []
    for m in (tf, torch):
        w = m.tensor(DENSE, requires_grad=True)
        method = m.optim.SparseAdam([w], lr=0.1)
        for _ in range(3):
            method.zero_grad()
            rows = m.nn.functional.embedding(m.tensor([0, 2, 2]), w, sparse=True)
            (rows**2).sum().backward()
            method.step()
        results.append(w)
    agree(*results)
    assert (results[0][1].detach().numpy() == DENSE[1]).all()


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
