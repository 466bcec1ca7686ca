"""Pruning, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf

W = np.random.default_rng(6).standard_normal((4, 6)).astype(np.float32)


def layer(m: Any) -> Any:
    made = m.nn.Linear(6, 4)
    with m.no_grad():
        made.weight.copy_(m.tensor(W))
        made.bias.zero_()
    return made


def calls(m: Any) -> dict[str, Any]:
    p = m.nn.utils.prune
    return {
        "identity": lambda x: p.identity(x, "weight"),
        "l1": lambda x: p.l1_unstructured(x, "weight", 5),
        "l1 share": lambda x: p.l1_unstructured(x, "weight", 0.3),
        "ln": lambda x: p.ln_structured(x, "weight", 2, 2, 0),
        "custom": lambda x: p.custom_from_mask(x, "weight", m.tensor(W) > 0),
        "twice": lambda x: p.l1_unstructured(p.l1_unstructured(x, "weight", 0.3), "weight", 4),
        "slices after": lambda x: p.ln_structured(
            p.ln_structured(x, "weight", 1, 1, 1), "weight", 1, 2, 0
        ),
        "global": lambda x: (
            p.global_unstructured([(x, "weight")], p.L1Unstructured, amount=0.5) or x
        ),
    }


@pytest.mark.parametrize("name", list(calls(tf)))
def test_like_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch.nn.utils.prune")
    found = []
    for m in (tf, torch):
        x = calls(m)[name](layer(m))
        assert m.nn.utils.prune.is_pruned(x)
        assert sorted(x.state_dict()) == ["bias", "weight_mask", "weight_orig"]
        y = x(m.tensor(W[:, :6]))
        (y**2).sum().backward()
        found.append([x.weight.detach().numpy(), y.detach().numpy(), x.weight_orig.grad.numpy()])
        m.nn.utils.prune.remove(x, "weight")
        assert sorted(x.state_dict()) == ["bias", "weight"] and not m.nn.utils.prune.is_pruned(x)
        found[-1].append(x.weight.detach().numpy())
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_random_methods_and_errors() -> None:
    p = tf.nn.utils.prune
    x = p.random_unstructured(layer(tf), "weight", 7)
    assert (x.weight_mask == 0).sum().item() == 7
    x = p.random_structured(layer(tf), "weight", 2, 1)
    assert (x.weight_mask.sum(0) == 0).sum().item() == 2
    for amount, error in ((-1, ValueError), (1.5, ValueError), ("a", TypeError)):
        with pytest.raises(error, match="amount"):
            p.l1_unstructured(layer(tf), "weight", amount)
    with pytest.raises(ValueError, match="has to be pruned"):
        p.remove(layer(tf), "weight")


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("trivial", [True, False])
def test_orthogonal_weights(how: str, shape: tuple[int, int], trivial: bool) -> None:
    tf.manual_seed(1)
    made = tf.nn.utils.parametrizations.orthogonal(
        tf.nn.Linear(shape[1], shape[0]), orthogonal_map=how, use_trivialization=trivial
    ) if trivial or how == "householder" else None  # fmt: skip
    if made is None:
        with pytest.raises(NotImplementedError):
            tf.nn.utils.parametrizations.orthogonal(
                tf.nn.Linear(shape[1], shape[0]), orthogonal_map=how, use_trivialization=False
            )
        return
    for _ in range(2):
        w = made.weight
        small = w if shape[0] <= shape[1] else w.t()
        product = (small @ small.t()).detach().numpy()
        np.testing.assert_allclose(product, np.eye(min(shape)), atol=2e-5)
        (w * tf.tensor(W[: shape[0], : shape[1]] if shape[0] <= 4 else 1.0)).sum().backward()
        free = made.parametrizations.weight.original
        assert free.grad.isfinite().all() and free.grad.abs().sum().item() > 0
        with tf.no_grad():
            free.add_(free.grad, alpha=-0.1)
        free.grad = None
