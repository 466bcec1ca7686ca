"""PyTorch's checkpoint files: read, written, shared storages, optimizer states, old formats."""

from __future__ import annotations

import io
import os
import pickle
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import twofold as tf
from twofold import serialization, windows
from twofold.serialization import FormatError, Refused

GOLDEN = Path(__file__).parent / "checkpoints"
FORMATS = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])


def loaded(obj, **options):
    file = io.BytesIO()
    tf.save(obj, file, **options)
    file.seek(0)
    return tf.load(file)


def values(x):
    """Elements as NumPy's float64, of either library's tensor."""
    return np.asarray(x.detach().double().numpy())


# Files committed, made by PyTorch.


@pytest.mark.parametrize("name", ["zip", "legacy"])
@pytest.mark.parametrize("mmap", [False, True])
def test_files_of_pytorch(name, mmap):
    if mmap and name == "legacy":
        with pytest.raises(RuntimeError, match="mmap can only be used"):
            tf.load(GOLDEN / "legacy.pt", mmap=True)
        return
    back = tf.load(GOLDEN / f"{name}.pt", mmap=mmap)
    assert back["x"].tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert back["view"].tolist() == [[4, 6], [8, 10]]
    assert back["turned"].stride() == (1, 4)
    assert back["half"].tolist() == [0.5, -2.0] and back["half"].dtype is tf.float16
    assert back["bfloat16"].tolist() == [1.5, -3.0] and back["bfloat16"].dtype is tf.bfloat16
    assert back["long"].tolist() == [1, -(1 << 40)] and back["bool"].tolist() == [True, False]
    assert back["scalar"].item() == 2.5 and back["scalar"].dtype is tf.float64
    assert isinstance(back["parameter"], tf.nn.Parameter) and back["parameter"].requires_grad
    assert back["plain"] == {"epoch": 3, "name": "ünï", "rates": [0.1, (1, None, True)]}
    back["x"][2, 0] = 50.0
    assert back["view"].tolist() == [[4, 6], [50, 10]] and back["turned"][0, 2].item() == 50
    again = tf.load(GOLDEN / f"{name}.pt")
    assert again["x"][2, 0].item() == 8, "a change of a tensor went into the file"


def test_files_of_the_first_versions():
    back = tf.load(GOLDEN / "tar.pt")
    assert back["whole"].tolist() == [[0, 1, 2], [3, 4, 5]] and back["epoch"] == 7
    assert back["column"].tolist() == [1, 4]
    back["whole"][0, 1] = 9.0
    assert back["column"].tolist() == [9, 4]


# Round trips.


TREE = OrderedDict(
    text="ünï", none=None, yes=True, big=1 << 80, negative=-(1 << 31), third=1 / 3,
    inf=float("-inf"), pair=(1, [2, (3,)]), empty={}, numbers={0: "a", (1, "b"): 2},
    kind=tf.bfloat16, raw=b"\xff\0", array=np.arange(6, dtype=np.int16).reshape(2, 3),
    number=np.float32(0.1), some={1, 2}, fixed=frozenset([3]), many=list(range(3000)),
    complex=1 + 2j, size=tf.Size([2, 3]), device=tf.device("cpu"), changing=bytearray(b"ab"),
    counts=Counter("aab"), filled=defaultdict(list, {"a": [1]}), quad=(1, 2, 3, 4),
)  # fmt: skip


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_trees_come_back(is_zip, protocol):
    back = loaded(TREE, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    assert type(back) is OrderedDict and list(back) == list(TREE)
    for name, value in TREE.items():
        assert type(back[name]) is type(value), name
        np.testing.assert_equal(back[name], value)
    assert back["filled"]["new"] == []


def test_one_object_stays_one_and_may_hold_itself():
    w = tf.ones(1000)
    ring: list = [1]
    ring.append((ring, ring))
    back = loaded({"a": w, "b": w, "ring": ring, "c": w[:1]})
    assert back["a"] is back["b"] and back["ring"][1][0] is back["ring"]
    back["c"][0] = 5.0
    assert back["b"][0].item() == 5.0


DTYPES = [
    tf.bool, tf.uint8, tf.int8, tf.int16, tf.int32, tf.int64, tf.float16, tf.bfloat16, tf.float32,
    tf.float64,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@FORMATS
def test_every_dtype_and_view(dtype, is_zip):
    x = (tf.arange(24) % 2).reshape(2, 3, 4).to(dtype)
    views = [
        x, x.transpose(0, 2), x[:, 1:, ::2], x[:1, :1].expand(5, 3, 4), x[1, 2, 3], x[:0],
        x.permute(1, 2, 0)[1:], x.flatten()[3:], x.flatten()[5::7],
        x[None, :, None, 0],
    ]  # fmt: skip
    back = loaded(views, _use_new_zipfile_serialization=is_zip)
    for ours, given in zip(back, views, strict=True):
        assert ours.dtype is dtype and ours.shape == given.shape and ours.stride() == given.stride()
        assert ours.tolist() == given.tolist()
        assert ours.numel() == 0 or ours._storage is back[0]._storage
    assert [b.storage_offset() for b in back if b.numel()] == [
        v.storage_offset() for v in views if v.numel()
    ]


def test_layouts_of_all_views_of_a_small_storage():
    """Every layout without overlap either has a window that shows it, or is copied rightly."""
    memory, n_windows = np.arange(12), 0
    for a in range(1, 5):
        for b in range(1, 5):
            for p in range(6):
                for q in range(6):
                    for offset in range(4):
                        if offset + (a - 1) * p + (b - 1) * q >= 12:
                            continue
                        window = windows.strided(12, offset, (a, b), (p, q))
                        if window is None:
                            continue
                        n_windows += 1
                        strides = (8 * p, 8 * q)
                        expected = np.lib.stride_tricks.as_strided(memory[offset:], (a, b), strides)
                        shown = windows.numpy_view(memory, window)
                        assert np.array_equal(shown, expected)
                        shape, _, start = windows.layout((12,), window)
                        assert shape == (a, b) and start == offset
    assert n_windows > 700


def test_requires_grad_and_attributes_are_kept():
    leaf, plain = tf.ones(2, requires_grad=True), tf.ones(2)
    plain.note = "mine"
    parameter = tf.nn.Parameter(tf.ones(1), requires_grad=False)
    parameter.decay = 0.5
    back = loaded([leaf, plain, parameter])
    assert back[0].requires_grad and back[0].is_leaf and not back[1].requires_grad
    assert back[1].note == "mine" and back[2].decay == 0.5
    assert type(back[2]) is tf.nn.Parameter and not back[2].requires_grad


def test_paths_files_and_positions(tmp_path):
    tf.save({"a": 1}, str(tmp_path / "f.pt"))
    assert tf.load(tmp_path / "f.pt") == {"a": 1} and os.listdir(tmp_path) == ["f.pt"]
    os.symlink(tmp_path / "f.pt", tmp_path / "link")
    tf.save({"a": 2}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and tf.load(tmp_path / "f.pt") == {"a": 2}
    tf.save({"a": 1}, os.devnull)
    assert not os.path.isfile(os.devnull)
    file = io.BytesIO()
    for n in (1, 2):
        tf.save({"n": tf.tensor([n])}, file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert [tf.load(file)["n"].item() for _ in range(2)] == [1, 2]
    with pytest.raises(AttributeError, match="must have read, seek and tell"):
        tf.load(3)
    with pytest.raises(AttributeError, match="must have write"):
        tf.save(1, 3)
    with pytest.raises(ValueError, match="pickle_protocol must be 2 to 5"):
        tf.save(1, file, pickle_protocol=1)
    with pytest.raises(FileNotFoundError):
        tf.load(tmp_path / "none")


def test_map_location(tmp_path):
    tf.save(tf.ones(2), tmp_path / "f")
    seen = []

    def place(storage, location):
        seen.append(location)
        return storage.cpu()

    for place_of in (None, "cpu", tf.device("cpu"), {"cuda:0": "cpu"}, place):
        assert tf.load(tmp_path / "f", place_of).tolist() == [1, 1]
    assert seen == ["cpu"]
    with pytest.raises(RuntimeError, match="only; got 'cuda:0'"):
        tf.load(tmp_path / "f", "cuda:0")


def test_values_saved_on_a_gpu_need_a_place(tmp_path):
    data = (GOLDEN / "legacy.pt").read_bytes().replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:0")
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(RuntimeError, match=r"saved on 'cuda:0'.*try map_location='cpu'"):
        tf.load(tmp_path / "f")
    for place in ("cpu", {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert tf.load(tmp_path / "f", map_location=place)["scalar"].item() == 2.5


class Note:
    """A class of the program's own."""

    def __init__(self, text: str) -> None:
        self.text = text


def test_classes_that_the_program_vouches_for():
    note = Note("hello")
    file = io.BytesIO()
    tf.save({"note": note}, file)
    file.seek(0)
    with pytest.raises(Refused, match=rf"names {__name__}\.Note.*add_safe_globals\(\[Note\]\)"):
        tf.load(file)
    file.seek(0)
    with serialization.safe_globals([Note]):
        assert tf.load(file)["note"].text == "hello"
        assert serialization.get_safe_globals() == [Note]
    assert serialization.get_safe_globals() == []
    with pytest.raises(Exception, match="cannot be saved by name"):
        tf.save(lambda: 3, io.BytesIO())


class Marked(tf.Tensor):
    """A class of tensors of the program's own."""


def test_tensors_of_the_programs_own_class_keep_it():
    x = tf.arange(6).reshape(2, 3)[:, 1:].as_subclass(Marked)
    x.note = "mine"
    file = io.BytesIO()
    tf.save(x, file)
    file.seek(0)
    with pytest.raises(Refused, match=rf"names {__name__}\.Marked"):
        tf.load(file)
    file.seek(0)
    with serialization.safe_globals([Marked]):
        back = tf.load(file)
    assert type(back) is Marked and back.note == "mine"
    assert back.tolist() == [[1, 2], [4, 5]] and back.stride() == (3, 1)


def test_sparse_tensors_are_refused_by_name():
    with pytest.raises(pickle.PicklingError, match=r"layout .*sparse_coo; try \.to_dense"):
        tf.save({"s": tf.eye(3).to_sparse()}, io.BytesIO())


def test_a_whole_model_needs_its_classes():
    model = tf.nn.Sequential(tf.nn.Linear(2, 3), tf.nn.ReLU())
    file = io.BytesIO()
    tf.save(model, file)
    file.seek(0)
    with pytest.raises(Refused, match=r"holds a whole model.*save model\.state_dict\(\)"):
        tf.load(file)
    file.seek(0)
    with serialization.safe_globals([tf.nn.Sequential, tf.nn.Linear, tf.nn.ReLU]):
        back = tf.load(file)
    x = tf.ones(1, 2)
    assert back(x).tolist() == model(x).tolist()


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_whole_model_of_the_programs_own_classes(is_zip):
    """Classes that were imported are enough, where that is asked for; functions that layers keep
    come along."""
    layer = tf.nn.TransformerEncoderLayer(4, 1, 4, activation="gelu", batch_first=True)
    model = tf.nn.Sequential(layer, Own(3)).eval()
    file = io.BytesIO()
    tf.save(model, file, _use_new_zipfile_serialization=is_zip)
    Own.made.clear()
    back = tf.load(io.BytesIO(file.getvalue()), weights_only=False)
    assert type(back[1]) is Own and Own.made == [] and back[1].n == 3
    x = tf.rand(2, 3, 4)
    assert back(x).tolist() == model(x).tolist()


def test_a_whole_model_that_pytorch_wrote(tmp_path):
    torch = pytest.importorskip("torch")
    n = torch.nn
    model = n.Sequential(
        n.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), n.InstanceNorm2d(4, affine=True),
        n.Flatten(2), n.TransformerEncoderLayer(9, 3, 5, activation="gelu", batch_first=True),
    ).eval()  # fmt: skip
    torch.save(model, tmp_path / "model.pt")
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 3)).astype("float32")
    want = model(torch.from_numpy(x)).detach().numpy()
    got = tf.load(tmp_path / "model.pt", weights_only=False)(tf.from_numpy(x))
    np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-5)


class Own(tf.nn.Module):
    made: ClassVar[list[int]] = []

    def __init__(self, n):
        super().__init__()
        self.made.append(n)
        self.n = n

    def forward(self, x):
        return x * self.n


def test_every_cut_and_every_flipped_byte_of_data_is_noticed(tmp_path):
    tf.save({"w": tf.arange(5), "n": [1, 2.5, None]}, tmp_path / "f")
    data = (tmp_path / "f").read_bytes()
    for n in range(0, len(data), 7):
        with pytest.raises(FormatError):
            tf.load(io.BytesIO(data[:n]))
    start = data.index(b"PK\3\4", data.index(b"/byteorder"))
    first = data.index(np.arange(5).tobytes(), start)
    for at in range(first, first + 40):
        bad = bytearray(data)
        bad[at] ^= 4
        with pytest.raises(FormatError, match="checksum differs in the member; got data/0"):
            tf.load(io.BytesIO(bytes(bad)))


# With PyTorch: files go both ways.


@FORMATS
def test_files_go_both_ways(is_zip):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    x = tf.arange(24, dtype=tf.float32).reshape(2, 3, 4)
    net = tf.nn.Sequential(tf.nn.Conv2d(3, 4, 3), tf.nn.BatchNorm2d(4))
    ours = {
        "net": net.state_dict(), "x": x, "turned": x.transpose(0, 2), "cut": x[:, 1:, ::2],
        "wide": x[:1, :1].expand(5, 3, 4), "p": net[0].weight, "kind": tf.float16, "set": {1},
        "size": x.shape, "device": x.device, "raw": b"\xff", "n": [1, (2.5, None), 1 << 70],
        "bits": (x > 3), "half": x.to(tf.bfloat16), "none": tf.empty(0, 3),
    }  # fmt: skip
    tf.save(ours, file, _use_new_zipfile_serialization=is_zip)
    file.seek(0)
    theirs = torch.load(file, weights_only=True)
    for name, value in ours.items():
        if isinstance(value, tf.Tensor):
            assert theirs[name].stride() == value.stride(), name
            np.testing.assert_array_equal(values(theirs[name]), values(value), name)
    assert isinstance(theirs["p"], torch.nn.Parameter) and theirs["kind"] is torch.float16
    assert theirs["n"] == ours["n"] and theirs["raw"] == b"\xff" and theirs["set"] == {1}
    theirs["x"][0, 1, 2] = 99
    assert theirs["turned"][2, 1, 0] == 99 and theirs["cut"][0, 0, 1] == 99
    twin = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    twin.load_state_dict(theirs["net"])
    file = io.BytesIO()
    torch.save(
        {"net": twin.state_dict(), "last": torch.rand(2, 3, 4, 4).to(
            memory_format=torch.channels_last), "over": torch.arange(6.0).unfold(0, 3, 1)},
        file, _use_new_zipfile_serialization=is_zip,
    )  # fmt: skip
    file.seek(0)
    back = tf.load(file)
    assert back["last"].stride() == (48, 1, 12, 3)
    assert back["over"].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert back["net"]._metadata["1"] == {"version": 2}
    net.load_state_dict(back["net"])


OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"lr": 0.1, "amsgrad": True},
    "AdamW": {"lr": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.5, "centered": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.01},
    "LBFGS": {"lr": 0.5, "max_iter": 3},
}


def _train(lib, optimizer, params, steps):
    """Losses of a few steps on a fixed problem."""
    losses = []

    def closure():
        optimizer.zero_grad()
        a, b = params
        loss = ((a * a).sum() - 1.0) ** 2 + ((b - a[:2]) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("to_torch", [True, False], ids=["to torch", "from torch"])
def test_optimizer_states_go_both_ways(name, to_torch):
    """Three steps in one library, the state through a file, three more in the other: the losses are
    those of six steps in one."""
    torch = pytest.importorskip("torch")
    begin = [np.array([0.5, -0.3, 0.8, 0.1]), np.array([1.0, -1.0])]

    def make(lib, arrays):
        params = [lib.tensor(a.tolist(), dtype=lib.float64, requires_grad=True) for a in arrays]
        return params, getattr(lib.optim, name)(params, **OPTIMIZERS[name])

    whole = _train(torch, *make(torch, begin)[::-1], 6)
    one, other = (tf, torch) if to_torch else (torch, tf)
    params, optimizer = make(one, begin)
    losses = _train(one, optimizer, params, 3)
    file = io.BytesIO()
    one.save({"params": [p.detach() for p in params], "state": optimizer.state_dict()}, file)
    file.seek(0)
    saved = other.load(file)
    params, optimizer = make(other, [p.numpy() for p in saved["params"]])
    optimizer.load_state_dict(saved["state"])
    losses += _train(other, optimizer, params, 3)
    np.testing.assert_allclose(losses, whole, rtol=1e-5)
    mine = set(tf.optim.SGD([tf.ones(1, requires_grad=True)]).state_dict()["param_groups"][0])
    theirs = torch.optim.SGD([torch.ones(1, requires_grad=True)]).state_dict()["param_groups"][0]
    assert mine >= set(theirs)
