"""Image classifiers: keys, shapes and outputs are torchvision's; weights are found or asked for.

The expected digests and outputs were computed with torchvision 0.28, with weights that each test
makes from the names of the parameters.
"""

from __future__ import annotations

import hashlib
import zlib
from enum import Enum

import numpy as np
import pytest

import twofold as tf
from twofold import models
from twofold.models import weights
from twofold.models.blocks import StochasticDepth
from twofold.serialization import FormatError

DIGESTS = {
    "alexnet": "eaca32d213ac2f50",
    "convnext_base": "564bbf7d0a72a43c",
    "convnext_large": "eceda0bacb40b037",
    "convnext_small": "1fc77d35283b2b85",
    "convnext_tiny": "4e979a954ac42620",
    "densenet121": "78633740687811d5",
    "densenet161": "60926718c44c5ffa",
    "densenet169": "6cee15d84ec48e6f",
    "densenet201": "5111d89b8f158650",
    "efficientnet_b0": "7d826ebd3fceaec3",
    "efficientnet_b1": "d7169894cb409798",
    "efficientnet_b2": "fd4bc8e87896393c",
    "efficientnet_b3": "4d95e97c14f911ab",
    "efficientnet_b4": "0ecf2787d6553a18",
    "efficientnet_b5": "0be98a2bb22c9bad",
    "efficientnet_b6": "b822cc9be891cabb",
    "efficientnet_b7": "0ef0fd60731a772a",
    "efficientnet_v2_l": "9d9b70382c148399",
    "efficientnet_v2_m": "32e3539cc96c2b9d",
    "efficientnet_v2_s": "153b8b43ca585e4c",
    "googlenet": "b17f6db767f36710",
    "inception_v3": "4e84d8d36807875e",
    "mobilenet_v2": "3f9c08727ff9db96",
    "mobilenet_v3_large": "23182c77d4a07473",
    "mobilenet_v3_small": "1d68950cb9ce934e",
    "resnet101": "4bf99e758ff07004",
    "resnet152": "45045d1fcfcf0836",
    "resnet18": "42a279da548e45fa",
    "resnet34": "076c4708599e191a",
    "resnet50": "030bc588532e7fd0",
    "resnext101_32x8d": "fa5ef8258ebd5d81",
    "resnext101_64x4d": "3d485b74db1d13f2",
    "resnext50_32x4d": "c981eb097c052800",
    "squeezenet1_0": "71b6a4933088a241",
    "squeezenet1_1": "f91871a2a4e7b0d9",
    "swin_b": "d87043d590d6f6c8",
    "swin_s": "712ca0e603e489e3",
    "swin_t": "7a9acf518f85fdf9",
    "vgg11": "4e4c6495ae090060",
    "vgg11_bn": "c6af20df975ab1fa",
    "vgg13": "40cfdd19b54bea20",
    "vgg13_bn": "313e762cf1a4c3ce",
    "vgg16": "9a55f4fda006860d",
    "vgg16_bn": "d9ff6e8a62ef9611",
    "vgg19": "31153029c6d0bbc2",
    "vgg19_bn": "62c94d5895693cd8",
    "vit_b_16": "14cda0ee2ac91304",
    "vit_b_32": "35970e9424358a7b",
    "vit_h_14": "ea22fc0346997ef2",
    "vit_l_16": "98a0b62ac938cc87",
    "vit_l_32": "1996f9008769762c",
    "wide_resnet101_2": "b261e5f43dffc94a",
    "wide_resnet50_2": "a601254415603b9f",
}
"""SHA-256, its first 16 digits, of the lines `key shape dtype` of each state_dict."""

SCORES = {
    "alexnet": [-0.438704, -0.359555, 0.184126, 0.0490277],
    "resnet18": [0.388782, 0.0868225, -0.0484215, 0.179119],
    "resnet50": [0.136141, 0.00175574, -0.57285, -0.0336168],
    "resnext50_32x4d": [0.156422, -0.0219055, -0.598292, -0.0627523],
    "squeezenet1_0": [0, 0, 0.104611, 0.115715],
    "squeezenet1_1": [0, 0, 0.104427, 0.125112],
    "mobilenet_v2": [-0.154289, 0.0132978, 0.0614988, 0.090118],
    "mobilenet_v3_small": [0.106348, 0.0194507, 0.0377611, -0.12317],
    "mobilenet_v3_large": [0.0270595, 0.076911, -0.0919993, -0.115751],
    "densenet121": [-0.282556, -0.0182802, -0.062035, -0.0802787],
    "googlenet": [0.0001188, -0.10665, 0.0227965, 0.228724],
    "inception_v3": [-0.0160409, 0.0843533, -0.231393, -0.075067],
    "efficientnet_b0": [-0.267258, 0.111953, 0.211354, 0.0895289],
    "efficientnet_v2_s": [-0.0926321, 0.0485462, 0.0252232, 0.0145198],
    "convnext_tiny": [-0.201958, -0.164291, -0.0171637, -0.0700133],
    "vit_b_32": [-1.54643, 0.484348, -0.0953355, -0.123065],
    "swin_t": [-0.691051, -0.983853, 0.505386, -0.517625],
}
"""The first four of seven scores of the first of two pictures."""

SIZES = {"inception_v3": 96, "alexnet": 80}


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that follow from their name."""
    some = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(99_991)
    v = np.resize(some, shape)
    if "running_var" in key:
        return (np.abs(v) * 0.1 + 1).astype(np.float32)
    if len(shape) > 1 and "token" not in key:
        return (v * np.prod(shape[1:]) ** -0.5).astype(np.float32)
    return ((0.7 if key.endswith("weight") else 0.0) + 0.1 * v).astype(np.float32)


def test_every_model_has_a_digest():
    assert models.list_models() == list(DIGESTS)


@pytest.mark.parametrize("name", DIGESTS)
def test_keys_and_shapes_are_torchvisions(name):
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    state = models.get_model(name, **options).state_dict()
    lines = [f"{k} {list(v.shape)} {v.dtype.name}" for k, v in state.items()]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == DIGESTS[name]


@pytest.mark.parametrize("name", SCORES)
def test_outputs_are_torchvisions(name):
    size = SIZES.get(name, 64)
    options = {"num_classes": 7}
    if name == "vit_b_32":
        options["image_size"] = size
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "transform_input": True}
    model = models.get_model(name, **options).eval()
    state = {
        k: tf.from_numpy(_values(k, tuple(v.shape)))
        for k, v in model.state_dict().items()
        if v.is_floating_point()
    }
    model.load_state_dict(state, strict=False)
    x = np.random.RandomState(1).standard_normal((2, 3, size, size)).astype(np.float32)
    with tf.no_grad():
        scores = model(tf.from_numpy(x)).numpy()
    assert scores.shape == (2, 7)
    np.testing.assert_allclose(scores[0, :4], SCORES[name], atol=1e-4 * np.abs(scores).max())


def test_training_with_auxiliary_classifiers():
    model = models.googlenet(num_classes=3, init_weights=False)
    out = model(tf.rand(2, 3, 64, 64))
    assert [tuple(x.shape) for x in out] == [(2, 3)] * 3
    (out.logits.sum() + 0.3 * out.aux_logits1.sum() + 0.3 * out.aux_logits2.sum()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_stochastic_depth_keeps_the_mean():
    tf.manual_seed(0)
    layer = StochasticDepth(0.25)
    y = layer(tf.ones(4000, 3))
    rows = y.numpy()
    assert np.allclose(np.unique(rows), [0, 4 / 3]) and (rows == rows[:, :1]).all()
    assert abs(rows.mean() - 1) < 0.05
    assert layer.eval()(tf.ones(2)).tolist() == [1, 1]
    with pytest.raises(ValueError, match="between 0 and 1; got 2"):
        StochasticDepth(2)


def test_weights_are_found_checked_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("TWOFOLD_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(FileNotFoundError, match=r"file squeezenet1_1-b8a52dc0\.pth.*put it into"):
        models.squeezenet1_1(weights="DEFAULT")
    with pytest.raises(ValueError, match="sets of weights are IMAGENET1K_V1; got 'V9'"):
        models.squeezenet1_1(weights="V9")
    with pytest.raises(ValueError, match="got 'ResNet18_Weights"):
        models.squeezenet1_1(weights="ResNet18_Weights.IMAGENET1K_V1")
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"other")
    with pytest.raises(FormatError, match="damaged or another file"):
        models.squeezenet1_1(weights="IMAGENET1K_V1")
    own = models.squeezenet1_1()
    tf.save(own.state_dict(), folder / "own.pth")
    digest = hashlib.sha256((folder / "own.pth").read_bytes()).hexdigest()[:8]
    name = f"squeezenet1_1-{digest}.pth"
    (folder / "own.pth").rename(folder / name)
    monkeypatch.setitem(weights.WEIGHT_FILES, "squeezenet1_1", {"V1": name, "V2": "none.pth"})
    SqueezeNet1_1_Weights = Enum("SqueezeNet1_1_Weights", ["V1", "V2"])
    x = tf.rand(1, 3, 64, 64)
    for given in (
        "V1", "SqueezeNet1_1_Weights.V1", SqueezeNet1_1_Weights.V1, folder / name,
        str(folder / name),
    ):  # fmt: skip
        model = models.squeezenet1_1(weights=given)
        assert model.eval()(x).tolist() == own.eval()(x).tolist()


def test_names_that_are_not_there():
    with pytest.raises(ValueError, match="no model 'resnet19'; try one of alexnet"):
        models.get_model("resnet19")
    with pytest.raises(AttributeError, match="the nearest is 'resnet18'"):
        models.resnet19  # noqa: B018
