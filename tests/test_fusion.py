"""Fusion: the kernels of a graph, read by NumPy, give what the ops' references give."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_oracle import run

import twofold as tf
from twofold import engine
from twofold.graph.node import Node, is_given, postorder
from twofold.kernels.build import build
from twofold.kernels.partition import Partition, strip
from twofold.ops import elementwise as ew
from twofold.ops import interpret, reduce
from twofold.ops import movement as mv
from twofold.passes import run as run_passes


def leaf(*shape: int, seed: int = 0) -> Node:
    return engine.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype("f4"))


def check(roots: list[Node]) -> Partition:
    """Partition `roots` and compare every kernel's output with the references."""
    given = {id(n): engine.array_of(n) for n in postorder(roots) if n.value is not None}
    expected = interpret.evaluate(roots, given)
    rewritten = run_passes(roots)
    p = Partition(rewritten, postorder(rewritten, pending_only=True))
    wanted = set(p.roots)
    used = {
        e.attr.node
        for g in p.groups
        for m in g.members
        for e in m.refs
        if p.home.get(e.attr.node) is not g
    }
    memory = {}
    for k, node in enumerate(p.nodes):
        memory[k] = (
            engine.array_of(node) if is_given(node) else np.zeros(node.shape, node.dtype.storage)
        )
    waiting = list(p.groups)
    done = 0
    while waiting:
        group = next(g for g in waiting if not g.upstream & ~done)
        waiting.remove(group)
        done |= 1 << group.position
        run(build(group, lambda n: n in used or id(p.nodes[n]) in wanted), memory)
    for root, want in zip(rewritten, expected):
        got = memory[p.number(strip(root))].reshape(root.shape)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5)
    return p


def softmax(x: Node) -> Node:
    top = reduce.spread(reduce.reduce("max", x, (1,)), x.shape, (1,))
    e = ew.exp(ew.sub(x, top))
    return ew.div(e, reduce.spread(reduce.sum_(e, (1,)), x.shape, (1,)))


def test_a_chain_is_one_kernel() -> None:
    x, y = leaf(7, 9), leaf(9, seed=1)
    assert len(check([ew.relu(ew.add(ew.mul(x, x), y))]).groups) == 1


def test_softmax_is_one_kernel() -> None:
    assert len(check([softmax(leaf(6, 10))]).groups) == 1


def test_layer_norm_is_one_kernel() -> None:
    x, w = leaf(5, 12), leaf(12, seed=1)
    mean = reduce.spread(reduce.mean(x, (1,)), x.shape, (1,))
    centred = ew.sub(x, mean)
    variance = reduce.mean(ew.mul(centred, centred), (1,))
    scale = ew.rsqrt(ew.add(variance, ew.constant(1e-5, x.dtype)))
    y = ew.mul(ew.mul(centred, reduce.spread(scale, x.shape, (1,))), w)
    assert len(check([y]).groups) == 1


def test_column_statistics_take_two_kernels() -> None:
    x = leaf(50, 4)
    mean = reduce.mean(x, (0,))
    assert len(check([ew.sub(x, mean)]).groups) == 2


def test_a_long_row_is_written_while_it_is_summed() -> None:
    """Once over memory, however long: nothing waits for the sums."""
    x, y = leaf(2, 20000), leaf(2, 20000, seed=1)
    z = ew.sub(ew.relu(ew.mul(x, y)), y)
    sums = [reduce.sum_(z, (0, 1)), reduce.mean(ew.mul(z, z), (0, 1))]
    assert len(check([z, *sums, reduce.reduce("max", z, (0, 1))]).groups) == 1
    waits = ew.div(z, reduce.spread(reduce.sum_(z, (1,)), z.shape, (1,)))
    assert len(check([z, waits]).groups) == 2


def test_an_update_writes_all_of_its_state_in_one_kernel() -> None:
    p, m, v, g = (leaf(33, seed=i) for i in range(4))
    tenth = ew.number(0.1, p.dtype)
    m = ew.add(ew.mul(m, tenth), g)
    v = ew.add(ew.mul(v, tenth), ew.mul(g, g))
    p = ew.sub(p, ew.div(m, ew.add(ew.sqrt(ew.abs_(v)), tenth)))
    assert len(check([p, m, v]).groups) == 1


@pytest.mark.parametrize("shape", [(4, 6), (1, 6), (3, 1), (2, 3, 4)])
def test_movement_is_read_through(shape: tuple[int, ...]) -> None:
    x = leaf(*shape)
    back = mv.permute(ew.exp(x), tuple(reversed(range(len(shape)))))
    flat = mv.reshape(back, (x.type.size,))
    padded = mv.pad(mv.flip(ew.neg(flat), (0,)), ((2, 1),), ew.constant(2, x.dtype))
    part = mv.slice_(padded, ((1, (x.type.size + 1) // 2, 2),))
    check([padded, part, ew.add(back, ew.constant(1, x.dtype))])


def test_reshape_of_a_permute_is_computed_once() -> None:
    x = leaf(4, 6)
    flat = mv.reshape(mv.permute(x, (1, 0)), (24,))
    assert len(check([ew.exp(flat)]).groups) == 2


def test_sums_along_each_axis() -> None:
    x = leaf(4, 5, 6)
    check([reduce.sum_(x, axes) for axes in [(0,), (1,), (2,), (0, 2), (0, 1, 2)]])


def test_no_group_waits_for_itself() -> None:
    x = leaf(8, 8)
    total = reduce.sum_(x, (0, 1))
    a = ew.exp(x)
    b = ew.mul(ew.sin(x), mv.expand(mv.reshape(total, (1, 1)), x.shape))
    check([ew.add(a, b), a, ew.mul(b, a), reduce.sum_(ew.mul(a, b), (1,))])


def _kernels(f, *args):
    return [k for p in tf.explain(f, *args, show=False).programs for k in p.kernels]


def test_what_belongs_to_a_channel_is_computed_once():
    """A square root for each channel, not for each pixel: it is stored by a kernel of its own."""
    x, v = tf.ones(64, 32, 16), tf.ones(16)
    small, large = sorted(
        _kernels(lambda x, v: (x - 1) * (v + 1e-5).rsqrt(), x, v), key=lambda k: k.n_bytes
    )
    assert small.n_bytes < 1000 and "rsqrt" in small.text and "rsqrt" not in large.text


def test_a_cheap_value_is_computed_again_though_it_reads_many_small_arrays():
    """Normalized values are not stored beside their rectified ones; a gradient reads the input."""
    x = tf.randn(8, 64, 32, requires_grad=True)
    a, b, c = tf.randn(32), tf.randn(32), tf.randn(32)

    def both(x):
        y = ((x - a) * b + c).relu()
        (g,) = tf.autograd.grad(y, [x], y.detach() + 1)
        return y.detach(), g

    stored = sum(k.n_bytes for k in _kernels(both, x))
    assert stored <= 3.2 * x.numel() * 4
