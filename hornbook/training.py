"""The three trainings of a run: each a model, an objective and a batch source for the loop.

``pretrain`` starts from random weights, ``sft`` from the pretrained model, ``dpo`` from the
fine-tuned one. Everything else about training is in ``train/loop.py``.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from hornbook.align.preference import PreferenceBatches, dpo_objective
from hornbook.align.sft import SFTBatches
from hornbook.data.batch import TensorBatch
from hornbook.data.loader import PretrainBatches, validation_batches
from hornbook.data.shards import Shards
from hornbook.infer.engine import Engine
from hornbook.infer.scoring import held_out_nats
from hornbook.model.huggingface import load_model, load_weights, save_model
from hornbook.model.transformer import Transformer
from hornbook.pipeline import Task
from hornbook.tokenizer.base import Tokenizer, load_tokenizer
from hornbook.train import checkpoint
from hornbook.train.config import TrainConfig
from hornbook.train.loop import Hooks, train
from hornbook.train.objective import Objective, next_token

BITS = 0.6931471805599453  # nats per bit


def pretrain(task: Task) -> dict[str, Any]:
    """Learn to predict the next token of the training shards."""
    recipe = task.recipe
    tokenizer = load_tokenizer(task.input("tokenizer"))
    config = msgspec.structs.replace(recipe.model, vocab_size=tokenizer.vocab_size)
    shards = Shards.open(task.input("shards") / "train")
    held_out = Shards.open(task.input("shards") / "validation")
    torch.manual_seed(recipe.seed)
    model = Transformer(config)

    def validate() -> dict[str, float]:
        batches = validation_batches(held_out, config.context_length, recipe.pretrain.batch)
        nats, tokens = held_out_nats(model, batches)
        return {
            "validation_loss": nats / tokens,
            "validation_bits_per_byte": nats / BITS / held_out.text_bytes,
        }

    def sample() -> list[dict[str, str]]:
        prompts = list(recipe.samples.prompts)
        engine = Engine(model, tokenizer)
        encoded = [tokenizer.encode(prompt) for prompt in prompts]
        completions = engine.generate(encoded, recipe.samples.sampling)
        return [
            {"prompt": prompt, "text": completion.text}
            for prompt, completion in zip(prompts, completions, strict=True)
        ]

    batches = PretrainBatches(shards, config.context_length, recipe.pretrain.batch, recipe.seed)
    return _train(
        task, model, tokenizer, next_token, batches, recipe.pretrain, validate, sample
    )
