"""Write new values over old ones that nobody needs any more.

A captured training step gives each parameter a new value and lets go of the old one. Where the
kernel that makes the new value reads the old one at the very same elements, and nothing reads the
old one later, both may lie in one place: the step then touches a third less memory, and allocates
none. A scatter into an old value (a token that is added to a cache) then needs no copy of it.

A step that ends with an error (a class that does not exist) must leave all old values as they were,
so what is written over one comes after all that can go wrong; but a scatter that itself finds a bad
place may have written to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..graph.node import Node
from .launch import Launch
from .lower import strip
from .partition import Member, Partition, identity, template_reads

if TYPE_CHECKING:
    from .schedule import Scheduler


def overwrite(
    scheduler: Scheduler, roots: Sequence[Node], pairs: Sequence[tuple[int, Node]]
) -> list[tuple[int, Node]]:
    """Let roots lie where leaves lie, for those of `pairs` (position of the root, leaf) for which
    that changes no result; gives these. Buffers of the scheduler become aliases."""
    p = scheduler.partition
    results = [id(strip(root)) for root in roots]
    kept = set(results)
    done = []
    taken: set[int] = set()
    _mark_checks(scheduler)
    for position, leaf in pairs:
        root = strip(roots[position])
        to, of = p.number(root), p.number(leaf)
        if to is None or of is None or id(leaf) in kept or {to, of} & taken:
            continue
        if results.count(id(root)) > 1:  # the value is asked for elsewhere, too
            continue
        if root.dtype is not leaf.dtype or root.type.n_bytes != leaf.type.n_bytes:
            continue
        copy = _copied_start(scheduler, root, leaf)
        if copy is not None or (_is_pointwise(p, to, of) and _is_last(scheduler, to, of)):
            if copy is not None:
                scheduler.launches.remove(copy)
            buffer = scheduler.buffers[to]
            buffer.kind, buffer.source = "alias", scheduler.buffers[of]
            taken |= {to, of}
            done.append((position, leaf))
    return done


def _copied_start(scheduler: Scheduler, root: Node, leaf: Node) -> Launch | None:
    """The launch that copies a leaf for a scatter to begin with, if nothing reads the leaf after
    that."""
    if root.structure.op.kind != "scatter" or strip(root.inputs[0]) is not leaf:
        return None
    p, launches = scheduler.partition, scheduler.launches
    numbers = p.number(root), p.number(leaf)
    new, old = (scheduler.buffers[n] for n in numbers if n is not None)
    writers = [x for x in launches if any(b is new for b in x.writes)]
    readers = [x for x in launches if any(b is old for b in x.reads)]
    if not writers or writers[0].reads != (old,) or readers[-1] is not writers[0]:
        return None
    return writers[0]


def _is_pointwise(p: Partition, to: int, of: int) -> bool:
    """Whether the kernel that makes value `to` reads value `of` only where it writes, and has read
    it by then."""
    group = p.home.get(to)
    if group is None or group.kind not in ("loops", "matmul") or not group.walks_once:
        return False
    member = next((m for m in group.members if m.number == to), None)
    if member is None or member.level != "full":
        return False
    if group.node is not None and any(p.number(x) == of for x in template_reads(p, group.node)):
        return False
    place = identity(group, member)
    reads = [e for m in group.members for e in m.refs if e.attr.node == of]
    return _reads(member, of) and all(e.attr.position == place for e in reads)


def _reads(member: Member, of: int) -> bool:
    return any(e.attr.node == of for e in member.refs)


def _mark_checks(scheduler: Scheduler) -> None:
    """Note the launches that are the first to meet a bad value."""
    unchecked = {id(node) for node in scheduler.order if node.structure.op.locates}
    for launch in scheduler.launches:
        found = unchecked.intersection(a for a in launch.args if isinstance(a, int))
        launch.checks = bool(found)
        unchecked -= found


def _is_last(scheduler: Scheduler, to: int, of: int) -> bool:
    """Whether one launch writes `to`, no launch after it reads `of`, and none from it on is the
    first to meet a bad value."""
    new, old = scheduler.buffers[to], scheduler.buffers[of]
    launches = scheduler.launches
    writers = [i for i, x in enumerate(launches) if any(b is new for b in x.writes)]
    readers = [i for i, x in enumerate(launches) if any(b is old for b in x.reads)]
    if len(writers) != 1 or any(launch.checks for launch in launches[writers[0] :]):
        return False
    return all(i <= writers[0] for i in readers)
