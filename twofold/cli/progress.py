"""How training goes on: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from .errors import require
from .terminal import is_terminal

_FORMAT = "{desc} {bar} {percentage:3.0f} %  {postfix[0]}  {rate_fmt}  {remaining} left"


class TrainingProgress:
    """Tells epoch, loss, accuracy, images per second and time left, on standard error.

    `done` images of `total` were seen by a run that is taken up.
    """

    def __init__(
        self, epochs: int, total: int, done: int = 0, stream: TextIO | None = None
    ) -> None:
        self.epochs, self.total, self.seen = epochs, total, done
        self.stream = stream or sys.stderr
        self.begin = time.perf_counter()
        self.first = done
        self.loss = 0.0
        self.accuracy: float | None = None
        self.bar: Any = None
        if is_terminal(self.stream):
            self.bar = require("tqdm", "tqdm").tqdm(
                total=total, initial=done, file=self.stream, unit=" images", unit_scale=True,
                dynamic_ncols=True, bar_format=_FORMAT, postfix=[""], smoothing=0.1, leave=True,
                mininterval=0.1,
            )  # fmt: skip

    def step(self, epoch: int, images: int, loss: float) -> None:
        """One more step of epoch number `epoch`, counted from 0."""
        self.seen += images
        self.loss += (loss - self.loss) * (0.05 if self.loss else 1.0)
        if self.bar is not None:
            self.bar.desc = f"epoch {epoch + 1:2d}/{self.epochs}"
            self.bar.postfix[0] = self._state(self.loss)
            self.bar.update(images)

    def _state(self, loss: float) -> str:
        read = "  --  " if self.accuracy is None else f"{100 * self.accuracy:5.2f} %"
        return f"loss {loss:.4f}  accuracy {read}"

    def epoch(self, epoch: int, loss: float, accuracy: float) -> None:
        """The end of an epoch, with its mean loss and the accuracy on the held-out data."""
        self.accuracy = accuracy
        if self.bar is not None:
            return
        seconds = max(time.perf_counter() - self.begin, 1e-9)
        rate = (self.seen - self.first) / seconds
        left = (self.total - self.seen) / rate if rate else 0.0
        print(
            f"epoch {epoch + 1:2d}/{self.epochs}  {self._state(loss)}  {rate:,.0f} images/s  "
            f"{int(left) // 60}:{int(left) % 60:02d} left",
            file=self.stream,
            flush=True,
        )

    def close(self) -> None:
        """Leave the last state standing."""
        if self.bar is not None:
            self.bar.postfix[0] = self._state(self.loss)
            self.bar.refresh()
            self.bar.close()
