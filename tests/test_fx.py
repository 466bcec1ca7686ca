"""Graphs of a program's calls: recording, rewriting, running."""

from __future__ import annotations

import copy
import operator
import pickle

import pytest

import twofold as tf
from twofold import fx, nn
from twofold.nn import functional as F


class Net(nn.Module):
    """A module with a parameter of its own, a sequence, and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.shift = nn.Parameter(tf.ones(3))

    def forward(self, x: tf.Tensor, scale: float = 2.0) -> tf.Tensor:
        """Something of everything."""
        y = self.shift + self.layers(x) * scale
        y = tf.cat([y, F.gelu(y)], dim=1)
        return y.view(x.size(0), -1)[:, 1:].clamp(min=0)


def test_a_traced_module_computes_the_same() -> None:
    """Parameters are shared, arguments keep their defaults, copies are apart."""
    net = Net()
    traced = fx.symbolic_trace(net)
    x = tf.randn(2, 3)
    assert traced(x).tolist() == net(x).tolist()
    assert traced(x, scale=3.0).tolist() == net(x, 3.0).tolist()
    assert set(traced.state_dict()) == set(net.state_dict())
    traced.graph.lint()
    kinds = [node.op for node in traced.graph.nodes]
    assert kinds.count("call_module") == 2 and kinds.count("get_attr") == 1
    copied = copy.deepcopy(traced)
    with tf.no_grad():
        net.shift.zero_()
    assert traced(x).tolist() == net(x).tolist()
    assert copied(x).tolist() != net(x).tolist()


def test_text() -> None:
    """The graph and its code, as they print."""
    traced = fx.symbolic_trace(lambda x: tf.relu(x).add(1) + 2)
    assert str(traced.graph).splitlines() == [
        "graph():",
        "    %x : [num_users=1] = placeholder[target=x]",
        "    %relu : [num_users=1] = call_function[target=torch.relu](args = (%x,), kwargs = {})",
        "    %add : [num_users=1] = call_method[target=add](args = (%relu, 1), kwargs = {})",
        "    %add_1 : [num_users=1] = call_function[target=operator.add]"
        "(args = (%add, 2), kwargs = {})",
        "    return add_1",
    ]
    assert traced.code.split("\n")[1] == "def forward(self, x):"


def test_rewriting() -> None:
    """Nodes can be added, replaced and erased; a pattern finds its places."""
    traced = fx.symbolic_trace(lambda x: (x + 1) * (x + 1))
    for node in traced.graph.nodes:
        if node.target is operator.mul:
            with traced.graph.inserting_after(node):
                new = traced.graph.call_function(operator.sub, node.args)
            node.replace_all_uses_with(new)
            traced.graph.erase_node(node)
    traced.recompile()
    assert traced(tf.ones(2)).tolist() == [0.0, 0.0]
    traced = fx.symbolic_trace(lambda x: tf.relu(x + 1) + tf.relu(x + 2))
    matches = fx.replace_pattern(
        traced, lambda a, b: tf.relu(a + b), lambda a, b: tf.sigmoid(a) * b
    )
    assert len(matches) == 2
    graph = fx.symbolic_trace(lambda x, y: tf.relu(x + y) + 1)
    assert len(fx.replace_pattern(graph, lambda a, b: tf.relu(a + b), lambda a, b: a * b)) == 1
    assert graph(tf.ones(1), tf.full((1,), -5.0)).tolist() == [-4.0]
    with pytest.raises(RuntimeError, match="users"):
        traced.graph.erase_node(next(iter(traced.graph.nodes)))


def test_interpreters() -> None:
    """A graph run node by node, and made anew with other calls."""
    traced = fx.symbolic_trace(Net())
    x = tf.randn(2, 3)
    assert fx.Interpreter(traced).run(x).tolist() == traced(x).tolist()

    class Doubled(fx.Transformer):
        def call_function(self, target, args, kwargs):
            if target is operator.add:
                target = operator.sub
            return super().call_function(target, args, kwargs)

    made = Doubled(fx.symbolic_trace(lambda a, b: a + b)).transform()
    assert made(tf.ones(1), tf.ones(1)).tolist() == [0.0]


def test_what_cannot_be_recorded_is_told() -> None:
    """A branch on a value, and a loop over one."""
    with pytest.raises(ValueError, match="control flow"):
        fx.symbolic_trace(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(ValueError, match="iterated"):
        fx.symbolic_trace(lambda x: list(x))


def test_tracers_can_go_into_leaves() -> None:
    """A tracer that does not stop at ReLU records the function it calls."""

    class Deeper(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return not isinstance(m, nn.ReLU) and super().is_leaf_module(m, module_qualified_name)

    graph = Deeper().trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert [n.target for n in graph.nodes][2] is F.relu


def test_writes_to_elements_are_not_dead_code() -> None:
    graph = tf.fx.Graph()
    x = graph.placeholder("x")
    graph.call_function(operator.setitem, (x, 0, 5.0))
    graph.call_function(operator.neg, (x,))
    graph.output(x)
    assert graph.eliminate_dead_code()
    assert [node.target for node in graph.nodes] == ["x", operator.setitem, "output"]


def test_a_shallow_copy_runs_and_no_graph_is_pickled() -> None:
    """A copy shares what the graph uses; a state alone would make no forward."""
    traced = fx.symbolic_trace(Net())
    twin, x = copy.copy(traced), tf.randn(2, 3)
    assert twin(x).tolist() == traced(x).tolist() and twin.shift is traced.shift
    with pytest.raises(pickle.PicklingError, match="made from a graph"):
        pickle.dumps(traced)
