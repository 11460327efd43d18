"""How the room's kernels are compiled and cached.

All share one cache folder, named after the hash of every file that holds one
(core/kernel_cache.py): an edit to what a kernel calls is an edit to the kernel.
"""

from pathlib import Path
from typing import Any

import numba

from hornbook.core.kernel_cache import cache_folder, cached

ROOM = Path(__file__).parent
MARK = b"from hornbook.data.jit import"  # what a file with kernels says

_njit: Any = numba.njit
_CACHE = cache_folder(
    ROOM, "kernels", (p for p in ROOM.rglob("*.py") if MARK in p.read_bytes())
)

# For what a kernel calls so often that a call would be felt: written into its callers.
inlined = _njit(nogil=True, inline="always")


def kernel(function: Any) -> Any:
    """Compile on the first call, cached on disk, free of the interpreter lock."""
    return cached(_njit(nogil=True, cache=True), function, _CACHE)
