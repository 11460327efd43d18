"""The policy gradient against TRL's, on a Hugging Face model and the same answers."""

from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from foreign import Foreign

from hornbook.align.advantages import advantages_of, answer_scale
from hornbook.align.config import GRPOConfig
from hornbook.align.grpo import policy_gradient
from hornbook.align.rollouts import RolloutBatch
from hornbook.data.batch import IGNORE
from hornbook.train.config import TrainConfig

trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

PROMPT, ANSWER, GROUP = 5, 9, 4


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


def ours(rollouts, variant, old, reference, kl):
    ids, mask, rewards = rollouts
    config = GRPOConfig(
        train=TrainConfig(steps=1), variant=variant, group=GROUP, max_tokens=ANSWER,
        clip=0.2, clip_high=0.2, kl=kl,
    )  # fmt: skip
    targets = torch.full((len(ids), PROMPT + ANSWER - 1), IGNORE)
    targets[:, PROMPT - 1 :] = torch.where(mask == 1, ids[:, PROMPT:], IGNORE)
    flat = torch.from_numpy(rewards).flatten()

    def placed(values):
        whole = torch.zeros(len(ids), PROMPT + ANSWER - 1)
        whole[:, PROMPT - 1 :] = values * mask
        return whole

    batch = RolloutBatch(
        tokens=ids[:, :-1],
        targets=targets,
        advantages=torch.from_numpy(advantages_of(rewards, variant)).flatten(),
        scale=answer_scale(mask.sum(1), config),
        rewards=flat,
        mixed=torch.ones_like(flat),
        old=None if old is None else placed(old),
        reference=placed(reference) if kl else None,
    )
    model = tiny_model()
    loss = policy_gradient([], config)(Foreign(model), batch).total / batch.weight
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def trainer_of(model, variant, kl):
    """A trainer of theirs that has been given only what its loss reads."""

    def log_probs(model, input_ids, attention_mask, logits_to_keep, **_):
        logits = model(input_ids).logits[:, :-1].log_softmax(-1)
        picked = logits.gather(-1, input_ids[:, 1:, None]).squeeze(-1)
        entropies = torch.zeros(len(input_ids), ANSWER)
        return picked[:, -logits_to_keep:], entropies, None

    same = lambda x: x  # noqa: E731
    return SimpleNamespace(
        _get_per_token_logps_and_entropies=log_probs,
        accelerator=SimpleNamespace(
            num_processes=1,
            gather=same,
            gather_for_metrics=same,
            reduce=lambda x, reduction: x,
        ),
        args=SimpleNamespace(
            delta=None, steps_per_generation=1, use_bias_correction_kl=False
        ),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=kl,
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


def theirs(rollouts, variant, old, reference, kl):
    ids, mask, rewards = rollouts
    model = tiny_model().train()
    flat = torch.from_numpy(rewards)
    if variant == "rloo":
        others = (flat.sum(1, keepdim=True) - flat) / (GROUP - 1)
        advantages = flat - others
    else:
        advantages = flat - flat.mean(1, keepdim=True)
    if variant in ("grpo", "dapo"):
        advantages = advantages / (flat.std(1, keepdim=True) + 1e-4)
    inputs = {
        "prompt_ids": ids[:, :PROMPT],
        "prompt_mask": torch.ones(len(ids), PROMPT, dtype=torch.long),
        "completion_ids": ids[:, PROMPT:],
        "completion_mask": mask,
        "advantages": advantages.flatten(),
        "num_items_in_batch": mask.sum(),
    }
    if old is not None:
        inputs["old_per_token_logps"] = old
        inputs["old_logps"] = (old * mask).sum(1)
    if kl:
        inputs["ref_per_token_logps"] = reference
    kind = trl.RLOOTrainer if variant == "rloo" else trl.GRPOTrainer
    loss = kind._compute_loss(trainer_of(model, variant, kl), model, inputs)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def log_probs_near(rollouts, seed):
    """What a policy a few steps away would have given the answers."""
    ids = rollouts[0]
    with torch.no_grad():
        shares = tiny_model()(ids).logits[:, :-1].log_softmax(-1)
    known = shares.gather(-1, ids[:, 1:, None]).squeeze(-1)[:, -ANSWER:]
    noise = torch.randn(known.shape, generator=torch.Generator().manual_seed(seed))
    return known + 0.2 * noise


@pytest.mark.parametrize("variant", ["grpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_later_updates_equal_trl_in_value_and_gradient(rollouts, variant, kl):
    """Here ratios differ from 1, some beyond the clip, and the start is another policy."""
    old, reference = log_probs_near(rollouts, 1), log_probs_near(rollouts, 2)
    (loss, gradients), (known, wanted) = (
        side(rollouts, variant, old, reference, kl) for side in (ours, theirs)
    )
    torch.testing.assert_close(loss, known, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)


def test_rloo_equals_trl(rollouts):
    old = log_probs_near(rollouts, 1)
    (loss, gradients), (known, wanted) = (
        side(rollouts, "rloo", old, None, 0.0) for side in (ours, theirs)
    )
    torch.testing.assert_close(loss, known, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["grpo", "dr_grpo", "dapo"])
def test_the_first_update_equals_trl(rollouts, variant):
    (loss, gradients), (known, wanted) = (
        side(rollouts, variant, None, None, 0.0) for side in (ours, theirs)
    )
    torch.testing.assert_close(loss, known, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-5)
