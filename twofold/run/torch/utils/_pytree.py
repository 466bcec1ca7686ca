"""`torch.utils._pytree`: nested containers taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ....func import trees


@dataclass(frozen=True)
class TreeSpec:
    """The containers without what stands in them."""

    containers: Any
    num_leaves: int


def tree_flatten(tree: Any) -> tuple[list[Any], TreeSpec]:
    """What stands in the containers, in order, and the containers."""
    found = list(trees.leaves(tree))
    return found, TreeSpec(trees.replace(tree, [None] * len(found)), len(found))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The containers with other leaves."""
    return trees.replace(treespec.containers, leaves)


def tree_leaves(tree: Any) -> list[Any]:
    """What stands in the containers, in order."""
    return list(trees.leaves(tree))


def tree_map(func: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with func(leaf) in the place of each leaf."""
    return trees.map_leaves(func, tree)
