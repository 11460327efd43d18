"""Pipeline parallelism: each rank has some layers, and micro-batches flow through them.

PyTorch's schedules run it: GPipe (arXiv 1811.06965), 1F1B (arXiv 1806.03377), or with two
stages on each rank interleaved 1F1B (arXiv 2104.04473), which waits half as long.
"""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
)

from hornbook.data.batch import Batch
from hornbook.model.transformer import Transformer
from hornbook.train.objective import Loss, Objective


class Stage(Transformer):
    """Some layers of a transformer: hidden states (at first: tokens) in, hidden states out.

    Stand-ins take the place of what other stages have. Names are those of the whole model.
    """

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """(batch, time) tokens or (batch, time, d_model) to (batch, time, d_model)."""
        return self.hidden(x, segments)


def cut(model: Transformer, number: int, count: int) -> Stage:
    """Stage ``number`` of ``count`` of ``model``, whose modules it takes over."""
    stage = copy.copy(model)
    stage.__class__ = Stage
    stage._modules = dict(model._modules)
    layers = model.config.n_layers
    first, end = (n * layers // count for n in (number, number + 1))
    stage.blocks = nn.ModuleList()
    for layer in range(first, end):
        stage.blocks._modules[str(layer)] = model.blocks[layer]
    if number > 0:
        stage.embedding, stage.position = nn.Identity(), None  # type: ignore[assignment]
        stage.config = msgspec.structs.replace(model.config, embedding_scale=1.0)
    if number < count - 1:
        stage.norm, stage.head = nn.Identity(), None
    return stage  # type: ignore[return-value]


class Stages(nn.Module):
    """This rank's stages, as one module whose names are the whole model's."""

    def __init__(self, stages: list[Stage]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def named_parameters(self, *args: Any, **more: Any) -> Iterator[Any]:
        """Each stage's own."""
        for stage in self.stages:
            yield from stage.named_parameters(*args, **more)


class Given:
    """Stands for the model where an objective is asked about the last stage's output."""

    def __init__(self, stage: Stage, hidden: Tensor) -> None:
        self.stage, self.output = stage, hidden

    def hidden(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """What the pipeline computed."""
        return self.output

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits of hidden states."""
        return self.stage.unembed(hidden)

    def __call__(self, tokens: Tensor, segments: Tensor | None = None) -> Tensor:
        """Logits of what the pipeline computed."""
        return self.unembed(self.output)


class Pipeline:
    """Runs the micro-batches of a step through all ranks' stages."""

    def __init__(
        self,
        stages: list[Stage],
        schedule: str,
        device: torch.device,
        group: dist.ProcessGroup,
    ) -> None:
        count = group.size() * len(stages)
        numbers = [group.rank() + n * group.size() for n in range(len(stages))]
        self.kind, self.last = schedule, None
        self.is_first = group.rank() == 0
        if numbers[-1] == count - 1:
            self.last = stages[-1]
        self._make = [
            partial(PipelineStage, stage, number, count, device, group=group)
            for stage, number in zip(stages, numbers, strict=True)
        ]
        self._runners: dict[tuple[int, ...], Any] = {}

    def passes(
        self, objective: Objective, pieces: list[Batch], scale: float
    ) -> list[Loss]:
        """Forward and backward of all ``pieces``; the losses, where this rank has the end.

        The gradient is that of their sum times ``scale``. Without gradients enabled, the
        forward pass alone.
        """
        found: list[Loss] = []

        def judge(hidden: Tensor, targets: Tensor) -> Tensor:
            assert self.last is not None
            batch = Batch(targets, targets)
            loss = objective(Given(self.last, hidden), batch)  # type: ignore[arg-type]
            found.append(Loss(loss.total.detach(), loss.metrics))
            return loss.total * scale

        self.judge = judge
        tokens = torch.cat([piece.tokens for piece in pieces])
        targets = torch.cat([piece.targets for piece in pieces])
        rest = {}
        if pieces[0].segments is not None:
            rest["segments"] = torch.cat([p.segments for p in pieces])  # type: ignore
        runner = self._runner(len(pieces), tuple(tokens.shape))
        run = runner.step if torch.is_grad_enabled() else runner.eval
        ends = {"target": targets, "losses": []} if self.last is not None else {}
        run(*((tokens,) if self.is_first else ()), **ends, **rest)
        return found[-len(pieces) :]  # the first step tries one to learn the shapes

    def _runner(self, pieces: int, shape: tuple[int, ...]) -> Any:
        """The schedule for so many pieces; stages fix the shape of what they exchange."""
        key = (pieces, *shape, int(torch.is_grad_enabled()))
        if key not in self._runners:
            made: list[Any] = [make() for make in self._make]

            def loss(hidden: Tensor, targets: Tensor) -> Tensor:
                return self.judge(hidden, targets)

            settings: dict[str, Any] = {"loss_fn": loss, "scale_grads": False}
            if self.kind == "interleaved":
                runner: Any = ScheduleInterleaved1F1B(made, pieces, **settings)
            else:
                kind = ScheduleGPipe if self.kind == "gpipe" else Schedule1F1B
                runner = kind(made[0], pieces, **settings)
            self._runners[key] = runner
        return self._runners[key]
