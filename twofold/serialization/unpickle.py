"""A pickle reader that runs no code: a machine for the stack language of pickles.

`pickle.Unpickler` looks up and calls whatever a file names. This one makes numbers, text, bytes and
plain containers itself; a name in the file is looked up in a table of `Known` things given by the
caller, and only those can be called. Everything else that a pickle may ask for (other names,
extension codes, the old ways to make instances) is refused by name.

Sizes are checked before anything is made of them. Keys of dicts and members of sets are plain,
small and shallow: a hash of deep tuples would overflow C's stack, and one of tuples that hold one
another several times would never end, as would their text in a message (hence `shown`). What comes
out is at most `MAX_DEPTH` deep.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..dtypes import DType
from ..nn.modules.module import Module
from ..tensor import Device, Tensor
from .files import FormatError

MAX_DEPTH = 2000
"""The deepest nesting of containers that is read."""

MAX_PROTOCOL = 5
_MAX_KEY_DEPTH, _MAX_KEY_ITEMS = 8, 1024
_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)
_PLAIN = (str, bytes, int, float, bool, complex, type(None), DType, Device)


class Refused(FormatError, pickle.UnpicklingError):
    """A pickle asks for something that is not among what may be made from a file."""


class Inert:
    """Something that stands for a part of a file while it is read, and is no value itself."""

    __slots__ = ()


class Known(Inert):
    """Something that a pickle may name: `make(*args)` is what calling it gives, `new(*args)` what
    making an instance of it gives, and `build(value, state)` gives a value so made its state.
    `what` stands for it where it is used as a value."""

    __slots__ = ("build", "make", "name", "new", "what")

    def __init__(
        self,
        name: str,
        make: Callable[..., Any] | None = None,
        build: Callable[[Any, Any], None] | None = None,
        what: Any = None,
        new: Callable[..., Any] | None = None,
    ) -> None:
        self.name, self.make, self.build, self.what = name, make, build, what
        self.new = make if new is None else new

    def __repr__(self) -> str:
        return self.name


class _Mark:
    """Stands on the stack where a run of items begins."""


_MARK = _Mark()

Find = Callable[[str, str], Any]
"""What stands for the name (module, name): a `Known`, or a value that may be used as it is."""

Persistent = Callable[[Any], Any]
"""The value of a persistent id, which is how checkpoints refer to storages."""


class Unpickler:
    """Reads one pickle that begins at `at` in `data`; afterwards `at` is its end.

    >>> import pickle
    >>> def find(module, name):
    ...     raise Refused(f"{module}.{name}")
    >>> Unpickler(pickle.dumps({"a": [1, 2.5, (True, None)]}), find).load()
    {'a': [1, 2.5, (True, None)]}
    >>> Unpickler(pickle.dumps(print), find).load()
    Traceback (most recent call last):
    twofold.serialization.unpickle.Refused: builtins.print
    """

    def __init__(
        self,
        data: Any,
        find: Find,
        persistent: Persistent | None = None,
        at: int = 0,
        encoding: str = "utf-8",
    ) -> None:
        self.data, self.at, self.size = data, at, len(data)
        self.find, self.persistent, self.encoding = find, persistent, encoding
        self.stack: list[Any] = []
        self.is_partial = False
        self.credit = 4 * self.size + (1 << 16)
        self.memo: dict[int, Any] = {}
        self._builders: dict[int, tuple[Any, Known]] = {}

    def load(self) -> Any:
        """The value. FormatError if the pickle is damaged, Refused if it asks for too much."""
        try:
            return self._run()
        except (IndexError, KeyError) as error:
            raise self._bad("takes what is not there", error) from None
        except (ValueError, struct.error, UnicodeError, OverflowError) as error:
            if isinstance(error, FormatError):
                raise
            raise self._bad("is damaged", error) from None
        except TypeError as error:
            raise self._bad("puts things together that do not fit", error) from None

    def load_parts(self) -> tuple:
        """A tuple of which some parts may stand for something of the file, such as its types."""
        self.is_partial = True
        value = self.load()
        return value if isinstance(value, tuple) else ()

    def _bad(self, rule: str, got: object) -> FormatError:
        return FormatError(f"[load] the pickle {rule} at byte {self.at}; got {str(got)[:200]}")

    def _run(self) -> Any:
        while True:
            opcode = self._take(1)[0]
            if opcode == _STOP:
                break
            step = _STEPS.get(opcode)
            if step is None:
                if opcode in _REFUSED:
                    raise Refused(
                        f"[load] the pickle uses {_REFUSED[opcode]} at byte {self.at - 1}, which "
                        "can run code from the file and is never followed"
                    )
                raise self._bad("has an unknown instruction", f"byte {opcode:#04x}")
            step(self)
        value = self._pop()
        if self.stack:
            raise self._bad("leaves values behind at its end", len(self.stack))
        value = _value_of(value)
        if not self.is_partial:
            check_result(value)
        return value

    # The bytes.

    def _take(self, n: int) -> bytes:
        end = self.at + n
        if n < 0 or end > self.size:
            raise FormatError(
                f"[load] the pickle is cut short: {n} bytes are asked for at byte {self.at} of "
                f"{self.size}"
            )
        piece = self.data[self.at : end]
        self.at = end
        return bytes(piece)

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise FormatError("[load] the pickle is cut short within a line")
        line = bytes(self.data[self.at : end])
        self.at = end + 1
        return line

    def _number(self, code: str) -> Any:
        return struct.unpack(code, self._take(struct.calcsize(code)))[0]

    # The stack.

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark in place of a value")
        return value

    def _pop_value(self) -> Any:
        return _value_of(self._pop())

    def _top(self) -> Any:
        value = self.stack[-1]
        if value is _MARK:
            raise ValueError("a mark in place of a value")
        return value

    def _pop_mark(self) -> list[Any]:
        """What lies above the last mark; the mark is taken off too."""
        stack = self.stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is _MARK:
                items = stack[at + 1 :]
                del stack[at:]
                return items
        raise ValueError("no mark on the stack")

    def _values(self) -> list[Any]:
        return [_value_of(x) for x in self._pop_mark()]

    # Containers.

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise TypeError(f"items are appended to {_kind(target)}")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict):
            raise TypeError(f"items are set in {_kind(target)}")
        if len(items) % 2:
            raise ValueError("a dict's key without a value")
        for at in range(0, len(items), 2):
            target[check_key(items[at])] = items[at + 1]

    def _add_items(self) -> None:
        items = self._values()
        target = self._top()
        if type(target) is not set:
            raise TypeError(f"items are added to {_kind(target)}")
        target.update(map(check_key, items))

    def _make_dict(self) -> None:
        items = self._values()
        self.stack.append({})
        self._set_items(items)

    def _make_frozenset(self) -> None:
        self.stack.append(frozenset(map(check_key, self._values())))

    def _make_tuple(self, n: int) -> None:
        if n > len(self.stack):
            raise IndexError("a tuple of more than the stack holds")
        items = tuple(self._pop_value() for _ in range(n))
        self.stack.append(items[::-1])

    # Names and calls: the table of the caller decides.

    def _global(self) -> None:
        module, name = self._line().decode(), self._line().decode()
        self.stack.append(self.find(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(module) is not str or type(name) is not str:
            raise TypeError(f"a name made of {_kind(module)} and {_kind(name)}")
        self.stack.append(self.find(module, name))

    def _call(self, new: bool) -> None:
        args, function = self._pop(), self._pop()
        make = None
        if isinstance(function, Known):
            make = function.new if new else function.make
        if make is None:
            raise Refused(f"[load] the pickle calls {_kind(function)}, which is no function")
        if type(args) is not tuple:
            raise TypeError(f"{function} is called with {_kind(args)}")
        self._charge(args)
        value = make(*args)
        if function.build is not None:
            self._builders[id(value)] = (value, function)
        self.stack.append(value)

    def _build(self) -> None:
        state = self._pop_value()
        value = self._top()
        builder = self._builders.get(id(value))
        if builder is None or builder[1].build is None:
            raise Refused(f"[load] the pickle sets the state of {_kind(value)}, which has none")
        self._charge(state if type(state) is tuple else (state,))
        builder[1].build(value, state)

    def _charge(self, given: tuple) -> None:
        """Refused if too much was made before: what is made of one text or list again and again
        could be far larger than the file."""
        for x in given:
            for part in (x, *x) if type(x) is tuple else (x,):
                self.credit -= len(part) if isinstance(part, _SIZED) else 0
        if self.credit < 0:
            raise Refused("[load] the pickle makes far more of its values than it holds")

    def _persistent_id(self, name: Any) -> None:
        if self.persistent is None:
            raise Refused(f"[load] the pickle refers to {shown(name)} outside of itself")
        self.stack.append(self.persistent(name))

    # The memo.

    def _put(self, key: int) -> None:
        self.memo[key] = self._top()

    def _get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    # Texts and numbers of the old protocols.

    def _int_line(self) -> None:
        line = self._line()
        self.stack.append(
            {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line)
        )

    def _string_line(self) -> None:
        line = self._line()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise ValueError("a text without its quotes")
        if b"\\" in line:
            raise ValueError("a quoted text with escapes")
        self.stack.append(self._text(line[1:-1]))

    def _text(self, raw: bytes) -> Any:
        return raw if self.encoding == "bytes" else raw.decode(self.encoding)

    def _proto(self) -> None:
        version = self._take(1)[0]
        if version > MAX_PROTOCOL:
            raise ValueError(f"protocol {version}; {MAX_PROTOCOL} is the highest known")


def _value_of(x: Any) -> Any:
    """`x` as a value: what a `Known` thing stands for when it is not called."""
    if x is _MARK:
        raise ValueError("a mark in place of a value")
    if isinstance(x, Known):
        if x.what is None:
            raise Refused(f"[load] the pickle holds the name {x} as a value")
        return x.what
    return x


def _kind(x: Any) -> str:
    return repr(x) if isinstance(x, Known) else f"a value of {type(x).__name__}"


def shown(x: Any, is_part: bool = False) -> str:
    """A value of a file as text for a message, short however much it holds.

    >>> shown((1, "a", (2, 3))), shown([0] * 1000)
    ("(1, 'a', a tuple)", 'a list')
    """
    if isinstance(x, Inert) or x is None or type(x) in (bool, float, complex, DType, Device):
        text = repr(x)
    elif type(x) is int:
        text = repr(x) if x.bit_length() <= 128 else f"a number of {x.bit_length()} bits"
    elif isinstance(x, (str, bytes)):
        text = repr(x[:80])
    elif type(x) is tuple and len(x) <= 8 and not is_part:
        text = f"({', '.join(shown(item, True) for item in x)})"
    else:
        text = f"a {type(x).__name__}"
    return text[:200]


def check_key(x: Any) -> Any:
    """`x` if it may be a dict's key or a set's member. TypeError otherwise."""
    level = [x]
    for _ in range(_MAX_KEY_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if type(item) is tuple and len(below) + len(item) <= _MAX_KEY_ITEMS:
                below.extend(item)
            elif type(item) not in _PLAIN:
                raise TypeError(f"a dict's key or a set's member is {_kind(item)}")
        if not below:
            return x
        level = below
    raise TypeError(f"a dict's key or a set's member is {_kind(x)} too deep in one another")


def check_result(value: Any) -> None:
    """FormatError if containers lie deeper in one another than `MAX_DEPTH`, or hold what stands for
    a part of the file instead of a value."""
    # How deep what each container holds is; 0 while it is walked, so that it may hold itself.
    heights: dict[int, int] = {}
    path, reached = [(0, iter([value]))], [0]
    while path:
        owner, rest = path[-1]
        for x in rest:
            if isinstance(x, Inert):
                raise Refused(f"[load] the file holds {x} as a value; tensors and plain containers "
                              "are read")  # fmt: skip
            if not isinstance(x, (list, tuple, dict, Tensor, Module)):
                continue
            if id(x) not in heights:
                heights[id(x)] = 0
                path.append((id(x), iter(_parts(x))))
                reached.append(0)
                break
            reached[-1] = max(reached[-1], heights[id(x)])
        else:
            path.pop()
            heights[owner] = reached.pop() + 1
            if heights[owner] > MAX_DEPTH:
                raise FormatError(f"[load] values lie more than {MAX_DEPTH} deep in one another")
            if reached:
                reached[-1] = max(reached[-1], heights[owner])


def _parts(x: Any) -> list[Any]:
    """What a container holds, and the attributes that a file may have given a value."""
    held: list[Any] = []
    if isinstance(x, (OrderedDict, Tensor, Module)):
        held.extend(vars(x).values())
    if isinstance(x, dict):
        held.extend(x.values())
    elif isinstance(x, (list, tuple)):
        held.extend(x)
    return held


def _push(value: Any) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(value)


def _push_new(make: Callable[[], Any]) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(make())


def _push_number(code: str) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(u._number(code))


def _push_bytes(code: str) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(u._take(u._number(code)))


def _push_text(code: str) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(u._take(u._number(code)).decode("utf-8", "surrogatepass"))


def _push_string(code: str) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(u._text(u._take(u._number(code))))


def _push_long(code: str) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(int.from_bytes(u._take(u._number(code)), "little", signed=True))


_STOP = ord(".")

_STEPS: dict[int, Callable[[Unpickler], Any]] = {
    ord(code): step
    for code, step in {
        "\x80": Unpickler._proto,
        "\x95": lambda u: u._take(8),  # a frame's size: the frame itself follows as it is
        "(": _push(_MARK),
        "0": lambda u: u.stack.pop(),
        "1": Unpickler._pop_mark,
        "2": lambda u: u.stack.append(u._top()),
        "N": _push(None),
        "\x88": _push(True),
        "\x89": _push(False),
        "I": Unpickler._int_line,
        "L": lambda u: u.stack.append(int(u._line().rstrip(b"L"))),
        "F": lambda u: u.stack.append(float(u._line())),
        "J": _push_number("<i"),
        "K": _push_number("<B"),
        "M": _push_number("<H"),
        "G": _push_number(">d"),
        "\x8a": _push_long("<B"),
        "\x8b": _push_long("<i"),
        "S": Unpickler._string_line,
        "T": _push_string("<i"),
        "U": _push_string("<B"),
        "V": lambda u: u.stack.append(u._line().decode("raw-unicode-escape")),
        "X": _push_text("<I"),
        "\x8c": _push_text("<B"),
        "\x8d": _push_text("<Q"),
        "B": _push_bytes("<I"),
        "C": _push_bytes("<B"),
        "\x8e": _push_bytes("<Q"),
        "\x96": lambda u: u.stack.append(bytearray(u._take(u._number("<Q")))),
        "]": _push_new(list),
        ")": _push(()),
        "}": _push_new(dict),
        "\x8f": _push_new(set),
        "l": lambda u: u.stack.append(u._values()),
        "t": lambda u: u.stack.append(tuple(u._values())),
        "d": Unpickler._make_dict,
        "\x85": lambda u: u._make_tuple(1),
        "\x86": lambda u: u._make_tuple(2),
        "\x87": lambda u: u._make_tuple(3),
        "a": lambda u: u._append([u._pop_value()]),
        "e": lambda u: u._append(u._values()),
        "s": lambda u: u._set_items([u._pop_value(), u._pop_value()][::-1]),
        "u": lambda u: u._set_items(u._values()),
        "\x90": Unpickler._add_items,
        "\x91": Unpickler._make_frozenset,
        "g": lambda u: u._get(int(u._line())),
        "h": lambda u: u._get(u._number("<B")),
        "j": lambda u: u._get(u._number("<I")),
        "p": lambda u: u._put(int(u._line())),
        "q": lambda u: u._put(u._number("<B")),
        "r": lambda u: u._put(u._number("<I")),
        "\x94": lambda u: u._put(len(u.memo)),
        "c": Unpickler._global,
        "\x93": Unpickler._stack_global,
        "R": lambda u: u._call(False),
        "\x81": lambda u: u._call(True),
        "b": Unpickler._build,
        "P": lambda u: u._persistent_id(u._line().decode()),
        "Q": lambda u: u._persistent_id(u._pop_value()),
    }.items()
}

_REFUSED = {
    ord("i"): "INST",
    ord("o"): "OBJ",
    0x92: "NEWOBJ_EX",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
