"""How the kernels of this folder are compiled and cached.

All kernels share one cache folder, named after the hash of all their sources
(core/kernel_cache.py).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from hornbook.core.kernel_cache import cache_folder, cached

# Sums may be reordered to fill vector registers; NaN and infinity keep their meaning.
SUMS = {"reassoc", "contract", "nsz", "arcp"}

_njit: Any = numba.njit

_CACHE = cache_folder(Path(__file__).parent, "step")


def kernel(**options: Any) -> Callable[[Any], Any]:
    """``numba.njit`` with the shared cache.

    Other Python threads run meanwhile: a server sends what the last step wrote.
    """
    compiler = _njit(cache=True, error_model="numpy", nogil=True, **options)
    return lambda function: cached(compiler, function, _CACHE)


def inner(**options: Any) -> Callable[[Any], Any]:
    """What only kernels call: compiled into its callers."""
    return _njit(
        error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
    )
