"""`twofold export PROGRAM`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import machine
from ..deploy import export, load_program
from ..deploy.link import LinkError, link
from ..serialization import FormatError
from .errors import UserError
from .parser import Parser, whole_number
from .terminal import label


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold export`."""
    targets = ", ".join(["host", *machine.LEVELS, *machine.OTHERS])
    parser.description = (
        "Write a saved program (twofold.save_program) as machine code: NAME.o, which needs\n"
        "nothing but the C library, and NAME.h, which says how to call it."
    )
    parser.epilog = (
        "examples:\n"
        "  twofold export runs/digits/reader.program --size batch=1\n"
        "  twofold export runs/digits/reader.program --size batch=1 --target wasm32 --link"
    )
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="a saved program")
    parser.add_argument(
        "--name", metavar="NAME", help="what functions are called (the file's by default)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where (beside the program)")
    parser.add_argument("--target", default="host", metavar="T", help=f"one of {targets}")
    parser.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", type=_size,
        help="the value of a size that may vary; once for each",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=whole_number(1, 1024), default=1, metavar="N",
        help="threads that it can be started with (default 1)",
    )  # fmt: skip
    parser.add_argument(
        "--link", action="store_true", help="link it, too: to NAME.so, or for wasm32 NAME.wasm"
    )


def _size(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not name.isidentifier() or not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not like batch=1")
    return name, int(value)


def run(options: argparse.Namespace) -> int:
    """Export; gives 0."""
    name = options.name or options.program.stem
    folder = options.out or options.program.parent
    try:
        program = load_program(options.program)
        sizes = dict(options.size)
        missing = [n for n in program.sizes if n not in sizes]
        if missing:
            raise UserError(f"{options.program} takes any {missing[0]}; try --size {missing[0]}=1")
        made = export(program, folder, name, options.target, sizes, options.threads)
        linked = (
            link(made.object_path, name, options.target, options.threads)
            if (options.link)
            else None
        )
    except (FormatError, ValueError, NotImplementedError, LinkError) as error:
        raise UserError(error) from None
    print(f"{label('program')}{program}")
    print(f"{label('target')}{machine.target_for(options.target).triple}")
    print(
        f"{label('code')}{made.kernels} kernels, {made.object_path.stat().st_size:,} bytes in all"
    )
    print(f"{label('weights')}{made.weight_bytes:,} bytes")
    print(f"{label('memory')}{made.arena_bytes:,} bytes for values in between")
    for path in (made.object_path, made.header_path, *([linked] if linked else [])):
        print(f"{label('saved')}{path}")
    return 0
