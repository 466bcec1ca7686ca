"""Makes the files in this folder with PyTorch (the tar file by hand, since no version still writes
it): `python tests/checkpoints/make.py`. They are read where PyTorch is not installed."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path

import torch

HERE = Path(__file__).parent


class _Name:
    """A class that is pickled as a name only."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Pickler(pickle._Pickler):
    """Writes names, and references to tensors by number."""

    def save(self, x, save_persistent_id=True):
        if isinstance(x, _Name):
            self.write(b"c" + x.name.replace(" ", "\n").encode() + b"\n")
        else:
            super().save(x, save_persistent_id)

    def persistent_id(self, x):
        return x[1] if isinstance(x, tuple) and x[:1] == ("tensor",) else None


def _dump(*values) -> bytes:
    out = io.BytesIO()
    for value in values:
        if isinstance(value, bytes):
            out.write(value)
        else:
            _Pickler(out, 2).dump(value)
    return out.getvalue()


def content() -> dict:
    """What the files hold."""
    x = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    return {
        "x": x,
        "view": x[1:, ::2],
        "turned": x.t(),
        "half": torch.tensor([0.5, -2.0]).half(),
        "bfloat16": torch.tensor([1.5, -3.0]).bfloat16(),
        "long": torch.tensor([1, -(1 << 40)]),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "parameter": torch.nn.Parameter(torch.tensor([1.0, 2.0])),
        "plain": {"epoch": 3, "name": "ünï", "rates": [0.1, (1, None, True)]},
    }


def tar() -> bytes:
    """The format of the first versions: two tensors of one storage."""
    storages = _dump(
        1, (0, "cpu", _Name("torch FloatStorage")), struct.pack("<q6f", 6, *range(6)), []
    )
    kind = _Name("torch FloatTensor")
    tensors = _dump(
        2,
        (10, 0, kind), struct.pack("<ii2q2qq", 2, 0, 2, 3, 3, 1, 0),
        (11, 0, kind), struct.pack("<iiqqq", 1, 0, 2, 3, 1),
    )  # fmt: skip
    members = {
        "sys_info": _dump({"little_endian": True}),
        "storages": storages,
        "tensors": tensors,
        "pickle": _dump({"whole": ("tensor", "10"), "column": ("tensor", "11"), "epoch": 7}),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def main() -> None:
    torch.save(content(), HERE / "zip.pt")
    torch.save(content(), HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    (HERE / "tar.pt").write_bytes(tar())


if __name__ == "__main__":
    main()
