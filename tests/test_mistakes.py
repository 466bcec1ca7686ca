"""Mistakes that users make, and what they are told: the module's path, the parameters, the shapes,
the user's line."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
import twofold.nn.functional as F
from twofold import nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(7, 4)
        self.scale = nn.Parameter(tf.ones(5))

    def forward(self, x):
        return self.fc2(self.fc1(x))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ModuleDict({"words": nn.Embedding(10, 4)})
        self.encoder = nn.ModuleList([nn.Identity(), nn.Sequential(nn.ReLU(), Block())])

    def forward(self, words):
        return self.encoder[1](self.embed["words"](words))


class Scaled(Block):
    def forward(self, x):
        return self.fc1(x) * self.scale


def told(f) -> tuple[Exception, str]:
    with pytest.raises(Exception) as caught:
        f()
    return caught.value, "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_a_wrong_shape_names_the_path_parameters_shapes_and_line():
    model = Model()
    error, text = told(lambda: model(tf.tensor([[1, 2]])))
    assert isinstance(error, RuntimeError)
    for part in (
        "in encoder.1.1.fc2: Linear(in_features=7", "given [1, 2, 8]", "weight [4, 7]", "bias [4]",
        "test_mistakes.py:", "return self.fc2(self.fc1(x))",
    ):  # fmt: skip
        assert part in text, text


def test_an_operation_of_a_users_module_names_its_parameter():
    model = nn.Sequential(nn.Identity(), Scaled())
    _, text = told(lambda: model(tf.ones(2, 4)))
    assert "(2, 8) and (5,)" in text and "in 1: Scaled()" in text and "scale [5]" in text
    assert "return self.fc1(x) * self.scale" in text


def test_an_index_out_of_range_names_the_module_though_it_is_seen_later():
    model = Model()
    model.encoder[1] = nn.Identity()
    y = model(tf.tensor([[1, 12]])).sum()
    error, text = told(y.item)
    assert isinstance(error, IndexError) and "index 12 is out of bounds" in text
    assert "in forward, in embed.words: Embedding(10, 4), with weight [10, 4]" in text
    # Modules are named as long as they are there; they are not kept for it.
    y = Model().embed["words"](tf.tensor([12])).sum()
    assert "index 12 is out of bounds" in told(y.item)[1]


def test_a_nan_names_the_module():
    class Log(nn.Module):
        def forward(self, x):
            return x.log()

    model = nn.Sequential(nn.Identity(), Log())
    with tf.autograd.detect_anomaly(check_nan=True):
        _, text = told(lambda: model(-tf.ones(2)).sum().item())
    assert "[log] gave NaN" in text and "in forward, in 1: Log()" in text


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda: nn.Linear(3, 2)(np.ones(3)), "'input' (position 1) must be Tensor, not numpy.nd"),
        (lambda: nn.Conv2d(3, 2, 1)([1]), "'input' (position 1) must be Tensor, not list"),
        (lambda: nn.LSTM(3, 3)(None), "'input' (position 1) must be Tensor, not NoneType"),
        (lambda: tf.matmul(tf.ones(2, 2), [1]), "matmul(): argument 'other' (position 2) must be"),
        (lambda: tf.exp(input=[1]), "exp(): argument 'input' must be Tensor, not list"),
        (lambda: tf.cat([tf.ones(2), 3]), "expected Tensor as element 1 in argument 0 of cat"),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_a_type_error(f, words):
    error, text = told(f)
    assert type(error) is TypeError and words in text


def test_attribute_errors_of_users_stay():
    class Wrong(nn.Module):
        def forward(self, x):
            return x.no_such_thing

    assert type(told(lambda: Wrong()([1]))[0]) is AttributeError
    assert type(told(lambda: Wrong()(tf.ones(1)))[0]) is AttributeError


@pytest.mark.parametrize(
    ("f", "kind", "parts"),
    [
        (lambda: nn.Sequential(nn.Conv2d(4, 8, 3))(tf.ones(1, 3, 9, 9)), RuntimeError,
         ["in 0: Conv2d(4, 8", "[8, 4, 3, 3]", "[1, 3, 9, 9]", "4 channels"]),
        (lambda: nn.Sequential(nn.BatchNorm2d(4))(tf.ones(1, 3, 9, 9)), RuntimeError,
         ["in 0: BatchNorm2d(4", "running_mean should contain 3 elements not 4"]),
        (lambda: nn.ModuleDict({"r": nn.LSTM(4, 5)})["r"](tf.ones(3, 2, 6)), RuntimeError,
         ["Expected 4, got 6", "weight_ih_l0 [20, 4]"]),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2)(tf.ones(5, 2, 7)),
         AssertionError, ["in layers.0.self_attn: MultiheadAttention", "of 8, but got 7"]),
        (lambda: nn.MSELoss()(tf.ones(3, 2), tf.ones(4, 2)), RuntimeError, ["(3, 2)", "(4, 2)"]),
        (lambda: nn.CrossEntropyLoss()(tf.ones(3, 5), tf.tensor([1, 2])), ValueError,
         ["batch_size (3)", "batch_size (2)"]),
        (lambda: nn.Sequential(nn.Linear(3, 2))(tf.ones(2, 3).double()), RuntimeError,
         ["in 0: Linear", "Double and Float"]),
        (lambda: F.binary_cross_entropy_with_logits(tf.ones(2, 1), tf.ones(2)), ValueError,
         ["[2, 1]", "[2]"]),
    ],
)  # fmt: skip
def test_common_mistakes(f, kind, parts):
    error, text = told(f)
    assert type(error) is kind
    for part in parts:
        assert part in text, text
