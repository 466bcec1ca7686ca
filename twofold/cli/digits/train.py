"""Training on digits that can be stopped or killed at any time and then goes on bit for bit."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...capture import compile as compile_step
from ...codegen import jit
from ...functions.random import manual_seed
from ...nn import CrossEntropyLoss
from ...optim import AdamW
from ...serialization import Checkpoint
from ...tensor import Tensor
from ...utils.data import DataLoader
from ..errors import UserError
from ..progress import TrainingProgress
from ..terminal import label, waiting
from .data import split_digits
from .net import DigitNet, read_probabilities

CHECKPOINT = "checkpoint.safetensors"
TASK = "digits"
SAVE_SECONDS = 10.0
WARM_UP = 0.1


@dataclass(frozen=True)
class Settings:
    """What a run depends on: the same settings give the same weights, bit for bit. The values here
    were chosen by runs that `validate`, on digits that are not those held out."""

    epochs: int = 20
    batch_size: int = 64
    lr: float = 0.004
    seed: int = 0
    validate: bool = False


class Run:
    """A net in training, with all that a checkpoint of it holds."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.path = folder / CHECKPOINT
        manual_seed(settings.seed)
        self.digits, self.held_images, self.held_labels = split_digits(settings.validate)
        self.net = DigitNet()
        self.criterion = CrossEntropyLoss()
        self.optimizer = AdamW(self.net.parameters(), lr=settings.lr, weight_decay=0.01)
        self.loader: DataLoader[list[Tensor]] = DataLoader(
            self.digits, batch_size=settings.batch_size, shuffle=True
        )
        self.epoch = self.step = 0
        self.history: dict[str, list[float]] = {"loss": [], "accuracy": []}
        self._train_step = compile_step(self._one_step)
        self._is_first = True

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * len(self.loader)

    @property
    def is_complete(self) -> bool:
        """Whether all epochs are through."""
        return self.epoch >= self.settings.epochs

    def save(self) -> None:
        """Write the checkpoint."""
        metadata = {
            "task": TASK,
            "settings": dataclasses.asdict(self.settings),
            "history": self.history,
        }
        Checkpoint.of(
            self.net, self.optimizer, None, self.loader, self.epoch, self.step, metadata
        ).save(self.path)

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """The run whose checkpoint is in `folder`, where it was left."""
        checkpoint = load_checkpoint(folder / CHECKPOINT)
        run = cls(Settings(**checkpoint.metadata["settings"]), folder)
        checkpoint.restore(run.net, run.optimizer, None, run.loader)
        run.epoch, run.step = checkpoint.epoch, checkpoint.step
        run.history = checkpoint.metadata["history"]
        return run

    def _one_step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.criterion(self.net(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _learning_rate(self) -> float:
        """Rises from 0 over the first tenth of the steps; falls to 0 along a cosine."""
        done = self.step / self.total_steps
        rise = min(1.0, (self.step + 1) / max(1.0, WARM_UP * self.total_steps))
        return self.settings.lr * rise * 0.5 * (1 + math.cos(math.pi * done))

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Go on to the last epoch; gives whether it was reached. Saves after each epoch, every ten
        seconds, and when `should_stop` says so between two steps."""
        per_epoch = len(self.digits)
        seen = min(self.step * self.settings.batch_size, per_epoch * self.settings.epochs)
        progress = TrainingProgress(self.settings.epochs, per_epoch * self.settings.epochs, seen)
        saved_at = time.monotonic()
        try:
            while not self.is_complete:
                for images, labels in self.loader:
                    loss = self._step(images, labels)
                    progress.step(self.epoch, len(labels), loss)
                    if should_stop():
                        self.save()
                        return False
                    if time.monotonic() - saved_at > SAVE_SECONDS:
                        self.save()
                        saved_at = time.monotonic()
                progress.epoch(self.epoch, *self._end_epoch())
                self.save()
                saved_at = time.monotonic()
            return True
        finally:
            progress.close()

    def _step(self, images: Tensor, labels: Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        with self._first_time() if self._is_first else contextlib.nullcontext():
            loss = float(self._train_step(images, labels))
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} in step {self.step}; try a smaller --lr than "
                f"{self.settings.lr}"
            )
        self.history["loss"].append(loss)
        self.step += 1
        return loss

    @contextlib.contextmanager
    def _first_time(self) -> Iterator[None]:
        """Show how compiling goes on, and say how long it took."""
        self._is_first = False
        before, begin = dict(jit.counts), time.perf_counter()

        def grown(name: str) -> int:
            return jit.counts[name] - before[name]

        def describe() -> str:
            count = grown("compiled") + grown("from_disk")
            return f"{label('compiling')}the training step: {count} kernels"

        with waiting(describe):
            yield
        print(
            f"{label('compiled')}the training step in {time.perf_counter() - begin:.2f} s: "
            f"{grown('compiled')} kernels, and {grown('from_disk')} from the cache on disk",
            flush=True,
        )

    def _end_epoch(self) -> tuple[float, float]:
        """Mean loss of the epoch, and accuracy on the held-out digits."""
        read = read_probabilities(self.net, self.held_images).argmax(1)
        accuracy = float((read == self.held_labels).mean())
        self.history["accuracy"].append(accuracy)
        self.epoch += 1
        return float(np.mean(self.history["loss"][-len(self.loader) :])), accuracy


def load_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint of this training. UserError if there is none; FormatError if it is damaged."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    checkpoint = Checkpoint.load(path)
    if checkpoint.metadata.get("task") != TASK:
        raise UserError(f"{path} is no checkpoint of 'twofold train digits'")
    return checkpoint
