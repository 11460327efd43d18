"""Learning from examples: instruction tuning, preferences, a reward model.

``sft`` starts from the pretrained model, ``dpo`` (and its kin) and ``reward`` from the
fine-tuned one. Each hands a model, an objective and a batch source to the one loop.
"""

from pathlib import Path
from typing import Any

import torch

from hornbook.align.config import DPOConfig, LoRAConfig
from hornbook.align.distil import distillation, load_teacher
from hornbook.align.held_out import policy_drift, preference_scores
from hornbook.align.lora import add_lora, load_adapter, merged, save_adapter
from hornbook.align.losses import preference_objective
from hornbook.align.messages import Conversation, Preference, read_jsonl
from hornbook.align.neftune import add_noise
from hornbook.align.preference import (
    PreferenceBatches,
    PreferencePairs,
    encode_labelled,
    encode_pairs,
    load_pairs,
    save_pairs,
    with_reference,
    without_reference,
)
from hornbook.align.reward import (
    RewardBatches,
    RewardModel,
    bradley_terry,
    load_reward,
    reward_batches,
    rewards_of,
    save_reward,
)
from hornbook.align.sft import SFTBatches, in_order, pack
from hornbook.infer.engine import Engine
from hornbook.infer.scoring import held_out_nats
from hornbook.model.transformer import Transformer
from hornbook.pipeline import Task
from hornbook.tokenizer.base import Tokenizer
from hornbook.train.backend import Backend, choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.objective import next_token_objective
from hornbook.training import (
    Files,
    Texts,
    answer,
    load,
    plain_files,
    run_training,
    token_ids,
)

ADAPTER = "adapter"  # the folder of a checkpoint in which PEFT finds one
NO_REFERENCE = ("simpo", "orpo")


def sft(task: Task) -> dict[str, Any]:
    """Teach the pretrained model to answer: loss on the answers of packed conversations."""
    recipe = task.recipe
    assert recipe.sft is not None
    model, tokenizer = load(task.input("pretrain") / "model")
    config, length = recipe.sft.train, model.config.context_length
    chats = task.input("chatdata")
    rows = pack(read_jsonl(chats / "sft.jsonl", Conversation), tokenizer, length)
    held_out = pack(
        read_jsonl(chats / "sft_validation.jsonl", Conversation), tokenizer, length
    )
    backend = choose_backend(config, task.device)
    batches = SFTBatches(rows, config.batch, recipe.seed)
    files = _prepare(model, tokenizer, recipe.sft.lora, recipe.seed)
    if recipe.sft.neftune:
        add_noise(model, recipe.sft.neftune)
    objective = next_token_objective(config)
    if recipe.sft.teacher:
        path, size = Path(recipe.sft.teacher).expanduser(), model.config.vocab_size
        teacher = load_teacher(path, tokenizer, size).to(backend.device)
        sharing = recipe.sft.teacher_weight, recipe.sft.teacher_temperature
        objective = distillation(teacher, *sharing)

    def validate() -> dict[str, float]:
        nats, tokens = held_out_nats(
            model, in_order(held_out, config.batch), backend.precision
        )
        return {"validation_loss": nats / max(tokens, 1)}

    facts = run_training(
        task,
        model,
        objective,
        batches,
        config,
        backend,
        files,
        validate,
        _answers(task, model, tokenizer),
    )
    return {
        **facts,
        **trained_share(model),
        "conversations": rows.conversations,
        "held_out_conversations": held_out.conversations,
        "too_long": rows.too_long,
        "packing_waste": rows.waste,
        "epochs": config.steps * config.batch / len(rows.tokens),
    }


def dpo(task: Task) -> dict[str, Any]:
    """Prefer the right answer to a wrong one, measured against the fine-tuned model."""
    recipe = task.recipe
    assert recipe.dpo is not None
    start = task.input("sft") / "model"
    model, tokenizer = load(start)
    settings, config = recipe.dpo, recipe.dpo.train
    backend = choose_backend(config, task.device)
    pairs = _training_pairs(task, settings, model, tokenizer, backend)
    held_out = _pairs(task, "preference_validation", model, tokenizer, backend, config)
    live = None
    if pairs.reference is None:
        live = load(start)[0].to(backend.device).requires_grad_(False)
    batches = PreferenceBatches(
        pairs, config.batch, recipe.seed, live, backend.autocast, not backend.compile
    )
    files = _prepare(model, tokenizer, settings.lora, recipe.seed)

    def validate() -> dict[str, float]:
        scores = preference_scores(model, held_out, config.batch, backend.precision)
        frozen = load(start)[0] if live is None else live
        return {
            "validation_accuracy": float(scores.right()["reward"].mean()),
            "validation_margin": float(scores.margins(settings.beta).mean()),
            "validation_kl": policy_drift(model, frozen, held_out, config.batch),
        }

    facts = run_training(
        task,
        model,
        preference_objective(settings),
        batches,
        config,
        backend,
        files,
        validate if len(held_out) else None,
        _answers(task, model, tokenizer),
    )
    return {
        **facts,
        **trained_share(model),
        "loss": settings.loss,
        "pairs": len(pairs),
        "held_out_pairs": len(held_out),
        "too_long": pairs.too_long,
        "epochs": config.steps * config.batch / len(pairs),
    }


def reward(task: Task) -> dict[str, Any]:
    """Learn one number for how good an answer is, from the same preferences."""
    recipe = task.recipe
    assert recipe.reward is not None
    body, tokenizer = load(task.input("sft") / "model")
    config = recipe.reward.train
    backend = choose_backend(config, task.device)
    torch.manual_seed(recipe.seed)
    model = RewardModel(body)
    pairs, held_out = (
        encode_rewarded(task, name, tokenizer, body.config.context_length)
        for name in ("preference", "preference_validation")
    )

    def write(copy: RewardModel, directory: Path) -> None:
        save_reward(copy, directory, token_ids(tokenizer))
        tokenizer.save(directory)

    def read(directory: Path) -> None:
        model.load_state_dict(load_reward(directory).state_dict(), strict=False)

    def validate() -> dict[str, float]:
        found = rewards_of(model, held_out)
        return {
            "validation_accuracy": float((found[:, 0] > found[:, 1]).mean()),
            "validation_margin": float((found[:, 0] - found[:, 1]).mean()),
        }

    facts = run_training(
        task,
        model,
        bradley_terry(recipe.reward.centre, recipe.reward.margin),
        pairs,
        config,
        backend,
        Files(write, read),
        validate if len(held_out.tokens) else None,
    )
    return {
        **facts,
        "pairs": len(pairs.tokens),
        "held_out_pairs": len(held_out.tokens),
        "too_long": pairs.too_long,
        "epochs": config.steps * config.batch / len(pairs.tokens),
    }


def encode_rewarded(
    task: Task, name: str, tokenizer: Tokenizer, context_length: int
) -> RewardBatches:
    """The chat data's preferences called ``name`` as the reward model reads them."""
    assert task.recipe.reward is not None
    preferences = read_jsonl(task.input("chatdata") / f"{name}.jsonl", Preference)
    batch, seed = task.recipe.reward.train.batch, task.recipe.seed
    return reward_batches(preferences, tokenizer, context_length, batch, seed)


def trained_share(model: torch.nn.Module) -> dict[str, int]:
    """How many parameters were trained, where that is not all of them."""
    counts = [0, 0]
    for parameter in model.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return {"trained_parameters": counts[1]} if counts[0] else {}


def _prepare(
    model: Transformer, tokenizer: Tokenizer, lora: LoRAConfig | None, seed: int
) -> Files:
    """Put adapters into ``model`` where asked for; how its checkpoints are written.

    With adapters a checkpoint holds the merged model, which later stages and other tools
    read, and the adapters in a folder of their own, from which training goes on.
    """
    if lora is None:
        return plain_files(model, tokenizer)
    torch.manual_seed(seed)
    add_lora(model, lora)
    whole = plain_files(model, tokenizer)

    def write(copy: Transformer, directory: Path) -> None:
        whole.write(merged(copy), directory)
        save_adapter(copy, directory / ADAPTER, lora)

    return Files(write, lambda directory: load_adapter(model, directory / ADAPTER))


def _answers(task: Task, model: Transformer, tokenizer: Tokenizer) -> Texts:
    """A sampler for training: what ``model`` says to the recipe's questions by then."""
    wanted = task.recipe.samples

    def sample() -> list[dict[str, str]]:
        engine = Engine(merged(model), tokenizer)
        return answer(engine, wanted.questions, wanted.answering)

    return sample


def _training_pairs(
    task: Task,
    settings: DPOConfig,
    model: Transformer,
    tokenizer: Tokenizer,
    backend: Backend,
) -> PreferencePairs:
    """The pairs to learn from: with the reference's scores, without, or with none yet."""
    if settings.loss not in NO_REFERENCE and settings.reference == "precomputed":
        return _pairs(task, "preference", model, tokenizer, backend, settings.train)
    pairs = _encode(task, "preference", tokenizer, model.config.context_length)
    return without_reference(pairs) if settings.loss in NO_REFERENCE else pairs


def _pairs(
    task: Task,
    name: str,
    model: Transformer,
    tokenizer: Tokenizer,
    backend: Backend,
    config: TrainConfig,
) -> PreferencePairs:
    """Encoded pairs with the reference's scores, computed once and kept for a resume."""
    path = task.out / f"{name}.safetensors"
    if not path.exists():
        pairs = _encode(task, name, tokenizer, model.config.context_length)
        with backend.autocast():
            known = with_reference(pairs, model, config.batch, backend.device)
        save_pairs(known, path)
    return load_pairs(path)


def _encode(
    task: Task, name: str, tokenizer: Tokenizer, length: int
) -> PreferencePairs:
    """Pairs; for KTO's training single answers with a label."""
    assert task.recipe.dpo is not None
    preferences = read_jsonl(task.input("chatdata") / f"{name}.jsonl", Preference)
    labelled = task.recipe.dpo.loss == "kto" and name == "preference"
    encode = encode_labelled if labelled else encode_pairs
    return encode(preferences, tokenizer, length)
