"""Files for TensorBoard: numbers, histograms, pictures and texts, by their tags and steps.

The files are written by the package `tensorboard`, in its own format.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from ..tensor import Tensor

try:
    from PIL import Image
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
except ImportError as _error:
    raise ImportError(
        f"[tensorboard] files and pictures are written by other packages; got {_error}; "
        "try pip install 'twofold[tensorboard]'"
    ) from _error

__all__ = ["SummaryWriter"]

FIRST_EDGE, LAST_EDGE, GROWTH = 1e-12, 1e20, 1.1
"""Of a histogram's bins, which grow by a tenth from one to the next, on both sides of zero."""

_DT_STRING = 7
_AXES = {"CHW": "hwc", "HWC": "hwc", "HW": "hw", "NCHW": "nhwc", "NHWC": "nhwc", "NHW": "nhw"}


def _array(values: Any) -> np.ndarray:
    """The values of a tensor, an array or numbers."""
    return values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _edges() -> np.ndarray:
    count = int(np.ceil(np.log(LAST_EDGE / FIRST_EDGE) / np.log(GROWTH)))
    positive = FIRST_EDGE * GROWTH ** np.arange(count)
    return np.concatenate([-positive[::-1], [0.0], positive])


def _histogram(values: np.ndarray, bins: Any, max_bins: int | None) -> HistogramProto:
    """Counts of the values between edges; runs of empty bins at either end are left out."""
    values = values.astype(np.float64).ravel()
    if not values.size:
        raise ValueError("[add_histogram] counts values; got none")
    counts, edges = np.histogram(values, bins=_edges() if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        edges = np.append(edges[:-1:step], edges[-1])
    filled = np.flatnonzero(counts)
    if not len(filled):
        raise ValueError("[add_histogram] no value lies within the bins; try other bins")
    first, last = filled[0], filled[-1] + 1
    return HistogramProto(
        min=values.min(), max=values.max(), num=len(values), sum=values.sum(),
        sum_squares=values @ values, bucket_limit=[edges[first], *edges[first + 1 : last + 1]],
        bucket=[0, *counts[first:last]],
    )  # fmt: skip


def _pixels(image: Any, formats: str) -> np.ndarray:
    """A picture as (height, width, colours) of bytes: numbers of a floating-point type are taken
    to lie between 0 and 1. Many are put side by side, about as many below each other."""
    array = _array(image)
    names = formats.upper()
    key = next((k for k in _AXES if sorted(k) == sorted(names)), None)
    if key is None or array.ndim != len(names):
        raise ValueError(
            f"[add_image] takes axes such as {', '.join(_AXES)}; got {formats!r} for the shape "
            f"{array.shape}"
        )
    array = array.transpose([names.index(axis) for axis in _AXES[key].upper()])
    if np.issubdtype(array.dtype, np.floating):
        array = np.clip(array * 255.0, 0, 255)
    array = array.astype(np.uint8)
    if "C" not in names:
        array = array[..., None]
    if "N" in names:
        n, height, width, colours = array.shape
        across = min(n, 8)
        empty = np.zeros((-n % across, height, width, colours), np.uint8)
        rows = np.concatenate([array, empty]).reshape(-1, across, height, width, colours)
        array = rows.transpose(0, 2, 1, 3, 4).reshape(-1, across * width, colours)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _picture(pixels: np.ndarray) -> Summary.Image:
    height, width, colours = pixels.shape
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return Summary.Image(
        height=height, width=width, colorspace=colours, encoded_image_string=file.getvalue()
    )


class SummaryWriter:
    """Writes what a training run tells into a file of `log_dir`, which TensorBoard shows. Without
    `log_dir` it is `runs/` and a folder named by the time, the machine and `comment`.

    ImportError without the packages of the extra `tensorboard`, when this module is imported.

        with SummaryWriter("runs/first") as writer:
            writer.add_scalar("loss", loss, step)
    """

    def __init__(
        self, log_dir: str | os.PathLike[str] | None = None, comment: str = "",
        purge_step: int | None = None, max_queue: int = 10, flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:  # fmt: skip
        if not log_dir:
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = str(log_dir)
        self._options = (max_queue, flush_secs, filename_suffix)
        self._writers: dict[str, EventFileWriter] = {}
        self._open("")
        if purge_step is not None:
            begin = Event(session_log={"status": "START"})  # steps from here on are written anew
            self._event("", begin, purge_step, None)

    def _open(self, below: str) -> EventFileWriter:
        found = self._writers.get(below)
        if found is None:
            folder = os.path.join(self.log_dir, below) if below else self.log_dir
            found = self._writers[below] = EventFileWriter(folder, *self._options)
        return found

    def _event(self, below: str, event: Event, step: Any, walltime: float | None) -> None:
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self._open(below).add_event(event)

    def _add(self, value: Summary.Value, step: Any, walltime: float | None) -> None:
        self._event("", Event(summary=Summary(value=[value])), step, walltime)

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None,
        new_style: bool = False, double_precision: bool = False,
    ) -> None:  # fmt: skip
        """A number. Both `new_style` and `double_precision` give the same file here."""
        value = Summary.Value(tag=tag, simple_value=float(scalar_value))
        self._add(value, global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """Numbers drawn in one chart, each in a file of its own, in a folder named by its tag."""
        for tag, number in tag_scalar_dict.items():
            value = Summary.Value(tag=main_tag, simple_value=float(number))
            below = f"{main_tag.replace('/', '_')}_{tag}"
            self._event(below, Event(summary=Summary(value=[value])), global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow",
        walltime: float | None = None, max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """How often values lie between edges. `bins` as for `numpy.histogram`."""
        value = Summary.Value(tag=tag, histo=_histogram(_array(values), bins, max_bins))
        self._add(value, global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:  # fmt: skip
        """A picture, of bytes or of numbers from 0 to 1, stored as PNG."""
        value = Summary.Value(tag=tag, image=_picture(_pixels(img_tensor, dataformats)))
        self._add(value, global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:  # fmt: skip
        """Several pictures, side by side in one."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A figure of Matplotlib as a picture; with `close` it is emptied afterwards."""
        file = io.BytesIO()
        figure.savefig(file, format="rgba", dpi=figure.dpi)
        width, height = map(int, figure.canvas.get_width_height())
        pixels = np.frombuffer(file.getvalue(), np.uint8).reshape(height, width, 4)
        self.add_image(tag, pixels, global_step, walltime, dataformats="HWC")
        if close:
            figure.clear()

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """A text, shown as Markdown."""
        data = SummaryMetadata.PluginData(plugin_name="text")
        tensor = TensorProto(
            dtype=_DT_STRING,
            string_val=[text_string.encode()],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        value = Summary.Value(
            tag=f"{tag}/text_summary", metadata=SummaryMetadata(plugin_data=data), tensor=tensor
        )
        self._add(value, global_step, walltime)

    def add_graph(self, model: Any, *args: Any, **kwargs: Any) -> None:
        """RuntimeError: graphs are drawn by `twofold.explain`."""
        raise RuntimeError(
            "[add_graph] writes no graphs for TensorBoard; try "
            "twofold.explain(model, input).save('graph.svg')"
        )

    def flush(self) -> None:
        """Have all that was added in the file."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what is left, and end."""
        for writer in self._writers.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
