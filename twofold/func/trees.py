"""Nested containers of tensors, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any


def is_container(value: Any) -> bool:
    """Whether `value` is a tuple, list or mapping, which are looked into."""
    return isinstance(value, (tuple, list, Mapping))


def leaves(tree: Any) -> Iterator[Any]:
    """What stands in the containers, in order."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def replace(tree: Any, values: Iterable[Any]) -> Any:
    """The tree with other leaves, in order."""
    return _replace(tree, iter(values))


def _replace(tree: Any, values: Iterator[Any]) -> Any:
    if isinstance(tree, Mapping):
        made = {k: _replace(v, values) for k, v in tree.items()}
        return made if type(tree) is dict else type(tree)(made)  # type: ignore[call-arg]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[_replace(v, values) for v in tree])
    if isinstance(tree, (tuple, list)):
        return type(tree)(_replace(v, values) for v in tree)
    return next(values)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with function(leaf) in the place of each leaf."""
    return replace(tree, [function(x) for x in leaves(tree)])


def broadcast(prefix: Any, tree: Any) -> list[Any]:
    """For each leaf of `tree` what `prefix`, a tree that may end earlier, has in its place.

    ValueError if their containers do not fit.
    """
    if not is_container(prefix):
        return [prefix] * len(list(leaves(tree)))
    if not is_container(tree) or len(prefix) != len(tree):
        raise ValueError(f"the structures differ: {prefix!r} does not fit {tree!r}")
    found: list[Any] = []
    if isinstance(prefix, Mapping):
        for key, value in tree.items():
            found += broadcast(prefix[key], value)
    else:
        for a, b in zip(prefix, tree.values() if isinstance(tree, Mapping) else tree):
            found += broadcast(a, b)
    return found
