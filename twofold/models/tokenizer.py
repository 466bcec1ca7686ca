"""Byte-level byte-pair encoding, as the tables within a GGUF file say (Sennrich et al., 2016; the
bytes of Radford et al., 2019).

Text is cut into words by a pattern, each byte of a word becomes a letter, and neighbours are merged
as long as the list of merges has their pair, the earliest of the list first.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from ..serialization import FormatError

CONTROL, USER_DEFINED = 3, 4
"""Types of tokens that stand for themselves, not for text to be cut."""

_PATTERNS = {
    "gpt-2": r" ?L+| ?N+| ?[P']+|[ ns]+(?![LNP'])|[ ns]+",
    "smollm": r"N| ?L+| ?[P']+|[ ns]+(?![LP'])|[ ns]+",
    "qwen2": r"[ sP']?L+|N| ?[P']+n*|[ ns]*n+|[ ns]+(?![LNP'])|[ ns]+",
    "llama-bpe": r"[ sP']?L+|N{1,3}| ?[P']+n*|[ ns]*n+|[ ns]+(?![LNP'])|[ ns]+",
}
"""How text is cut, over kinds of characters: L letters, N numbers, a space, n ends of lines, s
other white space, ' apostrophes, P all others. Before that an apostrophe begins a word of its own
where one of `_SHORT` is found."""

_SHORT = r"'(?:s|t|re|ve|m|ll|d)"


def _byte_letters() -> list[str]:
    """The letter of each byte: itself where it is printed, else one from 256 on."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    code = {b: b for b in shown} | {b: 256 + i for i, b in enumerate(hidden)}
    return [chr(code[b]) for b in range(256)]


_LETTERS = _byte_letters()
_BYTES = {letter: byte for byte, letter in enumerate(_LETTERS)}


@lru_cache(4096)
def _kind(character: str) -> str:
    """The kind of a character; see `_PATTERNS`."""
    if character in " '":
        return character
    if character in "\r\n":
        return "n"
    if character.isspace():
        return "s"
    major = unicodedata.category(character)[0]
    return major if major in "LN" else "P"


class Tokenizer:
    """Text to numbers of tokens and back. FormatError where the metadata lack something or do not
    fit together.

    >>> letters = [*"abc", "ab", "<end>"]
    >>> t = Tokenizer({
    ...     "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
    ...     "tokenizer.ggml.tokens": letters, "tokenizer.ggml.merges": ["a b"],
    ...     "tokenizer.ggml.token_type": [1, 1, 1, 1, 3], "tokenizer.ggml.eos_token_id": 4,
    ... })
    >>> t.encode("abcab<end>"), t.decode([3, 2])
    ([3, 2, 3, 4], 'abc')
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        def given(name: str, kind: type, default: Any = None) -> Any:
            value = metadata.get(f"tokenizer.ggml.{name}", default)
            if type(value) is not kind:
                rule = f"{name} must be a {kind.__name__}"
                raise FormatError(f"[tokenizer] {rule}; got {value!r:.80}")
            return value

        model, pattern = given("model", str), given("pre", str, "gpt-2")
        if model != "gpt2":
            raise FormatError(f"[tokenizer] only byte-level pairs (gpt2) are read; got {model!r}")
        if pattern not in _PATTERNS:
            known = ", ".join(_PATTERNS)
            raise FormatError(f"[tokenizer] text is cut as one of {known} cut it; got {pattern!r}")
        self.tokens: list[str] = given("tokens", list)
        merges = given("merges", list)
        kinds = given("token_type", list, [1] * len(self.tokens))
        if not all(isinstance(x, str) for x in (*self.tokens, *merges)):
            raise FormatError("[tokenizer] tokens and merges must be text")
        if len(kinds) != len(self.tokens):
            raise FormatError(
                f"[tokenizer] each token has a type; got {len(kinds)} for {len(self.tokens)}"
            )
        self.numbers = {token: i for i, token in enumerate(self.tokens)}
        self.ranks = {tuple(pair.split(" ", 1)): i for i, pair in enumerate(merges)}
        self.special = {
            token: i
            for i, (token, kind) in enumerate(zip(self.tokens, kinds))
            if kind in (CONTROL, USER_DEFINED) and token
        }
        longest_first = sorted(self.special, key=len, reverse=True)
        self._special = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
        self._pattern = re.compile(_PATTERNS[pattern])
        is_old = pattern in ("gpt-2", "smollm")
        self._short = re.compile(_SHORT, re.NOFLAG if is_old else re.IGNORECASE | re.ASCII)
        self.begin: int | None = metadata.get("tokenizer.ggml.bos_token_id")
        self.end: int | None = metadata.get("tokenizer.ggml.eos_token_id")
        for number in (self.begin, self.end):
            if number is not None and (
                type(number) is not int or not 0 <= number < len(self.tokens)
            ):
                raise FormatError(f"[tokenizer] there is no token {number!r:.80}")
        self.adds_begin = given("add_bos_token", bool, False)
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str, special: bool = True) -> list[int]:
        """The numbers of a text's tokens; with `special`, names of control tokens stand for
        these."""
        found = [self.begin] if self.adds_begin and self.begin is not None else []
        parts = self._special.split(text) if special and self.special else [text]
        for i, part in enumerate(parts):
            if i % 2:
                found.append(self.special[part])
                continue
            for word in self.words(part):
                found += self._word(word)
        return found

    def words(self, text: str) -> Iterator[str]:
        """The pieces that are encoded one by one."""
        kinds = "".join(map(_kind, text))
        at = 0
        while at < len(text):
            match = self._short.match(text, at) or self._pattern.match(kinds, at)
            assert match is not None, "each kind of character begins some word"
            yield text[at : match.end()]
            at = match.end()

    def _word(self, word: str) -> list[int]:
        found = self._known.get(word)
        if found is None:
            parts = [_LETTERS[b] for b in word.encode("utf-8", "replace")]
            found = [n for part in self._merged(parts) for n in self._number(part)]
            if len(self._known) < 1 << 16:
                self._known[word] = found
        return found

    def _merged(self, parts: list[str]) -> list[str]:
        """The parts after all merges."""
        far = len(self.ranks)
        while len(parts) > 1:
            ranks = [self.ranks.get(pair, far) for pair in pairwise(parts)]
            best = min(ranks)
            if best == far:
                break
            new, i = [], 0
            while i < len(parts):
                if i < len(ranks) and ranks[i] == best:
                    new.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    new.append(parts[i])
                    i += 1
            parts = new
        return parts

    def _number(self, part: str) -> list[int]:
        """A part's number; the numbers of its bytes where it has none."""
        number = self.numbers.get(part)
        if number is not None:
            return [number]
        missing = [letter for letter in part if letter not in self.numbers]
        if missing:
            raise ValueError(f"[tokenizer] no token stands for the bytes of {part!r}")
        return [self.numbers[letter] for letter in part]

    def bytes_of(self, number: int) -> bytes:
        """The bytes that a token stands for."""
        token = self.tokens[number]
        if token in self.special:
            return token.encode()
        return bytes(_BYTES[x] for x in token if x in _BYTES)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of tokens; bytes that are no UTF-8 become U+FFFD."""
        return "".join(self.stream(numbers))

    def stream(self, numbers: Iterable[int]) -> Iterator[str]:
        """The text that each token adds; a character comes when its last byte is there."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for number in numbers:
            yield decoder.decode(self.bytes_of(number))
        yield decoder.decode(b"", final=True)
