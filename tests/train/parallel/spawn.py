"""Several gloo ranks on one processor, started once for many checks."""

import os
import socket
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp


def spawn(function: Callable[..., Any], ranks: int, *arguments: Any) -> list[Any]:
    """``function(rank, *arguments)`` on every rank of a group; what each returned.

    What is returned must be made of tensors, numbers, strings, lists and dicts.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(
            _enter, (function, ranks, _port(), folder, arguments), ranks, join=True
        )
        paths = [Path(folder) / f"{n}.pt" for n in range(ranks)]
        return [torch.load(path, weights_only=True) for path in paths]


def _enter(rank, function, ranks, port, folder, arguments) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    from hornbook.train.parallel.ranks import join, leave

    join("cpu", 1800.0)  # a busy machine is not a hung one
    try:
        found = function(rank, *arguments)
    except BaseException:
        traceback.print_exc()
        raise
    torch.save(found, Path(folder) / f"{rank}.pt")
    leave()


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
