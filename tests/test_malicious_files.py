"""A collection of malicious checkpoints: each is refused with a clear error, and none runs code."""

from __future__ import annotations

import copy
import io
import pickle
import random
import re
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest

import twofold as tf
from twofold.serialization import FormatError
from twofold.serialization.unpickle import MAX_DEPTH

TRAP: list[str] = []
"""What code from a file would write to."""


def __getattr__(name):
    """Runs where a module is asked for what it lacks."""
    if name == "never_imported":
        spring()
    raise AttributeError(name)


def spring(*args, **kwargs):
    """The function that hostile pickles call."""
    TRAP.append("sprung")


class Springs:
    """A class whose every way of being made springs the trap."""

    def __new__(cls, *args, **kwargs):
        spring()
        return object.__new__(cls)

    def __init__(self, *args) -> None:
        spring()

    def __setstate__(self, state) -> None:
        spring()


@pytest.fixture(autouse=True)
def _nothing_runs():
    TRAP.clear()
    yield
    assert TRAP == [], "code from a file ran"


def zipped(data: bytes, storages: dict[str, bytes] | None = None, **options) -> bytes:
    """A checkpoint whose pickle is `data`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/version", b"3\n")
        archive.writestr("a/byteorder", b"little")
        for key, content in (storages or {}).items():
            archive.writestr(f"a/data/{key}", content)
    return file.getvalue()


def text(s: str) -> bytes:
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


HERE = f"{__name__}\n".encode()
SPRING, CLASS = b"c" + HERE + b"spring\n", b"c" + HERE + b"Springs\n"
STACK_SPRING = text(__name__) + text("spring") + b"\x93"
SYSTEM = b"cos\nsystem\n"
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\4tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
NONE = b"\x89ccollections\nOrderedDict\n)R"


def tensor(storage: bytes = STORAGE, offset=0, size=(4,), stride=(1,), rest=NONE) -> bytes:
    """A pickled tensor."""
    numbers = pickle.dumps((offset, tuple(size), tuple(stride)), 2)[2:-1]
    return REBUILD + b"(" + storage + _loose(numbers) + rest + b"tR"


def _loose(pickled: bytes) -> bytes:
    """A pickled triple without the instruction that makes it one."""
    at = pickled.rindex(b"\x87")
    return pickled[:at]


CALLS = {
    "REDUCE": SPRING + b")R.",
    "REDUCE of os": SYSTEM + b"(" + text("touch /tmp/x") + b"tR.",
    "REDUCE after STACK_GLOBAL": STACK_SPRING + b")R.",
    "INST": b"(" + text("x") + b"i" + HERE + b"spring\n.",
    "OBJ": b"(" + CLASS + b"o.",
    "NEWOBJ": CLASS + b")\x81.",
    "NEWOBJ_EX": CLASS + b")}\x92.",
    "BUILD of a class": CLASS + b"}b.",
    "BUILD of a list": b"]}b.",
    "BUILD of a tensor": tensor() + b"}b.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\0.",
    "EXT4": b"\x84\x01\0\0\0.",
    "PERSID": b"P" + HERE + b".",
    "BINPERSID": text("anything") + b"Q.",
    "BINPERSID of a module": b"(" + text("module") + CLASS + text("f") + text("s") + b"tQ.",
    "NEXT_BUFFER": b"\x97.",
    "READONLY_BUFFER": b"\x97\x98.",
    "name as a value": SPRING + b".",
    "known name as a value": REBUILD + b".",
    "name within a list": b"](" + b"cbuiltins\neval\n" + b"e.",
    "dotted name": text("collections") + text("OrderedDict.__init__") + b"\x93)R.",
    "name in a known module": b"ctorch._utils\n__builtins__\n)R.",
    "getattr": b"cbuiltins\ngetattr\n(" + STORAGE + text("__class__") + b"tR.",
    "import": b"cbuiltins\n__import__\n(" + text("os") + b"tR.",
    "exec": b"cbuiltins\nexec\n(" + text("1/0") + b"tR.",
    "load from bytes": b"ctorch.storage\n_load_from_bytes\n(C\1xtR.",
    "jit": b"ctorch.jit._pickle\nrestore_type_tag\n(N" + text("x") + b"tR.",
    "hub": b"ctorch.hub\nload\n(" + text("x") + b"tR.",
    "calling a tensor": tensor() + b")R.",
    "calling a text": text("os.system") + b")R.",
    "calling a size": b"ctorch\nSize\n)R)R.",
    "tensor type with another maker": b"ctorch._tensor\n_rebuild_from_type_v2\n("
    b"ctorch\nSize\nctorch\nTensor\n)NtR.",
    "attribute that hides a method": b"ccollections\nOrderedDict\n)R}"
    + text("items") + text("x") + b"sb.",
    "special attribute": b"ccollections\nOrderedDict\n)R}"
    + text("__class__") + text("x") + b"sb.",
    "what a tensor is made of": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + REBUILD
    + b"ctorch\nTensor\n" + tensor()[len(REBUILD):-1] + b"}" + text("_storage") + b"NstR.",
    "defaultdict of a name": b"ccollections\ndefaultdict\n(" + SPRING + b"tR.",
    "defaultdict of a maker": b"ccollections\ndefaultdict\n(" + REBUILD + b"tR.",
    "object array": b"cnumpy\ndtype\n(" + text("O8") + b"\x89\x88tR.",
    "array of texts": b"cnumpy\ndtype\n(" + text("U99999") + b"\x89\x88tR.",
    "partial": b"cfunctools\npartial\n(" + SPRING + b"tR.",
    "reconstructor": b"ccopyreg\n_reconstructor\n(" + CLASS + b"cbuiltins\nobject\nNtR.",
}  # fmt: skip


MODEL = b"ctorch.nn.modules.linear\nLinear\n)\x81."


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("kind", ["zip", "legacy", "zip, not only weights"])
def test_every_way_to_call_is_refused(case, kind):
    data = b"\x80\2" + CALLS[case]
    file = zipped(data, {"0": bytes(16)})
    if kind == "legacy":
        head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        file = b"".join(pickle.dumps(x, 2) for x in head) + data
        file += pickle.dumps(["0"], 2) + struct.pack("<q", 4) + bytes(16)
    with pytest.raises(FormatError) as caught:
        tf.load(io.BytesIO(file), weights_only=kind != "zip, not only weights")
    assert str(caught.value).startswith("[load] "), caught.value


class TrapModule(tf.nn.Module):
    """A module that the program has: a file may fill one, and call nothing."""

    def __init__(self, *args) -> None:
        spring()

    def forward(self, x):
        spring()


class Keeper(tf.nn.Module):
    """A module that the program has, whose call gives what its state holds."""

    def forward(self, *args):
        return self.kept


def state(**given: bytes) -> bytes:
    """The instructions that give a value attributes."""
    return b"}(" + b"".join(text(name) + value for name, value in given.items()) + b"ub"


KEEPER = b"c" + HERE + b"Keeper\n)\x81"
SOURCE = f"def forward(self, x): pass\n__import__({__name__!r}, fromlist=['x']).spring()"
CODE = KEEPER + state(kept=KEEPER + state(src=text(SOURCE), globals=b"}"))
GRAPH = b"ccollections\nOrderedDict\n)R" + state(nodes=b"]", _tracer_cls=b"N", python_code=CODE)
MODULE = b"c" + HERE + b"TrapModule\n"
MODEL_CALLS = {
    "REDUCE": MODULE + b")R.",
    "REDUCE of a layer": b"ctorch.nn.modules.linear\nLinear\n(K\2K\3tR.",
    "NEWOBJ with arguments": MODULE + b"K\2\x85\x81.",
    "REDUCE of an instance": MODULE + b")\x81K\2\x85R.",
    "REDUCE of a function": b"ctorch.nn.functional\nrelu\nK\2\x85R.",
    "another class of the program": CLASS + b")\x81.",
    "a function of the program": SPRING + b".",
    "a module's module": b"ctorch.nn.modules.linear\nF\n.",
    "what a module imported": b"ctorch.nn.functional\n_partial\n.",
    "what a module would import": b"c" + HERE + b"never_imported\n.",
    "code of a graph": b"ctwofold.fx.graph_module\nGraphModule\n)\x81"
    + state(training=b"\x88", _graph=GRAPH)
    + b".",
    "what copying calls": KEEPER + state(__deepcopy__=KEEPER + state(kept=b"N")) + b".",
    "what copying calls of a dict": b"ccollections\nOrderedDict\n)R"
    + state(__deepcopy__=KEEPER + state(kept=b"N"))
    + b".",
    "state that is no dict": MODULE + b")\x81]b.",
    "state for properties": MODULE + b")\x81N}" + text("training") + b"K\1s\x86b.",
    "state of nameless things": MODULE + b")\x81}K\1K\2sb.",
    "a part of a file within": MODULE + b")\x81}" + text("n") + b"ctorch\nFloatStorage\nsb.",
    "too deep within": MODULE + b")\x81}" + text("n") + b"]" * 3000 + b"a" * 2999 + b"sb.",
}


@pytest.mark.parametrize("case", MODEL_CALLS)
def test_files_of_whole_models_call_nothing(case):
    file = zipped(b"\x80\2" + MODEL_CALLS[case])
    with pytest.raises(FormatError, match=r"^\[load\] "):
        copy.deepcopy(tf.load(io.BytesIO(file), weights_only=False))


def test_instances_of_modules_are_made_without_init():
    file = zipped(b"\x80\2" + MODULE + b")\x81}" + text("n") + b"K\5sb.")
    assert tf.load(io.BytesIO(file), weights_only=False).n == 5


def test_every_pickle_that_the_trap_is_in():
    """The trap does spring in `pickle` itself, so these tests could fail."""
    for case in ("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE after STACK_GLOBAL"):
        TRAP.clear()
        pickle.loads(b"\x80\4" + CALLS[case])
        assert TRAP, case
    TRAP.clear()


def test_what_is_refused_is_named():
    for case, words in {
        "REDUCE": r"names test_malicious_files\.spring.*add_safe_globals\(\[spring\]\)",
        "REDUCE of os": r"names os\.system, .* run code of the file's choice; do not trust",
        "model": r"names torch\.nn\.modules\.linear\.Linear.*holds a whole model.*state_dict\(\)",
        "BINPERSID of a module": r"names test_malicious_files\.Springs",
        "INST": "uses INST",
        "object array": "NumPy values of type 'O8'",
    }.items():
        with pytest.raises(FormatError, match=words):
            tf.load(io.BytesIO(zipped(b"\x80\2" + (MODEL if case == "model" else CALLS[case]))))
    with pytest.raises(pickle.UnpicklingError):
        tf.load(io.BytesIO(zipped(b"\x80\2" + CALLS["REDUCE"])))


DEEP = 100_000


def doubled(times: int, width: int = 2) -> bytes:
    """A tuple that holds one tuple several times, which does so too, and so on."""
    levels = (b"0(" + b"h" + bytes([i]) + (b"h" + bytes([i])) * (width - 1) + b"tq" + bytes([i + 1])
              for i in range(times))  # fmt: skip
    return b")q\0" + b"".join(levels)


PICKLES = {
    "empty": (b"", "cut short"),
    "no stop": (b"\x80\2N", "cut short"),
    "protocol": (b"\x80\x09N.", "protocol 9"),
    "unknown instruction": (b"\x80\2\xff.", "unknown instruction"),
    "empty stack": (b"\x80\2a.", "takes what is not there"),
    "no mark": (b"\x80\2t.", "no mark"),
    "mark as a value": (b"\x80\2(.", "mark in place"),
    "mark in a tuple": (b"\x80\2N(\x86.", "mark in place"),
    "left over": (b"\x80\2NN.", "leaves values behind"),
    "memo": (b"\x80\2h\5.", "takes what is not there"),
    "long text": (b"\x80\2X\xff\xff\xff\xff.", "cut short"),
    "longer text": (b"\x80\4\x8d" + b"\xff" * 8 + b".", "cut short"),
    "long number": (b"\x80\2\x8b\xff\xff\xff\x7f.", "cut short"),
    "negative length": (b"\x80\2\x8b\xff\xff\xff\xff.", "cut short"),
    "digits": (b"\x80\2I" + b"9" * 10_000 + b"\n.", "is damaged"),
    "text that is none": (b"\x80\2X\2\0\0\0\xff\xfe.", "is damaged"),
    "unquoted": (b"\x80\2Sabc\n.", "without its quotes"),
    "append to a dict": (b"\x80\2}Na.", "items are appended to a value of dict"),
    "set in a list": (b"\x80\2]NNs.", "items are set in a value of list"),
    "key without a value": (b"\x80\2}(Nu.", "key without a value"),
    "list as a key": (b"\x80\2}]Ns.", "key .* is a value of list"),
    "tensor as a key": (b"\x80\2}" + tensor() + b"Ns.", "key .* is a value of Tensor"),
    "deep key": (b"\x80\2})" + b"\x85" * DEEP + b"Ns.", "key .* is a value of tuple"),
    "deep set": (b"\x80\4\x8f()" + b"\x85" * DEEP + b"\x90.", "is a value of tuple"),
    "deep tuple": (b"\x80\2)" + b"\x85" * DEEP + b".", f"more than {MAX_DEPTH} deep"),
    "deep list": (b"\x80\2" + b"]" * DEEP + b"a" * (DEEP - 1) + b".", "deep in one another"),
    "copies": (
        b"\x80\2X" + struct.pack("<I", 1 << 16) + b"x" * (1 << 16) + b"q\0"
        + b"c_codecs\nencode\nq\1" + b"0h\1h\0\x85R" * 10_000 + b".",
        "makes far more",
    ),
    "sets": (
        b"\x80\2](" + b"".join(b"M" + struct.pack("<H", i) for i in range(9000)) + b"eq\0"
        + b"cbuiltins\nset\nq\1" + b"0h\1h\0\x85R" * 10_000 + b".",
        "makes far more",
    ),
    "states": (
        b"\x80\2B" + struct.pack("<I", 1 << 16) + b"x" * (1 << 16) + b"q\0"
        + b"0cnumpy.core.multiarray\n_reconstruct\nq\1" + b"0cnumpy\nndarray\nq\2"
        + b"0cnumpy\ndtype\n(" + text("u1") + b"\x89\x88tRq\3" + b"0]("
        + b"h\1(h\2K\0\x85U\1btR(K\1J\0\0\1\0\x85h\3\x89h\0tb" * 5000 + b"e.",
        "makes far more",
    ),
    "list that is deep by a longer way": (
        b"\x80\2(]r\0\0\0\0" + b"".join(
            b"]j" + struct.pack("<I", i) + b"ar" + struct.pack("<I", i + 1) for i in range(5000)
        ) + b"l.",
        "deep in one another",
    ),
    "key without end": (b"\x80\2}(" + doubled(7, 250) + b"Nu.", "is a value of tuple"),
    "reference without end": (b"\x80\2" + doubled(60) + b"Q.", "an unknown reference"),
    "storage without end": (
        b"\x80\2(" + text("storage") + doubled(60) + text("0") + text("cpu") + b"K\4tQ.",
        "a storage of an unknown class",
    ),
    "factory without end": (
        b"\x80\2ccollections\ndefaultdict\n" + doubled(60) + b"\x85R.", "is filled by"
    ),
    "type without end": (b"\x80\2cnumpy\ndtype\n" + doubled(60) + b"\x85R.", "NumPy values of"),
    "size without end": (
        b"\x80\2" + REBUILD + b"(" + STORAGE + b"K\0" + doubled(60) + b")" + NONE + b"tR.",
        "size must be at most",
    ),
    "attribute that is a storage": (
        b"\x80\2ccollections\nOrderedDict\n)R}" + text("x") + STORAGE + b"sb.",
        "holds a storage of 4 elements of float32 as a value",
    ),
    "array of another size": (
        b"\x80\2cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1K\5\x85"
        b"cnumpy\ndtype\n(" + text("f8") + b"\x89\x88tR\x89U\1xtb.",
        "NumPy array is damaged",
    ),
    "array of negative size": (
        b"\x80\2cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1"
        b"J\xff\xff\xff\xff\x85cnumpy\ndtype\n(" + text("f8") + b"\x89\x88tR\x89U\1xtb.",
        "NumPy array is damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PICKLES)
def test_damaged_and_overgrown_pickles(case):
    data, words = PICKLES[case]
    with pytest.raises(FormatError, match=words):
        tf.load(io.BytesIO(zipped(data, {"0": bytes(16)})))


def storage(kind="FloatStorage", key="0", location="cpu", size=4) -> bytes:
    size_text = pickle.dumps(size, 2)[2:-1]
    return (
        b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text(location)
        + size_text + b"tQ"
    )  # fmt: skip


TENSORS = {
    "past its end": (tensor(size=(5,)), "within its storage of 4"),
    "past its end by stride": (tensor(size=(2,), stride=(4,)), "within its storage"),
    "past its end by offset": (tensor(offset=1), "within its storage"),
    "negative offset": (tensor(offset=-1), "offset must be"),
    "negative size": (tensor(size=(-1,)), "size must be"),
    "negative stride": (tensor(size=(2,), stride=(-1,)), "stride must be"),
    "overflowing size": (tensor(size=(1 << 62, 4), stride=(0, 0)), "size must be"),
    "wrapping size": (tensor(size=(1 << 32, 1 << 32), stride=(0, 0)), "size must be possible"),
    "overflowing stride": (tensor(size=(2,), stride=(1 << 63,)), "stride must be"),
    "ranks": (tensor(size=(1,) * 65, stride=(1,) * 65), "size must be at most 64"),
    "more strides": (tensor(size=(4,), stride=(1, 1)), "must be as many"),
    "texts as sizes": (
        REBUILD + b"(" + STORAGE + b"K\0" + text("a") * 2 + NONE + b"tR", "size must be"
    ),
    "no storage": (tensor(storage=b"N"), "without a storage"),
    "text as a storage": (tensor(storage=text("x")), "without a storage"),
    "requires grad": (tensor(rest=b"K\1" + NONE[1:]), "requires_grad must be"),
    "too few arguments": (REBUILD + b"(" + STORAGE + b"tR", "do not fit"),
    "integers with gradients": (
        tensor(storage(kind="IntStorage"), rest=b"\x88" + NONE[1:]), "floating point"
    ),
    "a claim of more": (tensor(storage(size=5)), "has 20 bytes in the pickle and 16"),
    "a claim of much more": (tensor(storage(size=1 << 46)), "bytes in the pickle and 16"),
    "an impossible claim": (tensor(storage(size=1 << 60)), "impossible size"),
    "a negative claim": (tensor(storage(size=-1)), "impossible size"),
    "another type": (tensor(storage(kind="DoubleStorage")), "has 32 bytes"),
    "unknown type": (tensor(storage(kind="QInt8Storage")), "a QInt8Storage, a type that"),
    "two types": (
        tensor() + tensor(storage(kind="IntStorage")) + b"\x86", "is of two types"
    ),
    "another key": (tensor(storage(key="1")), "lacks a member; got data/1"),
    "a key that is a path": (tensor(storage(key="../../etc/passwd")), "lacks a member"),
    "another place": (tensor(storage(location="meta")), "saved on 'meta'"),
    "a storage as a value": (STORAGE, "holds a storage of 4 elements of float32 as a value"),
    "overlapping and large": (
        tensor(size=(3, 1 << 20, 2), stride=(1, 0, 1)), "too large for that"
    ),
    "parameter of a text": (
        b"ctorch._utils\n_rebuild_parameter\n" + text("x") + b"\x88N\x87R", "holds a tensor"
    ),
    "sparse": (b"ctorch._utils\n_rebuild_sparse_tensor\n(tR", "names torch._utils._rebuild_sparse"),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_cannot_be(case):
    data, words = TENSORS[case]
    with pytest.raises(RuntimeError, match=words):
        tf.load(io.BytesIO(zipped(b"\x80\2" + data + b".", {"0": bytes(16)})))


def test_truth_values_must_be_such():
    typed = b"\x80\2" + tensor(storage(kind="BoolStorage")) + b"."
    untyped = (
        b"\x80\2ctorch._utils\n_rebuild_tensor_v3\n(" + storage("UntypedStorage")
        + b"K\0K\4\x85K\1\x85" + NONE + b"ctorch\nbool\ntR."
    )  # fmt: skip
    for data in (typed, untyped):
        with pytest.raises(FormatError, match="truth values must be 0 or 1; got 7"):
            tf.load(io.BytesIO(zipped(data, {"0": b"\0\1\7\0"})))


# Zip files.

GOOD = b"\x80\2" + tensor() + b"."
PLAIN = zipped(GOOD, {"0": bytes(16)})


def test_the_plain_file_is_read():
    assert tf.load(io.BytesIO(PLAIN)).tolist() == [0, 0, 0, 0]


def test_bombs_are_not_unpacked():
    bomb = zipped(
        b"\x80\2" + tensor(storage(size=1 << 24)) + b".",
        {"0": bytes(1 << 26)}, compression=zipfile.ZIP_DEFLATED,
    )  # fmt: skip
    assert len(bomb) < 1 << 17
    with pytest.raises(FormatError, match="has a compressed member"):
        tf.load(io.BytesIO(bomb))


@pytest.mark.parametrize("name", ["/data.pkl", "../a/data.pkl", "a//x", "a\\x", "a/../x", "b/x"])
def test_names_of_members(name):
    file = io.BytesIO(PLAIN)
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"x")
    with pytest.raises(FormatError, match=r"named by a path|must hold one folder"):
        tf.load(io.BytesIO(file.getvalue()))


def test_members_that_are_two():
    file = io.BytesIO(PLAIN)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("a/data.pkl", b"N.")
    with pytest.raises(FormatError, match=r"holds a member twice; got data\.pkl"):
        tf.load(io.BytesIO(file.getvalue()))


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_tables_that_lie():
    table = PLAIN.index(b"PK\1\2")
    second = PLAIN.index(b"PK\1\2", table + 4)
    first_size = struct.unpack_from("<I", PLAIN, table + 24)[0]
    cases = {
        # Both members at one place, and one that reaches into the next.
        "calls a member by two names": _patched(PLAIN, second + 42, struct.pack("<I", 0)),
        "members that overlap": _patched(
            PLAIN, table + 20, struct.pack("<II", first_size + 40, first_size + 40)
        ),
        "cut short within a member": _patched(PLAIN, table + 20, struct.pack("<II", 9999, 9999)),
        "no header where its table says": _patched(PLAIN, second + 42, struct.pack("<I", 7)),
        "encrypted": _patched(PLAIN, table + 8, struct.pack("<H", 1)),
        "checksum differs": _patched(PLAIN, table + 16, struct.pack("<I", zlib.crc32(b"x"))),
        "no zip file": PLAIN[:-10],
    }
    for words, data in cases.items():
        with pytest.raises(FormatError, match=words):
            tf.load(io.BytesIO(data))


def test_other_files_are_told_apart():
    for content, words in {
        b"PK\3\4" + bytes(40): "no zip file",
        pickle.dumps({"a": 1}, 2): "a pickle, but no checkpoint",
        b"#!/bin/sh\necho hello\n": "no file of PyTorch's and no safetensors",
        b"": "cut short",
        b"\x89PNG\r\n\x1a\n" + bytes(40): "no file of PyTorch's",
    }.items():
        with pytest.raises(FormatError, match=words):
            tf.load(io.BytesIO(content))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/constants.pkl", b"N.")
        archive.writestr("m/data.pkl", b"N.")
    with pytest.raises(FormatError, match="a TorchScript program"):
        tf.load(io.BytesIO(file.getvalue()))


def test_legacy_streams_that_lie():
    head = b"".join(
        pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    )
    keys = pickle.dumps(["0"], 2)

    def load(body: bytes, keys: bytes = keys, size: int = 4, content: bytes = bytes(16)):
        return tf.load(io.BytesIO(head + body + keys + struct.pack("<q", size) + content))

    assert load(GOOD).tolist() == [0, 0, 0, 0]
    huge = b"\x80\2" + tensor(storage(size=1 << 40), size=(1 << 40,)) + b"."
    for given in (
        {"body": GOOD, "size": 5}, {"body": GOOD, "size": -4}, {"body": GOOD, "content": b"short"},
        {"body": huge, "size": 1 << 40},
        {"body": b"\x80\2" + storage("UntypedStorage") + b"0N.", "size": -4},
        {"body": GOOD, "keys": pickle.dumps(["0", "1"], 2)},
        {"body": GOOD, "keys": pickle.dumps([], 2)}, {"body": GOOD, "keys": pickle.dumps(3, 2)},
    ):  # fmt: skip
        with pytest.raises(FormatError, match=r"cut short or damaged|does not hold the storages"):
            load(**given)


def tarred(path, storages=0, views: object = None, tensors=0, content=0, **size) -> None:
    """A checkpoint of the first versions, with nothing in it or what is given."""
    members = {
        "storages": pickle.dumps(storages, 2) + pickle.dumps([] if views is None else views, 2),
        "tensors": pickle.dumps(tensors, 2),
        "pickle": content if isinstance(content, bytes) else pickle.dumps(content, 2),
    }
    with open(path, "wb") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = size.get(name, len(data))
            file.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
        file.write(bytes(1024))


def test_tar_files_that_lie(tmp_path):
    path = tmp_path / "a.tar"
    tarred(path)
    assert tf.load(path) == 0
    for words, given in {
        "a part of a storage is damaged": {"views": 5},
        "a number of members is damaged": {"tensors": "x"},
        "a storage is damaged": {"storages": 3},
        "is called .*a tuple": {"content": b"\x80\2" + doubled(60) + b"Q."},
        "lacks the tensor 7": {"content": b"\x80\2K\7Q."},
        "within a member; got pickle": {"pickle": 1 << 50},
    }.items():
        tarred(path, **given)
        with pytest.raises(FormatError, match=words):
            tf.load(path)
    long = tarfile.TarInfo("x")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1 << 50
    path.write_bytes(long.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(FormatError, match="is damaged"):
        tf.load(path)


def test_random_damage_never_raises_anything_else():
    rng = random.Random(0)
    obj = {"w": tf.arange(5.0).T, "n": [1, (2.5, "x"), None, np.arange(3)], "p": tf.nn.Parameter()}
    for is_zip in (True, False):
        file = io.BytesIO()
        tf.save(obj, file, _use_new_zipfile_serialization=is_zip)
        data = file.getvalue()
        at, end = (data.index(b"data.pkl"), data.index(b"PK\3\4", 4)) if is_zip else (0, len(data))
        for _ in range(400):
            bad = bytearray(data)
            for _ in range(rng.randrange(1, 4)):
                bad[rng.randrange(at, end)] = rng.randrange(256)
            if is_zip:  # let the damage through to the unpickler
                begin = bytes(data).index(b"\x80\2")
                body = bytes(bad[begin : begin + struct.unpack_from("<I", data, 22)[0]])
                bad = bytearray(zipped(body, {"0": bytes(20), "1": b""}))
            try:
                tf.load(io.BytesIO(bytes(bad)))
            except RuntimeError as error:
                words = "saved on|floating point"
                assert isinstance(error, FormatError) or re.search(words, str(error)), error
