"""A judge that asks a reward model."""

from collections.abc import Sequence

import numpy as np
import torch

from hornbook.align.judge import Exercise
from hornbook.align.messages import assistant
from hornbook.align.reward import RewardModel
from hornbook.align.sft import PAD
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import render_chat

ROWS = 32  # answers read at once


class ModelJudge:
    """Rewards are what ``model`` gives prompt and answer; an empty answer counts as well."""

    def __init__(self, model: RewardModel, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    def __call__(
        self, exercises: Sequence[Exercise], answers: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rewards (answers,), and that none of them failed."""
        chats = [
            render_chat(self.tokenizer, [*exercise.prompt, assistant(answer)]).ids
            for exercise, answer in zip(exercises, answers, strict=True)
        ]
        found = [self._rewards(chats[i : i + ROWS]) for i in range(0, len(chats), ROWS)]
        rewards = np.concatenate(found).astype(np.float32)
        return rewards, np.zeros_like(rewards)

    @torch.no_grad()
    def _rewards(self, chats: list[np.ndarray]) -> np.ndarray:
        length = self.model.body.config.context_length
        chats = [ids[-length:] for ids in chats]
        longest = max(map(len, chats))
        tokens = torch.full((len(chats), longest), self.tokenizer.special[PAD])
        for row, ids in enumerate(chats):
            tokens[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
        ends = torch.tensor([len(ids) - 1 for ids in chats])
        device = self.model.head.weight.device
        return self.model(tokens.to(device), ends.to(device)).cpu().numpy()
