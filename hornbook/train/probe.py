"""Twenty seconds of the real thing: how fast this machine trains this model."""

import time
from dataclasses import dataclass

import msgspec
import torch

from hornbook.data.batch import Batch
from hornbook.model.config import ModelConfig
from hornbook.model.sizes import flops_per_token
from hornbook.model.transformer import Transformer
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.loop import prepare
from hornbook.train.meter import peak_memory
from hornbook.train.objective import next_token_objective
from hornbook.train.step import Trainer

SECONDS = 20.0


@dataclass(frozen=True)
class Probe:
    """What was measured: operations per second, peak memory in bytes, how it ran."""

    flops_per_second: float
    tokens_per_second: float
    memory: float
    why: str


def probe(
    model: ModelConfig, train: TrainConfig, device: str, seconds: float = SECONDS
) -> Probe:
    """Train ``model`` on random tokens for about ``seconds`` and measure.

    One micro-batch a step, the optimizer's work shared out over the whole batch as in the
    real run; not compiled, so the real run may be faster.
    """
    rows = min(train.micro_batch or train.batch, train.batch)
    eager = msgspec.structs.replace(train, compile="no", batch=rows, micro_batch=0)
    backend = choose_backend(eager, device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Transformer(model)
        tokens = torch.randint(model.vocab_size, (rows, model.context_length))
    trainer = prepare(network, next_token_objective(eager), eager, backend, seed=0)
    batch = Batch(tokens, tokens).to(backend.device)
    _measured(
        trainer, batch, 0
    )  # the first one loads libraries and makes the optimizer's state
    times: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 200):
        times.append(_measured(trainer, batch, len(times) + 1))
    gradient = sorted(g for g, _ in times)[len(times) // 2]
    update = sorted(u for _, u in times)[len(times) // 2]
    micro_batches = -(-train.batch // rows)
    speed = micro_batches * batch.n_tokens / (micro_batches * gradient + update)
    return Probe(speed * flops_per_token(model), speed, peak_memory(), backend.why)


def _measured(trainer: Trainer, batch: Batch, step: int) -> tuple[float, float]:
    """Seconds of one gradient, and of the update after it."""
    started = time.perf_counter()
    trainer.gradient(step, batch)
    between = time.perf_counter()
    trainer.update(step)
    trainer.forget()
    return between - started, time.perf_counter() - between
