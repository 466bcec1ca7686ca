"""Safetensors, trees and checkpoints: round trips, other readers, hostile and damaged files."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import OrderedDict

import numpy as np
import pytest

import twofold as tf
from twofold.serialization import (
    Checkpoint,
    FormatError,
    load_file,
    read_header,
    save_file,
    tree,
)
from twofold.serialization.files import write_atomically

DTYPES = [
    tf.bool, tf.uint8, tf.int8, tf.int16, tf.int32, tf.int64, tf.float16, tf.bfloat16, tf.float32,
    tf.float64,
]  # fmt: skip


def raw(header, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with this header, as an object or as bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, dtype="F32", shape=None):
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# Safetensors.


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back(tmp_path, dtype, shape):
    x = (tf.arange(max(1, math.prod(shape))) % 2)[: math.prod(shape)].reshape(shape).to(dtype)
    save_file({"odd": tf.ones(3, dtype=tf.uint8), "x": x}, tmp_path / "f")
    back = load_file(tmp_path / "f")
    assert list(back) == ["odd", "x"] and back["x"].dtype is dtype
    assert back["x"].shape == x.shape and back["x"].tolist() == x.tolist()


def test_views_and_arrays_are_written_dense(tmp_path):
    x = tf.arange(12, dtype=tf.float32).reshape(3, 4)
    big = np.arange(3, dtype=">i4")
    save_file({"t": x.T, "s": x[:, ::2], "e": x[:1].expand(3, 4), "n": big}, tmp_path / "f")
    back = load_file(tmp_path / "f")
    assert back["t"].tolist() == x.T.tolist() and back["s"].tolist() == x[:, ::2].tolist()
    assert back["e"].tolist() == [[0, 1, 2, 3]] * 3 and back["n"].tolist() == [0, 1, 2]


def test_header_can_be_read_alone(tmp_path):
    save_file({"w": tf.zeros(2, 3)}, tmp_path / "f", {"maker": "ünï"})
    header = read_header(tmp_path / "f")
    assert header.metadata == {"maker": "ünï"} and header.start % 8 == 0
    assert header.entries["w"].shape == (2, 3) and header.entries["w"].dtype is tf.float32


def test_same_files_as_the_reference_implementation(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    arrays = {
        "a.weight": rng.normal(size=(3, 5)).astype(np.float32),
        "b": rng.integers(0, 9, (7,)).astype(np.int8),
        "c": np.array(3.5),
        "d": np.array([True, False, True]),
        "e": rng.normal(size=(2,)).astype(np.float16),
    }
    safetensors.save_file(arrays, tmp_path / "theirs", {"k": "v"})
    for name, value in load_file(tmp_path / "theirs").items():
        np.testing.assert_array_equal(value.numpy(), arrays[name])
    save_file({k: tf.tensor(v) for k, v in arrays.items()}, tmp_path / "ours", {"k": "v"})
    for name, value in safetensors.load_file(tmp_path / "ours").items():
        np.testing.assert_array_equal(value, arrays[name])
        assert value.dtype == arrays[name].dtype


HOSTILE = {
    "empty": (b"", "begins with 8 bytes"),
    "seven": (b"\0" * 7, "begins with 8 bytes"),
    "huge header": (raw({}, length=1 << 62), "no safetensors file: a header has"),
    "header cut": (raw({}, length=50), "cut short in its header of 50 bytes; got 2 bytes"),
    "no brace": (raw(b"[1, 2]  "), "a header begins with"),
    "spaces first": (raw(b" {}"), "a header begins with"),
    "no json": (raw(b"{nonsense}"), "the header is no JSON"),
    "not text": (raw(b"{\xff\xfe}"), "the header is no JSON"),
    "nan": (raw(b'{"a": NaN}'), "NaN is no JSON number"),
    "deep": (raw(b'{"a":' + b"[" * 100_000), "the header is no JSON"),
    "digits": (raw(b'{"a": ' + b"9" * 10_000 + b"}"), "the header is no JSON"),
    "double": (raw(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32",'
                   b'"shape":[0],"data_offsets":[0,0]}}'), "a name occurs twice"),
    "metadata": (raw({"__metadata__": {"a": 1}}), "__metadata__ must be text by name"),
    "metadata list": (raw({"__metadata__": []}), "__metadata__ must be text by name"),
    "entry": (raw({"a": 3}), "must have dtype, shape and data_offsets"),
    "extra member": (raw({"a": {**entry(0, 4), "x": 1}}, b"1234"), "must have dtype, shape"),
    "dtype": (raw({"a": entry(0, 4, "F33")}, b"1234"), "of an unknown dtype; got 'F33'"),
    "dtype kind": (raw({"a": entry(0, 4, [])}, b"1234"), "of an unknown dtype"),
    "unsigned": (raw({"a": entry(0, 4, "U32")}, b"1234"), "a type that Twofold has not"),
    "negative": (raw({"a": entry(0, 4, shape=[-1])}, b"1234"), "must be at most 64 sizes"),
    "boolean size": (raw({"a": entry(0, 4, shape=[True])}, b"1234"), "must be at most 64 sizes"),
    "float size": (raw({"a": entry(0, 4, shape=[1.0])}, b"1234"), "must be at most 64 sizes"),
    "rank": (raw({"a": entry(0, 4, shape=[1] * 65)}, b"1234"), "must be at most 64 sizes"),
    "overflow": (raw({"a": entry(0, 4, shape=[1 << 62, 4])}, b"1234"), "bytes 0 to 4"),
    "wrong size": (raw({"a": entry(0, 4, shape=[2])}, b"1234"), "has 8 bytes; got bytes 0 to 4"),
    "backwards": (raw({"a": entry(4, 0, shape=[1])}, b"1234"), "has 4 bytes; got bytes 4 to 0"),
    "offsets": (raw({"a": {**entry(0, 4), "data_offsets": [0]}}, b"1234"), "must be two sizes"),
    "overlap": (raw({"a": entry(0, 8), "b": entry(4, 8)}, b"12345678"), "overlaps another array"),
    "same place": (raw({"a": entry(0, 4), "b": entry(0, 4)}, b"1234"), "overlaps another array"),
    "hole": (raw({"a": entry(0, 4), "b": entry(8, 12)}, b"1" * 12), "leaves a gap before it"),
    "late": (raw({"a": entry(4, 8)}, b"12345678"), "leaves a gap before it"),
    "cut": (raw({"a": entry(0, 8)}, b"1234"), "cut short: the arrays have 8 bytes; got 4 bytes"),
    "longer": (raw({"a": entry(0, 4)}, b"12345"), "1 bytes follow the last array"),
    "boolean": (raw({"a": entry(0, 1, "BOOL", [1])}, b"\2"), "must be 0 or 1; got 2"),
    "big claim": (raw({"a": entry(0, 1 << 50)}, b"1234"), "cut short"),
    "zip": (b"PK\x03\x04" + b"0" * 40, "safetensors|zip"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_hostile_files_are_refused(tmp_path, case):
    data, words = HOSTILE[case]
    (tmp_path / "f").write_bytes(data)
    for read in (load_file, tree.load):
        with pytest.raises(FormatError, match=words):
            read(tmp_path / "f")


def test_every_cut_and_every_flipped_byte_is_noticed(tmp_path):
    tree.save({"w": tf.arange(5), "n": [1, 2.5, None]}, tmp_path / "f")
    data = (tmp_path / "f").read_bytes()
    for n in range(len(data)):
        (tmp_path / "g").write_bytes(data[:n])
        with pytest.raises(FormatError):
            tree.load(tmp_path / "g")
    rng = random.Random(0)
    start = read_header(tmp_path / "f").start
    for at in range(start, len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << rng.randrange(8)
        (tmp_path / "g").write_bytes(bad)
        with pytest.raises(FormatError, match="is damaged"):
            tree.load(tmp_path / "g")


def test_random_headers_never_raise_anything_else(tmp_path):
    rng = random.Random(1)
    tree.save({"w": tf.arange(5), "n": {"a": (1, float("inf"))}}, tmp_path / "f")
    data = (tmp_path / "f").read_bytes()
    start = read_header(tmp_path / "f").start
    for _ in range(500):
        bad = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(start)] = rng.randrange(256)
        (tmp_path / "g").write_bytes(bad)
        try:
            tree.load(tmp_path / "g")
        except FormatError:
            pass


def test_save_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(TypeError, match=r"\[save_file\] only tensors and arrays"):
        save_file({"a": 3}, tmp_path / "f")
    with pytest.raises(TypeError, match="name must be text"):
        save_file({1: tf.ones(1)}, tmp_path / "f")
    with pytest.raises(TypeError, match=r"got <class 'object'> at a\.b\.1"):
        tree.save({"a": {"b": [1, object()]}}, tmp_path / "f")
    assert os.listdir(tmp_path) == []


# Trees.


def test_tree_comes_back(tmp_path):
    given = OrderedDict(
        text="ünï", none=None, yes=True, big=1 << 80, third=1 / 3, inf=float("-inf"),
        pair=(1, [2, (3,)]), empty={}, by_number={0: "a", (1, "b"): 2}, kind=tf.bfloat16,
        numpy=np.float32(0.1), array=np.arange(3, dtype=np.int16),
    )  # fmt: skip
    tree.save(given, tmp_path / "f")
    back = tree.load(tmp_path / "f")
    assert type(back) is OrderedDict and list(back) == list(given)
    assert isinstance(back["array"], np.ndarray) and back["array"].tolist() == [0, 1, 2]
    assert back["kind"] is tf.bfloat16 and back["numpy"] == float(np.float32(0.1))
    for name in set(given) - {"array", "numpy"}:
        assert back[name] == given[name] and type(back[name]) is type(given[name]), name
    nan = tree.load(_saved(tmp_path, float("nan")))
    assert nan != nan


def _saved(tmp_path, value):
    tree.save(value, tmp_path / "value")
    return tmp_path / "value"


def test_state_dict_is_plain_safetensors(tmp_path):
    state = {"b.weight": tf.ones(2, 3), "a.bias": tf.zeros(3, dtype=tf.float64)}
    tree.save(state, tmp_path / "f")
    assert list(tree.load(tmp_path / "f")) == ["b.weight", "a.bias"]
    assert set(load_file(tmp_path / "f")) == {"b.weight", "a.bias"}


def test_one_tensor_stays_one(tmp_path):
    w = tf.ones(1000)
    back = tree.load(_saved(tmp_path, {"a": w, "b": w, "c": w[:1]}))
    assert back["a"] is back["b"] and back["c"].tolist() == [1.0]
    assert os.path.getsize(tmp_path / "value") < 6000
    back["a"][0] = 5.0
    assert back["b"][0].item() == 5.0


def test_requires_grad_is_kept(tmp_path):
    back = tree.load(_saved(tmp_path, [tf.ones(2, requires_grad=True), tf.ones(2)]))
    assert back[0].requires_grad and back[0].is_leaf and not back[1].requires_grad


# Writing whole or not at all.


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "f"
    write_atomically(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"ne")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]
    write_atomically(path, lambda file: file.write(b"new"), tmp_path / "before")
    assert path.read_bytes() == b"new" and (tmp_path / "before").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["before", "f"]


KILLED = """
import sys, twofold as tf
from twofold.serialization import tree
x = tf.arange(200_000)
tree.save({"n": 0, "x": x}, sys.argv[1])
print("ready", flush=True)
n = 0
while True:
    n += 1
    tree.save({"n": n, "x": x + n}, sys.argv[1])
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    path = tmp_path / "f"
    for delay in (0.0, 0.013, 0.031):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        back = tree.load(path)
        assert back["x"][-1].item() == 199_999 + back["n"]


# Checkpoints.


class Net:
    def __init__(self, **shapes) -> None:
        self.values = {name: tf.rand(shape) for name, shape in shapes.items()}

    def state_dict(self):
        return dict(self.values)

    def load_state_dict(self, state):
        self.values = dict(state)


def test_checkpoint_round_trip(tmp_path):
    path = tmp_path / "net.ckpt"
    net, other = Net(w=(2, 3), b=(3,)), Net(w=(2, 3), b=(3,))
    Checkpoint.of(net, other, None, other, epoch=2, step=7, metadata={"loss": [1.5, 0.5]}).save(
        path
    )
    expected = tf.rand(3).tolist(), np.random.rand(), random.random()
    back = Checkpoint.load(path)
    assert (back.epoch, back.step, back.metadata) == (2, 7, {"loss": [1.5, 0.5]})
    fresh = Net(w=(2, 3), b=(3,))
    back.restore(fresh, Net(), None, Net())
    assert fresh.values["w"].tolist() == net.values["w"].tolist()
    assert (tf.rand(3).tolist(), np.random.rand(), random.random()) == expected
    with pytest.raises(RuntimeError, match="has no state of the scheduler"):
        back.restore(fresh, scheduler=Net())


def test_checkpoint_of_another_net_is_refused(tmp_path):
    Checkpoint.of(Net(w=(2, 3), old=(4,), b=(3,))).save(tmp_path / "f")
    mine = Net(w=(2, 5), new=(1,), b=(3,))
    before = mine.values
    with pytest.raises(RuntimeError) as caught:
        Checkpoint.load(tmp_path / "f").restore(mine)
    assert str(caught.value).splitlines() == [
        "[checkpoint] the checkpoint is of another net",
        "  only in the checkpoint:",
        "    old (4,)",
        "  only in this net:",
        "    new (1,)",
        "  of another shape:",
        "    w: (2, 3) in the checkpoint, (2, 5) in this net",
    ]
    assert mine.values is before


def test_the_checkpoint_before_is_kept_and_named(tmp_path):
    path = tmp_path / "f"
    for epoch in (1, 2):
        Checkpoint.of(Net(w=(1,)), epoch=epoch).save(path)
    assert Checkpoint.load(path).epoch == 2
    assert Checkpoint.load(tmp_path / "f.previous").epoch == 1
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FormatError, match=r"cut short.*try the one before it, .*f\.previous"):
        Checkpoint.load(path)


def test_other_files_are_no_checkpoints(tmp_path):
    with pytest.raises(FormatError, match="holds no checkpoint of training"):
        Checkpoint.load(_saved(tmp_path, {"w": tf.ones(1)}))
    content = {"twofold.checkpoint": 99}
    with pytest.raises(FormatError, match="is of version 99; this Twofold reads version 1"):
        Checkpoint.load(_saved(tmp_path, content))
