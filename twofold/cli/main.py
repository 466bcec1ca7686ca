"""`twofold`: train a net on digits, read digits with it, continue texts, time models, look at the
machine."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from .errors import UserError
from .parser import Parser
from .version import version

COMMANDS = {
    "train": ("twofold.cli.train", "train a net on data"),
    "predict": ("twofold.cli.predict", "read pictures of digits with a trained net"),
    "run": ("twofold.cli.run", "run an ONNX model or a saved program on arrays"),
    "export": ("twofold.cli.export", "write a saved program as machine code with a C header"),
    "generate": ("twofold.cli.generate", "continue a text by a language model"),
    "time": ("twofold.cli.time", "time a model's forward and backward pass"),
    "doctor": ("twofold.cli.doctor", "tell what the machine offers, and test that all works"),
}
"""Each command's module, which has `add_arguments(parser)` and `run(arguments)`, and what it does.
Only the module of the command that is called is loaded."""


def _top_parser() -> Parser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return Parser(
        prog="twofold",
        usage="twofold COMMAND ...",
        description="A deep-learning framework in Python: write it dynamic, run it static.\n\n"
        "commands:\n" + "\n".join(lines),
        epilog="examples:\n"
        "  twofold train digits\n"
        "  twofold predict runs/digits/checkpoint.safetensors my_seven.png\n"
        "  twofold train --help",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives its exit code: 0, 2 for bad input, 130 where it was interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    top = _top_parser()
    try:
        if not given or given[0] not in COMMANDS:
            top.add_argument("--version", action="store_true", help="print the version and leave")
            top.add_argument("command", nargs="?", metavar="COMMAND", help="see above")
            options = top.parse_args(given[:1] if given else [])
            if options.version:
                print(f"twofold {version() or '(run from source)'}")
                return 0
            if options.command is None:
                top.print_help()
                return 0
            names = ", ".join(COMMANDS)
            top.error(f"there is no command {options.command!r}; the commands are {names}")
        name = given[0]
        command = importlib.import_module(COMMANDS[name][0])
        parser = Parser(prog=f"twofold {name}")
        command.add_arguments(parser)
        return _run(command, parser, given[1:])
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0


def _run(command: object, parser: Parser, rest: list[str]) -> int:
    """Run a command's module; faults of the user's are told in one line."""
    options = parser.parse_args(rest)
    try:
        return command.run(options)  # type: ignore[attr-defined]
    except UserError as error:
        return _fault(parser, error)
    except BrokenPipeError:  # as of `| head`; what is left to say goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fault(parser, f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130


def _fault(parser: Parser, message: object) -> int:
    print(f"{parser.prog}: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
