"""The net that reads digits: LeNet's layers with batch normalization and dropout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...autograd_api import no_grad
from ...creation import from_numpy
from ...nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from ...tensor import Tensor
from .data import as_input


class DigitNet(Module):
    """Two convolutions 5 x 5, each with normalization, ReLU and pooling, and two linear layers.

    Reads (n, 1, 28, 28), values of 0 to 1; gives (n, 10) logits.
    """

    def __init__(self, first: int = 32, second: int = 64, hidden: int = 256) -> None:
        super().__init__()
        self.layers = Sequential(
            Conv2d(1, first, 5),
            BatchNorm2d(first),
            ReLU(),
            MaxPool2d(2),
            Conv2d(first, second, 5),
            BatchNorm2d(second),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Linear(second * 4 * 4, hidden),
            ReLU(),
            Dropout(0.3),
            Linear(hidden, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits of images."""
        return self.layers(images)


def read_probabilities(net: Module, images: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """The probability of each digit for images (n, 28, 28) of uint8: (n, 10) float32."""
    was_training = net.training
    net.eval()
    parts = []
    with no_grad():
        for at in range(0, len(images), batch_size):
            batch = from_numpy(as_input(images[at : at + batch_size]))
            parts.append(net(batch).softmax(1).numpy())
    net.train(was_training)
    return np.concatenate(parts)


def reader(net: Module) -> Callable[[Tensor], Tensor]:
    """A function from images (batch, 28, 28) of uint8 to the probability of each digit: what
    `read_probabilities` computes, as one graph, to be saved as a program."""
    net.eval()

    def read(images: Tensor) -> Tensor:
        return net((images.float() / 255).unsqueeze(1)).softmax(1)

    return read


def count_parameters(net: Module) -> int:
    """The numbers that training changes."""
    return sum(p.numel() for p in net.parameters())
