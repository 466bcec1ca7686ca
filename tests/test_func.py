"""Transforms of functions: against PyTorch's, nested in one another, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)

X = np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32)
W = np.random.default_rng(4).standard_normal((3, 2)).astype(np.float32)


def agree(mine: Any, theirs: Any) -> None:
    """Values and whether gradients go on."""
    if isinstance(theirs, (tuple, list)):
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs):
            agree(a, b)
        return
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert mine.requires_grad == theirs.requires_grad


CASES = {
    "grad": lambda m, f: f.grad(lambda x, w: m.tanh(x @ w).pow(2).sum(), (0, 1)),
    "grad of grad": lambda m, f: (
        lambda x, w: f.grad(lambda v: f.grad(lambda u: (u**3).sum() * v.sum())(v).sum())(x)
    ),
    "per example": lambda m, f: f.vmap(f.grad(lambda x, w: m.tanh(x @ w).sum()), (0, None)),
    "jacrev": lambda m, f: lambda x, w: f.jacrev(lambda v: v.softmax(-1).cumsum(0))(x),
    "jacfwd": lambda m, f: lambda x, w: f.jacfwd(lambda v: v.softmax(-1).cumsum(0))(x),
    "hessian": lambda m, f: f.hessian(lambda x, w: m.sigmoid(x @ w).sum(), 1),
    "batched hessian": lambda m, f: lambda x, w: f.vmap(f.hessian(lambda v: (v * v * v).sum()))(x),
    "jvp": lambda m, f: lambda x, w: f.jvp(lambda a, b: m.exp(a @ b), (x, w), (x, w)),
    "vmap of vmap": lambda m, f: lambda x, w: f.vmap(f.vmap(m.sin), 0, 1)(x),
    "vmap of max": lambda m, f: lambda x, w: f.vmap(lambda v: v.max(0)[0])(x),
    "out_dims": lambda m, f: lambda x, w: f.vmap(lambda v: (v, m.outer(v, v)), 1, (1, 2))(x),
    "chunks": lambda m, f: lambda x, w: f.vmap(lambda v: v[1:].flip(0), chunk_size=3)(x),
    "vjp in vmap": lambda m, f: lambda x, w: f.vmap(lambda v: f.vjp(m.cos, v)[1](v)[0])(x),
}


@pytest.mark.parametrize("name", CASES)
def test_like_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine = CASES[name](tf, tf.func)(tf.tensor(X), tf.tensor(W))
    theirs = CASES[name](torch, torch.func)(torch.tensor(X), torch.tensor(W))
    agree(mine, theirs)


def test_gradients_go_on_through_transforms() -> None:
    x = tf.tensor(X, requires_grad=True)
    w = tf.tensor(W, requires_grad=True)
    vmap(lambda v: grad(lambda u: ((u @ w) ** 2).sum())(v).sum())(x).sum().backward()
    ones = np.ones_like(X)
    np.testing.assert_allclose(x.grad.numpy(), 2 * ones @ (W @ W.T), rtol=1e-4)
    total = X.T @ ones @ W
    np.testing.assert_allclose(w.grad.numpy(), 2 * (total + ones.T @ X @ W), rtol=1e-4)


def test_results_are_plain_where_the_inputs_are() -> None:
    gradient, value = grad_and_value(lambda v: (v * v).sum())(tf.tensor(X))
    assert not gradient.requires_grad and not value.requires_grad
    np.testing.assert_allclose(gradient.numpy(), 2 * X)
    with tf.no_grad():
        np.testing.assert_allclose(grad(lambda v: (v * v).sum())(tf.tensor(X)).numpy(), 2 * X)


def test_aux_and_containers() -> None:
    def f(p: dict[str, Any]) -> Any:
        return (p["a"] * p["b"]).sum(), {"twice": p["a"] * 2}

    p = {"a": tf.tensor(X), "b": tf.tensor(2 * X)}
    gradient, aux = grad(f, has_aux=True)(p)
    np.testing.assert_allclose(gradient["a"].numpy(), 2 * X)
    np.testing.assert_allclose(aux["twice"].numpy(), 2 * X)
    y, pull = vjp(lambda q: {"s": q["a"].sum()}, p)
    assert pull({"s": tf.ones(())})[0]["b"].sum().item() == 0
    np.testing.assert_allclose(y["s"].item(), X.sum(), rtol=1e-5)


def test_linearize_is_the_derivative() -> None:
    y, push = linearize(tf.sin, tf.tensor(X))
    np.testing.assert_allclose(y.numpy(), np.sin(X), rtol=1e-5)
    np.testing.assert_allclose(push(tf.tensor(X)).numpy(), np.cos(X) * X, rtol=1e-4)
    _, along = jvp(lambda v: (v > 0).to(tf.float32), (tf.tensor(X),), (tf.tensor(X),))
    assert along.abs().sum().item() == 0


def test_examples_of_a_model_and_an_ensemble() -> None:
    net = tf.nn.Sequential(tf.nn.Linear(3, 5), tf.nn.ReLU(), tf.nn.Linear(5, 1))
    state = {k: v.detach() for k, v in net.named_parameters()}
    each = vmap(grad(lambda p, x: functional_call(net, p, (x,)).sum()), (None, 0))
    found = each(state, tf.tensor(X))
    net(tf.tensor(X[2:3])).sum().backward()
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(
            found[name][2].numpy(), parameter.grad.numpy(), rtol=1e-4, atol=1e-6
        )
    models = [tf.nn.Linear(3, 2) for _ in range(3)]
    parameters, _ = stack_module_state(models)
    outputs = vmap(lambda p, x: functional_call(models[0], p, (x,)), (0, None))(
        parameters, tf.tensor(X)
    )
    for model, output in zip(models, outputs):
        np.testing.assert_allclose(output.detach().numpy(),
                                   model(tf.tensor(X)).detach().numpy(), rtol=1e-5)  # fmt: skip


def test_random_numbers_in_vmap() -> None:
    x = tf.zeros(5, 2)
    with pytest.raises(RuntimeError, match="randomness"):
        vmap(lambda v: v + tf.rand(2))(x)
    same = vmap(lambda v: v + tf.rand(2), randomness="same")(x).numpy()
    assert (same == same[0]).all()
    different = vmap(lambda v: tf.rand(2) + tf.rand(2), randomness="different")(x).numpy()
    assert len({tuple(row) for row in different.tolist()}) == 5


def test_values_cannot_be_looked_at_but_others_can() -> None:
    other = tf.arange(3).sum() + 1
    found = vmap(lambda v: v * other.item())(tf.tensor(X))
    np.testing.assert_allclose(found.numpy(), 4 * X)
    with pytest.raises(RuntimeError, match=r"\.item\(\)"):
        vmap(lambda v: v.sum().item())(tf.tensor(X))
    np.testing.assert_allclose((tf.tensor(X) + 1).numpy(), X + 1)  # nothing is left pending


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: vmap(tf.sin, 2)(tf.ones(2)), ValueError, "dimensionality 1"),
        (lambda: vmap(tf.add)(tf.ones(2), tf.ones(3)), ValueError, "same size"),
        (lambda: vmap(lambda x: 3)(tf.ones(2)), ValueError, "must only return Tensors"),
        (lambda: vmap(tf.sin, None)(tf.ones(2)), ValueError, "in_dims"),
        (lambda: grad(tf.sin)(tf.ones(2)), RuntimeError, "scalar"),
        (lambda: grad(tf.sin, 1)(tf.ones(())), RuntimeError, "argnum=1"),
        (lambda: jvp(tf.sin, (tf.ones(2),), (tf.ones(3),)), RuntimeError, "shape"),
        (lambda: stack_module_state([]), RuntimeError, "at least one"),
    ],
)
def test_errors(call: Any, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_jacobians_agree_and_the_hessian_is_symmetric() -> None:
    f = lambda v: (v.unsqueeze(0) * v.unsqueeze(1)).sin().sum(0)  # noqa: E731
    v = tf.tensor(X[0])
    np.testing.assert_allclose(jacrev(f)(v).numpy(), jacfwd(f)(v).numpy(), rtol=1e-4, atol=1e-5)
    h = hessian(lambda u: f(u).sum())(v).numpy()
    np.testing.assert_allclose(h, h.T, rtol=1e-4, atol=1e-5)
