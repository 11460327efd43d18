"""Small trainings, alone or shared out, and what came of them."""

from typing import Any

import msgspec
import torch

from hornbook.data.batch import IGNORE, Batch
from hornbook.model import experts
from hornbook.model.config import ExpertsConfig, ModelConfig
from hornbook.model.transformer import Transformer
from hornbook.train.backend import choose_backend
from hornbook.train.config import TrainConfig
from hornbook.train.loop import prepare
from hornbook.train.objective import next_token_objective
from hornbook.train.parallel.config import ParallelConfig

STEPS = 20

MODEL = ModelConfig(
    n_layers=4,
    d_model=32,
    n_heads=4,
    n_kv_heads=2,
    context_length=16,
    d_ff=64,
    vocab_size=64,
)
TRAIN = TrainConfig(
    steps=STEPS,
    batch=8,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.1,
    precision="float32",
    compile="no",
)
EXPERTS = msgspec.structs.replace(
    MODEL, experts=ExpertsConfig(count=4, active=2, shared=1, balance=0.0)
)


def model(config: ModelConfig = MODEL) -> Transformer:
    """In float64, in which a difference is one of meaning and not of rounding."""
    torch.manual_seed(0)
    # PyTorch's grouped product knows no float64.
    experts.grouped_product = experts.grouped_product_plainly
    return Transformer(msgspec.structs.replace(config, init="gpt2")).double()


def batch(step: int, packed: bool = False) -> Batch:
    """Eight rows in which some targets don't count, so that shares weigh differently."""
    dice = torch.Generator().manual_seed(step)
    tokens = torch.randint(64, (8, 17), generator=dice)
    for place in range(1, 17):
        tokens[:, place] = (tokens[:, place - 1] * 5 + 1) % 64
    targets = tokens[:, 1:].clone()
    targets[0, : step % 7] = IGNORE
    segments = None
    if packed:
        segments = (torch.arange(16) > 5).long().expand(8, -1) + 1
    return Batch(tokens[:, :-1].contiguous(), targets, segments)


def run(
    ranks: Any,
    shape: ModelConfig,
    train: TrainConfig,
    steps: int = STEPS,
    packed: bool = False,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Any]:
    """Losses and gradient norms of ``steps`` steps, and the gradient of the first."""
    backend = choose_backend(train, "cpu")
    objective = next_token_objective(train)
    trainer = prepare(
        model(shape).to(dtype), objective, train, backend, seed=1, team=ranks
    )
    losses, norms, gradients = [], [], {}
    for step in range(steps):
        mine = trainer.team.batch(lambda n: batch(n, packed), step)
        loss, norm, _ = trainer.gradient(step, mine)
        if step == 0:
            gradients = {
                name: whole(p.grad)
                for name, p in trainer.model.named_parameters()
                if p.grad is not None
            }
        trainer.update(step)
        trainer.forget()
        losses.append(loss)
        norms.append(norm)
    return {"losses": losses, "norms": norms, "gradients": gradients}


def whole(tensor: torch.Tensor) -> torch.Tensor:
    full = getattr(tensor, "full_tensor", None)
    return (tensor if full is None else full()).detach().clone()


def parallel(**axes: Any) -> ParallelConfig:
    return ParallelConfig(**{"data": 1, **axes})
