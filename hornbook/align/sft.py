"""Supervised fine-tuning: conversations packed into rows, loss on the answers only.

A row of ``context_length`` tokens holds several conversations. Segment numbers keep them
apart (the model's attention never crosses one), and a target is the next token *of the same
conversation*, where that token is the assistant's: the closing ``<|end|>`` is one of them, or
the model would never learn to stop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hornbook.align.messages import Conversation
from hornbook.align.order import rows_of_step
from hornbook.core.errors import UserError
from hornbook.core.progress import Progress
from hornbook.data.batch import IGNORE, Batch
from hornbook.data.packing import pack_rows
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import ChatIds, render_chat

PAD = "<|pad|>"
PADDING_SEGMENT = 0  # conversations count from 1


@dataclass(frozen=True)
class PackedRows:
    """Conversations as arrays of ``(rows, context_length)``, int32.

    ``too_long`` counts the conversations that don't fit into a row and are left out, and
    ``answer_bytes`` the UTF-8 bytes of all answers within.
    """

    tokens: np.ndarray
    targets: np.ndarray
    segments: np.ndarray
    conversations: int
    too_long: int
    answer_bytes: int

    @property
    def waste(self) -> float:
        """The share of places that are padding."""
        return float((self.segments == PADDING_SEGMENT).mean())

    @property
    def answer_tokens(self) -> int:
        """How many tokens carry a loss."""
        return int((self.targets != IGNORE).sum())

    def batch(self, rows: np.ndarray | slice) -> Batch:
        """The chosen rows as tensors."""
        parts = (self.tokens, self.targets, self.segments)
        return Batch(*(torch.from_numpy(part[rows].astype(np.int64)) for part in parts))


def pack(
    conversations: Sequence[Conversation], tokenizer: Tokenizer, context_length: int
) -> PackedRows:
    """Encode conversations and pack them by best fit."""
    encoded, answer_bytes, too_long = [], 0, 0
    with Progress("encoding", total=len(conversations), unit="chat") as progress:
        for conversation in conversations:
            progress.advance()
            chat = render_chat(tokenizer, conversation.messages)
            if len(chat.ids) - 1 > context_length:
                too_long += 1
            elif chat.mask.any():
                encoded.append(chat)
                answer_bytes += _answer_bytes(conversation)
    rows = pack_rows([len(chat.ids) - 1 for chat in encoded], context_length)
    shape = (len(rows), context_length)
    tokens = np.full(shape, tokenizer.special[PAD], np.int32)
    targets = np.full(shape, IGNORE, np.int32)
    segments = np.full(shape, PADDING_SEGMENT, np.int32)
    for row, members in enumerate(rows):
        start = 0
        for number, chat in enumerate((encoded[m] for m in members), 1):
            end = start + len(chat.ids) - 1
            tokens[row, start:end], targets[row, start:end] = shifted(chat)
            segments[row, start:end] = number
            start = end
    return PackedRows(tokens, targets, segments, len(encoded), too_long, answer_bytes)


def shifted(chat: ChatIds) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of one conversation, both one shorter than it.

    The target at a place is the next token if the assistant wrote that, else ``IGNORE``.
    """
    return chat.ids[:-1], np.where(chat.mask[1:] == 1, chat.ids[1:], IGNORE)


def _answer_bytes(conversation: Conversation) -> int:
    answers = (m["content"] for m in conversation.messages if m["role"] == "assistant")
    return sum(len(answer.encode()) for answer in answers)


@dataclass(frozen=True)
class SFTBatches:
    """A batch source: ``batches(step)`` depends on the rows, the seed and the step alone."""

    rows: PackedRows
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if not len(self.rows.tokens):
            raise UserError(
                f"There are no conversations to train on: {self.rows.too_long} were "
                "longer than 'model.context_length', and the chat data held no others."
            )

    def __call__(self, step: int) -> Batch:
        """Step ``step``'s batch, ``(batch, context_length)``."""
        return self.rows.batch(
            rows_of_step(step, self.batch, len(self.rows.tokens), self.seed)
        )


def in_order(rows: PackedRows, batch: int) -> Iterator[Batch]:
    """All rows once, for evaluation."""
    for start in range(0, len(rows.tokens), batch):
        yield rows.batch(slice(start, start + batch))
