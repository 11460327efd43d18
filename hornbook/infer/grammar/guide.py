"""Which tokens may come next, so that the answer fits a schema."""

from typing import Any, Protocol

import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.infer.grammar.machine import Machine, State
from hornbook.infer.grammar.schema import compile_schema


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
        special = {*tokenizer.special.values(), *banned}
        for token in range(tokenizer.vocab_size):
            data = b"" if token in special else tokenizer.decode_bytes([token])
            if data:
                self._add(token, data)

    def guide(self, schema: dict[str, Any]) -> "Guide":
        """What leads one answer. Raises :class:`UserError` if nothing fits ``schema``."""
        machine = Machine(compile_schema(schema))
        if not machine.possible:
            raise UserError("The schema can't be met: no JSON text fits it.")
        return Guide(self, machine)

    def _add(self, token: int, data: bytes) -> None:
        self.token_bytes[token] = data
        branch = self.tree
        for byte in data:
            branch = branch.branches.setdefault(byte, Branch())
        branch.ends.append(token)


class Guide:
    """Follows one answer through the grammar; masks are kept by state."""

    def __init__(self, vocabulary: Vocabulary, machine: Machine):
        self.vocabulary, self.machine = vocabulary, machine
        self.state: State = machine.start
        self._masks: dict[State, Tensor] = {}

    @property
    def closed(self) -> bool:
        """Whether the answer is whole and nothing may follow."""
        return not self.machine.moves(self.state)

    def take(self, token: int) -> None:
        """Follow a token that :meth:`allowed` allowed."""
        for byte in self.vocabulary.token_bytes[token]:
            self.state = self.machine.moves(self.state)[byte]

    def allowed(self, stop_ids: frozenset[int]) -> Tensor:
        """Bool (vocab_size,): the tokens that may come next; ends only where it is whole.

        Raises :class:`UserError` when no token of this vocabulary can go on.
        """
        if self.state not in self._masks:
            self._masks[self.state] = self._mask()
        mask = self._masks[self.state]
        if None in self.state and stop_ids:
            mask = mask.clone()
            mask[list(stop_ids)] = True
        if not mask.any():
            raise UserError(
                "The schema can't be met: no token of this vocabulary fits what comes next."
            )
        return mask

    def _mask(self) -> Tensor:
        found: list[int] = []
        todo = [(self.vocabulary.tree, self.state)]
        while todo:
            branch, state = todo.pop()
            found += branch.ends
            moves = self.machine.moves(state)
            for byte, longer in branch.branches.items():
                if byte in moves:
                    todo.append((longer, moves[byte]))
        mask = torch.zeros(self.vocabulary.size, dtype=torch.bool)
        mask[found] = True
        return mask
