"""Modules and functions against PyTorch's, at the same weights: outputs, input and parameter
gradients, text and state."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import nn
from twofold.nn import functional as F

torch = pytest.importorskip("torch")
warnings.filterwarnings("ignore", category=UserWarning)


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def _same(a: Any, b: Any, tolerance: float = 2e-5) -> None:
    """Results of Twofold and PyTorch, tensors or containers of them, are close."""
    if isinstance(b, torch.Tensor):
        theirs = b.detach().numpy()
        assert tuple(a.shape) == theirs.shape
        ours = a.detach().numpy()
        assert ours.dtype == theirs.dtype
        scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)
    elif isinstance(b, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            _same(x, y, tolerance)
    else:
        assert a == b


def _floats(result: Any) -> list[Any]:
    """The floating-point tensors of a result."""
    if isinstance(result, (tuple, list)):
        return [x for r in result for x in _floats(r)]
    return [result] if result.is_floating_point() and result.requires_grad else []


def _backward(result: Any, make: Any) -> None:
    """Backward from a sum of all results, each element weighted differently."""
    total: Any = 0.0
    for k, x in enumerate(_floats(result)):
        weights = make(_numbers(*x.shape, seed=99 + k)) if x.ndim else 1.0
        total = total + (x * weights).sum()
    total.backward()


def _inputs(arrays: Any) -> tuple[list[Any], list[Any]]:
    """Each array as a tensor of Twofold and of PyTorch; floats require gradients."""
    ours, theirs = [], []
    for a in arrays:
        x, y = tf.tensor(a), torch.tensor(a)
        if a.dtype.kind == "f":
            x.requires_grad_()
            y.requires_grad_()
        ours.append(x)
        theirs.append(y)
    return ours, theirs


def _with_weights_of(theirs: Any, ours: Any) -> None:
    """Give `ours` the state of `theirs`; keys, order and shapes must agree."""
    state = theirs.state_dict()
    assert list(state) == list(ours.state_dict())
    found = ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in state.items()})
    assert str(found) == "<All keys matched successfully>"


X2, X3, X4, X5 = (4, 6), (2, 4, 9), (2, 4, 8, 9), (2, 4, 5, 6, 7)

MODULES = [
    ("Linear", (6, 5), {}, [X2]),
    ("Linear", (6, 5), {"bias": False}, [(3, 2, 6)]),
    ("Linear", (6, 5), {}, [(6,)]),
    ("Bilinear", (3, 4, 5), {}, [(7, 3), (7, 4)]),
    ("Identity", (), {}, [X2]),
    ("Conv1d", (4, 6, 3), {"padding": 1, "stride": 2}, [X3]),
    ("Conv2d", (4, 6, 3), {}, [X4]),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "groups": 2}, [X4]),
    ("Conv2d", (4, 6, 3), {"padding": "same", "dilation": 2, "bias": False}, [X4]),
    ("Conv2d", (4, 6, 3), {"padding": 1, "padding_mode": "reflect"}, [X4]),
    ("Conv2d", (4, 6, 3), {"padding": 1, "padding_mode": "circular"}, [X4]),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "replicate"}, [X4]),
    ("Conv3d", (4, 2, 3), {"padding": 1}, [X5]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, [X3]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, [X4]),
    ("ConvTranspose3d", (4, 2, 2), {}, [X5]),
    ("MaxPool1d", (2,), {}, [X3]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, [X4]),
    ("MaxPool2d", (2,), {"return_indices": True}, [X4]),
    ("MaxPool3d", (2,), {}, [X5]),
    ("AvgPool1d", (3,), {"padding": 1}, [X3]),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, [X4]),
    ("AvgPool3d", (2,), {}, [X5]),
    ("LPPool1d", (2, 3), {}, [X3]),
    ("LPPool2d", (2, 3), {"stride": 2}, [X4]),
    ("AdaptiveAvgPool1d", (3,), {}, [X3]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [X4]),
    ("AdaptiveAvgPool2d", (1,), {}, [X4]),
    ("AdaptiveMaxPool2d", ((4, 3),), {}, [X4]),
    ("BatchNorm1d", (6,), {}, [X2]),
    ("BatchNorm1d", (4,), {"momentum": None}, [X3]),
    ("BatchNorm2d", (4,), {"affine": False}, [X4]),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, [X4]),
    ("BatchNorm3d", (4,), {"eps": 1e-3}, [X5]),
    ("InstanceNorm1d", (4,), {}, [X3]),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, [X4]),
    ("InstanceNorm2d", (4,), {}, [(4, 8, 9)]),
    ("LayerNorm", (6,), {}, [X2]),
    ("LayerNorm", ((8, 9),), {"bias": False}, [X4]),
    ("LayerNorm", ((8, 9),), {"elementwise_affine": False}, [X4]),
    ("RMSNorm", (6,), {}, [X2]),
    ("RMSNorm", (6,), {"eps": 1e-2, "elementwise_affine": False}, [X2]),
    ("GroupNorm", (2, 4), {}, [X4]),
    ("GroupNorm", (4, 4), {"affine": False}, [X3]),
    ("LocalResponseNorm", (3,), {}, [X4]),
    ("Flatten", (), {}, [X4]),
    ("Unflatten", (1, (2, 2)), {}, [X3]),
    ("PixelShuffle", (2,), {}, [X4]),
    ("PixelUnshuffle", (2,), {}, [(2, 4, 8, 6)]),
    ("ChannelShuffle", (2,), {}, [X4]),
    ("ZeroPad2d", (1,), {}, [X4]),
    ("ZeroPad1d", ((1, 2),), {}, [X3]),
    ("ConstantPad2d", ((1, -2, 0, 3), 1.5), {}, [X4]),
    ("ConstantPad3d", (1, 2.0), {}, [X5]),
    ("ReflectionPad1d", (2,), {}, [X3]),
    ("ReflectionPad2d", ((1, 2, 3, 0),), {}, [X4]),
    ("ReplicationPad2d", (2,), {}, [X4]),
    ("ReplicationPad3d", (1,), {}, [X5]),
    ("CircularPad2d", ((1, 2, 3, 0),), {}, [X4]),
    ("CosineSimilarity", (), {"dim": 1}, [X2, X2]),
    ("PairwiseDistance", (), {}, [X2, (4, 6)]),
    ("Dropout", (0.0,), {}, [X2]),
    *[(name, (), {}, [X2]) for name in (
        "ReLU", "ReLU6", "Sigmoid", "Tanh", "Hardsigmoid", "Hardswish", "SiLU", "Mish", "SELU",
        "ELU", "CELU", "LeakyReLU", "GELU", "LogSigmoid", "Softplus", "Softshrink", "Hardshrink",
        "Softsign", "Tanhshrink", "Hardtanh", "PReLU", "GLU",
    )],
    ("ELU", (0.7,), {}, [X2]),
    ("CELU", (0.7,), {}, [X2]),
    ("Softplus", (2.0, 1.0), {}, [X2]),
    ("GELU", (), {"approximate": "tanh"}, [X2]),
    ("PReLU", (4,), {}, [X4]),
    ("Threshold", (0.1, 2.0), {}, [X2]),
    ("Hardtanh", (-0.5, 0.7), {}, [X2]),
    ("LeakyReLU", (0.2,), {}, [X2]),
    ("Softmax", (1,), {}, [X2]),
    ("Softmin", (0,), {}, [X2]),
    ("LogSoftmax", (-1,), {}, [X4]),
    ("Softmax2d", (), {}, [X4]),
]  # fmt: skip


def _name(row: tuple) -> str:
    return f"{row[0]}{row[1]}{row[2]}".replace(" ", "")


@pytest.mark.parametrize("row", MODULES, ids=_name)
def test_module(row: tuple) -> None:
    name, args, kwargs, shapes = row
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **kwargs)
    ours = getattr(nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    _with_weights_of(theirs, ours)
    for training in (True, False):
        theirs.train(training)
        ours.train(training)
        theirs.zero_grad()
        ours.zero_grad()
        arrays = [_numbers(*s, seed=k) for k, s in enumerate(shapes)]
        x, y = _inputs(arrays)
        a, b = ours(*x), theirs(*y)
        _same(a, b)
        _backward(a, tf.tensor)
        _backward(b, torch.tensor)
        _same([v.grad for v in x], [v.grad for v in y], 1e-4)
        for (key, p), (_, q) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert p.grad is not None, key
            _same(p.grad, q.grad, 1e-4)
        _same(list(ours.state_dict().values()), list(theirs.state_dict().values()))


def _classes(*shape: int, n: int, low: int = 0) -> np.ndarray:
    return np.random.default_rng(7).integers(low, n, shape)


def _share(*shape: int) -> np.ndarray:
    x = np.exp(_numbers(*shape, seed=5))
    return (x / x.sum(1, keepdims=True)).astype(np.float32)


def _unit(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(0.05, 0.95, shape).astype(np.float32)


def _signs(*shape: int) -> np.ndarray:
    return np.where(_numbers(*shape, seed=8) > 0, 1.0, -1.0).astype(np.float32)


IGNORED = np.array([1, -100, 4, 0, -100])
LOGITS, WEIGHT = _numbers(5, 6), _unit(6)

LOSSES = [
    ("mse_loss", [_numbers(4, 3), _numbers(4, 3, seed=1)], {}),
    ("l1_loss", [_numbers(4, 3), _numbers(4, 3, seed=1)], {}),
    ("smooth_l1_loss", [_numbers(4, 3), _numbers(4, 3, seed=1)], {"beta": 0.7}),
    ("smooth_l1_loss", [_numbers(4, 3), _numbers(4, 3, seed=1)], {"beta": 0.0}),
    ("huber_loss", [_numbers(4, 3), _numbers(4, 3, seed=1)], {"delta": 0.6}),
    ("cross_entropy", [LOGITS, _classes(5, n=6)], {}),
    ("cross_entropy", [LOGITS * 100, _classes(5, n=6)], {}),
    ("cross_entropy", [LOGITS, IGNORED], {}),
    ("cross_entropy", [LOGITS, IGNORED, WEIGHT], {}),
    ("cross_entropy", [LOGITS, IGNORED, WEIGHT], {"label_smoothing": 0.1}),
    ("cross_entropy", [LOGITS, _classes(5, n=6)], {"label_smoothing": 0.3}),
    ("cross_entropy", [LOGITS, _classes(5, n=6)], {"ignore_index": 2}),
    ("cross_entropy", [_numbers(2, 6, 3, 4), _classes(2, 3, 4, n=6), WEIGHT], {}),
    ("cross_entropy", [_numbers(6), np.array(3)], {}),
    ("cross_entropy", [LOGITS, _share(5, 6)], {}),
    ("cross_entropy", [LOGITS, _share(5, 6), WEIGHT], {"label_smoothing": 0.2}),
    ("cross_entropy", [_numbers(2, 6, 3), _share(2, 6, 3)], {}),
    ("nll_loss", [LOGITS, _classes(5, n=6)], {}),
    ("nll_loss", [LOGITS, IGNORED, WEIGHT], {}),
    ("nll_loss", [_numbers(2, 6, 3, 4), _classes(2, 3, 4, n=6)], {}),
    ("binary_cross_entropy", [_unit(4, 3), _unit(4, 3)], {}),
    ("binary_cross_entropy", [_unit(4, 3), _unit(4, 3), _unit(3)], {}),
    ("binary_cross_entropy_with_logits", [_numbers(4, 3) * 30, _unit(4, 3)], {}),
    ("binary_cross_entropy_with_logits", [_numbers(4, 3), _unit(4, 3)],
     {"pos_weight": _unit(3), "weight": _unit(4, 3)}),
    ("kl_div", [_numbers(4, 3), _share(4, 3)], {}),
    ("kl_div", [_numbers(4, 3), _numbers(4, 3, seed=2)], {"log_target": True}),
    ("poisson_nll_loss", [_numbers(4, 3), _unit(4, 3) * 4], {"full": True}),
    ("poisson_nll_loss", [_unit(4, 3), _unit(4, 3) * 4], {"log_input": False}),
    ("gaussian_nll_loss", [_numbers(4, 3), _numbers(4, 3, seed=1), _unit(4, 3)], {"full": True}),
    ("gaussian_nll_loss", [_numbers(4, 3), _numbers(4, 3, seed=1), _unit(4)], {}),
    ("hinge_embedding_loss", [_numbers(4, 3), _signs(4, 3)], {}),
    ("soft_margin_loss", [_numbers(4, 3) * 20, _signs(4, 3)], {}),
    ("margin_ranking_loss", [_numbers(5), _numbers(5, seed=1), _signs(5)], {"margin": 0.3}),
    ("cosine_embedding_loss", [_numbers(5, 4), _numbers(5, 4, seed=1), _signs(5)], {}),
    ("multilabel_soft_margin_loss", [_numbers(5, 4), (_unit(5, 4) > 0.5) * 1.0], {}),
    ("multilabel_margin_loss", [_numbers(2, 4), np.array([[3, 0, -1, 1], [2, -1, 0, 0]])], {}),
    ("multi_margin_loss", [LOGITS, _classes(5, n=6)], {}),
    ("multi_margin_loss", [LOGITS, _classes(5, n=6)], {"p": 2, "margin": 0.4, "weight": WEIGHT}),
    ("triplet_margin_loss", [_numbers(5, 4, seed=s) for s in range(3)], {"swap": True}),
    ("triplet_margin_loss", [_numbers(5, 4, seed=s) for s in range(3)], {"p": 1}),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("row", LOSSES, ids=[f"{r[0]}-{i}" for i, r in enumerate(LOSSES)])
def test_loss(row: tuple, reduction: str) -> None:
    name, arrays, kwargs = row
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    x, y = _inputs(arrays)
    for v, w in list(zip(x, y))[1:]:  # weights and targets
        v.requires_grad_(False)
        w.requires_grad_(False)
    arrays_in = {k: v for k, v in kwargs.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in kwargs.items() if k not in arrays_in}
    a = getattr(F, name)(
        *x, reduction=reduction, **plain, **{k: tf.tensor(v) for k, v in arrays_in.items()}
    )
    b = getattr(torch.nn.functional, name)(
        *y, reduction=reduction, **plain, **{k: torch.tensor(v) for k, v in arrays_in.items()}
    )
    _same(a, b)
    _backward(a, tf.tensor)
    _backward(b, torch.tensor)
    _same(x[0].grad, y[0].grad, 1e-4)


def test_cross_entropy_errors() -> None:
    with pytest.raises(ValueError, match="Expected input batch_size"):
        F.cross_entropy(tf.ones(3, 4), tf.tensor([0, 1]))
    with pytest.raises(RuntimeError, match="Expected target size"):
        F.cross_entropy(tf.ones(3, 4, 2), tf.zeros(3, 4).long())
    with pytest.raises(RuntimeError, match="expected scalar type Long but found Float"):
        F.cross_entropy(tf.ones(3, 4), tf.ones(3))


def test_embedding() -> None:
    index = np.array([[1, 4, 2], [2, 0, 2]])
    for kwargs in ({}, {"padding_idx": 2}, {"scale_grad_by_freq": True}, {"max_norm": 1.0}):
        theirs, ours = torch.nn.Embedding(5, 3, **kwargs), nn.Embedding(5, 3, **kwargs)
        _with_weights_of(theirs, ours)
        assert repr(ours) == repr(theirs)
        a, b = ours(tf.tensor(index)), theirs(torch.tensor(index))
        _same(a, b)
        _backward(a, tf.tensor)
        _backward(b, torch.tensor)
        _same(ours.weight.grad, theirs.weight.grad)
        _same(ours.weight, theirs.weight)


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d",
                                  "alpha_dropout", "feature_alpha_dropout"])  # fmt: skip
def test_dropout(name: str) -> None:
    tf.manual_seed(1)
    shape = {"dropout1d": (200, 50, 3), "dropout3d": (20, 50, 2, 2, 2)}.get(name, (50, 60, 4, 4))
    x = tf.randn(*shape).requires_grad_()
    y = getattr(F, name)(x, p=0.3, training=True)
    y.sum().backward()
    dropped = (x.grad.numpy() == 0).mean()
    assert abs(dropped - 0.3) < 0.03
    if "alpha" in name:
        assert abs(float(y.mean())) < 0.05 and abs(float(y.std()) - 1) < 0.05
    else:
        kept = x.grad.numpy() != 0
        np.testing.assert_allclose(y.detach().numpy()[kept], x.detach().numpy()[kept] / 0.7,
                                   rtol=1e-6)  # fmt: skip
    if name not in ("dropout", "alpha_dropout"):
        channels = (x.grad.numpy() != 0).reshape(shape[0], shape[1], -1)
        assert (channels.all(-1) | ~channels.any(-1)).all()
    assert getattr(F, name)(x, p=0.3, training=False) is x
    again = getattr(F, name)(x, p=0.3, training=True)
    assert (again.detach().numpy() != y.detach().numpy()).any()


# Modules as such.


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
        self.register_buffer("count", tf.zeros(1))
        self.register_buffer("hidden", tf.ones(2), persistent=False)
        self.scale = nn.Parameter(tf.ones(1))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


def test_names_and_state() -> None:
    net = _Net()
    names = ["scale", "first.weight", "first.bias", "rest.1.weight", "rest.1.bias"]
    assert [n for n, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == ["scale", "count", *names[1:]]
    assert [n for n, _ in net.named_buffers()] == ["count", "hidden"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_submodule("rest.0") is net.rest[0]
    assert net.get_buffer("hidden") is net.hidden
    with pytest.raises(AttributeError, match="'_Net' object has no attribute 'nothing'"):
        net.nothing  # noqa: B018
    assert not net.state_dict()["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


def test_loading_lists_all_that_is_wrong() -> None:
    net = _Net()
    state = net.state_dict()
    del state["scale"]
    state["extra"] = tf.ones(1)
    state["first.weight"] = tf.ones(2, 2)
    with pytest.raises(RuntimeError) as info:
        net.load_state_dict(state)
    text = str(info.value)
    assert text.startswith("Error(s) in loading state_dict for _Net:\n\t")
    assert 'Missing key(s) in state_dict: "scale". ' in text
    assert 'Unexpected key(s) in state_dict: "extra". ' in text
    assert "size mismatch for first.weight: copying a param with shape twofold.Size([2, 2])" in text
    state["first.weight"] = tf.ones(4, 3)
    found = net.load_state_dict(state, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["scale"], ["extra"])
    assert net.first.weight.detach().numpy().min() == 1


def test_assigned_state() -> None:
    net, other = _Net(), _Net()
    state = other.state_dict()
    net.load_state_dict(state, assign=True)
    assert isinstance(net.scale, nn.Parameter) and net.scale.requires_grad
    assert net.count is state["count"]


def test_copies_and_pickles() -> None:
    net = _Net()
    x = tf.randn(5, 3)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(other.scale, nn.Parameter)
        np.testing.assert_array_equal(net(x).detach().numpy(), other(x).detach().numpy())
        with tf.no_grad():
            other.scale.fill_(3)
        assert net.scale.item() == 1
    shallow = copy.copy(net)
    assert shallow.scale is net.scale


def test_attributes() -> None:
    net = _Net()
    with pytest.raises(TypeError, match="cannot assign 'int' as parameter 'scale'"):
        net.scale = 3
    net.scale = None
    assert dict(net.named_parameters()).keys() == {"first.weight", "first.bias", "rest.1.weight",
                                                   "rest.1.bias"}  # fmt: skip
    with pytest.raises(TypeError, match="cannot assign 'int' as child module 'first'"):
        net.first = 3
    net.first = nn.Linear(1, 1)
    net.count = tf.ones(3)
    assert net.state_dict()["count"].shape == (3,)
    net.plain = 4
    del net.rest
    assert not hasattr(net, "rest") and net.plain == 4
    with pytest.raises(KeyError, match="attribute 'forward' already exists"):
        net.register_buffer("forward", tf.ones(1))
    with pytest.raises(KeyError, match="t contain"):
        net.add_module("a.b", nn.Linear(1, 1))

    class Early(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(tf.ones(1))

    with pytest.raises(AttributeError, match="cannot assign parameters before"):
        Early()


def test_shared_modules_count_once() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, shared)
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert len(net.state_dict()) == 4


def test_conversion() -> None:
    net = _Net()
    parameters = list(net.parameters())
    net.double()
    assert all(a is b for a, b in zip(parameters, net.parameters()))
    assert net.scale.dtype is tf.float64 and net.count.dtype is tf.float64
    assert net(tf.ones(1, 3, dtype=tf.float64)).dtype is tf.float64
    net.to(tf.bfloat16)
    assert net.scale.dtype is tf.bfloat16 and net.scale.requires_grad
    with pytest.raises(TypeError, match="only accepts floating point"):
        net.to(tf.int32)


def test_train_apply_and_gradients() -> None:
    net = _Net()
    assert not net.eval().rest[0].training and net.train().rest[0].training
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "_Net"]
    net(tf.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.item() == 0
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not net(tf.ones(1, 3)).requires_grad


def test_forward_hooks() -> None:
    net = nn.Linear(3, 2)
    seen: list[str] = []
    handles = [
        net.register_forward_pre_hook(lambda m, args: (args[0] * 0,)),
        net.register_forward_hook(lambda m, args, out: seen.append("first")),
        net.register_forward_hook(lambda m, args, out: out + 1),
        net.register_forward_hook(lambda m, args, out: seen.append("zeroth"), prepend=True),
        net.register_forward_hook(
            lambda m, args, kwargs, out: seen.append(sorted(kwargs)), with_kwargs=True
        ),
    ]
    y = net(tf.ones(1, 3))
    np.testing.assert_allclose(y.detach().numpy()[0], net.bias.detach().numpy() + 1)
    assert seen == ["zeroth", "first", []]
    for handle in handles:
        handle.remove()
    net(tf.ones(1, 3))
    assert len(seen) == 3


def test_backward_hooks() -> None:
    results = []
    for framework in (tf, torch):
        net = framework.nn.Linear(3, 2)
        weight = framework.tensor(_numbers(2, 3))
        net.load_state_dict({"weight": weight, "bias": framework.tensor(_numbers(2))})
        seen = []

        def hook(module, grad_input, grad_output, seen=seen):
            seen.append([grad_input[0].tolist(), grad_output[0].tolist()])
            return (grad_input[0] * 2,)

        net.register_full_backward_hook(hook)
        net.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 3,))
        x = framework.tensor(_numbers(4, 3)).requires_grad_()
        (net(x) * 0.5).sum().backward()
        results.append((seen, x.grad.tolist(), net.weight.grad.tolist()))
    np.testing.assert_allclose(results[0][0][0][0], results[1][0][0][0], rtol=1e-5)
    np.testing.assert_allclose(results[0][0][0][1], results[1][0][0][1], rtol=1e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)
    np.testing.assert_allclose(results[0][2], results[1][2], rtol=1e-5)


def test_state_hooks() -> None:
    net = _Net()

    def rename(module, state, prefix, metadata):
        state[prefix + "scaled"] = state.pop(prefix + "scale")

    net.register_state_dict_post_hook(rename)
    state = net.state_dict()
    assert "scaled" in state and "scale" not in state

    def back(module, state_dict, prefix, *rest):
        state_dict[prefix + "scale"] = state_dict.pop(prefix + "scaled")

    net.register_load_state_dict_pre_hook(back)
    net.load_state_dict(state)


@pytest.mark.parametrize("framework", [tf, pytest.param(torch, id="torch")], ids=["ours", "torch"])
def test_containers(framework: Any) -> None:
    m = framework.nn
    s = m.Sequential(m.ReLU(), m.Tanh(), m.Sigmoid())
    assert isinstance(s[1], m.Tanh) and len(s[1:]) == 2 and len(s + s) == 6
    s.insert(1, m.GELU())
    s.append(m.ReLU())
    assert [type(x).__name__ for x in s] == ["ReLU", "GELU", "Tanh", "Sigmoid", "ReLU"]
    del s[0]
    assert list(s._modules) == ["0", "1", "2", "3"]
    s.pop(-1)
    assert [type(x).__name__ for x in s] == ["GELU", "Tanh", "Sigmoid"]
    modules = m.ModuleList([m.Linear(2, 2) for _ in range(3)])
    modules += [m.ReLU()]
    assert len(modules) == 4 and isinstance(modules[-1], m.ReLU)
    assert repr(modules) == (
        "ModuleList(\n  (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)\n"
        "  (3): ReLU()\n)"
    )
    with pytest.raises(IndexError, match="index 9 is out of range"):
        modules[9]
    d = m.ModuleDict({"a": m.ReLU()})
    d["b"] = m.Tanh()
    assert list(d) == ["a", "b"] and "a" in d and isinstance(d.pop("a"), m.ReLU)
    p = m.ParameterList([framework.ones(2), framework.zeros(3)])
    p.append(framework.ones(1))
    assert [tuple(x.shape) for x in p] == [(2,), (3,), (1,)]
    assert [n for n, _ in p.named_parameters()] == ["0", "1", "2"]
    q = m.ParameterDict({"x": framework.ones(2)})
    q["y"] = framework.zeros(1)
    assert list(q.keys()) == ["x", "y"] and isinstance(q["y"], m.Parameter)


def test_missing_names_say_what_is_near() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Linaer'; the nearest is 'Linear'"):
        nn.Linaer  # noqa: B018
    with pytest.raises(AttributeError, match="the nearest is 'cross_entropy'"):
        F.crossentropy  # noqa: B018


def test_lazy_modules() -> None:
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    assert net(tf.randn(2, 3, 5, 5)).shape == (2, 2)
    assert net[0].weight.shape == (4, 3, 3, 3) and net[3].in_features == 36
    assert len(list(net.parameters())) == 6


# Initial values.


def test_initial_values_have_pytorch_distributions() -> None:
    tf.manual_seed(0)
    w = nn.Linear(400, 300).weight.detach().numpy()
    bound = 1 / np.sqrt(400)
    assert np.abs(w).max() <= bound and abs(w.std() - bound / np.sqrt(3)) < 1e-3
    x = tf.empty(300, 200)
    for fill, std in (
        (lambda: nn.init.xavier_uniform_(x, 2.0), 2 * np.sqrt(2 / 500)),
        (lambda: nn.init.xavier_normal_(x), np.sqrt(2 / 500)),
        (lambda: nn.init.kaiming_normal_(x, nonlinearity="relu"), np.sqrt(2 / 200)),
        (lambda: nn.init.kaiming_uniform_(x, mode="fan_out", nonlinearity="relu"),
         np.sqrt(2 / 300)),
        (lambda: nn.init.normal_(x, 0, 0.3), 0.3),
        (lambda: nn.init.trunc_normal_(x, std=0.02), 0.02),
    ):  # fmt: skip
        assert fill() is x
        assert abs(x.numpy().std() / std - 1) < 0.02
        assert abs(x.numpy().mean()) < 0.02 * std
    q = nn.init.orthogonal_(tf.empty(20, 30)).numpy()
    np.testing.assert_allclose(q @ q.T, np.eye(20), atol=1e-5)
    np.testing.assert_array_equal(nn.init.eye_(tf.empty(3, 4)).numpy(), np.eye(3, 4))
    x = tf.randn(2, 4, 5, 5)
    np.testing.assert_allclose(
        F.conv2d(x, nn.init.dirac_(tf.empty(4, 4, 3, 3)), padding=1).numpy(), x.numpy(), atol=1e-6
    )
    assert ((nn.init.sparse_(tf.empty(10, 6), 0.3).numpy() == 0).sum(0) == 3).all()


# Gradients as a whole.


def test_clipping() -> None:
    ours = [nn.Parameter(tf.tensor(_numbers(4, 3, seed=s))) for s in range(3)]
    theirs = [torch.nn.Parameter(torch.tensor(_numbers(4, 3, seed=s))) for s in range(3)]
    for norm_type in (2.0, 1.0, float("inf")):
        for p, q in zip(ours, theirs):
            p.grad, q.grad = tf.tensor(_numbers(4, 3)), torch.tensor(_numbers(4, 3))
        a = nn.utils.clip_grad_norm_(ours, 1.5, norm_type)
        b = torch.nn.utils.clip_grad_norm_(theirs, 1.5, norm_type)
        _same(a, b)
        _same([p.grad for p in ours], [p.grad for p in theirs])
    nn.utils.clip_grad_value_(ours, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    _same([p.grad for p in ours], [p.grad for p in theirs])
    vector = nn.utils.parameters_to_vector(ours)
    _same(vector, torch.nn.utils.parameters_to_vector(theirs))
    nn.utils.vector_to_parameters(vector * 2, ours)
    assert ours[0].requires_grad
    _same(ours[1].detach(), theirs[1].detach() * 2)


# Errors.


def test_errors_name_the_module() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.ReLU(), nn.Linear(7, 2)])

        def forward(self, x):
            for part in self.parts:
                x = part(x)
            return x

    net = nn.Sequential(nn.Linear(4, 8), Block())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as info:
        net(tf.ones(3, 4))
    (note,) = info.value.__notes__
    text, _, place = note.partition(", at ")
    assert text == (
        "in 1.parts.1: Linear(in_features=7, out_features=2, bias=True), given [3, 8], with weight "
        "[2, 7], bias [2]"
    )
    assert place.startswith(f"{__file__}:") and place.endswith(": x = part(x)")


def test_errors_in_a_forward_of_ones_own_name_its_line() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(tf.ones(3))

        def forward(self, x):
            return x * self.scale

    net = nn.ModuleDict({"encoder": nn.Sequential(nn.Identity(), Scale())})
    net.forward = lambda x: net["encoder"](x)
    with pytest.raises(RuntimeError, match="must match the size") as info:
        net(x=tf.ones(2, 4))
    (note,) = info.value.__notes__
    assert note.startswith("in encoder.1: Scale(), given [2, 4], with scale [3], at ")
    assert note.endswith(": return x * self.scale")


def test_errors_are_pytorchs() -> None:
    cases = [
        lambda f: f.nn.Linear(4, 2)(f.ones(3, 5)),
        lambda f: f.nn.Linear(4, 2)(f.ones(3, 4).double()),
        lambda f: f.nn.BatchNorm1d(3)(f.ones(4, 2)),
        lambda f: f.nn.BatchNorm2d(3)(f.ones(4, 3)),
        lambda f: f.nn.BatchNorm1d(3)(f.ones(1, 3)),
        lambda f: f.nn.Dropout(1.5),
        lambda f: f.nn.GroupNorm(2, 3),
        lambda f: f.nn.Conv2d(3, 4, 3, groups=2),
        lambda f: f.nn.Conv2d(3, 4, 3, padding="same", stride=2),
        lambda f: f.nn.GLU()(f.ones(3)),
        lambda f: f.nn.PixelShuffle(2)(f.ones(1, 3, 2, 2)),
        lambda f: f.nn.ReflectionPad1d(3)(f.ones(1, 1, 3)),
        lambda f: f.nn.CrossEntropyLoss()(f.ones(3, 4), f.zeros(2).long()),
        lambda f: f.nn.BCELoss()(f.ones(3), f.ones(3, 1)),
        lambda f: f.nn.MultiheadAttention(8, 3),
        lambda f: f.nn.LSTM(3, 4)(f.ones(2, 1, 5)),
        lambda f: f.nn.GRU(3, 0),
        lambda f: f.nn.Embedding(3, 2, padding_idx=5),
        lambda f: f.nn.Sequential(f.nn.ReLU())[4],
        lambda f: f.nn.init.xavier_uniform_(f.ones(3)),
        lambda f: f.nn.functional.interpolate(f.ones(1, 1, 4, 4), mode="linear", size=3),
    ]
    for case in cases:
        messages = []
        for framework in (tf, torch):
            with pytest.raises(Exception) as info:
                case(framework)
            text = str(info.value).replace("twofold", "torch")
            messages.append((info.type, " ".join(text.split())))
        assert messages[0] == messages[1]


@pytest.mark.parametrize("bad", [5, -1])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "multi_margin_loss"])
def test_a_class_that_is_not_there(name: str, bad: int) -> None:
    """PyTorch's error, with the line, once the loss or its gradient is run."""
    loss = getattr(F, name)
    kind = RuntimeError if name == "multi_margin_loss" else IndexError
    x = tf.zeros(3, 5, requires_grad=True)
    target = tf.tensor([0, bad, 1])
    with pytest.raises(kind, match=rf"arget.*{bad}.*test_nn\.py"):
        loss(x, target).item()
    with pytest.raises(kind, match=r"test_nn\.py"):
        loss(x, target).backward()
        x.grad.tolist()
    if name != "multi_margin_loss":
        assert loss(x, target, ignore_index=bad).item() >= 0


@pytest.mark.parametrize("bad", [1.5, -0.25, float("nan")])
def test_a_number_that_is_no_probability(bad: float) -> None:
    """PyTorch's error, with the line, once the loss or its gradient is run."""
    for name, values in ("input", ([0.5, bad], [0.0, 1.0])), ("target", ([0.5, 0.1], [0.0, bad])):
        x, y = tf.tensor(values[0], requires_grad=True), tf.tensor(values[1])
        text = rf"all elements of {name} should be between 0 and 1.*test_nn\.py"
        with pytest.raises(RuntimeError, match=text):
            F.binary_cross_entropy(x, y).item()
        F.binary_cross_entropy(x, y).backward()
        with pytest.raises(RuntimeError, match=text):
            x.grad.tolist()


@pytest.mark.parametrize("dilation", [1, 2])
def test_indices_of_pooling_point_into_the_input(dilation: int) -> None:
    """Where all that a window covers is minus infinity, to the first of it, not to padding."""
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    x[0, 0, 3, 3] = 0
    found = F.max_pool2d(tf.tensor(x), 3, 1, 1, dilation, return_indices=True)[1]
    expected = torch.nn.functional.max_pool2d(
        torch.tensor(x), 3, 1, 1, dilation, return_indices=True
    )[1]
    assert found.tolist() == expected.tolist()
