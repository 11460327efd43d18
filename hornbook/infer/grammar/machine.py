"""Grammars over bytes, and a machine that reads them one byte at a time.

A grammar is a tree of a few kinds of node; :class:`Named` ones may refer back to
themselves, so that arrays can hold arrays. The machine's state is the set of ways in which
what was read so far could go on: each is a stack of nodes still to come, the next on top.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Union


@dataclass(frozen=True, eq=False)
class OneOf:
    """A single byte, one of these."""

    bytes: frozenset[int]


@dataclass(frozen=True, eq=False)
class Then:
    """All parts, one after the other; without parts, nothing at all."""

    parts: tuple["Node", ...] = ()


@dataclass(frozen=True, eq=False)
class Either:
    """Any one of the choices; without choices, nothing fits."""

    choices: tuple["Node", ...]


@dataclass(frozen=True, eq=False)
class Repeat:
    """``part``, ``least`` to ``most`` times; None: as often as you like."""

    part: "Node"
    least: int = 0
    most: int | None = None

    @cached_property
    def next(self) -> "Repeat":
        """What may follow after one time."""
        if self.most is None and not self.least:
            return self
        most = None if self.most is None else self.most - 1
        return Repeat(self.part, max(0, self.least - 1), most)


@dataclass(eq=False)
class Named:
    """A node that can be referred to before it is known."""

    name: str
    node: Union["Node", None] = field(default=None, repr=False)


Node = OneOf | Then | Either | Repeat | Named
Stack = tuple | None  # (node, stack below); None: all is read
State = frozenset[Stack]


def literal(data: bytes) -> Node:
    """Exactly these bytes."""
    return Then(tuple(OneOf(frozenset({byte})) for byte in data))


def one_of(*ranges: tuple[int, int]) -> Node:
    """A byte in one of the ranges, ends included."""
    return OneOf(frozenset(b for low, high in ranges for b in range(low, high + 1)))


def optional(node: Node) -> Node:
    """``node`` or nothing."""
    return Either((node, Then()))


class Machine:
    """Reads bytes against a grammar. States are shared, so they can be compared by ``is``."""

    def __init__(self, grammar: Node):
        self._can_end = _finite(grammar)
        self._states: dict[State, State] = {}
        self._moves: dict[State, dict[int, State]] = {}
        self._stacks: dict[tuple, tuple] = {}
        self.start = self._state([(grammar, None)] if grammar in self._can_end else [])

    @property
    def possible(self) -> bool:
        """Whether anything at all fits."""
        return bool(self.start)

    def moves(self, state: State) -> dict[int, State]:
        """For each byte that may come, the state after it."""
        if state not in self._moves:
            after: dict[int, list[Stack]] = {}
            for stack in state:
                if stack is not None:
                    for byte in stack[0].bytes:
                        after.setdefault(byte, []).append(stack[1])
            shared: dict[tuple, State] = {}
            self._moves[state] = {}
            for byte, stacks in after.items():
                key = tuple(map(id, stacks))
                if key not in shared:
                    shared[key] = self._state(stacks)
                self._moves[state][byte] = shared[key]
        return self._moves[state]

    def _state(self, stacks: Iterable[Stack]) -> State:
        """The state of these stacks, each unfolded until a byte or nothing is on top."""
        found: set[Stack] = set()
        todo, seen = list(stacks), set()
        while todo:
            stack = todo.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if stack is None or isinstance(stack[0], OneOf):
                found.add(stack)
            else:
                todo += self._unfold(*stack)
        state = frozenset(found)
        return self._states.setdefault(state, state)

    def _unfold(self, node: Node, below: Stack) -> list[Stack]:
        if isinstance(node, Then):
            for part in reversed(node.parts):
                below = self._push(part, below)
            return [below]
        if isinstance(node, Either):
            return [self._push(c, below) for c in node.choices if self._ends(c)]
        if isinstance(node, Named):
            return [self._push(node.node, below)] if node.node else []
        assert isinstance(node, Repeat)
        result: list[Stack] = [] if node.least else [below]
        if node.most != 0 and self._ends(node.part):
            result.append(self._push(node.part, self._push(node.next, below)))
        return result

    def _push(self, node: Node, below: Stack) -> Stack:
        stack = (node, below)
        return self._stacks.setdefault(stack, stack)

    def _ends(self, node: Node) -> bool:
        if isinstance(node, Repeat):  # may be one of those made on the way
            return not node.least or node.part in self._can_end
        return node in self._can_end


def _finite(grammar: Node) -> set[Node]:
    """The nodes that some finite text fits: what can't be met is never entered."""
    nodes = _reachable(grammar)
    finite: set[Node] = set()
    grown = True
    while grown:
        new = {node for node in nodes if node not in finite and _fits(node, finite)}
        finite |= new
        grown = bool(new)
    return finite


def _fits(node: Node, finite: set[Node]) -> bool:
    if isinstance(node, OneOf):
        return bool(node.bytes)
    if isinstance(node, Then):
        return all(part in finite for part in node.parts)
    if isinstance(node, Either):
        return any(choice in finite for choice in node.choices)
    if isinstance(node, Repeat):
        return not node.least or node.part in finite
    return node.node in finite


def _reachable(grammar: Node) -> set[Node]:
    found: set[Node] = set()
    todo: list[Node] = [grammar]
    while todo:
        node = todo.pop()
        if node in found:
            continue
        found.add(node)
        if isinstance(node, Then):
            todo += node.parts
        elif isinstance(node, Either):
            todo += node.choices
        elif isinstance(node, Repeat):
            todo.append(node.part)
        elif isinstance(node, Named) and node.node is not None:
            todo.append(node.node)
    return found
