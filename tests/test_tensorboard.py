"""`utils.tensorboard`: what is written is what TensorBoard reads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold as tf

ROOT = Path(__file__).resolve().parent.parent


def test_without_the_package_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from twofold.run import finder; finder.install()\n"
        "try:\n    from torch.utils.tensorboard import SummaryWriter\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "pip install 'twofold[tensorboard]'" in done.stdout


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """A writer, and what was written with it: steps and values by tag, of one file."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    from twofold.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tmp_path / "log")

    def read(below: str = "") -> dict[str, list[tuple[int, Any]]]:
        writer.flush()
        found: dict[str, list[tuple[int, Any]]] = {}
        for file in (tmp_path / "log" / below).glob("events*"):
            for event in LegacyEventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    found.setdefault(value.tag, []).append((event.step, value))
        return found

    yield writer, read
    writer.close()


def test_numbers_keep_their_tags_and_steps(written: Any) -> None:
    writer, read = written
    for step in range(3):
        writer.add_scalar("Loss/train", tf.tensor(0.5 + step), step)
    writer.add_scalars("both", {"a": 1.0, "b": tf.tensor([2.0])}, 7)
    assert [(s, v.simple_value) for s, v in read()["Loss/train"]] == [(0, 0.5), (1, 1.5), (2, 2.5)]
    ((step, value),) = read("both_b")["both"]
    assert (step, value.simple_value) == (7, 2.0)


def test_histograms_count_every_value(written: Any) -> None:
    writer, read = written
    values = np.random.default_rng(0).standard_normal(1000)
    values[:10] = 0
    writer.add_histogram("all", tf.tensor(values), 1)
    writer.add_histogram("few", values, 1, bins=[-1.0, 0.0, 1.0, 2.0])
    writer.add_histogram("coarse", values, 1, max_bins=20)
    found = {tag: entries[0][1].histo for tag, entries in read().items()}
    assert sum(found["all"].bucket) == found["all"].num == 1000
    assert found["all"].sum_squares == pytest.approx((values**2).sum())
    assert (found["all"].min, found["all"].max) == (values.min(), values.max())
    assert len(found["coarse"].bucket) <= 21 and sum(found["coarse"].bucket) == 1000
    few = [((values >= a) & (values < a + 1)).sum() for a in (-1, 0, 1)]
    assert list(found["few"].bucket) == [0, *few]
    assert list(found["few"].bucket_limit) == [-1.0, 0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="counts values; got none"):
        writer.add_histogram("none", tf.zeros(0))


def test_pictures_are_their_pixels(written: Any) -> None:
    image_of = pytest.importorskip("PIL.Image").open
    writer, read = written
    picture = np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    writer.add_image("one", tf.tensor(picture), 1)
    writer.add_image("grey", picture[0] / 255.0, 1, dataformats="HW")
    writer.add_images("many", np.stack([picture] * 9), 1)
    found = {tag: entries[0][1].image for tag, entries in read().items()}
    decoded = {
        tag: np.asarray(image_of(io.BytesIO(image.encoded_image_string)))
        for tag, image in found.items()
    }
    one = picture.transpose(1, 2, 0)
    assert np.array_equal(decoded["one"], one)
    assert np.abs(decoded["grey"][..., 2].astype(int) - picture[0]).max() <= 1
    assert decoded["many"].shape == (8, 40, 3)
    assert np.array_equal(decoded["many"][:4], np.concatenate([one] * 8, axis=1))
    assert np.array_equal(decoded["many"][4:, :5], one) and not decoded["many"][4:, 5:].any()
    with pytest.raises(ValueError, match="got 'CHW' for the shape"):
        writer.add_image("bad", picture[0])


def test_texts_and_figures_are_kept_and_graphs_refused(written: Any) -> None:
    writer, read = written
    writer.add_text("note", "a *text*", 3)
    ((step, value),) = read()["note/text_summary"]
    assert (step, value.tensor.string_val[0]) == (3, b"a *text*")
    with pytest.raises(RuntimeError, match=r"twofold\.explain"):
        writer.add_graph(tf.nn.Linear(1, 1))
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([1, 2])
    writer.add_figure("curve", figure, 4)
    assert (read()["curve"][0][1].image.width, read()["curve"][0][1].image.height) == (100, 50)
