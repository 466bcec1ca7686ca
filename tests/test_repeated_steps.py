"""Steps of plain loops whose updates are known: run without being recorded, with the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import repeated

Loop = Callable[[tf.nn.Module, tf.optim.Optimizer, int], Any]


class Counted:
    """How many steps were repeated, and how many of these in place."""

    def __init__(self) -> None:
        self.steps: list[bool] = []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    found = Counted()
    are_alone = repeated._are_alone

    def count(*args: Any) -> bool:
        alone = are_alone(*args)
        found.steps.append(alone)
        return alone

    monkeypatch.setattr(repeated, "_are_alone", count)
    yield found


def data(k: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
    r = np.random.RandomState(k)
    return tf.tensor(r.randn(8, 6).astype(np.float32)), tf.tensor(r.randint(0, 5, 8))


def loss_of(net: tf.nn.Module, k: int = 0) -> tf.Tensor:
    x, y = data(k)
    return tf.nn.functional.cross_entropy(net(x), y)


def trained(loop: Loop, optimizer: Callable[..., Any], repeats: bool, steps: int = 10) -> list:
    """What `loop` gave in each step, then all parameters and state."""
    tf.manual_seed(0)
    net = tf.nn.Sequential(tf.nn.Linear(6, 64), tf.nn.ReLU(), tf.nn.Linear(64, 5))
    method = optimizer(net.parameters())
    assert type(method)._repeats
    if not repeats:
        method._repeats = False
    found = [loop(net, method, k) for k in range(steps)]
    found += [p.detach().numpy().copy() for p in net.parameters()]
    for p in net.parameters():
        state = method.state[p]
        found += [np.array(state[name]) for name in sorted(state) if state[name] is not None]
    return found


def same(loop: Loop, optimizer: Callable[..., Any] = tf.optim.Adam, steps: int = 10) -> None:
    for a, b in zip(
        trained(loop, optimizer, True, steps), trained(loop, optimizer, False, steps), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def plain(net: tf.nn.Module, method: tf.optim.Optimizer, k: int) -> float:
    method.zero_grad()
    loss = loss_of(net, k)
    loss.backward()
    method.step()
    return loss.item()


METHODS = {
    "sgd": lambda p: tf.optim.SGD(p, lr=0.1),
    "momentum": lambda p: tf.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: tf.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "dampening": lambda p: tf.optim.SGD(p, lr=0.1, momentum=0.7, dampening=0.3),
    "adam": lambda p: tf.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: tf.optim.Adam(p, lr=0.01, amsgrad=True, weight_decay=0.1),
    "adamw": lambda p: tf.optim.AdamW(p, lr=0.01),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_repeated_steps_have_the_bits_of_recorded_ones(method: Any, counted: Counted) -> None:
    same(plain, method)
    assert sum(counted.steps) >= 6 and all(counted.steps)


def test_new_values_lie_where_the_old_ones_lay(counted: Counted) -> None:
    net = tf.nn.Linear(6, 5)
    method = tf.optim.SGD(net.parameters(), lr=0.1)
    places, versions = [], []
    for k in range(8):
        plain(net, method, k)
        places.append(net.weight._storage.node.value.address)
        versions.append(net.weight._version)
    assert len(set(places[3:])) == 1
    assert np.diff(versions).tolist() == [1] * 7


def test_rates_and_options_that_change_are_read_anew(counted: Counted) -> None:
    def loop(net: Any, method: Any, k: int) -> float:
        method.param_groups[0]["lr"] = 0.1 / (k + 1)
        if k == 6:
            method.param_groups[0]["betas"] = (0.5, 0.9)
        if k == 9:
            method.param_groups[0]["weight_decay"] = 0.1
        return plain(net, method, k)

    same(loop, steps=14)
    assert len(counted.steps) >= 5

    def cycle(net: Any, method: Any, k: int) -> float:
        if not k:
            net.schedule = tf.optim.lr_scheduler.OneCycleLR(method, 0.1, total_steps=20)
        value = plain(net, method, k)
        net.schedule.step()
        return value

    same(cycle, METHODS["momentum"])
    same(cycle, METHODS["adam"])


def test_frozen_parameters_and_loaded_states(counted: Counted) -> None:
    def loop(net: Any, method: Any, k: int) -> float:
        net[0].weight.requires_grad_(not 4 <= k < 8)
        if k == 10:
            method.load_state_dict(method.state_dict())
        if k == 13:
            net.load_state_dict({n: v * 0.5 for n, v in net.state_dict().items()})
        return plain(net, method, k)

    same(loop, steps=18)
    assert len(counted.steps) >= 5


def test_accumulated_clipped_and_hooked_gradients(counted: Counted) -> None:
    def loop(net: Any, method: Any, k: int) -> float:
        if k == 5:
            net[2].weight.register_hook(lambda g: g * 0.5)
        method.zero_grad(set_to_none=k % 2 == 0)
        for part in range(2):
            (loss_of(net, 2 * k + part) / 2).backward()
        norm = tf.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        method.step()
        return norm.item()

    same(loop, METHODS["momentum"], steps=12)
    assert counted.steps


def test_what_is_read_later_keeps_its_value(counted: Counted) -> None:
    """Views see new values; copies, kept graphs and second gradients those of their time."""

    def loop(net: Any, method: Any, k: int) -> Any:
        weight = net[2].weight
        view, copy = weight.detach()[:2], weight.detach()[:2] * 1
        hidden = net[0](data(k)[0])
        method.zero_grad()
        loss = tf.nn.functional.cross_entropy(net[2](hidden.relu()), data(k)[1])
        loss.backward(retain_graph=k > 5)
        before = weight.detach().numpy().copy() if k == 3 else None
        method.step()
        if before is not None:
            np.testing.assert_array_equal(copy.numpy(), before[:2])
        if k > 5:
            method.zero_grad()
            loss.backward()  # by the weights before the step
        gradient = weight.grad.clone()
        np.testing.assert_array_equal(view.numpy(), weight.detach().numpy()[:2])
        return [t.detach().sum().item() for t in (view, copy, hidden, gradient)]

    same(loop, steps=12)


def test_a_value_that_may_yet_be_read_is_not_overwritten(counted: Counted) -> None:
    net = tf.nn.Linear(6, 5)
    method = tf.optim.SGD(net.parameters(), lr=0.1)
    for k in range(6):
        plain(net, method, k)
    node = net.weight._storage.node
    old = net.weight.detach().clone().numpy()
    pending = (net.weight.detach() * 2)._node()  # of no tensor
    plain(net, method, 7)
    assert not counted.steps[-1]
    assert net.weight._storage.node is not node
    np.testing.assert_array_equal(tf.engine.to_numpy(pending), old * 2)
    del pending, node
    plain(net, method, 8)
    assert counted.steps[-1]


@pytest.mark.parametrize("look", [True, False], ids=["seen", "unseen"])
def test_a_class_out_of_range_changes_nothing(look: bool, counted: Counted) -> None:
    """Whether the step is recorded, as where arrays share the weights' memory, or repeated."""
    tf.manual_seed(0)
    net = tf.nn.Sequential(tf.nn.Linear(6, 64), tf.nn.ReLU(), tf.nn.Linear(64, 5))
    method = tf.optim.Adam(net.parameters(), lr=0.1)

    def step(y: tf.Tensor) -> float:
        method.zero_grad()
        loss = tf.nn.functional.cross_entropy(net(data()[0]), y)
        loss.backward()
        method.step()
        return loss.item()

    good = data()[1]
    bad = tf.tensor((good + 1).tolist())
    for _ in range(5):
        step(good)
    tensors = [*net.parameters(), *(s["exp_avg"] for s in method.state.values())]
    before = [t.detach().clone().numpy() for t in tensors]
    arrays = [t.detach().numpy() for t in tensors] if look else []
    known = len(counted.steps)
    for _ in range(2):
        with pytest.raises(IndexError, match=r"test_repeated_steps.py"):
            step(bad)
    assert (len(counted.steps) == known) is look
    for old, t in zip(before, tensors, strict=True):
        np.testing.assert_array_equal(old, t.detach().clone().numpy())
    del arrays
    assert np.isfinite(step(good))


def test_two_optimizers_and_averages(counted: Counted) -> None:
    """Each knows its own parameters; a running average reads them after each step."""

    def loop(net: Any, method: Any, k: int) -> float:
        if not k:
            net.other = tf.optim.SGD([net[2].bias], lr=0.1, momentum=0.9)
            net.mean = tf.zeros(64, 6)
        value = plain(net, method, k)
        with tf.no_grad():
            net.mean.mul_(0.9).add_(net[0].weight, alpha=0.1)
        net.other.step()
        return value + net.mean.sum().item()

    same(loop)
    assert sum(counted.steps) >= 6


def test_a_parameter_shared_by_groups_of_other_rates(counted: Counted) -> None:
    def method(parameters: Any) -> Any:
        w, b, *others = parameters
        return tf.optim.Adam([{"params": [w, b], "lr": 0.1}, {"params": others, "betas": (0, 0.9)}])

    def loop(net: Any, method: Any, k: int) -> float:
        method.param_groups[k % 2]["lr"] *= 0.5
        return plain(net, method, k)

    same(loop, method)
    assert sum(counted.steps) >= 6
