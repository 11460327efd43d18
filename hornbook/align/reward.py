"""A reward model: one number for how good an answer is, learned from preferences.

The transformer reads prompt and answer, and a linear head reads the hidden state of the
closing ``<|end|>``. Bradley and Terry (1952): the probability that one answer is preferred
to another is the logistic function of the difference of their rewards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from hornbook.align.losses import reward_metrics
from hornbook.align.messages import Preference, assistant
from hornbook.align.order import rows_of_step
from hornbook.align.preference import LENGTH_STEP
from hornbook.align.sft import PAD
from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.data.batch import TensorBatch
from hornbook.model.huggingface import WEIGHTS, TokenIds, read_tensors, save_model
from hornbook.model.layouts import layout_of
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import render_chat
from hornbook.train.objective import Loss, Objective

HEAD = "score.weight"  # Transformers' name for it


class RewardModel(nn.Module):
    """A transformer whose language head has given way to a single number."""

    def __init__(self, body: Transformer) -> None:
        super().__init__()
        self.body = body
        if body.head is not None:
            body.head.requires_grad_(False)  # not used, not trained
        width = body.config.d_model
        self.head = nn.Linear(width, 1, bias=False)
        nn.init.normal_(self.head.weight, std=1 / (width + 1) ** 0.5)

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Rewards (rows,) of tokens (rows, time), read at the places ``ends`` (rows,)."""
        hidden = self.body.hidden(tokens)
        last = hidden[torch.arange(len(ends), device=ends.device), ends]
        return self.head(last).squeeze(-1).float()


@dataclass(frozen=True)
class RewardBatch(TensorBatch):
    """Pairs of whole conversations, the one with the better answer first.

    tokens  (pairs, 2, time) int64
    ends    (pairs, 2) int64: where each closing ``<|end|>`` stands
    margin  (pairs,) float32: by how much the better answer is said to be better
    """

    tokens: Tensor
    ends: Tensor
    margin: Tensor | None = None


def bradley_terry(centre: float = 0.0, margin: bool = False) -> Objective:
    """-log of the probability given to the preference that was observed, summed over pairs.

    With ``margin`` the lead must be as large as the data says (Touvron et al. 2023, Llama 2).

    Only differences count, so the rewards may drift off together; ``centre`` times the
    square of their sum is added to keep them around zero (Eisenstein et al. 2023,
    arXiv 2312.09244).
    """

    def objective(model: nn.Module, batch: RewardBatch) -> Loss:
        flat = model(batch.tokens.flatten(0, 1), batch.ends.flatten())
        rewards = flat.view(-1, 2)
        lead = rewards[:, 0] - rewards[:, 1]
        if margin and batch.margin is not None:
            lead = lead - batch.margin
        total = -F.logsigmoid(lead).sum()
        if centre:
            total = total + centre * (rewards.sum(1) ** 2).sum()
        return Loss(total, reward_metrics(rewards.detach()))

    return objective


@dataclass(frozen=True)
class RewardBatches:
    """A batch source over encoded pairs: a pure function of the step."""

    tokens: np.ndarray
    ends: np.ndarray
    margins: np.ndarray
    batch: int
    seed: int
    too_long: int = 0

    def __call__(self, step: int) -> RewardBatch:
        """Step ``step``'s batch. Raises :class:`UserError` when there are no pairs."""
        if not len(self.tokens):
            raise UserError(
                f"There are no preference pairs to train a reward model on: {self.too_long} "
                "were longer than 'model.context_length', and there were no others."
            )
        return self.rows(rows_of_step(step, self.batch, len(self.tokens), self.seed))

    def rows(self, rows: np.ndarray | slice) -> RewardBatch:
        """The chosen pairs as tensors."""
        return RewardBatch(
            torch.from_numpy(self.tokens[rows].astype(np.int64)),
            torch.from_numpy(self.ends[rows].astype(np.int64)),
            torch.from_numpy(self.margins[rows]),
        )


def reward_batches(
    preferences: Sequence[Preference],
    tokenizer: Tokenizer,
    context_length: int,
    batch: int,
    seed: int,
) -> RewardBatches:
    """Encode pairs and pad them; those that don't fit are left out and counted."""
    rows, margins = [], []
    for preference in preferences:
        sides = [
            render_chat(tokenizer, [*preference.prompt, assistant(answer)]).ids
            for answer in (preference.chosen, preference.rejected)
        ]
        if max(map(len, sides)) <= context_length:
            rows.append(sides)
            margins.append(preference.margin)
    longest = max((len(ids) for sides in rows for ids in sides), default=0)
    time = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, context_length)
    tokens = np.full((len(rows), 2, time), tokenizer.special[PAD], np.int32)
    ends = np.zeros((len(rows), 2), np.int32)
    for row, sides in enumerate(rows):
        for side, ids in enumerate(sides):
            tokens[row, side, : len(ids)] = ids
            ends[row, side] = len(ids) - 1
    too_long = len(preferences) - len(rows)
    leads = np.array(margins, np.float32)
    return RewardBatches(tokens, ends, leads, batch, seed, too_long)


@torch.inference_mode()
def rewards_of(model: RewardModel, batches: RewardBatches) -> np.ndarray:
    """Rewards ``(pairs, 2)`` of every pair, in order."""
    device = model.head.weight.device
    training = model.training
    model.eval()
    found = [np.empty((0, 2), np.float32)]
    for start in range(0, len(batches.tokens), batches.batch):
        piece = batches.rows(slice(start, start + batches.batch)).to(device)
        flat = model(piece.tokens.flatten(0, 1), piece.ends.flatten())
        found.append(flat.view(-1, 2).cpu().numpy())
    model.train(training)
    return np.concatenate(found)


def save_reward(model: RewardModel, directory: Path, token_ids: TokenIds) -> None:
    """Write a directory that AutoModelForSequenceClassification opens."""
    save_model(model.body, directory, token_ids)
    tensors = read_tensors(directory)
    tensors.pop("lm_head.weight", None)
    tensors[HEAD] = model.head.weight.detach().contiguous()
    with atomic_file(directory / WEIGHTS) as handle:
        handle.write(save(tensors, metadata={"format": "pt"}))
    table = read_json(directory / "config.json")
    names = table.get("architectures", [])
    names = [n.replace("CausalLM", "SequenceClassification") for n in names]
    labels = {"id2label": {"0": "reward"}, "label2id": {"reward": 0}}
    write_json(directory / "config.json", table | {"architectures": names} | labels)


def load_reward(directory: Path) -> RewardModel:
    """What :func:`save_reward` wrote."""
    where = str(directory / "config.json")
    table = read_json(directory / "config.json")
    layout = layout_of(table, where)
    model = RewardModel(Transformer(layout.from_table(table, where)))
    state = model.body.state_dict()
    used = {name: t for name, t in state.items() if not name.startswith("head.")}
    tensors = read_tensors(directory)
    head = tensors.pop(HEAD, None)
    if head is None or layout.export(used).keys() != tensors.keys():
        raise UserError(f"{directory} holds no reward model that fits its config.json.")
    with torch.no_grad():
        model.head.weight.copy_(head)
        for name, tensor in layout.load(tensors, model.body.config).items():
            used[name].copy_(tensor)
    return model
