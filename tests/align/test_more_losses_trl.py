"""SFT, reward model, cDPO, length-normalised DPO, ORPO and SimPO against TRL's own code."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from foreign import Foreign

from hornbook.align.config import DPOConfig
from hornbook.align.losses import PreferenceBatch, preference_objective
from hornbook.align.reward import RewardBatch, RewardModel, bradley_terry
from hornbook.data.batch import IGNORE, Batch
from hornbook.model.config import ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.config import TrainConfig
from hornbook.train.objective import next_token

trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

PAIRS, TIME = 4, 20


def tiny_model(seed=1):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(5)
    ids = torch.randint(0, 97, (PAIRS, 2, TIME))
    answer = torch.zeros(PAIRS, 2, TIME, dtype=torch.long)
    for pair in range(PAIRS):
        for side in (0, 1):
            answer[pair, side, 6 + pair : 12 + pair + 3 * side] = 1
    return ids, answer


def assert_alike(compute, others):
    """The same loss, and the same gradient of every weight, from two fresh equal models."""
    losses, gradients = [], []
    for function in (compute, others):
        model = tiny_model()
        losses.append(function(model))
        losses[-1].backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5)


def per_answer(model, batch):
    """Summed and mean log-probabilities (pairs, 2) of the answers."""
    ids, answer = (part.flatten(0, 1) for part in batch)
    shares = model(ids[:, :-1]).logits.log_softmax(-1)
    picked = shares.gather(-1, ids[:, 1:, None]).squeeze(-1) * answer[:, 1:]
    sums = picked.sum(1).view(PAIRS, 2)
    return sums, sums / answer[:, 1:].sum(1).view(PAIRS, 2)


def ours(model, batch, reference, **settings):
    ids, answer = batch
    targets = torch.where(answer == 1, ids, IGNORE)[..., 1:]
    pairs = PreferenceBatch(ids[..., :-1], targets, reference)
    config = DPOConfig(train=TrainConfig(steps=1), **settings)
    return preference_objective(config)(Foreign(model), pairs).total / PAIRS


def test_sft_equals_trl(batch):
    """Its collator makes labels of the completion mask; the model's own loss follows."""
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    ids, answer = (part[:, 0] for part in batch)
    ragged = [16, 20, 18, 20]

    def mine(model):
        tokens = torch.zeros(PAIRS, TIME - 1, dtype=torch.long)
        targets = torch.full((PAIRS, TIME - 1), IGNORE)
        for row, n in enumerate(ragged):
            tokens[row, : n - 1] = ids[row, : n - 1]
            wanted = torch.where(answer[row] == 1, ids[row], IGNORE)
            targets[row, : n - 1] = wanted[1:n]
        data = Batch(tokens, targets)
        return next_token(Foreign(model), data).total / data.weight

    def theirs(model):
        rows = []
        for row, n in enumerate(ragged):
            labels = torch.where(answer[row] == 1, ids[row], IGNORE)[:n].tolist()
            rows.append({"input_ids": ids[row, :n].tolist(), "labels": labels})
        inputs = DataCollatorForLanguageModeling(pad_token_id=0)(rows)
        return model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=inputs["labels"],
        ).loss

    assert_alike(mine, theirs)


@pytest.mark.parametrize(
    ("settings", "kind", "smoothing"),
    [
        ({"loss": "cdpo", "label_smoothing": 0.2}, "sigmoid", 0.2),
        ({"loss": "dpo", "length_normalised": True}, "sigmoid_norm", 0.0),
    ],
)
def test_dpos_variants_equal_trl(batch, settings, kind, smoothing):
    with torch.no_grad():
        frozen, _ = per_answer(tiny_model(2), batch)

    def theirs(model):
        if (
            kind == "sigmoid"
        ):  # their cDPO: CPO's formula on the ratios to the reference
            ratios = per_answer(model, batch)[0] - frozen
            trainer = cpo_trainer("sigmoid", 0.3, 0.0, smoothing)
            return trainer_loss(trainer, ratios)
        return sigmoid_norm(model, batch, frozen, 0.3)

    assert_alike(lambda m: ours(m, batch, frozen, beta=0.3, **settings), theirs)


def sigmoid_norm(model, batch, frozen, beta):
    from trl.trainer.utils import add_fused_lm_head

    ids, answer = batch
    same = lambda x: x  # noqa: E731
    trainer = SimpleNamespace(
        model=model, ref_model=None, aux_loss_enabled=False, precompute_ref_logps=True,
        args=SimpleNamespace(
            gradient_checkpointing=False, gradient_checkpointing_kwargs={}
        ),
        accelerator=SimpleNamespace(
            device=torch.device("cpu"), gather=same, gather_for_metrics=same,
            unwrap_model=same,
        ),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _total_train_tokens=0, _tp_size=1, ld_alpha=None, f_divergence_type="reverse_kl",
        loss_types=["sigmoid_norm"], loss_weights=[1.0], beta=beta, label_smoothing=0.0,
        use_weighting=False,
    )  # fmt: skip
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    flat = {
        "input_ids": ids.transpose(0, 1).flatten(0, 1),
        "completion_mask": answer.transpose(0, 1).flatten(0, 1),
        "attention_mask": torch.ones(2 * PAIRS, TIME, dtype=torch.long),
        "ref_chosen_logps": frozen[:, 0],
        "ref_rejected_logps": frozen[:, 1],
    }
    return trl.DPOTrainer._compute_loss(trainer, model, flat, False)


def cpo_trainer(kind, beta, gamma, smoothing=0.0):
    return SimpleNamespace(
        alpha=0.0, loss_type=kind, beta=beta, simpo_gamma=gamma, label_smoothing=smoothing,
        accelerator=SimpleNamespace(device=torch.device("cpu")),
    )  # fmt: skip


def trainer_loss(trainer, log_probs):
    from trl.experimental.cpo import CPOTrainer

    return CPOTrainer.cpo_loss(trainer, log_probs[:, 0], log_probs[:, 1])[0].mean()


def test_simpo_equals_trl(batch):
    none = torch.zeros(PAIRS, 2)
    assert_alike(
        lambda m: ours(m, batch, none, loss="simpo", beta=2.0, target_margin=0.7),
        lambda m: trainer_loss(cpo_trainer("simpo", 2.0, 0.7), per_answer(m, batch)[1]),
    )


def test_orpo_equals_trl(batch):
    """Theirs is the loss of the chosen answer less the weighted log-odds term."""
    from trl.experimental.orpo import ORPOTrainer

    trainer = SimpleNamespace(
        beta=0.25, accelerator=SimpleNamespace(device=torch.device("cpu"))
    )

    def theirs(model):
        means = per_answer(model, batch)[1]
        losses = ORPOTrainer.odds_ratio_loss(trainer, means[:, 0], means[:, 1])[0]
        return -means[:, 0].mean() - losses.mean()

    none = torch.zeros(PAIRS, 2)
    assert_alike(lambda m: ours(m, batch, none, loss="orpo", beta=0.25), theirs)


@pytest.mark.parametrize("centre", [0.0, 0.1])
@pytest.mark.parametrize("with_margin", [False, True])
def test_the_reward_loss_equals_trl(batch, centre, with_margin):
    ids, answer = batch
    ends = (answer * torch.arange(TIME)).argmax(-1)
    margin = torch.tensor([0.5, 0.0, 2.0, 1.0])

    def reward_model():
        torch.manual_seed(3)
        shape = {"n_layers": 1, "d_model": 32, "n_heads": 4, "n_kv_heads": 2}
        return RewardModel(
            Transformer(ModelConfig(**shape, context_length=32, vocab_size=97))
        )

    mine, other = reward_model(), reward_model()
    data = RewardBatch(ids, ends, margin)
    loss = bradley_terry(centre, with_margin)(mine, data).total / PAIRS

    def scored(**inputs):
        rewards = other(
            ids.transpose(0, 1).flatten(0, 1), ends.transpose(0, 1).flatten()
        )
        return SimpleNamespace(logits=rewards[:, None])

    same = lambda x: x  # noqa: E731
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False),
        args=SimpleNamespace(center_rewards_coefficient=centre or None),
        accelerator=SimpleNamespace(gather=same, gather_for_metrics=same),
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _total_train_tokens=0,
        aux_loss_enabled=False,
    )
    inputs = {"margin": margin} if with_margin else {}
    known = trl.RewardTrainer.compute_loss(trainer, scored, inputs)
    loss.backward()
    known.backward()
    torch.testing.assert_close(loss, known, rtol=1e-5, atol=1e-5)
    for one, two in zip(mine.parameters(), other.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-5)
