"""Pictures of a training run: curves of loss and accuracy, and the wrongly read digits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import require

INK, BLUE, ORANGE, GREY = "#222222", "#1f6fb4", "#d9730d", "#8a8a8a"
COLUMNS = 8
MOST = 64


def _figure(width: float, height: float) -> Any:
    """A figure that is drawn without a display."""
    figure = require("matplotlib.figure", "matplotlib").Figure(
        figsize=(width, height), dpi=150, facecolor="white", layout="constrained"
    )
    require("matplotlib.backends.backend_agg", "matplotlib").FigureCanvasAgg(figure)
    return figure


def draw_curves(history: Mapping[str, Sequence[float]], path: str | os.PathLike[str]) -> None:
    """Loss of each step with its mean of each epoch, and accuracy on the held-out digits."""
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    losses, accuracies = np.asarray(history["loss"]), np.asarray(history["accuracy"])
    epochs = len(accuracies)
    per_epoch = len(losses) / max(epochs, 1)
    left.plot(np.arange(1, len(losses) + 1) / per_epoch, losses, color=BLUE, alpha=0.25, lw=0.7)
    means = [
        losses[round(e * per_epoch) : round((e + 1) * per_epoch)].mean() for e in range(epochs)
    ]
    middles = np.arange(epochs) + 0.5
    left.plot(middles, means, color=BLUE, lw=2, marker="o", ms=3, label="mean of the epoch")
    left.set_yscale("log")
    ticker = require("matplotlib.ticker", "matplotlib")
    left.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_locator(ticker.NullLocator())
    _axes(left, "loss on the digits learned from", epochs)
    left.legend(frameon=False, fontsize=9)
    right.plot(np.arange(1, epochs + 1), 100 * accuracies, color=ORANGE, lw=2, marker="o", ms=3)
    low = 100 * accuracies[1:].min() if epochs > 1 else 100 * accuracies.min()
    right.set_ylim(max(0.0, min(97.0, low - 0.5)), 100)
    last = 100 * accuracies[-1]
    right.annotate(
        f"{last:.1f} %", (epochs, last), (0, -16), textcoords="offset points", ha="right",
        color=ORANGE, weight="bold",
    )  # fmt: skip
    _axes(right, "accuracy on the held-out digits, %", epochs)
    figure.savefig(path)


def _axes(axes: Any, title: str, epochs: int) -> None:
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.set_xlabel("epoch", color=INK)
    axes.set_xlim(0, max(epochs, 1) * 1.02)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def draw_mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    path: str | os.PathLike[str],
) -> int:
    """The digits that are read wrongly, the surest mistakes first; gives their number."""
    read = probabilities.argmax(1)
    wrong = np.flatnonzero(read != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, read[wrong]], kind="stable")]
    shown = wrong[:MOST]
    rows = max(1, -(-len(shown) // COLUMNS))
    figure = _figure(1.15 * COLUMNS, 1.45 * rows + 0.75)
    title = f"{len(wrong)} of {len(labels):,} held-out digits were read wrongly"
    if len(wrong) > MOST:
        title += f"; the {MOST} surest mistakes"
    figure.suptitle(title, fontsize=12, color=INK, x=0.02, ha="left")
    for axes, i in zip(figure.subplots(rows, COLUMNS, squeeze=False).flat, shown):
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(
            f"{labels[i]} read as {read[i]}\n{100 * probabilities[i, read[i]]:.0f} % sure",
            fontsize=7.5, color=INK,
        )  # fmt: skip
    for axes in figure.axes:
        axes.set_axis_off()
    figure.savefig(path)
    return len(wrong)
