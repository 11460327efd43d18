"""Chat judged by a reward model: the ``chat`` benchmark.

A model answers held-out questions, a reward model of another run says how good each answer
is. Two models judged so on the same questions make a win rate: ``hornbook compare``.
"""

from collections.abc import Callable
from pathlib import Path

import torch

from hornbook.align.messages import assistant, user
from hornbook.align.reward import RewardModel, load_reward
from hornbook.core.errors import UserError
from hornbook.core.files import sha256
from hornbook.evaluate.examples import Example
from hornbook.evaluate.generation import Sampling, sampling_of, write
from hornbook.evaluate.notes import Record, hashed
from hornbook.evaluate.task import TaskConfig
from hornbook.infer.engine import Engine
from hornbook.tokenizer.base import Tokenizer, load_tokenizer
from hornbook.tokenizer.chat import render_chat

Judge = Callable[[list[Example]], list[Record]]


class RewardJudge:
    """A reward model, from a run or its own folder."""

    def __init__(self, path: Path, device: torch.device) -> None:
        directory = path / "reward" / "model"
        directory = directory if directory.is_dir() else path
        if not (directory / "config.json").exists():
            raise UserError(
                f"{path} holds no reward model; name a run that trained one with --reward."
            )
        self.model: RewardModel = load_reward(directory).to(device).eval()
        self.tokenizer: Tokenizer = load_tokenizer(directory)
        self.digest = sha256(directory / "model.safetensors")

    @torch.inference_mode()
    def reward(self, question: str, answer: str) -> float:
        """How good an answer is; of a talk beyond the context the end is read."""
        ids = render_chat(self.tokenizer, [user(question), assistant(answer)]).ids
        ids = ids[-self.model.body.config.context_length :]
        device = self.model.head.weight.device
        tokens = torch.from_numpy(ids).long()[None].to(device)
        return float(self.model(tokens, torch.tensor([len(ids) - 1], device=device)))

    def of(self, engine: Engine, task: TaskConfig) -> Judge:
        """Judges what ``engine`` answers, greedily."""

        def judge(examples: list[Example]) -> list[Record]:
            sampling = sampling_of(task, Sampling())
            answers = write(engine, task, examples, sampling, chat=True)
            return [
                Record(
                    example.number,
                    hashed(example.contexts[0]),
                    {"reward": self.reward(example.contexts[0], answer)},
                    example.group,
                    output=[answer],
                )
                for example, answer in zip(examples, answers, strict=True)
            ]

        return judge
