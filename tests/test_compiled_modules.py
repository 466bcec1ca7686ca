"""A compiled module is a module: programs train it, save it and ask it for its parts."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Iterator

import pytest

import twofold as tf
from twofold import nn


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """That gradients leave a captured call, which is then made as it is, is not the subject."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tf.NotCaptured)
        yield


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.scale = 2.0

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return self.layer(x) * self.scale

    def twice(self) -> float:
        return self.scale * 2


def test_it_has_what_the_module_has() -> None:
    net = Net()
    made = tf.compile(net, mode="max-autotune")
    assert isinstance(made, nn.Module) and made._orig_mod is net
    assert list(made.parameters()) == list(net.parameters())
    assert list(made.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    assert made.layer is net.layer and made.twice() == 4.0
    made.scale = 3.0
    assert net.scale == 3.0
    made.eval()
    assert not made.training and not net.layer.training
    with pytest.raises(AttributeError, match="nothing"):
        made.nothing  # noqa: B018


def test_it_trains_as_the_module_does() -> None:
    tf.manual_seed(0)
    net = Net()
    other = copy.deepcopy(net)
    made = tf.compile(net)
    x = tf.rand(5, 3)
    losses: list[list[float]] = []
    for model in (made, other):
        optimizer = tf.optim.SGD(model.parameters(), lr=0.01)
        losses.append([])
        for _ in range(4):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    with tf.no_grad():
        assert [made(x).tolist() == net(x).tolist() for _ in range(4)] == [True] * 4


def test_it_is_copied_and_saved() -> None:
    made = tf.compile(Net())
    file = io.BytesIO()
    tf.save(made.state_dict(), file)
    other = copy.deepcopy(made)
    with tf.no_grad():
        other.layer.weight.zero_()
        assert float(made.layer.weight.abs().sum()) > 0
    other.load_state_dict(tf.load(io.BytesIO(file.getvalue())))
    x = tf.ones(1, 3)
    assert other(x).tolist() == made(x).tolist()


def test_it_can_be_turned_off_and_be_explained() -> None:
    net = Net()
    assert tf.compile(net, disable=True) is net
    with tf.no_grad():
        assert tf.explain(tf.compile(net), tf.ones(1, 3), show=False).programs[0].kernels
