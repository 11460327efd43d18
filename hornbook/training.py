"""The three trainings of a run: each a model, an objective and a batch source for the loop.

``pretrain`` starts from random weights, or from those the recipe names (start.py), ``sft``
from the pretrained model, ``dpo`` from the fine-tuned one. Everything else about training
is in ``train/loop.py``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from hornbook.align.held_out import preference_scores
from hornbook.align.losses import preference_objective
from hornbook.align.messages import Conversation, Preference, read_jsonl
from hornbook.align.preference import (
    PreferenceBatches,
    PreferencePairs,
    encode_pairs,
    load_pairs,
    save_pairs,
    with_reference,
)
from hornbook.align.sft import SFTBatches, in_order, pack
from hornbook.core.settings import to_table
from hornbook.data.batch import TensorBatch
from hornbook.data.loader import pretrain_batches
from hornbook.data.shards import Shards
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
from hornbook.infer.scoring import held_out_nats
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import TokenIds, load_model, save_model
from hornbook.model.sizes import d_ff, d_head, flops_per_token, parameters
from hornbook.model.transformer import Transformer
from hornbook.pipeline import Task
from hornbook.start import start_model
from hornbook.tokenizer.base import Tokenizer, load_tokenizer
from hornbook.tokenizer.chat import render_chat
from hornbook.train import checkpoint, saves
from hornbook.train.backend import Backend, choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.hardware import peak_of
from hornbook.train.loop import Hooks, train
from hornbook.train.meter import Meter
from hornbook.train.objective import Objective, next_token_objective
from hornbook.train.validation import validator

Numbers = Callable[[], dict[str, float]]
Texts = Callable[[], list[dict[str, str]]]


def pretrain(task: Task) -> dict[str, Any]:
    """Learn to predict the next token of the training shards."""
    recipe = task.recipe
    tokenizer = load_tokenizer(task.input("tokenizer"))
    config = msgspec.structs.replace(recipe.model, vocab_size=tokenizer.vocab_size)
    length, rows = config.context_length, recipe.pretrain.batch
    shards = Shards.open(task.input("shards") / "train")
    held_out = Shards.open(task.input("shards") / "validation")
    steps = recipe.pretrain.steps
    batches = pretrain_batches(shards, recipe.data, length, rows, steps, recipe.seed)
    backend = choose_backend(recipe.pretrain, task.device)
    torch.manual_seed(recipe.seed)
    start = Path(recipe.start) if recipe.start else None
    model = start_model(start, config) if start else Transformer(config)

    validate = validator(
        model, held_out, tokenizer.decode_bytes, length, rows, backend.precision
    )

    def sample() -> list[dict[str, str]]:
        return complete(
            Engine(model, tokenizer), recipe.samples.prompts, recipe.samples.sampling
        )

    facts = _train(
        task,
        model,
        tokenizer,
        next_token_objective(recipe.pretrain),
        batches,
        recipe.pretrain,
        backend,
        validate,
        sample,
        bytes_per_token=shards.bytes / shards.tokens,
    )
    tokens = recipe.pretrain.steps * rows * length
    return {
        **facts,
        "shape": _shape(config),
        "parameters": parameters(config),
        "flops_per_token": flops_per_token(config),
        "unigram_nats": unigram_nats(shards, held_out),
        "tokens": tokens,
        "train_tokens": shards.tokens,
        "epochs": recipe.pretrain.steps / batches.steps_per_epoch,
        **batches.facts(),
    }


def sft(task: Task) -> dict[str, Any]:
    """Teach the pretrained model to answer: loss on the answers of packed conversations."""
    recipe = task.recipe
    assert recipe.sft is not None
    model, tokenizer = load(task.input("pretrain") / "model")
    config, length = recipe.sft.train, model.config.context_length
    files = task.input("chatdata")
    rows = pack(read_jsonl(files / "sft.jsonl", Conversation), tokenizer, length)
    held_out = pack(
        read_jsonl(files / "sft_validation.jsonl", Conversation), tokenizer, length
    )
    backend = choose_backend(config, task.device)

    def validate() -> dict[str, float]:
        nats, tokens = held_out_nats(
            model, in_order(held_out, config.batch), backend.precision
        )
        return {"validation_loss": nats / max(tokens, 1)}

    batches = SFTBatches(rows, config.batch, recipe.seed)
    sample = _answers(task, model, tokenizer)
    facts = _train(
        task,
        model,
        tokenizer,
        next_token_objective(config),
        batches,
        config,
        backend,
        validate,
        sample,
    )
    return {
        **facts,
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
    model, tokenizer = load(task.input("sft") / "model")
    config, beta = recipe.dpo.train, recipe.dpo.beta
    backend = choose_backend(config, task.device)
    pairs = _pairs(task, "preference", model, tokenizer, backend, config.batch)
    held_out = _pairs(
        task, "preference_validation", model, tokenizer, backend, config.batch
    )

    def validate() -> dict[str, float]:
        scores = preference_scores(model, held_out, config.batch, backend.precision)
        return {
            "validation_accuracy": float(scores.right()["reward"].mean()),
            "validation_margin": float(scores.margins(beta).mean()),
        }

    facts = _train(
        task,
        model,
        tokenizer,
        preference_objective(recipe.dpo),
        PreferenceBatches(pairs, config.batch, recipe.seed),
        config,
        backend,
        validate if len(held_out) else None,
        _answers(task, model, tokenizer),
    )
    return {
        **facts,
        "pairs": len(pairs),
        "held_out_pairs": len(held_out),
        "too_long": pairs.too_long,
        "epochs": config.steps * config.batch / len(pairs),
    }


def _shape(config: ModelConfig) -> dict[str, Any]:
    """The shape in plain numbers and words, with the widths the recipe left to us."""
    plain = {
        k: v for k, v in to_table(config).items() if isinstance(v, str | int | float)
    }
    return {**plain, "d_head": d_head(config), "d_ff": d_ff(config)}


def unigram_nats(shards: Shards, held_out: Shards) -> float:
    """Nats per held-out token for one who knows only how often each token occurs."""
    counts = [np.zeros(shards.vocab_size), np.zeros(shards.vocab_size)]
    for side, source in enumerate((shards, held_out)):
        for array in source.arrays:
            counts[side] += np.bincount(array, minlength=shards.vocab_size)
    known = (counts[0] + 1) / (counts[0] + 1).sum()
    return float(-(counts[1] * np.log(known)).sum() / counts[1].sum())


def complete(
    engine: Engine, prompts: tuple[str, ...], sampling: SamplingConfig
) -> list[dict[str, str]]:
    """What the model writes after each of ``prompts``."""
    encoded = [engine.tokenizer.encode(prompt) for prompt in prompts]
    completions = engine.generate(encoded, sampling)
    return [
        {"prompt": prompt, "text": completion.text or completion.error}
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def answer(
    engine: Engine, questions: tuple[str, ...], sampling: SamplingConfig
) -> list[dict[str, str]]:
    """What the model answers to each of ``questions``, asked by themselves."""
    asked = [
        render_chat(
            engine.tokenizer,
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
        ).ids.tolist()
        for question in questions
    ]
    answers = engine.generate(asked, sampling)
    return [
        {"prompt": question, "text": given.text or given.error}
        for question, given in zip(questions, answers, strict=True)
    ]


def _answers(task: Task, model: Transformer, tokenizer: Tokenizer) -> Texts:
    """A sampler for training: what ``model`` says to the recipe's questions by then."""
    wanted = task.recipe.samples
    return lambda: answer(Engine(model, tokenizer), wanted.questions, wanted.answering)


def load(directory: Path) -> tuple[Transformer, Tokenizer]:
    """The model and the tokenizer of a model directory."""
    return load_model(directory).eval(), load_tokenizer(directory)


def _pairs(
    task: Task,
    name: str,
    model: Transformer,
    tokenizer: Tokenizer,
    backend: Backend,
    batch: int,
) -> PreferencePairs:
    """Encoded pairs with the reference's scores, computed once and kept for a resume."""
    path = task.out / f"{name}.safetensors"
    if not path.exists():
        preferences = read_jsonl(task.input("chatdata") / f"{name}.jsonl", Preference)
        pairs = encode_pairs(preferences, tokenizer, model.config.context_length)
        with backend.autocast():
            save_pairs(with_reference(pairs, model, batch, backend.device), path)
    return load_pairs(path)


def _train(
    task: Task,
    model: Transformer,
    tokenizer: Tokenizer,
    objective: Objective,
    batches: Callable[[int], TensorBatch],
    config: TrainConfig,
    backend: Backend,
    validate: Numbers | None,
    sample: Texts,
    bytes_per_token: float = 0.0,
) -> dict[str, Any]:
    """Run the loop below ``task.out`` and leave the result as ``task.out/model``."""
    stage = task.out.name.removesuffix(".partial")

    def write_model(copy: nn.Module, directory: Path) -> None:
        assert isinstance(copy, Transformer)
        save_model(copy, directory, _token_ids(tokenizer))
        tokenizer.save(directory)

    def read_model(directory: Path) -> None:
        model.load_state_dict(load_model(directory).state_dict())

    hooks = Hooks(write_model, read_model, validate, sample)
    final = task.out / "model"
    if not checkpoint.is_sound(final):
        last = train(
            model,
            objective,
            batches,
            config,
            task.out,
            hooks,
            backend=backend,
            seed=task.recipe.seed,
            label=stage,
            meter=_meter(model, backend, bytes_per_token),
        )
        last.rename(final)
    saves.leave_keepsakes(task.out, config)
    return {"steps": config.steps, "backend": backend.why}


def _meter(model: Transformer, backend: Backend, bytes_per_token: float) -> Meter:
    """What a step costs, as a share of what this device can do."""
    precision = str(backend.precision).removeprefix("torch.")
    peak = peak_of(backend.device.type, precision)
    return Meter(flops_per_token(model.config), peak, bytes_per_token)


def _token_ids(tokenizer: Tokenizer) -> TokenIds:
    """A document and a turn both end the text; generation elsewhere must stop at either."""
    special = tokenizer.special
    ends = [special["<|endoftext|>"], special["<|end|>"]]
    return TokenIds(special["<|endoftext|>"], ends, special["<|pad|>"])
