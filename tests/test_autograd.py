"""Gradients as users ask for them: backward, grad, modes, hooks, functions of one's own."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import twofold as tf
from twofold.autograd import Function, grad, gradcheck, gradgradcheck

torch = pytest.importorskip("torch")


def pair(values):
    return tf.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def test_gradients_accumulate():
    """Every backward adds to .grad, in place."""
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad is first and x.grad.tolist() == [5, 7] and not x.grad.requires_grad


def test_two_leaves_share_no_gradient():
    """Gradients that are equal are still two tensors."""
    x, y = tf.ones(2, requires_grad=True), tf.ones(2, requires_grad=True)
    (x + y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1, 1]


def test_weights_of_outputs():
    """A gradient for outputs that are no scalars."""
    x, tx = pair([1.0, 2.0, 3.0])
    (x**3).backward(tf.tensor([1.0, 0.5, 2.0]))
    (tx**3).backward(torch.tensor([1.0, 0.5, 2.0]))
    assert x.grad.tolist() == tx.grad.tolist()
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(tf.ones(2))
    with pytest.raises(RuntimeError, match="does not require grad"):
        tf.ones(()).backward()


def test_retain_graph():
    """A second pass needs the graph kept."""
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_grad():
    """grad gives gradients and leaves .grad alone."""
    x, tx = pair([0.5, 1.5])
    y, ty = pair([2.0, 3.0])
    found = grad((x * y.exp()).sum(), [x, y])
    expected = torch.autograd.grad((tx * ty.exp()).sum(), [tx, ty])
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
    assert x.grad is None and not found[0].requires_grad
    with pytest.raises(RuntimeError, match="not have been used"):
        grad(x.sum(), [x, y])
    assert grad(x.sum(), [x, y], allow_unused=True)[1] is None
    assert grad(x.sum(), [x, y], materialize_grads=True)[1].tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad(x.sum(), tf.ones(2))
    middle = x * 2
    assert grad((middle * middle).sum(), middle)[0].tolist() == [2, 6]


def test_grad_takes_its_arguments_in_pytorchs_order():
    x, unused = (tf.tensor(2.0, requires_grad=True) for _ in range(2))
    found = tf.autograd.grad(x * x, [x, unused], None, None, True, True, True)
    assert found[0].item() == 4 and found[0].requires_grad and found[1] is None
    with pytest.warns(FutureWarning, match="only_inputs"):
        assert tf.autograd.grad(x * x, x, only_inputs=False)[0].item() == 4


def test_batched_grad():
    """A Jacobian from a batch of weights."""
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    (jacobian,) = grad(x * x, x, tf.eye(2), is_grads_batched=True)
    assert jacobian.tolist() == [[2, 0], [0, 4]]


def test_higher_derivatives():
    """Derivatives of derivatives, and of a gradient's norm."""
    x = tf.tensor(0.7, dtype=tf.float64, requires_grad=True)
    value, expected = x.sin(), [np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)]
    for e in expected:
        (value,) = grad(value, x, create_graph=True)
        assert abs(value.item() - e) < 1e-12
    w, tw = pair([[0.1, 0.2], [0.3, 0.4]])
    for t, v in ((tf, w), (torch, tw)):
        (g,) = t.autograd.grad((v @ v).tanh().sum(), v, create_graph=True)
        (g * g).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), tw.grad.numpy(), rtol=1e-5)
    x = tf.ones(2, requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad and grad(x.grad.sum(), x)[0].tolist() == [6, 6]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x @ y, lambda x, y: (x / y.t()).softmax(1),
        lambda x, y: x.log_softmax(0) * y.t(),
        lambda x, y: x.var(1) + y.std(0), lambda x, y: x.prod(1) + y.prod(),
        lambda x, y: x ** y.t(),
        lambda x, y: tf.cat([x, y.t()], 1)[:, ::2].tanh(), lambda x, y: x.logsumexp(1) * y.norm(),
        lambda x, y: tf.where(x > y.t(), x * x, y.t()),
        lambda x, y: x.clamp(0.3, 0.8) * y.t().max(),
        lambda x, y: x.max(1)[0] * y.amin(0), lambda x, y: (x.sigmoid(), y.erf()),
        lambda x, y: tf.einsum("ij,jk,i->k", x, y, x[:, 0]),
        lambda x, y: x.flip(0).roll(1, 1) * y.t(),
    ],
)  # fmt: skip
def test_gradcheck(f):
    """First and second derivatives against differences."""
    rng = np.random.default_rng(1)
    x = tf.tensor(rng.uniform(0.2, 0.9, (2, 3)), requires_grad=True)
    y = tf.tensor(rng.uniform(0.2, 0.9, (3, 2)), requires_grad=True)
    assert gradcheck(f, (x, y))
    assert gradgradcheck(f, (x, y))


def test_gradcheck_finds_faults():
    """A wrong gradient is seen."""

    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = tf.ones(2, dtype=tf.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, (x,))
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)


def test_modes():
    """no_grad, enable_grad, inference_mode, set_grad_enabled; nested, as decorators, in errors."""
    x = tf.ones(2, requires_grad=True)
    with tf.no_grad():
        y = x * 2
        view = x[0]
        assert not y.requires_grad and not view.requires_grad and not tf.is_grad_enabled()
        with tf.enable_grad():
            assert (x * 2).requires_grad
        with tf.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert not view.requires_grad and x[0].requires_grad

    @tf.no_grad()
    def f(v):
        return v * 2

    @tf.inference_mode
    def g(v):
        return v * 2

    assert not f(x).requires_grad and not g(x).requires_grad and tf.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), tf.no_grad():
        raise ZeroDivisionError
    assert tf.is_grad_enabled()
    tf.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    tf.set_grad_enabled(True)


def test_detach():
    """No gradient passes; memory is shared."""
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    (y.detach() * y).sum().backward()
    assert x.grad.tolist() == [4, 8]
    d = x.detach()
    d[0] = 9
    assert x.tolist() == [9, 2] and x.requires_grad and not d.requires_grad
    d.requires_grad_()
    (d * d).sum().backward()
    assert d.grad.tolist() == [18, 4] and x.grad.tolist() == [4, 8]


def test_leaves():
    """is_leaf, grad_fn, requires_grad_ and its errors."""
    x = tf.ones(2, requires_grad=True)
    y = x * 2
    assert x.is_leaf and not y.is_leaf and tf.ones(2).is_leaf and x.grad_fn is None
    assert y.grad_fn.name() == "MulBackward0"
    assert y.grad_fn.next_functions[0][0].name() == "AccumulateGrad"
    assert y.grad_fn.next_functions[0][0].variable is x
    with pytest.raises(RuntimeError, match="leaf variables"):
        y.requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad
    z = tf.arange(4.0).view(2, 2).requires_grad_()
    (z * z).sum().backward()
    assert z.is_leaf and z.grad.tolist() == [[0, 2], [4, 6]]


def test_hooks():
    """Hooks see and replace gradients, on leaves and results; they can be taken away."""
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    y.retain_grad()
    (y * y).sum().backward()
    assert seen == [[6, 12]] and y.grad.tolist() == [6, 12] and x.grad.tolist() == [180, 360]
    handle.remove()
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [1, 1]
    done = []
    x.register_post_accumulate_grad_hook(lambda p: done.append(p.grad.tolist()))
    x.sum().backward()
    assert done == [[2, 2]]
    with pytest.raises(RuntimeError):
        tf.ones(2).register_hook(print)
    view = (x * 2)[0]
    view.retain_grad()
    (view * view).backward()
    assert view.grad.item() == 4


def test_hook_outlives_its_tensor():
    """A hook on a result stays with the graph."""
    x = tf.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    z = y.sum()
    del y
    z.backward()
    assert x.grad.tolist() == [10, 10]


def test_backward_inputs():
    """`inputs` limits what is accumulated."""
    x, y = tf.ones(2, requires_grad=True), tf.ones(2, requires_grad=True)
    (x * y * 3).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3, 3] and y.grad is None


def test_function():
    """Several outputs, other arguments, saved tensors, unused and non-differentiable outputs."""
    calls = []

    class Both(Function):
        @staticmethod
        def forward(ctx, x, factor, y):
            ctx.save_for_backward(x, y)
            ctx.factor = factor
            where = x > y
            ctx.mark_non_differentiable(where)
            return x * y * factor, x + y, where

        @staticmethod
        def backward(ctx, g_product, g_sum, g_where):
            calls.append(ctx.needs_input_grad)
            x, y = ctx.saved_tensors
            return g_product * y * ctx.factor + g_sum, None, g_product * x * ctx.factor + g_sum

    x, y = tf.tensor([1.0, 2.0], requires_grad=True), tf.tensor([3.0, 1.0], requires_grad=True)
    product, total, where = Both.apply(x, 2.0, y)
    assert where.tolist() == [False, True] and not where.requires_grad and not total.is_leaf
    (product.sum() + (total * total).sum()).backward()
    assert x.grad.tolist() == [14, 8] and y.grad.tolist() == [10, 10]
    assert calls == [(True, False, True)]
    x.grad = None
    Both.apply(x, 2.0, y.detach())[1].sum().backward()
    assert x.grad.tolist() == [1, 1] and calls[-1] == (True, False, False)
    with tf.no_grad():
        assert not Both.apply(x, 2.0, y)[0].requires_grad


def test_function_second_derivative():
    """Backward is recorded, through saved tensors too."""

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    x = tf.tensor([0.5, 2.0], dtype=tf.float64, requires_grad=True)
    assert gradcheck(Cube.apply, (x,)) and gradgradcheck(Cube.apply, (x,))
    middle = x * 2
    out = Cube.apply(middle)
    (out * out).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * 64 * x.detach().numpy() ** 5)


def test_function_with_setup_context_and_errors():
    """The newer form of forward, and the checks of what backward gives."""

    class Scale(Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.k = inputs[1]

        @staticmethod
        def backward(ctx, g):
            return g * ctx.k, None

    class Few(Scale):
        @staticmethod
        def backward(ctx, g):
            return g

    x = tf.ones(2, requires_grad=True)
    Scale.apply(x, 4.0).sum().backward()
    assert x.grad.tolist() == [4, 4]
    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Few.apply(x, 4.0).sum().backward()


def test_function_in_place():
    """mark_dirty: forward changed its input, which becomes the output."""

    class AddOne(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.add_(1)

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x = tf.ones(2, requires_grad=True)
    y = x * 1
    out = AddOne.apply(y)
    assert out is y and y.tolist() == [2, 2]
    out.sum().backward()
    assert x.grad.tolist() == [7, 7]


def test_long_chain():
    """No recursion over graphs."""
    x = tf.ones(1, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y + 1
    y.sum().backward()
    assert x.grad.tolist() == [1]


def test_memory_is_let_go():
    """After backward nothing of the graph stays alive."""
    x = tf.ones(2, requires_grad=True)
    loss = ((x * 2).relu() * 3).sum()
    middle = weakref.ref(loss.grad_fn.node.inputs[0])
    loss.backward()
    x.grad.tolist()
    loss.item()
    gc.collect()
    assert middle() is None


def test_same_seed_same_numbers():
    """Random numbers follow from the seed and the order of calls."""
    tf.manual_seed(3)
    a, b = tf.rand(5), tf.randn(3, 2)
    state = tf.get_rng_state()
    c = tf.randint(0, 10, (4,))
    tf.set_rng_state(state)
    d = tf.randint(0, 10, (4,))
    tf.manual_seed(3)
    assert tf.equal(a, tf.rand(5)) and tf.equal(b, tf.randn(3, 2)) and tf.equal(c, d)
    g = tf.Generator().manual_seed(3)
    assert tf.equal(a, tf.rand(5, generator=g)) and not tf.equal(a, tf.rand(5, generator=g))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.float16])
def test_distributions(dtype):
    """Moments and bounds."""
    tf.manual_seed(0)
    u = tf.rand(40000, dtype=dtype).double()
    assert u.min().item() >= 0 and u.max().item() < 1 and abs(u.mean().item() - 0.5) < 0.01
    assert abs(u.var().item() - 1 / 12) < 0.005
    n = tf.randn(40000, dtype=dtype).double()
    assert abs(n.mean().item()) < 0.02 and abs(n.std().item() - 1) < 0.02
    assert abs((n**4).mean().item() - 3) < 0.25
    assert n.isfinite().all()
    e = tf.empty(40000, dtype=dtype).exponential_(2.0).double()
    assert abs(e.mean().item() - 0.5) < 0.02 and e.min().item() >= 0


def test_discrete_draws():
    """Integers, permutations, coins and weighted choices."""
    tf.manual_seed(0)
    x = tf.randint(-3, 4, (5000,))
    assert set(x.tolist()) == set(range(-3, 4)) and x.dtype is tf.int64
    assert sorted(tf.randperm(100).tolist()) == list(range(100))
    assert abs(tf.bernoulli(tf.full((20000,), 0.3)).mean().item() - 0.3) < 0.02
    picks = tf.multinomial(tf.tensor([0.0, 1.0, 3.0]), 8000, replacement=True)
    assert 0 not in picks.tolist() and abs(picks.double().mean().item() - 1.75) < 0.03
    assert sorted(tf.multinomial(tf.tensor([1.0, 2.0, 3.0]), 3).tolist()) == [0, 1, 2]
    with pytest.raises(RuntimeError):
        tf.multinomial(tf.tensor([1.0, 0.0]), 3)
    w = tf.empty(3, 4).uniform_(-2, -1)
    assert (w < -1).all() and (w >= -2).all()
    assert abs(tf.empty(20000).normal_(5, 0.1).mean().item() - 5) < 0.01


@pytest.mark.parametrize("values", [[0.0, 2, 3, 0], [0.0, 0, 0, 1], [1.0, 2, 3, 4], [0.0, 5, 6, 7]])
def test_second_gradients_of_products_with_zeros(values: list[float]) -> None:
    """d2 prod / dx_i dx_j is the product of the others, zeros or not; for scatters too."""
    x = tf.tensor(values, dtype=tf.float64, requires_grad=True)
    seed = tf.tensor([1.0, 2, 3, 4], dtype=tf.float64)
    into = tf.ones(3, dtype=tf.float64, requires_grad=True)
    places = tf.tensor([1, 1, 1, 1])
    expected = [
        sum(
            (j + 1) * np.prod([v for k, v in enumerate(values) if k not in (i, j)])
            for j in range(4)
            if j != i
        )
        for i in range(4)
    ]
    for product in (x.prod(), into.scatter_reduce(0, places, x, "prod")[1]):
        (first,) = tf.autograd.grad(product, x, create_graph=True)
        others = [np.prod([v for k, v in enumerate(values) if k != i]) for i in range(4)]
        assert first.tolist() == others
        (second,) = tf.autograd.grad((first * seed).sum(), x)
        assert second.tolist() == expected


def test_a_product_of_infinity_beside_another() -> None:
    """What lies at one place of a scatter does not reach another."""
    v = tf.tensor([np.inf, 2.0, 3.0, np.inf], requires_grad=True)
    y = tf.ones(3).scatter_reduce(0, tf.tensor([0, 1, 1, 2]), v, "prod")
    (first,) = tf.autograd.grad(y[1], v, create_graph=True)
    assert first.tolist() == [0, 3, 2, 0]
