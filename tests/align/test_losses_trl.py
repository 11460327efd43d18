"""DPO and IPO against TRL's own trainer, on a Hugging Face model and the same batch."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from foreign import Foreign

from hornbook.align.config import DPOConfig
from hornbook.align.losses import (
    PreferenceBatch,
    kto,
    preference_objective,
)
from hornbook.align.scoring import log_probs
from hornbook.data.batch import IGNORE
from hornbook.train.config import TrainConfig

trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")


def tiny_model(seed):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3, attention_dropout=0.0,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(5)
    ids = torch.randint(0, 97, (4, 2, 20))
    answer = torch.zeros(4, 2, 20, dtype=torch.long)
    for pair in range(4):
        for side in (0, 1):
            answer[pair, side, 6 + pair : 12 + pair + 3 * side] = 1
    return ids, answer


def ours(model, reference, batch, **settings):
    ids, answer = batch
    targets = torch.where(answer == 1, ids, IGNORE)[..., 1:]
    with torch.no_grad():
        frozen = log_probs(Foreign(reference), ids[..., :-1], targets)
    pairs = PreferenceBatch(ids[..., :-1], targets, frozen)
    config = DPOConfig(train=TrainConfig(steps=1), **settings)
    return preference_objective(config)(Foreign(model), pairs).total / len(ids)


def _trainer(model, reference, **settings):
    """A trainer of TRL's that has been given only what its losses read."""
    same = lambda x: x  # noqa: E731
    accelerator = SimpleNamespace(
        device=torch.device("cpu"),
        gather=same,
        gather_for_metrics=same,
        unwrap_model=same,
    )
    return SimpleNamespace(
        model=model,
        ref_model=reference,
        accelerator=accelerator,
        args=SimpleNamespace(
            gradient_checkpointing=False, gradient_checkpointing_kwargs={}
        ),
        aux_loss_enabled=False,
        precompute_ref_logps=False,
        calculate_KL=True,
        desirable_weight=1.0,
        undesirable_weight=1.0,
        _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        **settings,
    )


def theirs(model, reference, batch, loss, beta):
    from trl.trainer.utils import add_fused_lm_head

    trainer = _trainer(
        model,
        reference,
        ld_alpha=None,
        f_divergence_type="reverse_kl",
        loss_types=[loss],
        loss_weights=[1.0],
        beta=beta,
        label_smoothing=0.0,
        use_weighting=False,
    )
    outputs = ("log_probs", "entropy", "mean_logits", "is_top1")
    add_fused_lm_head(model, outputs=outputs)
    add_fused_lm_head(reference)
    ids, answer = batch
    flat = {  # chosen first, then rejected, as its collator lays them out
        "input_ids": ids.transpose(0, 1).flatten(0, 1),
        "completion_mask": answer.transpose(0, 1).flatten(0, 1),
        "attention_mask": torch.ones(8, 20, dtype=torch.long),
    }
    return trl.DPOTrainer._compute_loss(trainer, model, flat, False)


@pytest.mark.parametrize(
    ("settings", "loss"),
    [({"loss": "dpo", "beta": 0.3}, "sigmoid"), ({"loss": "ipo", "beta": 0.4}, "ipo")],
)
def test_losses_and_gradients_equal_trl(batch, settings, loss):
    losses, gradients = [], []
    for compute in (ours, theirs):
        model, reference = tiny_model(1), tiny_model(2)
        extra = (
            {**settings}
            if compute is ours
            else {"loss": loss, "beta": settings["beta"]}
        )
        losses.append(compute(model, reference, batch, **extra))
        losses[-1].backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5)


def test_kto_equals_trl(batch):
    """Both start from the same model, batch and unrelated answers."""
    from trl.trainer.utils import add_fused_lm_head

    ids, answer = batch
    labels = torch.tensor([True, False, True, True])
    targets = torch.where(answer == 1, ids, IGNORE)[..., 1:]
    losses, gradients = [], []
    for side in ("ours", "theirs"):
        model, reference = tiny_model(1), tiny_model(2)
        with torch.no_grad():
            frozen = log_probs(Foreign(reference), ids[..., :-1], targets)
        if side == "ours":
            pairs = PreferenceBatch(ids[..., :-1], targets, frozen, labels)
            loss = kto(0.3)(Foreign(model), pairs).total / 4
        else:
            add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits"))
            with torch.no_grad():
                unrelated = log_probs(Foreign(model), ids[:, 1, :-1], targets[:, 1])
            trainer = _trainer(model, reference, loss_type="kto", beta=0.3)
            trainer._compute_kl_logps = lambda *_, u=unrelated: u
            trainer.precompute_ref_logps = True
            inputs = {
                "input_ids": ids[:, 0],
                "attention_mask": torch.ones(4, 20, dtype=torch.long),
                "completion_mask": answer[:, 0],
                "label": labels,
                "ref_logps": frozen[:, 0],
                "ref_KL_logps": frozen[:, 1],
            }
            loss = trl.KTOTrainer._compute_loss(trainer, model, inputs, False)
        loss.backward()
        losses.append(loss)
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-5)
