"""Pretraining, and what every training of a run shares: its files, and the way to the loop.

``pretrain`` starts from random weights, or from those the recipe names (start.py). What
follows it is in tuning.py (from examples) and reinforcing.py (from rewards). Each training
is a model, an objective and a batch source; everything else is in ``train/loop.py``.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from hornbook.core.settings import to_table
from hornbook.data.batch import TensorBatch
from hornbook.data.loader import pretrain_batches
from hornbook.data.shards import Shards
from hornbook.infer.config import SamplingConfig
from hornbook.infer.engine import Engine
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
from hornbook.train.loop import Alarm, Hooks, train
from hornbook.train.meter import Meter
from hornbook.train.objective import Objective, next_token_objective
from hornbook.train.team import Alone
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
    team = task.team
    backend = choose_backend(recipe.pretrain, task.device)
    torch.manual_seed(recipe.seed)
    start = Path(recipe.start) if recipe.start else None
    if start and (team is None or team.first):
        model = start_model(start, config)
    else:
        with team.making() if team else nullcontext():
            model = Transformer(config)

    together = validate = None
    if team is None:
        validate = validator(
            model, held_out, tokenizer.decode_bytes, length, rows, backend.precision
        )
    else:
        from hornbook.train.parallel.validation import shared_validator

        together = shared_validator(held_out, length, rows)

    def sample() -> list[dict[str, str]]:
        return complete(
            Engine(model, tokenizer), recipe.samples.prompts, recipe.samples.sampling
        )

    facts = run_training(
        task,
        model,
        next_token_objective(recipe.pretrain),
        batches,
        recipe.pretrain,
        backend,
        plain_files(model, tokenizer),
        validate,
        None if team else sample,  # from shards nothing can be written along the way
        bytes_per_token=shards.bytes / shards.tokens,
        together=together,
        finish=lambda last, out: finish_together(team, last, out, config, tokenizer),
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


def load(directory: Path) -> tuple[Transformer, Tokenizer]:
    """The model and the tokenizer of a model directory."""
    return load_model(directory).eval(), load_tokenizer(directory)


@dataclass(frozen=True)
class Files:
    """How a model is written into a checkpoint (a copy of it), and read back in place."""

    write: Callable[[Any, Path], None]
    read: Callable[[Path], None]


def plain_files(model: Transformer, tokenizer: Tokenizer) -> Files:
    """A model directory with its tokenizer, which Transformers opens."""

    def write(copy: Transformer, directory: Path) -> None:
        save_model(copy, directory, token_ids(tokenizer))
        tokenizer.save(directory)

    def read(directory: Path) -> None:
        model.load_state_dict(load_model(directory).state_dict())

    return Files(write, read)


def run_training(
    task: Task,
    model: nn.Module,
    objective: Objective,
    batches: Callable[[int], TensorBatch],
    config: TrainConfig,
    backend: Backend,
    files: Files,
    validate: Numbers | None,
    sample: Texts | None = None,
    bytes_per_token: float = 0.0,
    alarm: Alarm | None = None,
    together: Callable[..., dict[str, float]] | None = None,
    finish: Callable[[Path, Path], Any] = Path.rename,
) -> dict[str, Any]:
    """Run the loop below ``task.out`` and leave the result as ``task.out/model``.

    ``finish(checkpoint, model)`` makes the one of the other.
    """
    hooks = Hooks(files.write, files.read, validate, sample, alarm, together)
    final = task.out / "model"
    shape: Any = getattr(model, "body", model).config
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
            label=task.out.name.removesuffix(".partial"),
            meter=_meter(shape, backend, bytes_per_token, task.team),
            team=task.team,
        )
        finish(last, final)
    if task.team is None or task.team.first:
        saves.leave_keepsakes(task.out, config)
    return {"steps": config.steps, "backend": backend.why}


def finish_together(
    team: Alone | None,
    last: Path,
    final: Path,
    config: ModelConfig,
    tokenizer: Tokenizer,
) -> None:
    """Make the last checkpoint the stage's model, in the layout that Transformers opens."""
    if not shards_of_many(last):
        last.rename(final)
        return
    from hornbook.train.parallel.consolidate import consolidate_together

    consolidate_together(
        team, last, config, final, tokenizer.save, token_ids(tokenizer)
    )


def shards_of_many(checkpoint: Path) -> bool:
    """Whether many ranks wrote ``checkpoint``, each its part."""
    return (checkpoint / "shards").is_dir()


def _meter(
    shape: ModelConfig, backend: Backend, bytes_per_token: float, team: Alone | None
) -> Meter:
    """What a step costs, as a share of what this device can do."""
    precision = str(backend.precision).removeprefix("torch.")
    peak = peak_of(backend.device.type, precision) * (team.size if team else 1)
    return Meter(flops_per_token(shape), peak, bytes_per_token)


def token_ids(tokenizer: Tokenizer) -> TokenIds:
    """A document and a turn both end the text; generation elsewhere must stop at either."""
    special = tokenizer.special
    ends = [special["<|endoftext|>"], special["<|end|>"]]
    return TokenIds(special["<|endoftext|>"], ends, special["<|pad|>"])
