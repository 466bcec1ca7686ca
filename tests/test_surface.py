"""Functions of PyTorch's surface that are composites, against PyTorch's, and the measuring tool."""

from __future__ import annotations

import numpy as np
import pytest
from test_func import agree

import twofold as tf

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(7)
A = RNG.standard_normal((4, 6)).astype(np.float32)
B = RNG.standard_normal((3, 6)).astype(np.float32)
N = RNG.integers(1, 30, (2, 5))
V = RNG.standard_normal(5).astype(np.float32)

CALLS = {
    "as_strided": lambda m, t: m.as_strided(t(A), (2, 3), (12, 2), 1),
    "as_strided overlapping": lambda m, t: m.as_strided(t(A), (5, 3), (1, 1)),
    "as_strided_scatter": lambda m, t: m.as_strided_scatter(t(A), t(A[:2, :2]), (2, 2), (1, 6)),
    "as_strided_scatter of a view": lambda m, t: m.as_strided_scatter(
        t(A)[1:].T, t(V[:4]), (4,), (1,)
    ),
    "atleast_3d": lambda m, t: m.atleast_3d(t(A), t(V)),
    "bartlett": lambda m, t: m.bartlett_window(7),
    "block_diag": lambda m, t: m.block_diag(t(A), t(V), t(B)),
    "cartesian_prod": lambda m, t: m.cartesian_prod(t(N[0]), t(N[1])),
    "cdist": lambda m, t: [m.cdist(t(A), t(B), p) for p in (0.0, 1.0, 2.0, 3.0, float("inf"))],
    "column_stack": lambda m, t: m.column_stack([t(V), t(V)]),
    "combinations": lambda m, t: m.combinations(t(V), 3, True),
    "corrcoef": lambda m, t: m.corrcoef(t(A)),
    "cov": lambda m, t: m.cov(t(A), fweights=t(np.arange(1, 7)), correction=0),
    "cross": lambda m, t: m.cross(t(A[:3]), t(B), dim=0),
    "diagflat": lambda m, t: m.diagflat(t(V), -1),
    "dsplit": lambda m, t: m.dsplit(t(A.reshape(2, 3, 4)), 2),
    "frexp": lambda m, t: m.frexp(t(A)),
    "gcd": lambda m, t: (m.gcd(t(N[0]), t(N[1])), m.lcm(t(N[0]), t(N[1]))),
    "gradient": lambda m, t: m.gradient(t(A), spacing=0.5, edge_order=2),
    "gradient at": lambda m, t: m.gradient(t(V), spacing=[t(np.cumsum(np.abs(V)))]),
    "hamming": lambda m, t: m.hamming_window(9, False),
    "hann": lambda m, t: m.hann_window(8),
    "histogram": lambda m, t: m.histogram(t(A), 4, range=(-2.0, 2.0), density=True),
    "hsplit": lambda m, t: m.hsplit(t(A), [1, 4]),
    "kaiser": lambda m, t: m.kaiser_window(8),
    "ldexp": lambda m, t: m.ldexp(t(V), t(N[0])),
    "logaddexp2": lambda m, t: m.logaddexp2(t(A[:3]), t(B)),
    "meshgrid xy": lambda m, t: m.meshgrid(t(V), t(V[:3]), indexing="xy"),
    "nonzero_static": lambda m, t: m.nonzero_static(t(V) > 0, size=7),
    "range": lambda m, t: m.range(1, 7, 2),
    "renorm": lambda m, t: m.renorm(t(A), 2, 0, 1.0),
    "sum_to_size": lambda m, t: t(A).sum_to_size(4, 1),
    "tensordot": lambda m, t: m.tensordot(t(A), t(B), dims=([1], [1])),
    "unravel_index": lambda m, t: m.unravel_index(t(N), (5, 6)),
    "vander": lambda m, t: m.vander(t(V), 4),
    "copies": lambda m, t: (m.t_copy(t(A)), m.view_copy(t(A), (24,)), m.split_copy(t(A), 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_like_pytorch(name: str) -> None:
    agree(CALLS[name](tf, tf.tensor), CALLS[name](torch, torch.tensor))


def test_gradients_like_pytorch() -> None:
    for call in (
        lambda m, x: m.cdist(x, x[:2] + 1),
        lambda m, x: m.as_strided(x, (5, 3), (1, 1)),
        lambda m, x: m.renorm(x, 2, 0, 0.5),
        lambda m, x: m.cov(x),
        lambda m, x: m.nn.functional.max_unpool1d(
            *m.nn.functional.max_pool1d(x, 3, 1, return_indices=True), 3, 1
        ),
    ):
        grads = []
        for m in (tf, torch):
            x = m.tensor(A, requires_grad=True)
            (call(m, x) ** 2).sum().backward()
            grads.append(x.grad)
        agree(*grads)


def test_views_by_strides_alias() -> None:
    for side in (tf, torch):
        x = side.arange(12)
        y = side.as_strided(x, (2, 3), (6, 2), 0)
        y[1, 1] = 99
        assert x[8].item() == 99
        z = side.zeros(3)
        z.set_(x.to(side.float32))
        assert z.shape == (12,)
        assert z.resize_(2, 2).tolist() == [[0, 1], [2, 3]]
        w = side.zeros(3, 3).fill_diagonal_(2)
        assert w.sum().item() == 6
        assert side.ones(2, 2).tril_().sum().item() == 3


def test_python_functions_on_elements() -> None:
    x = tf.tensor([1.0, 2.0])
    assert x.apply_(lambda v: v * 10).tolist() == [10, 20]
    assert x.map_(tf.tensor([1.0, 2.0]), lambda a, b: a - b).tolist() == [9, 18]


def test_the_module_random_and_axes_as_numbers() -> None:
    before = tf.random.get_rng_state()
    with tf.random.fork_rng():
        tf.rand(3)
    assert tf.random.get_rng_state().tolist() == before.tolist()
    agree(tf.fft.fftn(tf.tensor(A), dim=0).real, torch.fft.fftn(torch.tensor(A), dim=0).real)


def test_each_of_several_tensors() -> None:
    for m in (tf, torch):
        xs, ys = [m.tensor(A), m.tensor(V)], [m.tensor(A + 1), m.tensor(V + 2)]
        m._foreach_add_(xs, ys, alpha=2.0)
        m._foreach_mul_(xs, [2.0, 3.0])
        m._foreach_addcdiv_(xs, ys, ys, [1.0, 2.0])
        m._foreach_lerp_(xs, ys, 0.25)
        roots = m._foreach_sqrt(m._foreach_abs(xs))
        if m is tf:
            mine = [*xs, *roots, *m._foreach_norm(xs)]
    agree(mine, [*xs, *roots, *m._foreach_norm(xs)])


def test_random_fillings_have_their_moments() -> None:
    tf.manual_seed(0)
    n = 20000
    assert abs(tf.empty(n).geometric_(0.25).mean().item() - 4) < 0.15
    assert abs(tf.empty(n).log_normal_(0.0, 0.5).log().std().item() - 0.5) < 0.02
    assert abs(tf.empty(n).cauchy_(3.0).median().item() - 3) < 0.1
    assert abs(tf.poisson(tf.full((n,), 2.5)).mean().item() - 2.5) < 0.05
    for call in (lambda x: x.geometric_(2), lambda x: x.exponential_(0), lambda x: x.cauchy_(0, 0)):
        with pytest.raises(RuntimeError, match="expects"):
            call(tf.empty(2))


def test_limits_like_pytorch() -> None:
    for name in ("float16", "bfloat16", "float32", "float64"):
        mine, theirs = tf.finfo(getattr(tf, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal"):
            assert getattr(mine, field) == getattr(theirs, field), (name, field)
    assert tf.iinfo(tf.int16).min == torch.iinfo(torch.int16).min
    assert tf.iinfo(tf.uint8).max == 255
    assert tf.can_cast(tf.int32, tf.float32) and not tf.can_cast(tf.float32, tf.int32)


def test_the_tool_tells_equal_from_unequal() -> None:
    pytest.importorskip("expecttest")
    from bench.conformance.convert import Converter, difference
    from bench.conformance.names import present

    x = torch.tensor([1.0, 2.0])
    assert difference(x, Converter()(x)) is None
    assert "values" in str(difference(x, tf.tensor([1.0, 2.1])))
    assert "dtype" in str(difference(x, tf.tensor([1, 2])))
    assert "shape" in str(difference(x, tf.tensor([1.0])))
    assert "float for a tensor" in str(difference(x, 1.0))
    here = present("nn")
    assert here["Linear"] and len(here) > 100
