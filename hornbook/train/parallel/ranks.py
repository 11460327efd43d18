"""One rank of many: its place in the mesh, its share of a batch, and the sums over all."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import PrefixStore, Store
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import loss_parallel

from hornbook.core.errors import UserError
from hornbook.data.batch import TensorBatch
from hornbook.train.backend import Backend
from hornbook.train.config import TrainConfig
from hornbook.train.objective import Loss, Objective
from hornbook.train.parallel.config import ParallelConfig
from hornbook.train.parallel.context import columns
from hornbook.train.parallel.layout import AXES, ROWS, check, copies, n_pieces
from hornbook.train.parallel.lost import explained, remember_collectives
from hornbook.train.parallel.start import emptied, filled, without_numbers
from hornbook.train.parallel.started import rank, told
from hornbook.train.parts import local
from hornbook.train.saves import Saves
from hornbook.train.team import Alone, Passes


class Ranks(Alone):
    """This process among those of ``mesh``; as :class:`Alone`, for many.

    Ranks that differ along ``data``, ``expert`` or ``shard`` take other rows of a batch,
    along ``context`` other tokens of its rows; the rest see the same.
    """

    def __init__(self, config: ParallelConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        sizes = tuple(getattr(config, axis) for axis in AXES)
        self.mesh = init_device_mesh(device.type, sizes, mesh_dim_names=AXES)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.first = self.rank == 0
        self._shares = self.joined(*ROWS, "context").get_group()
        self._rows = 1  # of the whole batch, of which a share was taken last
        self.numbers: tuple[str, ...] = ()

    def take(
        self,
        model: nn.Module,
        objective: Objective,
        config: TrainConfig,
        backend: Backend,
    ) -> tuple[nn.Module, Objective, Passes | None]:
        """This rank's part of ``model``; see :func:`hornbook.train.parallel.apply`."""
        from hornbook.train.parallel.apply import share_out

        check(self.config, model.config, config)  # type: ignore[arg-type]
        numbers = emptied(model)
        backend.convert(model)
        self.numbers = ("nats",) if config.z_loss else ()
        part, passes = share_out(model, self, config, backend)  # type: ignore[arg-type]
        filled(part, numbers, backend.device)
        return part, objective, passes

    def making(self) -> AbstractContextManager[object]:
        """The context in which a model is made: with numbers on the first rank only."""
        return without_numbers(self.first)

    def saves(self, *about: Any) -> Saves:
        """Checkpoints that all ranks write and read together."""
        from hornbook.train.parallel.saves import SharedSaves

        return SharedSaves(*about)

    def watching(self, directory: Path) -> AbstractContextManager[None]:
        """The context of a training: tells in a sentence when other ranks are lost."""
        return explained(directory, self.rank)

    def joined(self, *axes: str) -> DeviceMesh:
        """The mesh of several axes as one."""
        wanted = tuple(a for a in AXES if a in axes)
        name = "_".join(wanted)
        if len(wanted) == 1:
            return self.mesh[name]
        return self.mesh[wanted]._flatten(name)

    def place(self, axis: str) -> int:
        """Where this rank stands along ``axis``."""
        return self.mesh.get_local_rank(axis)

    def rows(self, count: int) -> slice:
        """Which of a batch's ``count`` rows are this rank's; shares differ by one at most."""
        number = 0
        for axis in ROWS:
            number = number * getattr(self.config, axis) + self.place(axis)
        ranks = copies(self.config)
        return slice(number * count // ranks, (number + 1) * count // ranks)

    def batch(self, batches: Callable[[int], Any], number: int) -> TensorBatch:
        """This rank's share of the ``number``-th batch.

        A source with ``part(number, rows)`` reads those rows only.
        """
        part = getattr(batches, "part", None)
        if part is not None:
            rows = self.rows(batches.batch)  # type: ignore[attr-defined]
            mine, count = part(number, rows), batches.batch  # type: ignore[attr-defined]
        else:
            whole = batches(number)
            rows, count = self.rows(whole.size), whole.size
            mine = whole.map(lambda t: t[rows])
        self._rows = count
        return self.tokens_of(mine)

    def tokens_of(self, batch: Any) -> Any:
        """The tokens of ``batch``'s rows that are this rank's in the context."""
        ranks = self.config.context
        if ranks == 1:
            return batch
        place = self.place("context")
        return batch.map(lambda t: t[:, columns(t.shape[1], ranks, place)])

    def pieces(self, batch: Any, micro_batch: int) -> list[Any]:
        """As many pieces on every rank, whatever its share: all take part in each."""
        most = -(-self._rows // copies(self.config))
        count = n_pieces(most, micro_batch, self.config.pipeline)
        edges = [n * batch.size // count for n in range(count + 1)]
        spans = [slice(a, b) for a, b in pairwise(edges)]
        return [batch.map(lambda t, s=s: t[s]) for s in spans]

    def tokens(self, batch: TensorBatch) -> int:
        """How many tokens the whole batch has."""
        per_row = batch.n_tokens // batch.size * self.config.context
        return self._rows * per_row

    def total(self, values: list[float]) -> list[float]:
        """``values`` added up over the shares of a batch."""
        summed = self._on_device(values)
        dist.all_reduce(summed, group=self._shares)
        return summed.tolist()

    def mean(
        self, losses: list[Loss], weight: float
    ) -> tuple[Tensor, dict[str, float]]:
        """The loss and the other numbers of all shares, divided by ``weight``.

        In a pipeline only its end has losses; ``numbers`` names what else they hold.
        """
        names = sorted(losses[0].metrics) if losses else list(self.numbers)
        rows = [[loss.total, *(loss.metrics[n] for n in names)] for loss in losses]
        sums = torch.zeros(1 + len(names), dtype=self._wide, device=self.device)
        for row in rows:
            sums += torch.stack([value.detach().to(sums) for value in row])
        dist.all_reduce(sums, group=self._shares)
        if self.config.pipeline > 1:
            dist.all_reduce(sums, group=self.mesh.get_group("pipeline"))
        means = sums / weight
        extra = dict(zip(names, means[1:].tolist(), strict=True))
        return means[0], extra if weight else {}

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set on any rank."""
        flags = self._on_device([float(flag)])
        dist.all_reduce(flags, dist.ReduceOp.MAX)
        return bool(flags.item())

    def clip(self, parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
        """Scale the gradient down to the norm ``limit``; returns its norm before."""
        kept = [settled(p) for p in parameters if p.grad is not None]
        norm = self.norm(kept)
        share = (limit / (norm + 1e-6)).clamp(max=1.0)
        for gradient in kept:
            local(gradient).mul_(share.to(gradient.dtype))
        return norm

    def norm(self, tensors: list[Tensor]) -> Tensor:
        """The norm of all ``tensors`` as one vector, over every rank that holds a part.

        A part that several ranks hold alike counts once: squares are added up along the
        axes that split a tensor, and along the pipeline, which splits the model.
        """
        squares: dict[tuple[dist.ProcessGroup, ...], Tensor] = {}
        for tensor in tensors:
            part = torch.linalg.vector_norm(local(tensor), dtype=self._wide).square()
            groups = split_along(tensor)
            if self.config.expert > 1 and not _lies_along(tensor, "expert"):
                groups += (self.mesh.get_group("expert"),)  # every rank has other ones
            squares[groups] = squares.get(groups, 0) + part
        total = torch.zeros((), dtype=self._wide, device=self.device)
        for groups, square in squares.items():
            for group in groups:
                dist.all_reduce(square, group=group)
            total += square
        if self.config.pipeline > 1:
            dist.all_reduce(total, group=self.mesh.get_group("pipeline"))
        return total.sqrt()

    def judging(self) -> AbstractContextManager[None]:
        """Ranks that have a part of the vocabulary each judge it together."""
        return loss_parallel() if self.config.tensor > 1 else nullcontext()

    @property
    def _wide(self) -> torch.dtype:
        return torch.float32 if self.device.type == "mps" else torch.float64

    def _on_device(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=self._wide, device=self.device)


def settled(parameter: nn.Parameter) -> Tensor:
    """The gradient of ``parameter``, laid out as it is.

    That of a weight which every rank has whole arrives as parts still to be added up.
    """
    gradient: Any = parameter.grad
    wanted = getattr(parameter, "placements", None)
    if wanted is not None and gradient.placements != wanted:
        gradient = gradient.redistribute(placements=wanted)
        parameter.grad = gradient
    return gradient


def _lies_along(tensor: Tensor, axis: str) -> bool:
    """Whether ``axis`` is one of those over which ``tensor`` is laid out."""
    assert isinstance(tensor, DTensor)
    return any(axis in name for name in tensor.device_mesh.mesh_dim_names or ())


def split_along(tensor: Tensor) -> tuple[dist.ProcessGroup, ...]:
    """The groups whose ranks hold different parts of ``tensor``."""
    if not isinstance(tensor, DTensor):
        return ()
    mesh = tensor.device_mesh
    return tuple(
        mesh.get_group(axis)
        for axis, placement in enumerate(tensor.placements)
        if not placement.is_replicate()  # split once, or twice over (strided)
    )


# ---------------------------------------------------------------------- joining and leaving


def join(device: str, timeout: float) -> tuple[torch.device, Store]:
    """Meet the other processes; returns this one's device, and a store all can read.

    Raises :class:`UserError` when they can't be found.
    """
    number, count = rank(), int(told("WORLD_SIZE", "SLURM_NTASKS"))
    near = int(told("LOCAL_RANK", "SLURM_LOCALID", "0"))
    for name, value in (("RANK", number), ("WORLD_SIZE", count), ("LOCAL_RANK", near)):
        os.environ.setdefault(name, str(value))
    cuda = torch.cuda.is_available() and device in ("auto", "cuda")
    chosen = torch.device("cuda", near) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(chosen)
    remember_collectives()
    try:
        store = next(rendezvous("env://"))[0]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=PrefixStore("group", store),
            rank=number,
            world_size=count,
            timeout=timedelta(seconds=timeout),
        )
    except (dist.DistError, ValueError, RuntimeError) as error:
        raise UserError(
            f"Rank {number} on {socket.gethostname()} could not meet the other "
            f"{count - 1}: {str(error).splitlines()[0]} Start with `torchrun` or "
            "`hornbook launch`, which tell each process where the first one listens."
        ) from None
    return chosen, PrefixStore("hornbook", store)


def leave() -> None:
    """Take leave of the others."""
    if dist.is_initialized():
        dist.destroy_process_group()
