"""Optimizers: AdamW for everything, or Muon for the matrices and AdamW for the rest.

Muon (Jordan 2024) replaces the momentum of a weight *matrix* by the nearest
semi-orthogonal matrix, so that every direction of the update counts the same. Vectors,
embeddings and the output head have no such geometry and stay with Adam (Kingma & Ba 2014,
with decoupled decay: Loshchilov & Hutter 2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from hornbook.train.config import TrainConfig
from hornbook.train.parts import local, own_part, whole

ADAM_BETAS = (0.9, 0.95)


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimizers that together hold every trained parameter of ``model``."""
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters.values())
    if config.optimizer == "adamw":
        decayed = [p for p in parameters.values() if p.ndim >= 2]
        plain = [p for p in parameters.values() if p.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        kind = CautiousAdamW if config.cautious else AdamW
        return _peaks(kind(groups, config.learning_rate, ADAM_BETAS, fused=fused))
    embedding, head, vectors, matrices = _kinds(parameters)
    groups = [
        {"params": embedding, "lr": config.embedding_rate},
        {"params": head, "lr": config.head_rate},
        {"params": vectors, "lr": config.head_rate},
    ]
    groups = [group for group in groups if group["params"]]
    made: list[Optimizer] = []
    if groups:
        rate = config.head_rate
        made.append(AdamW(groups, rate, ADAM_BETAS, weight_decay=0.0, fused=fused))
    if matrices:
        rate, decay = config.learning_rate, config.weight_decay
        made.append(Muon(matrices, rate, weight_decay=decay, cautious=config.cautious))
    return _peaks(*made)


def _kinds(parameters: dict[str, nn.Parameter]) -> tuple[list[nn.Parameter], ...]:
    """Embedding tables, output head, vectors, and the matrices inside the blocks."""
    embedding, head, vectors, matrices = [], [], [], []
    for name, parameter in parameters.items():
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif "embed" in name or name.startswith("position."):
            embedding.append(parameter)
        elif "head" in name:
            head.append(parameter)
        else:
            matrices.append(parameter)
    return embedding, head, vectors, matrices


def _peaks(*optimizers: Optimizer) -> list[Optimizer]:
    """Note every group's peak rate beside it, for the schedule to scale."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return list(optimizers)


def set_rate(optimizers: list[Optimizer], share: float) -> None:
    """Set every group's rate to ``share`` of its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share


class CautiousAdamW(AdamW):
    """AdamW that decays a weight only where its update makes it smaller as well.

    Cautious weight decay (Chen et al. 2025, arXiv 2510.12402): decay never works against
    the gradient. The fused update runs without decay; what it did to a weight says whether
    to decay it. Costs a copy of the decayed weights for the time of the update.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        decayed = [group for group in self.param_groups if group["weight_decay"]]
        before = [[p.detach().clone() for p in group["params"]] for group in decayed]
        decays = [group["weight_decay"] for group in decayed]
        for group in decayed:
            group["weight_decay"] = 0.0
        super().step()
        for group, decay, old in zip(decayed, decays, before, strict=True):
            group["weight_decay"] = decay
            for parameter, was in zip(group["params"], old, strict=True):
                if parameter.grad is not None:
                    update = was - parameter
                    shrinks = shrinking(update, was)
                    parameter.sub_(was * shrinks, alpha=group["lr"] * decay)


def shrinking(update: Tensor, weight: Tensor) -> Tensor:
    """Where subtracting ``update`` moves ``weight`` towards zero: 1, elsewhere 0."""
    return (update * weight > 0).to(weight.dtype)


class Muon(Optimizer):
    """Momentum, orthogonalised (Jordan 2024, "Muon: an optimizer for hidden layers").

    Matrices of one shape are stacked and orthogonalised together: one batched product
    instead of many small ones. One that is split over ranks is gathered for it, since the
    directions of a matrix are of the whole; each rank then changes its own part.
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        cautious: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "decay": weight_decay,
                "cautious": cautious,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for alike in shapes.values():
                self._step_alike(alike, group)

    def _step_alike(self, parameters: list[nn.Parameter], group: dict) -> None:
        updates = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            gradient = parameter.grad
            assert gradient is not None
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            update = gradient.lerp(state["momentum"], group["momentum"])  # Nesterov
            updates.append(whole(update))
        rows, columns = parameters[0].shape
        scale = (
            max(1.0, rows / columns) ** 0.5
        )  # the same size of change in every output
        for matrix, found in zip(
            parameters, orthogonalize(torch.stack(updates)), strict=True
        ):
            parameter, update = local(matrix.detach()), found[own_part(matrix)]
            if group["cautious"] and group["decay"]:
                part = shrinking(update, parameter)
                parameter.mul_(1 - group["lr"] * group["decay"] * part)
            elif group["decay"]:
                parameter.mul_(1 - group["lr"] * group["decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)


def orthogonalize(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices to ``matrices`` (n, rows, columns), roughly.

    Newton-Schulz iteration on the quintic a·X + b·X³ + c·X⁵, whose coefficients push all
    singular values towards 1 fast rather than exactly: most end in about 0.7 to 1.2, the
    very smallest lag behind. It runs in bfloat16, which is enough for a direction.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = x.bfloat16()
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)
