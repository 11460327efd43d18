"""How large a cache may be."""

import os

import torch

from hornbook.infer.kvcache import bytes_per_token
from hornbook.model.transformer import Transformer

SHARE = 0.5  # of the memory that is free


def cache_tokens(model: Transformer, rows: int) -> int:
    """Tokens to keep: ``rows`` full contexts, or what half of the free memory holds."""
    weight = model.embedding.weight
    wanted = rows * (model.config.context_length + 16)
    fits = (
        SHARE * free_bytes(weight.device) / bytes_per_token(model.config, weight.dtype)
    )
    return max(16, min(wanted, int(fits)))


def free_bytes(device: torch.device) -> int:
    """Memory that could be had on ``device`` now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as lines:
            table = dict(line.split(":") for line in lines)
        return int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
