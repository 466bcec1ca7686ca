"""Starts a program on Twofold: `python -m twofold.run --as torch script.py [args]`."""

from __future__ import annotations

import argparse
import builtins
import io
import os
import runpy
import sys
import types
from collections.abc import Sequence

from . import finder, tracebacks


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m twofold.run",
        description="Run a program that says `import torch`, `import tensorflow` or "
        "`import theano` on Twofold.",
        epilog="examples:\n"
        "  python -m twofold.run --as torch train.py --epochs 2\n"
        "  python -m twofold.run --as torch -m package.train\n"
        "  python -m twofold.run --as torch==0.1 two_layer_net.py\n"
        "  python -m twofold.run --as tensorflow==1 mnist.py\n"
        "  python -m twofold.run --as theano mlp.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--as", dest="name", metavar="NAME[==VERSION]", required=True,
        help="the package whose place Twofold takes: torch, torch==0.1 for programs of 2017, "
        "tensorflow==1, theano",
    )  # fmt: skip
    parser.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module")
    parser.add_argument("program", metavar="PROGRAM", help="a Python file, or a module after -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program is given")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Install the finder and run the program as Python would have run it."""
    parser = _parser()
    options = parser.parse_args(arguments)
    name, _, version = options.name.partition("==")
    try:
        finder.install(name, version)
    except ValueError as error:
        parser.error(str(error))
    tracebacks.install()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        sys.path[0] = os.getcwd()
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        return
    if not os.path.exists(options.program):
        parser.error(f"there is no file {options.program!r}")
    path = os.path.abspath(options.program)
    if os.path.isdir(path):
        runpy.run_path(path, run_name="__main__")
        return
    sys.path[0] = os.path.dirname(path)
    _run_script(path)


def _run_script(path: str) -> None:
    """Run a file as the module `__main__`, which stays: threads that outlive the file's last line,
    and what runs at exit, may pickle its classes. (`runpy.run_path` takes it away.)"""
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    module = types.ModuleType("__main__")
    vars(module).update(__file__=path, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = module
    exec(code, vars(module))
