"""`tf.summary`: numbers and distributions for TensorBoard, by the package `tensorboard`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Tensor as Value
from .graph import GraphKeys, Tensor, add, get_collection, get_default_graph
from .operations import value_of


class Event(NamedTuple):
    """A value to be shown: its kind, its name, itself."""

    kind: str
    tag: str
    value: Any


def _event(kind: str, tag: str, value: Any) -> Event:
    return Event(kind, tag, value_of(value))


def _summary(kind: str, name: str, value: Any, collections: Any, family: str | None) -> Tensor:
    graph = get_default_graph()
    name = f"{family}/{name}" if family else name
    with graph.name_scope(graph.unique_name(name, False) + "/"):
        tag = f"{family}/{graph._scope}" if family else graph._scope
    made = add(name, _event, (kind, tag, value))
    for collection in collections or [GraphKeys.SUMMARIES]:
        graph.add_to_collection(collection, made)
    return made


def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """A number."""
    return _summary("scalar", name, tensor, collections, family)


def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Tensor:
    """A distribution."""
    return _summary("histogram", name.replace(":", "_"), values, collections, family)


def image(
    name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None
) -> Tensor:
    """Pictures, (n, height, width, channels)."""
    return _summary("image", name, tensor[:max_outputs], collections, family)


def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Tensor:
    """Several summaries as one."""
    made = add(name or "Merge", _listed, (list(inputs),))
    for collection in collections or []:
        get_default_graph().add_to_collection(collection, made)
    return made


def _listed(events: Any) -> list[Event]:
    return [e for event in events for e in (event if isinstance(event, list) else [event])]


def merge_all(
    key: str = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None
) -> Tensor | None:
    """All summaries of the graph as one; None where there are none."""
    found = get_collection(key, scope)
    return merge(found, name=name) if found else None


class FileWriter:
    """Writes summaries to a folder that TensorBoard shows. ModuleNotFoundError without the package
    `tensorboard`."""

    def __init__(self, logdir: str, graph: Any = None, *args: Any, **kwargs: Any) -> None:
        self._writer = import_module("...utils.tensorboard", __name__).SummaryWriter(logdir)

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Write what a run gave for a summary."""
        for event in _listed([summary]):
            value = event.value.numpy() if isinstance(event.value, Value) else event.value
            if event.kind == "scalar":
                self._writer.add_scalar(event.tag, float(np.asarray(value)), global_step)
            elif event.kind == "histogram":
                self._writer.add_histogram(event.tag, np.asarray(value), global_step)
            else:
                self._writer.add_images(
                    event.tag, np.asarray(value), global_step, dataformats="NHWC"
                )

    def add_graph(self, graph: Any, global_step: Any = None) -> None:
        """Accepted; graphs are not written."""

    def flush(self) -> None:
        """Write what is not yet written."""
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
