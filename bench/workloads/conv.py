"""Forward convolutions: the 3x3 and 1x1 layers of ResNet-50 and VGG-16 on a batch of 8."""

from __future__ import annotations

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

BATCH = 8

RESNET_3X3 = (
    (64, 56, 64, 1), (128, 56, 128, 2), (128, 28, 128, 1), (256, 28, 256, 2),
    (256, 14, 256, 1), (512, 14, 512, 2), (512, 7, 512, 1),
)  # fmt: skip
"""Channels, height and width, filters, stride."""

RESNET_1X1 = (
    (64, 56, 64, 1), (64, 56, 256, 1), (256, 56, 64, 1), (256, 56, 128, 1), (128, 28, 512, 1),
    (256, 56, 512, 2), (512, 28, 128, 1), (512, 28, 256, 1), (256, 14, 1024, 1), (512, 28, 1024, 2),
    (1024, 14, 256, 1), (1024, 14, 512, 1), (512, 7, 2048, 1), (1024, 14, 2048, 2),
    (2048, 7, 512, 1),
)  # fmt: skip

VGG_3X3 = (
    (64, 224, 64, 1), (64, 112, 128, 1), (128, 112, 128, 1), (128, 56, 256, 1), (256, 56, 256, 1),
    (256, 28, 512, 1), (512, 28, 512, 1), (512, 14, 512, 1), (3, 224, 64, 1),
)  # fmt: skip


def _case(c: int, size: int, k: int, stride: int, window: int) -> dict[str, int]:
    return {"c": c, "size": size, "k": k, "stride": stride, "window": window}


def _cases() -> dict[str, dict[str, int]]:
    cases = {}
    for net, window, layers in (
        ("resnet50", 3, RESNET_3X3), ("resnet50", 1, RESNET_1X1), ("vgg16", 3, VGG_3X3)
    ):  # fmt: skip
        for c, size, k, stride in layers:
            name = f"{net} {window}x{window} {c}>{k} @{size}" + (
                f" /{stride}" if stride > 1 else ""
            )
            cases[name] = _case(c, size, k, stride, window)
    return cases


def _operands(c: int, size: int, k: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, c, size, size)).astype(np.float32)
    w = rng.standard_normal((k, c, window, window)).astype(np.float32)
    return x, w


def _torch(f: Framework, c: int, size: int, k: int, stride: int, window: int) -> Step:
    x, w = (f.array(a) for a in _operands(c, size, k, window))
    conv2d = f.module.nn.functional.conv2d
    run = f.compiled(lambda x, w: conv2d(x, w, stride=stride, padding=window // 2))

    def step():
        # Only the stored form stays alive: a second layout of the images is not asked for.
        return f.seen(f.ready(f.stored(run(x, w))))

    return step


def _jax(f: Framework, c: int, size: int, k: int, stride: int, window: int) -> Step:
    x, w = (f.array(a) for a in _operands(c, size, k, window))
    pad = [(window // 2, window // 2)] * 2
    conv = f.module.lax.conv_general_dilated
    run = f.captured(lambda x, w: conv(x, w, (stride, stride), pad))
    return lambda: f.ready(run(x, w))


def _flops(c: int, size: int, k: int, stride: int, window: int) -> float:
    out = (size + stride - 1) // stride
    return 2.0 * BATCH * out * out * k * c * window * window


add(
    Workload(
        "conv",
        "forward convolutions of ResNet-50 and VGG-16, batch 8, float32",
        _cases(),
        _torch,
        _jax,
        flops=_flops,
        layouts="all",
        peers=("torch", "jax"),  # compiled PyTorch calls the same convolutions
        target=1.0,
        quick=2,
    )
)
