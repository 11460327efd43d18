"""When another rank is lost, or hangs: say so in a sentence, and keep what shows why.

PyTorch's flight recorder remembers the last collectives of each rank; comparing the ranks'
files shows who did not take part in which.
"""

import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from hornbook.core.errors import UserError
from hornbook.core.files import write_text
from hornbook.train.checkpoint import checkpoints

FOLDER = "flight-recorder"
REMEMBERED = "2000"  # collectives
SIGNS = ("gloo", "Connection", "Timed out", "timeout", "NCCL", "peer", "process group")


def remember_collectives() -> None:
    """Let the flight recorder run; before the process group is made."""
    os.environ.setdefault("TORCH_FR_BUFFER_SIZE", REMEMBERED)


@contextmanager
def explained(directory: Path, rank: int) -> Iterator[None]:
    """Turn the loss of another rank within the block into a :class:`UserError`.

    Leaves the flight recorder's memory, and where this rank was, below ``directory``.
    """
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        if isinstance(error, torch.OutOfMemoryError) or not _speaks_of_others(error):
            raise
        where = keep_records(directory, rank, error)
        saved = checkpoints(directory)
        begin = saved[-1].name if saved else "the beginning"
        raise UserError(
            f"Rank {rank} on {socket.gethostname()} lost the other ranks: one of them ended "
            f"or hung ({_first_line(error)}). Who was in which collective is in "
            f"{where}; the same command goes on from {begin}."
        ) from error


def _speaks_of_others(error: BaseException) -> bool:
    return isinstance(error, dist.DistError) or any(s in str(error) for s in SIGNS)


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(". ")[:160]


def keep_records(directory: Path, rank: int, error: BaseException) -> Path:
    """Write this rank's collectives and where it was; returns the folder they are in."""
    folder = directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    collectives = torch._C._distributed_c10d._dump_fr_trace_json()  # type: ignore
    write_text(folder / f"rank-{rank}.json", collectives.decode())
    write_text(folder / f"rank-{rank}.txt", "".join(traceback.format_exception(error)))
    return folder
