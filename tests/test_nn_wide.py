"""Attention, recurrent networks, pictures, sequences and parametrizations against PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import nn
from twofold.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def _close(a: Any, b: Any, tolerance: float = 3e-5) -> None:
    if b is None:
        assert a is None
    elif isinstance(b, torch.Tensor):
        theirs = b.detach().numpy()
        assert tuple(a.shape) == theirs.shape
        scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)))
        np.testing.assert_allclose(
            a.detach().numpy(), theirs, rtol=tolerance, atol=tolerance * scale
        )
    else:
        assert len(a) == len(b)
        for x, y in zip(a, b):
            _close(x, y, tolerance)


def _sum(result: Any, framework: Any) -> Any:
    """A sum of all elements, each weighted differently."""
    if isinstance(result, (tuple, list)):
        parts = [_sum(r, framework) for r in result if r is not None]
        return sum(parts[1:], parts[0])
    if not result.is_floating_point() or not result.requires_grad:
        return 0.0
    return (result * framework.tensor(_numbers(*result.shape, seed=9))).sum()


def _converted(value: Any, framework: Any, leaves: list[Any]) -> Any:
    """Arrays in arguments as tensors of a framework; floats require gradients."""
    if isinstance(value, np.ndarray):
        x = framework.tensor(value)
        if value.dtype.kind == "f" and np.isfinite(value).all():
            x.requires_grad_()
            leaves.append(x)
        return x
    if isinstance(value, (tuple, list)):
        return type(value)(_converted(v, framework, leaves) for v in value)
    return value


def _compare(ours: Any, theirs: Any, args: Any, kwargs: Any, tolerance: float = 3e-5) -> None:
    """Results and gradients of two callables; modules also have their parameters compared."""
    outcomes = []
    for call, framework in ((ours, tf), (theirs, torch)):
        leaves: list[Any] = []
        a = [_converted(v, framework, leaves) for v in args]
        k = {name: _converted(v, framework, leaves) for name, v in kwargs.items()}
        result = call(*a, **k)
        total = _sum(result, framework)
        gradients = []
        if not isinstance(total, float):
            total.backward()
            gradients = [x.grad for x in leaves]
            if hasattr(call, "parameters"):
                gradients += [p.grad for p in call.parameters()]
        outcomes.append((result, gradients))
    _close(outcomes[0][0], outcomes[1][0], tolerance)
    _close(outcomes[0][1], outcomes[1][1], 10 * tolerance)


def _pair(name: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """A module of each framework with the same weights, state and text."""
    torch.manual_seed(0)
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(nn, name)(*args, **kwargs)
    state = theirs.state_dict()
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in state.items()})
    assert repr(ours) == repr(theirs)
    return ours, theirs


# Attention.

Q, K, V = _numbers(2, 3, 5, 8), _numbers(2, 3, 6, 8), _numbers(2, 3, 6, 4)
BOOL = np.random.default_rng(0).random((5, 6)) > 0.4
BOOL[2] = False


@pytest.mark.parametrize("kwargs", [
    {}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": BOOL}, {"attn_mask": _numbers(5, 6)},
], ids=str)  # fmt: skip
def test_scaled_dot_product_attention(kwargs: dict) -> None:
    ours, theirs = F.scaled_dot_product_attention, TF.scaled_dot_product_attention
    _compare(ours, theirs, [Q, K, V], kwargs)


def test_grouped_query_attention() -> None:
    ours, theirs = F.scaled_dot_product_attention, TF.scaled_dot_product_attention
    args = [_numbers(2, 4, 5, 8), _numbers(2, 2, 6, 8), _numbers(2, 2, 6, 8)]
    _compare(ours, theirs, args, {"enable_gqa": True})


PADDING = np.array([[False, False, True], [False, False, False]])
AHEAD = np.triu(np.ones((4, 3), bool), 1)


@pytest.mark.parametrize("options, shapes, kwargs", [
    ({}, [(4, 2, 8), (3, 2, 8), (3, 2, 8)], {}),
    ({"batch_first": True}, [(2, 4, 8), (2, 3, 8), (2, 3, 8)], {"key_padding_mask": PADDING}),
    ({"bias": False}, [(4, 2, 8), (3, 2, 8), (3, 2, 8)], {"attn_mask": AHEAD}),
    ({"kdim": 5, "vdim": 6}, [(4, 2, 8), (3, 2, 5), (3, 2, 6)], {"need_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, [(4, 2, 8), (3, 2, 8), (3, 2, 8)],
     {"key_padding_mask": PADDING, "average_attn_weights": False}),
    ({}, [(4, 8), (3, 8), (3, 8)], {"attn_mask": AHEAD}),
], ids=lambda x: str(x)[:50])  # fmt: skip
def test_multihead_attention(options: dict, shapes: list, kwargs: dict) -> None:
    ours, theirs = _pair("MultiheadAttention", 8, 2, **options)
    _compare(ours, theirs, [_numbers(*s, seed=k) for k, s in enumerate(shapes)], kwargs)


@pytest.mark.parametrize("options", [
    {}, {"norm_first": True, "activation": "gelu", "batch_first": True}, {"bias": False},
], ids=str)  # fmt: skip
def test_transformer(options: dict) -> None:
    ours, theirs = _pair("Transformer", 8, 2, 2, 2, 16, dropout=0.0, **options)
    mask = tf.nn.Transformer.generate_square_subsequent_mask(4)
    np.testing.assert_array_equal(
        mask.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(4).numpy()
    )
    _compare(
        ours, theirs, [_numbers(4, 4, 8), _numbers(4, 4, 8, seed=2)],
        {"tgt_mask": mask.numpy(), "tgt_is_causal": True}, 1e-4,
    )  # fmt: skip


def test_transformer_layers_have_their_own_weights() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight
    assert encoder(tf.randn(3, 2, 8)).shape == (3, 2, 8)


# Recurrent networks.

RNNS = [
    ("RNN", {}), ("RNN", {"nonlinearity": "relu", "bias": False}),
    ("RNN", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {}), ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"proj_size": 3}), ("LSTM", {"proj_size": 3, "bidirectional": True}),
    ("GRU", {}), ("GRU", {"num_layers": 2, "bidirectional": True, "bias": False}),
]  # fmt: skip


def _states(name: str, options: dict, n: int | None) -> Any:
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    middle = () if n is None else (n,)
    h = _numbers(rows, *middle, options.get("proj_size", 6), seed=1)
    return (h, _numbers(rows, *middle, 6, seed=2)) if name == "LSTM" else h


@pytest.mark.parametrize("row", RNNS, ids=str)
def test_recurrent(row: tuple) -> None:
    name, options = row
    ours, theirs = _pair(name, 4, 6, **options)
    _compare(ours, theirs, [_numbers(3, 3, 4)], {})
    for module in (ours, theirs):
        module.zero_grad()
    _compare(ours, theirs, [_numbers(3, 3, 4), _states(name, options, 3)], {})
    for module in (ours, theirs):
        module.zero_grad()
    _compare(ours, theirs, [_numbers(5, 4), _states(name, options, None)], {})


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("row", RNNS, ids=str)
def test_recurrent_on_packed_sequences(row: tuple, is_sorted: bool) -> None:
    name, options = row
    first = bool(options.get("batch_first"))
    ours, theirs = _pair(name, 4, 6, **options)
    lengths = [5, 3, 3, 1] if is_sorted else [3, 5, 1, 3]
    x = _numbers(4, 5, 4) if first else _numbers(5, 4, 4)

    def run(module: Any, framework: Any) -> Any:
        rnn = framework.nn.utils.rnn

        def call(x: Any, state: Any) -> Any:
            packed = rnn.pack_padded_sequence(x, framework.tensor(lengths), first, is_sorted)
            y, final = module(packed, state)
            padded, sizes = rnn.pad_packed_sequence(y, first)
            assert sizes.tolist() == lengths
            return padded, final

        call.parameters = module.parameters  # type: ignore[attr-defined]
        return call

    _compare(run(ours, tf), run(theirs, torch), [x, _states(name, options, 4)], {})


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(name: str) -> None:
    ours, theirs = _pair(name, 4, 6)
    state: Any = _numbers(3, 6)
    if name == "LSTMCell":
        state = (state, _numbers(3, 6, seed=1))
    _compare(ours, theirs, [_numbers(3, 4), state], {})
    for module in (ours, theirs):
        module.zero_grad()
    _compare(ours, theirs, [_numbers(4)], {})


def test_padding_and_packing() -> None:
    parts = [_numbers(n, 2) for n in (4, 2, 3)]
    for kwargs in ({}, {"batch_first": True, "padding_value": 2.0}, {"padding_side": "left"}):
        a = nn.utils.rnn.pad_sequence([tf.tensor(p) for p in parts], **kwargs)
        b = torch.nn.utils.rnn.pad_sequence([torch.tensor(p) for p in parts], **kwargs)
        _close(a, b)
    packed = nn.utils.rnn.pack_sequence([tf.tensor(p) for p in parts], enforce_sorted=False)
    for a, b in zip(nn.utils.rnn.unpack_sequence(packed), parts):
        np.testing.assert_array_equal(a.numpy(), b)
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        nn.utils.rnn.pack_sequence([tf.tensor(p) for p in parts[1:]])


# Pictures.

X = _numbers(2, 3, 6, 7)
INTERPOLATIONS = [
    ({"size": (4, 9)}, X), ({"scale_factor": 2}, X), ({"scale_factor": (1.7, 0.6)}, X),
    ({"size": 5, "mode": "nearest-exact"}, X), ({"size": (3, 4), "mode": "area"}, X),
    ({"size": (9, 4), "mode": "bilinear"}, X),
    ({"size": (9, 4), "mode": "bilinear", "align_corners": True}, X),
    ({"scale_factor": 1.7, "mode": "bilinear"}, X),
    ({"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}, X),
    ({"size": (9, 4), "mode": "bicubic"}, X),
    ({"size": (9, 4), "mode": "bicubic", "align_corners": True}, X),
    ({"size": (3, 4), "mode": "bilinear", "antialias": True}, X),
    ({"size": (3, 4), "mode": "bicubic", "antialias": True}, X),
    ({"scale_factor": 2, "mode": "linear"}, _numbers(2, 3, 6)),
    ({"scale_factor": 2, "mode": "trilinear"}, _numbers(2, 3, 3, 4, 2)),
    ({"size": (4, 3, 5)}, _numbers(2, 3, 3, 4, 2)),
]  # fmt: skip


@pytest.mark.parametrize("kwargs, x", INTERPOLATIONS, ids=lambda v: str(v)[:60])
def test_interpolate(kwargs: dict, x: np.ndarray) -> None:
    _compare(F.interpolate, TF.interpolate, [x], kwargs, 1e-4)


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode: str, padding: str, align: bool) -> None:
    grid = _numbers(2, 4, 5, 2) * 0.8
    kwargs = {"mode": mode, "padding_mode": padding, "align_corners": align}
    outcomes = []
    for framework in (tf, torch):
        x, g = (framework.tensor(a).requires_grad_() for a in (X, grid))
        y = framework.nn.functional.grid_sample(x, g, **kwargs)
        (y * framework.tensor(_numbers(*y.shape))).sum().backward()
        outcomes.append([y, x.grad, *([] if mode == "nearest" else [g.grad])])
    _close(outcomes[0], outcomes[1], 2e-4)


def test_grid_sample_in_space_and_affine_grid() -> None:
    args = [_numbers(2, 3, 4, 5, 3), _numbers(2, 2, 3, 4, 3) * 0.7]
    _compare(F.grid_sample, TF.grid_sample, args, {"align_corners": False}, 1e-4)
    for align in (True, False):
        kwargs = {"align_corners": align}
        _compare(F.affine_grid, TF.affine_grid, [_numbers(2, 2, 3), (2, 3, 4, 5)], kwargs)
        _compare(F.affine_grid, TF.affine_grid, [_numbers(2, 3, 4), (2, 3, 4, 5, 2)], kwargs)


def test_fold_and_unfold() -> None:
    for kwargs in ({"kernel_size": 3}, {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1,
                                        "stride": 2}):  # fmt: skip
        _compare(F.unfold, TF.unfold, [X], kwargs)
        columns = TF.unfold(torch.tensor(X), **kwargs).numpy()
        _compare(F.fold, TF.fold, [columns, (6, 7)], kwargs)
    _pair("Fold", (4, 5), 2)
    _pair("Unfold", 2, padding=1)


def test_unpooling() -> None:
    pooled, places = TF.max_pool2d(torch.tensor(X), 2, return_indices=True)
    kwargs: dict = {"kernel_size": 2, "output_size": (6, 7)}
    _compare(F.max_unpool2d, TF.max_unpool2d, [pooled.numpy(), places.numpy()], kwargs)
    _pair("MaxUnpool2d", 2)


def test_upsampling_modules() -> None:
    for name, args in (("Upsample", {"scale_factor": 2, "mode": "bilinear"}),
                       ("UpsamplingNearest2d", {"size": 4}),
                       ("UpsamplingBilinear2d", {"scale_factor": 2})):  # fmt: skip
        ours, theirs = _pair(name, **args)
        _compare(ours, theirs, [X], {})


# Sequences of labels, bags.


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_loss(reduction: str) -> None:
    logits = _numbers(9, 3, 5) * 2
    targets = np.array([[1, 2, 2, 3], [4, 4, 0, 0], [0, 0, 0, 0]])

    def run(framework: Any) -> Any:
        def call(x: Any, targets: Any) -> Any:
            f = framework.nn.functional
            return f.ctc_loss(
                f.log_softmax(x, 2), targets, framework.tensor([9, 7, 5]),
                framework.tensor([4, 2, 0]), reduction=reduction,
            )  # fmt: skip

        return call

    _compare(run(tf), run(torch), [logits, targets], {}, 1e-4)
    _compare(run(tf), run(torch), [logits, np.array([1, 2, 2, 3, 4, 4])], {}, 1e-4)


def test_ctc_loss_that_cannot_be() -> None:
    x = np.log(np.full((2, 1, 3), 1 / 3, np.float32))
    for zero in (True, False):
        a, b = (
            framework.nn.functional.ctc_loss(
                framework.tensor(x), framework.tensor([[1, 1, 2]]), [2], [3], zero_infinity=zero
            )
            for framework in (tf, torch)
        )
        assert float(a) == float(b)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode: str) -> None:
    ours, theirs = _pair("EmbeddingBag", 7, 4, mode=mode, padding_idx=2)
    _compare(ours, theirs, [np.array([[1, 2, 4], [4, 3, 2]])], {})
    for module in (ours, theirs):
        module.zero_grad()
    _compare(ours, theirs, [np.array([1, 2, 4, 5, 4, 3]), np.array([0, 2, 2])], {})
    if mode == "sum":
        kwargs = {"per_sample_weights": _numbers(2, 3), "mode": "sum"}
        args = [np.array([[1, 2, 4], [4, 3, 2]]), _numbers(7, 4)]
        _compare(F.embedding_bag, TF.embedding_bag, args, kwargs)


# Parametrizations.


def test_weight_norm() -> None:
    for module_of in (
        lambda f: f.nn.utils.weight_norm(f.nn.Linear(4, 3)),
        lambda f: f.nn.utils.weight_norm(f.nn.Conv2d(2, 3, 2), dim=None),
        lambda f: f.nn.utils.parametrizations.weight_norm(f.nn.Linear(4, 3), dim=1),
    ):
        ours, theirs = module_of(tf), module_of(torch)
        state = theirs.state_dict()
        assert list(state) == list(ours.state_dict())
        ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in state.items()})
        x = _numbers(2, 4) if hasattr(ours, "in_features") else _numbers(1, 2, 4, 4)
        _compare(ours, theirs, [x], {})
    plain = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(4, 3)))
    assert [n for n, _ in plain.named_parameters()] == ["bias", "weight"]


def test_spectral_norm() -> None:
    for module_of in (
        lambda f: f.nn.utils.spectral_norm(f.nn.Linear(4, 3)),
        lambda f: f.nn.utils.parametrizations.spectral_norm(f.nn.Conv2d(2, 3, 2)),
    ):
        ours, theirs = module_of(tf), module_of(torch)
        state = theirs.state_dict()
        assert list(state) == list(ours.state_dict())
        ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in state.items()})
        x = _numbers(2, 4) if hasattr(ours, "in_features") else _numbers(1, 2, 4, 4)
        _compare(ours, theirs, [x], {}, 1e-4)
        ours.eval()
        theirs.eval()
        _close(ours(tf.tensor(x)), theirs(torch.tensor(x)), 1e-4)


def test_parametrize() -> None:
    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).t()

    layer = nn.Linear(3, 3)
    parametrize = nn.utils.parametrize
    parametrize.register_parametrization(layer, "weight", Symmetric())
    w = layer.weight
    np.testing.assert_array_equal(w.detach().numpy(), w.detach().numpy().T)
    assert parametrize.is_parametrized(layer, "weight")
    names = [n for n, _ in layer.named_parameters()]
    assert names == ["bias", "parametrizations.weight.original"]
    layer(tf.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    other = copy.deepcopy(layer)
    with tf.no_grad():
        other.parametrizations.weight.original.fill_(2)
    assert float(other.weight[0, 0]) == 2 and float(layer.weight[0, 0]) != 2
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


def test_functional_call_and_fusion() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).eval()
    x = tf.tensor(_numbers(1, 2, 5, 5))
    state = {k: v * 2 for k, v in net.state_dict().items() if v.is_floating_point()}
    y = nn.utils.stateless.functional_call(net, state, (x,))
    assert not np.allclose(y.detach().numpy(), net(x).detach().numpy())
    fused = nn.utils.fuse_conv_bn_eval(net[0], net[1])
    np.testing.assert_allclose(fused(x).detach().numpy(), net(x).detach().numpy(), atol=1e-5)


def test_adaptive_softmax() -> None:
    ours, theirs = _pair("AdaptiveLogSoftmaxWithLoss", 16, 12, [3, 7], div_value=2.0)
    x, y = _numbers(5, 16), np.array([0, 11, 4, 2, 8])
    _compare(ours, theirs, [x, y], {})
    _close(ours.log_prob(tf.tensor(x)), theirs.log_prob(torch.tensor(x)))
    assert ours.predict(tf.tensor(x)).tolist() == theirs.predict(torch.tensor(x)).tolist()


def test_a_compiled_module() -> None:
    net = nn.Linear(3, 2)
    x = tf.ones(1, 3)
    expected = net(x).tolist()
    net.compile()
    with tf.no_grad():
        assert [net(x).tolist() for _ in range(4)] == [expected] * 4


def test_pooling_with_indices_and_data_parallel() -> None:
    _compare(F.max_pool2d_with_indices, TF.max_pool2d_with_indices, [X, 2], {})
    net = nn.DataParallel(nn.Linear(3, 2))
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    assert net(tf.ones(1, 3)).shape == (1, 2)


def test_a_replaced_module_or_parameter_keeps_its_place() -> None:
    """Setting an attribute anew does not move it to the end, as with any dict."""
    model = nn.Module()
    model.a, model.b = nn.Linear(1, 1), nn.ReLU()
    model.p, model.q = nn.Parameter(tf.ones(1)), nn.Parameter(tf.ones(1))
    model.a, model.p = nn.Tanh(), nn.Parameter(tf.zeros(1))
    assert [name for name, _ in model.named_children()] == ["a", "b"]
    assert [name for name, _ in model.named_parameters()] == ["p", "q"]


def test_spectral_norm_of_float64() -> None:
    layer = tf.nn.utils.parametrizations.spectral_norm(tf.nn.Linear(3, 3).double())
    assert layer(tf.ones(2, 3, dtype=tf.float64)).dtype == tf.float64
