"""Which tokens may come next, so that the answer fits a schema."""

import json
from typing import Any, Protocol

import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.grammar.machine import Machine, State
from hornbook.infer.grammar.schema import compile_schema

KEPT = 32  # schemas whose masks are remembered


class _Tokenizer(Protocol):
    vocab_size: int
    special: dict[str, int]

    def decode_bytes(self, ids: list[int]) -> bytes: ...


class Branch:
    """A node of the tree of all tokens' bytes."""

    def __init__(self) -> None:
        self.ends: list[int] = []  # the tokens that are spelled by the way here
        self.branches: dict[int, Branch] = {}


class Vocabulary:
    """The ordinary tokens of a tokenizer by their bytes, ready to be guided."""

    def __init__(self, tokenizer: _Tokenizer, size: int, banned: set[int]):
        self.size = size
        self.token_bytes: dict[int, bytes] = {}
        self.tree = Branch()
        self._compiled: dict[str, Masks] = {}
        special = {*tokenizer.special.values(), *banned}
        for token in range(tokenizer.vocab_size):
            data = b"" if token in special else tokenizer.decode_bytes([token])
            if data:
                self._add(token, data)

    def guide(self, schema: dict[str, Any]) -> "Guide":
        """What leads one answer. Raises :class:`UserError` if nothing fits ``schema``."""
        key = json.dumps(schema, sort_keys=True, default=str)
        if key not in self._compiled:
            machine = Machine(compile_schema(schema))
            if not machine.possible:
                raise UserError("The schema can't be met: no JSON text fits it.")
            if len(self._compiled) == KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = Masks(self, machine)
        return Guide(self._compiled[key])

    def _add(self, token: int, data: bytes) -> None:
        self.token_bytes[token] = data
        branch = self.tree
        for byte in data:
            branch = branch.branches.setdefault(byte, Branch())
        branch.ends.append(token)


class Masks:
    """The tokens that may come next in each state of a grammar, found when first asked."""

    def __init__(self, vocabulary: Vocabulary, machine: Machine):
        self.vocabulary, self.machine = vocabulary, machine
        self._known: dict[State, Tensor] = {}

    def of(self, state: State) -> Tensor:
        """Bool (vocab_size,); which ordinary tokens go on from ``state``."""
        if state not in self._known:
            self._known[state] = self._walk(state)
        return self._known[state]

    def _walk(self, state: State) -> Tensor:
        """Go through the tree of tokens only where the grammar goes too."""
        found: list[int] = []
        todo = [(self.vocabulary.tree, state)]
        while todo:
            branch, place = todo.pop()
            found += branch.ends
            moves = self.machine.moves(place)
            for byte, longer in branch.branches.items():
                if byte in moves:
                    todo.append((longer, moves[byte]))
        mask = torch.zeros(self.vocabulary.size, dtype=torch.bool)
        mask[found] = True
        return mask


class Guide:
    """Follows one answer through a grammar."""

    def __init__(self, masks: Masks):
        self._masks = masks
        self.state: State = masks.machine.start

    @property
    def closed(self) -> bool:
        """Whether the answer is whole and nothing may follow."""
        return not self._masks.machine.moves(self.state)

    def take(self, token: int) -> None:
        """Follow a token that :meth:`allowed` allowed."""
        for byte in self._masks.vocabulary.token_bytes[token]:
            self.state = self._masks.machine.moves(self.state)[byte]

    def allowed(self, stop_ids: frozenset[int]) -> Tensor:
        """Bool (vocab_size,): the tokens that may come next; ends only where it is whole.

        Raises :class:`UserError` when no token of this vocabulary can go on.
        """
        mask = self._masks.of(self.state)
        if None in self.state and stop_ids:
            mask = mask.clone()
            mask[list(stop_ids)] = True
        if not mask.any():
            raise UserError(
                "The schema can't be met: no token of this vocabulary fits what comes next."
            )
        return mask
