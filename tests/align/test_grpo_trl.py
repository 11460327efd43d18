"""The policy gradient against TRL's, on a Hugging Face model and the same answers.

Off the ratio's first step the values differ (theirs is a ratio of 1, ours a log-probability),
so it is the gradients that have to agree.
"""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from hornbook.align.config import GRPOConfig
from hornbook.align.grpo import (
    RolloutBatch,
    advantages_of,
    answer_scale,
    policy_gradient,
)
from hornbook.data.batch import IGNORE
from hornbook.train.config import TrainConfig

trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

PROMPT, ANSWER, GROUP = 5, 9, 4


class Logits(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        return self.model(tokens).logits


def tiny_model():
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def rollouts():
    torch.manual_seed(5)
    ids = torch.randint(0, 97, (2 * GROUP, PROMPT + ANSWER))
    lengths = torch.tensor([3, 9, 5, 7, 2, 8, 9, 4])
    mask = (torch.arange(ANSWER) < lengths[:, None]).long()
    rewards = np.random.default_rng(0).random((2, GROUP)).astype(np.float32)
    return ids, mask, rewards


def our_gradients(rollouts, variant):
    ids, mask, rewards = rollouts
    config = GRPOConfig(
        train=TrainConfig(steps=1), variant=variant, group=GROUP, max_tokens=ANSWER
    )
    targets = torch.full((len(ids), PROMPT + ANSWER - 1), IGNORE)
    targets[:, PROMPT - 1 :] = torch.where(mask == 1, ids[:, PROMPT:], IGNORE)
    flat = torch.from_numpy(rewards).flatten()
    batch = RolloutBatch(
        tokens=ids[:, :-1],
        targets=targets,
        advantages=torch.from_numpy(advantages_of(rewards, variant)).flatten(),
        scale=answer_scale(mask.sum(1), config),
        rewards=flat,
        mixed=torch.ones_like(flat),
    )
    model = tiny_model()
    (policy_gradient([])(Logits(model), batch).total / batch.weight).backward()
    return {name: p.grad for name, p in model.named_parameters()}


def their_gradients(rollouts, variant):
    ids, mask, rewards = rollouts
    model = tiny_model().train()
    flat = torch.from_numpy(rewards)
    advantages = flat - flat.mean(1, keepdim=True)
    if variant != "dr_grpo":
        advantages = advantages / (flat.std(1, keepdim=True) + 1e-4)

    def log_probs(model, input_ids, attention_mask, logits_to_keep, **_):
        logits = model(input_ids).logits[:, :-1].log_softmax(-1)
        picked = logits.gather(-1, input_ids[:, 1:, None]).squeeze(-1)
        return picked[:, -logits_to_keep:], torch.zeros(len(ids), ANSWER), None

    same = lambda x: x  # noqa: E731
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=log_probs,
        accelerator=SimpleNamespace(
            num_processes=1,
            gather=same,
            gather_for_metrics=same,
            reduce=lambda x, reduction: x,
        ),
        args=SimpleNamespace(delta=None, steps_per_generation=1),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=0.0,
        loss_type=variant,
        epsilon_low=0.2,
        epsilon_high=0.2,
        use_vllm=False,
        max_completion_length=ANSWER,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        model=model,
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
    )
    inputs = {
        "prompt_ids": ids[:, :PROMPT],
        "prompt_mask": torch.ones(len(ids), PROMPT, dtype=torch.long),
        "completion_ids": ids[:, PROMPT:],
        "completion_mask": mask,
        "advantages": advantages.flatten(),
        "num_items_in_batch": mask.sum(),
    }
    trl.GRPOTrainer._compute_loss(trainer, model, inputs).backward()
    return {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("variant", ["grpo", "dr_grpo", "dapo"])
def test_gradients_equal_trl(rollouts, variant):
    ours, theirs = our_gradients(rollouts, variant), their_gradients(rollouts, variant)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5)
