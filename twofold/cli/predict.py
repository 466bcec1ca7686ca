"""`twofold predict CHECKPOINT IMAGE...`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..serialization import FormatError
from .digits.images import read_image
from .digits.net import DigitNet, read_probabilities
from .digits.train import load_checkpoint
from .errors import UserError, require
from .parser import Parser
from .terminal import styled


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold predict`."""
    parser.description = (
        "Read pictures of single digits with a net that 'twofold train digits' has trained, and\n"
        "print the likeliest digit and the probability of each.\n\n"
        "Pictures may have any size and mode, dark ink on light or light ink on dark. One that\n"
        "cannot be read is named on standard error; the others are read all the same, and the\n"
        "exit code is 2."
    )
    parser.epilog = "example:\n  twofold predict runs/digits/checkpoint.safetensors a.png b.png"
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a saved run")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="pictures, as PNG")


def run(options: argparse.Namespace) -> int:
    """Read the pictures; gives 2 if one of them could not be read."""
    require("PIL", "pillow", import_it=False)
    net = DigitNet()
    try:
        load_checkpoint(options.checkpoint).restore(net)
    except (FormatError, RuntimeError) as error:
        raise UserError(error) from None
    paths, images, faults = [], [], []
    for path in options.images:
        try:
            images.append(read_image(path))
            paths.append(path)
        except UserError as error:
            faults.append(error)
    if images:
        _print_table(paths, read_probabilities(net, np.stack(images)))
    sys.stdout.flush()
    for fault in faults:
        print(f"twofold predict: error: {fault}", file=sys.stderr)
    return 2 if faults else 0


def _print_table(paths: list[Path], probabilities: np.ndarray) -> None:
    """A row for each picture: the digit, and the probability of each digit in percent."""
    width = max(len("image"), *(len(str(path)) for path in paths))
    head = f"{'image':<{width}}  digit" + "".join(f"{digit:>9}" for digit in range(10))
    print(styled(head, "dim"))
    for path, row in zip(paths, probabilities):
        best = int(row.argmax())
        cells = [f"{100 * p:8.2f}%" for p in row]
        cells[best] = styled(cells[best], "bold")
        print(f"{path!s:<{width}}  {styled(f'{best:>5}', 'bold')}" + "".join(cells))
