"""Whole convolutional networks on images of 224 x 224: ResNet-18, ResNet-50, VGG-16 and MobileNet
v2, forward in inference and whole training steps. The first case is small, to see that all works.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from ..contestants import CONTESTANTS, Framework
from ..workload import Step, Workload, add

STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
VGG_16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Filters of each convolution; 0 stands for pooling."""

INVERTED = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
"""Of each stage of MobileNet v2: how many times wider within, filters, blocks, first stride."""


def _conv(nn: Any, c: int, k: int, window: int, stride: int = 1, groups: int = 1) -> list[Any]:
    conv = nn.Conv2d(c, k, window, stride, window // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(k)]


def _sum(nn: Any, body: Any, side: Any, last: Any) -> Any:
    class Sum(nn.Module):
        """The sum of two ways from one input, and what is done with it."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.side, self.last = body, side, last

        def forward(self, x: Any) -> Any:
            return self.last(self.body(x) + self.side(x))

    return Sum()


def _block(nn: Any, c: int, width: int, stride: int, bottleneck: bool) -> Any:
    """The sum of its input and two or three convolutions of it."""
    k = width * (4 if bottleneck else 1)
    sizes = [(c, width, 1, 1), (width, width, 3, stride), (width, k, 1, 1)]
    if not bottleneck:
        sizes = [(c, width, 3, stride), (width, k, 3, 1)]
    layers: list[Any] = []
    for each in sizes:
        layers += [*_conv(nn, *each), nn.ReLU()]
    same = stride == 1 and c == k
    side = nn.Identity() if same else nn.Sequential(*_conv(nn, c, k, 1, stride))
    return _sum(nn, nn.Sequential(*layers[:-1]), side, nn.ReLU())


def _resnet(nn: Any, depth: int) -> Any:
    layers = [*_conv(nn, 3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    bottleneck, c = depth >= 50, 64
    for stage, count in enumerate(STAGES[depth]):
        width = 64 << stage
        for i in range(count):
            layers.append(_block(nn, c, width, 2 if stage and not i else 1, bottleneck))
            c = width * (4 if bottleneck else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1000))


def _vgg(nn: Any) -> Any:
    layers, c = [], 3
    for k in VGG_16:
        layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU()] if k else [nn.MaxPool2d(2)]
        c = k or c
    head = [nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), *head, nn.Linear(4096, 1000))


def _mobilenet(nn: Any) -> Any:
    layers, c = [*_conv(nn, 3, 32, 3, 2), nn.ReLU6()], 32
    for wider, k, count, first in INVERTED:
        for i in range(count):
            stride, width = 1 if i else first, c * wider
            body = [*_conv(nn, c, width, 1), nn.ReLU6()] if wider > 1 else []
            body += [*_conv(nn, width, width, 3, stride, width), nn.ReLU6()]
            whole = nn.Sequential(*body, *_conv(nn, width, k, 1))
            same = stride == 1 and c == k
            layers.append(_sum(nn, whole, nn.Identity(), nn.Identity()) if same else whole)
            c = k
    layers += [*_conv(nn, c, 1280, 1), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


MODELS: dict[str, Callable[[Any], Any]] = {
    "resnet18": lambda nn: _resnet(nn, 18),
    "resnet50": lambda nn: _resnet(nn, 50),
    "vgg16": _vgg,
    "mobilenet_v2": _mobilenet,
}


MULTIPLICATIONS = {
    "resnet18": (1_813_561_344, 512_000, 118_013_952),
    "resnet50": (4_087_136_256, 2_048_000, 118_013_952),
    "vgg16": (15_346_630_656, 123_633_664, 86_704_128),
    "mobilenet_v2": (299_494_272, 1_280_000, 10_838_016),
}
"""Of one image of 224 x 224: of all convolutions, of the linear layers, of the first layer (whose
input needs no gradient)."""


def _flops(net: str, batch: int, size: int = 224) -> float:
    convolutions, linear, _ = MULTIPLICATIONS[net]
    return 2.0 * batch * (convolutions * (size / 224) ** 2 + linear)


def _flops_train(net: str, batch: int, size: int = 224) -> float:
    first = MULTIPLICATIONS[net][2] * (size / 224) ** 2
    return 3 * _flops(net, batch, size) - 2.0 * batch * first


def _prepared(f: Framework, net: str) -> Any:
    """The model with weights that keep the sizes of activations, the same for all."""
    rng = np.random.default_rng(0)
    model = MODELS[net](f.module.nn)
    with f.module.no_grad():
        for name, value in model.named_parameters():
            shape = tuple(value.shape)
            if len(shape) > 1:
                scale = np.sqrt(2 / np.prod(shape[1:]))
                new = (rng.standard_normal(shape) * scale).astype(np.float32)
                value.copy_(f.module.from_numpy(new))
            elif name.endswith("bias"):
                value.zero_()
    return f.layout(model)


def _images(f: Framework, batch: int, size: int) -> Any:
    x = np.random.default_rng(1).standard_normal((batch, 3, size, size)).astype(np.float32)
    return f.array(x)


def _forward(f: Framework, net: str, batch: int, size: int = 224) -> Step:
    model, x = _prepared(f, net).eval(), _images(f, batch, size)
    run = f.captured(model)

    def step():
        with f.module.no_grad():
            return f.ready(run(x))

    return step


def _forward_onnx(f: Framework, net: str, batch: int, size: int = 224) -> Step:
    """PyTorch's model, exported and run by ONNX Runtime."""
    torch = Framework(CONTESTANTS["torch"], f.threads)
    x = _images(torch, batch, size)
    file = io.BytesIO()
    torch.module.onnx.export(_prepared(torch, net).eval(), (x,), file, dynamo=False)
    options = f.module.SessionOptions()
    options.intra_op_num_threads = f.threads
    session = f.module.InferenceSession(file.getvalue(), options)
    feed = {session.get_inputs()[0].name: x.numpy()}
    return lambda: session.run(None, feed)


def _train(f: Framework, net: str, batch: int, size: int = 224) -> Step:
    model, x = _prepared(f, net).train(), _images(f, batch, size)
    y = f.module.from_numpy(np.random.default_rng(2).integers(0, 1000, batch))
    fused = {"fused": True} if f.name == "torch" else {}
    optimizer = f.module.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, **fused)
    loss_of = f.module.nn.CrossEntropyLoss()

    def once(x, y):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = f.captured(once)
    return lambda: f.ready(run(x, y))


_CASES = {
    f"{net} batch {batch}": {"net": net, "batch": batch} for net in MODELS for batch in (8, 16)
}
_SMALL = {"smoke": {"net": "resnet18", "batch": 2, "size": 32}}

for _name, _summary, _step, _onnx, _count, _target in (
    ("cnn", "networks on images of 224 x 224, forward", _forward, _forward_onnx, _flops, 1.1),
    (
        "cnn_train", "networks on images of 224 x 224, training steps, momentum", _train, None,
        _flops_train, 1.35,
    ),
):  # fmt: skip
    add(
        Workload(
            _name,
            _summary,
            {**_SMALL, **_CASES},
            _step,
            onnxruntime=_onnx,
            flops=_count,
            peers=("torch", "torch-compiled", "onnxruntime"),
            layouts="peers",
            target=_target,
            tolerance=1e-3,
        )
    )
