"""`twofold generate MODEL.gguf --prompt TEXT`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from ..models.language import Generator, load_gguf, sampler
from ..models.tokenizer import Tokenizer
from ..serialization import FormatError
from .errors import UserError
from .parser import Parser, whole_number
from .terminal import is_terminal, styled, waiting


def _number(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number within bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"it must be {low:g} to {high:g}; got {text}")
        return value

    return parse


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold generate`."""
    parser.description = (
        "Continue a text by the language model in a GGUF file (of the Llama type, with byte-level\n"
        "tokens), as it is made, on standard output. Weights stay in the bits that the file has."
    )
    parser.epilog = (
        "examples:\n"
        '  twofold generate SmolLM2-135M-Instruct.Q4_1.gguf --prompt "Once upon a time"\n'
        '  twofold generate MODEL.gguf --chat --prompt "Why is the sky blue?" --temperature 0.7'
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a GGUF file")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what is continued")
    parser.add_argument(
        "--chat", action="store_true", help="the prompt is what a user says to an assistant"
    )
    parser.add_argument(
        "--most", type=whole_number(1), default=256, metavar="N", help="tokens at most (256)"
    )
    parser.add_argument(
        "--context", type=whole_number(1), metavar="N",
        help="tokens kept in mind, at most (2048, or what the model was trained for)",
    )  # fmt: skip
    parser.add_argument(
        "--temperature", type=_number(0, 100), default=0.0, metavar="T",
        help="0 takes the likeliest token; 1 draws by probability (0)",
    )  # fmt: skip
    parser.add_argument(
        "--top-k", type=whole_number(0), default=0, metavar="K",
        help="draw among the K likeliest tokens (0: all)",
    )  # fmt: skip
    parser.add_argument(
        "--top-p", type=_number(1e-9, 1), default=1.0, metavar="P",
        help="draw among the fewest likeliest tokens whose probabilities reach P (1)",
    )  # fmt: skip
    parser.add_argument("--seed", type=whole_number(0), metavar="N", help="the same draws again")
    parser.add_argument(
        "--float", action="store_true", help="unpack the weights to float32 when they are loaded"
    )


def run(options: argparse.Namespace) -> int:
    """Load the model and continue the text."""
    try:
        with waiting(lambda: f"reading {options.model}"):
            net, tokenizer = load_gguf(options.model, packed=not options.float)
    except FormatError as error:
        raise UserError(error) from None
    context = options.context or min(2048, net.sizes.n_context)
    generator = Generator(net, context)
    text = _framed(options.prompt, tokenizer) if options.chat else options.prompt
    prompt = tokenizer.encode(text)
    if not 0 < len(prompt) < context:
        raise UserError(
            f"the prompt has {len(prompt)} tokens; it may have 1 to {context - 1} (--context)"
        )
    choose = sampler(options.temperature, options.top_k, options.top_p, options.seed)
    if not options.chat:
        print(options.prompt, end="", flush=True)
    times: list[float] = []
    numbers = generator.tokens(prompt, choose, options.most, tokenizer.end)
    # Where the text itself is on the terminal, a line beside it would tear it.
    shown = nullcontext() if is_terminal(sys.stdout) else waiting(lambda: _rate(times))
    with shown:
        for text in tokenizer.stream(_timed(numbers, times)):
            print(text, end="", flush=True)
    print()
    _report(len(prompt), times)
    return 0


def _framed(text: str, tokenizer: Tokenizer) -> str:
    """What a user says, as the models with <|im_start|> were taught it."""
    if "<|im_start|>" not in tokenizer.special:
        raise UserError("--chat is for models with the token <|im_start|>; this one has none")
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def _timed(numbers: Iterator[int], times: list[float]) -> Iterator[int]:
    """The same numbers; notes when it began and when each came."""
    times.append(time.perf_counter())
    for number in numbers:
        times.append(time.perf_counter())
        yield number


def _rate(times: list[float]) -> str:
    """How it goes."""
    n = len(times) - 1
    if n < 2:
        return "reading the prompt"
    return f"{n} tokens, {(n - 1) / (times[-1] - times[1]):.1f} tokens/s"


def _report(n_prompt: int, times: list[float]) -> None:
    """How fast it was, on standard error; the first tokens include compiling."""
    if len(times) < 2:
        print("the model has nothing to add", file=sys.stderr)
        return
    begin, first, *later = times
    text = f"{n_prompt} tokens read and the first made in {first - begin:.2f} s"
    if later:
        rate = len(later) / (later[-1] - first)
        steps = sorted(b - a for a, b in zip([first, *later], later))
        usual = 1 / steps[len(steps) // 2]
        text += f"; {len(later)} more at {rate:.1f} tokens/s ({usual:.1f} once compiled)"
    print(styled(text, "dim", sys.stderr), file=sys.stderr)
