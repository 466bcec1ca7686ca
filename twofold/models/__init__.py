"""Image classifiers, with the keys and shapes of torchvision's state_dicts, so that its weight
files load; language models from GGUF files (`models.language`).

>>> import twofold as tf
>>> model = tf.models.mobilenet_v2(num_classes=10).eval()
>>> model(tf.zeros(1, 3, 64, 64)).shape
twofold.Size([1, 10])
"""

from collections.abc import Callable
from typing import Any

from .. import nn
from ..errors import explain_missing
from . import language
from .alexnet import AlexNet, alexnet
from .convnext import ConvNeXt, convnext_base, convnext_large, convnext_small, convnext_tiny
from .densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
from .efficientnet import (
    EfficientNet,
    efficientnet_b0,
    efficientnet_b1,
    efficientnet_b2,
    efficientnet_b3,
    efficientnet_b4,
    efficientnet_b5,
    efficientnet_b6,
    efficientnet_b7,
    efficientnet_v2_l,
    efficientnet_v2_m,
    efficientnet_v2_s,
)
from .googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from .inception import Inception3, InceptionOutputs, inception_v3
from .llama import Llama, LlamaSizes
from .mobilenet import (
    MobileNetV2,
    MobileNetV3,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from .resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from .squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from .swin import SwinTransformer, swin_b, swin_s, swin_t
from .vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from .vit import VisionTransformer, vit_b_16, vit_b_32, vit_h_14, vit_l_16, vit_l_32

_BUILDERS: dict[str, Callable[..., Any]] = {
    name: value
    for name, value in sorted(globals().items())
    if callable(value) and getattr(value, "__module__", "").startswith(f"{__name__}.")
    and not isinstance(value, type)
}  # fmt: skip


def list_models() -> list[str]:
    """The names of all models."""
    return list(_BUILDERS)


def get_model(name: str, **options: Any) -> nn.Module:
    """The model called `name`, made with these options. ValueError if there is none."""
    builder = _BUILDERS.get(name.lower())
    if builder is None:
        raise ValueError(
            f"[get_model] there is no model {name!r}; try one of {', '.join(_BUILDERS)}"
        )
    return builder(**options)


__getattr__ = explain_missing(__name__, list(globals()))
