"""`tf.estimator`: a model function trained, evaluated and asked without a session of one's own."""

from __future__ import annotations

import inspect
import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...static.graph import Graph, Tensor, placeholder, set_random_seed
from ...static.optimizers import get_or_create_global_step
from ...static.saver import Saver, latest_checkpoint
from ...static.session import Session
from ...static.variables import (
    global_variables,
    global_variables_initializer,
    local_variables_initializer,
    refuse,
)


class ModeKeys:
    """What a model function is asked for."""

    TRAIN, EVAL, PREDICT = "train", "eval", "infer"


@dataclass
class EstimatorSpec:
    """What a model function gives."""

    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: Any = None
    eval_metric_ops: Any = None
    export_outputs: Any = None


class _Batches:
    """Arrays, given out in batches."""

    def __init__(
        self, x: Any, y: Any, batch_size: int, num_epochs: int | None, shuffle: bool
    ) -> None:
        self.x, self.y, self.batch_size = x, y, batch_size
        self.num_epochs, self.shuffle = num_epochs, shuffle

    def arrays(self) -> dict[str, np.ndarray]:
        """The features, and the labels under the empty name, by name."""
        found = dict(self.x) if isinstance(self.x, dict) else {"x": self.x}
        return found if self.y is None else {**found, "": self.y}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        arrays = self.arrays()
        n = len(next(iter(arrays.values())))
        random = np.random.RandomState(0)
        for _ in itertools.count() if self.num_epochs is None else range(self.num_epochs):
            order = random.permutation(n) if self.shuffle else np.arange(n)
            for at in range(0, n, self.batch_size):
                rows = order[at : at + self.batch_size]
                yield {name: array[rows] for name, array in arrays.items()}


def _numpy_input_fn(
    x: Any, y: Any = None, batch_size: int = 128, num_epochs: int | None = 1, shuffle: bool = True,
    queue_capacity: int = 1000, num_threads: int = 1,
) -> Callable[[], _Batches]:  # fmt: skip
    """A function that gives the arrays in batches; without `num_epochs` for ever."""
    return lambda: _Batches(x, y, batch_size, num_epochs, shuffle)


inputs = SimpleNamespace(numpy_input_fn=_numpy_input_fn)


class RunConfig:
    """Options, which are accepted; `model_dir` and `tf_random_seed` have an effect."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)


class Estimator:
    """A model by a function (features, labels, mode, params) that gives an EstimatorSpec.

    Weights are kept as a checkpoint in `model_dir`. Inputs come from `numpy_input_fn`.
    """

    def __init__(
        self, model_fn: Callable[..., Any], model_dir: str | None = None, config: Any = None,
        params: Any = None, warm_start_from: Any = None,
    ) -> None:  # fmt: skip
        refuse("estimator", warm_start_from=warm_start_from)
        model_dir = model_dir or getattr(config, "model_dir", None)
        self._seed = getattr(config, "tf_random_seed", None)
        self.model_fn, self.params = model_fn, params
        self._folder = None if model_dir else tempfile.TemporaryDirectory()
        self.model_dir = model_dir or (self._folder.name if self._folder else "")

    def _built(
        self, input_fn: Callable[[], Any], mode: str
    ) -> tuple[Any, _Batches, dict[str, Tensor]]:
        set_random_seed(self._seed)
        batches = input_fn()
        if not isinstance(batches, _Batches):
            raise NotImplementedError(
                "[estimator] inputs must come from tf.estimator.inputs.numpy_input_fn"
            )
        arrays = batches.arrays()
        if mode == ModeKeys.PREDICT:
            arrays.pop("", None)
        fed = {k: placeholder(a.dtype, [None, *a.shape[1:]]) for k, a in arrays.items()}
        labels = fed.get("")
        features: Any = {k: v for k, v in fed.items() if k}
        if not isinstance(batches.x, dict):
            features = fed["x"]
        step = get_or_create_global_step()
        asked = inspect.signature(self.model_fn).parameters
        given = {"labels": labels, "mode": mode, "params": self.params, "config": None}
        spec = self.model_fn(features, **{k: v for k, v in given.items() if k in asked})
        assert step is not None
        return spec, batches, fed

    def _session(self, graph: Graph) -> Session:
        session = Session(graph=graph)
        session.run([global_variables_initializer(), local_variables_initializer()])
        path = latest_checkpoint(self.model_dir)
        if path is not None:
            Saver(global_variables()).restore(session, path)
        return session

    def train(
        self,
        input_fn: Callable[[], Any],
        hooks: Any = None,
        steps: int | None = None,
        max_steps: int | None = None,
        saving_listeners: Any = None,
    ) -> Estimator:
        """Take steps until `steps` were taken or the inputs end."""
        refuse("estimator.train", hooks=hooks, saving_listeners=saving_listeners)
        with Graph().as_default() as graph:
            spec, batches, fed = self._built(input_fn, ModeKeys.TRAIN)
            session = self._session(graph)
            step = get_or_create_global_step()
            limit = steps if max_steps is None else max_steps - int(session.run(step))
            for batch in itertools.islice(batches, limit):
                session.run(spec.train_op, {fed[k]: v for k, v in batch.items()})
            Saver(global_variables()).save(session, f"{self.model_dir}/model.ckpt", step)
            session.close()
        return self

    def evaluate(
        self, input_fn: Callable[[], Any], steps: int | None = None, hooks: Any = None,
        checkpoint_path: str | None = None, name: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The loss and the metrics over the inputs."""
        refuse("estimator.evaluate", hooks=hooks, checkpoint_path=checkpoint_path)
        with Graph().as_default() as graph:
            spec, batches, fed = self._built(input_fn, ModeKeys.EVAL)
            session = self._session(graph)
            metrics = dict(spec.eval_metric_ops or {})
            losses = []
            for batch in itertools.islice(batches, steps):
                feed = {fed[k]: v for k, v in batch.items() if k in fed}
                losses.append(session.run([spec.loss, [m[1] for m in metrics.values()]], feed)[0])
            found = {name: session.run(m[0]) for name, m in metrics.items()}
            found["loss"] = np.float32(np.mean(losses))
            found["global_step"] = int(session.run(get_or_create_global_step()))
            session.close()
        return found

    def predict(
        self, input_fn: Callable[[], Any], predict_keys: Any = None, hooks: Any = None,
        checkpoint_path: str | None = None,
    ) -> Iterator[Any]:  # fmt: skip
        """The predictions, those of `predict_keys` or all, one example after another."""
        refuse("estimator.predict", hooks=hooks, checkpoint_path=checkpoint_path)
        with Graph().as_default() as graph:
            spec, batches, fed = self._built(input_fn, ModeKeys.PREDICT)
            session = self._session(graph)
            if predict_keys is not None:
                spec.predictions = {k: spec.predictions[k] for k in predict_keys}
            for batch in batches:
                feed = {fed[k]: v for k, v in batch.items() if k in fed}
                found = session.run(spec.predictions, feed)
                if isinstance(found, dict):
                    yield from (dict(zip(found, row)) for row in zip(*found.values(), strict=True))
                else:
                    yield from found
            session.close()
