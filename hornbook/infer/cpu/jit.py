"""How the kernels of this folder are compiled and cached.

Numba caches compiled code by file, but code compiled from one file contains what it calls
in others, so an edit there would go unseen. All kernels therefore share one cache folder
named after the hash of all their sources.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.core.config

# Sums may be reordered to fill vector registers; NaN and infinity keep their meaning.
SUMS = {"reassoc", "contract", "nsz", "arcp"}

_config: Any = numba.core.config
_njit: Any = numba.njit


def _cache_folder() -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        digest.update(source.read_bytes())
    base = here / "__pycache__"
    if not os.access(base if base.exists() else here, os.W_OK):
        base = (
            Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hornbook"
        )
    return str(base / f"step-{digest.hexdigest()[:16]}")


_CACHE = _config.CACHE_DIR or _cache_folder()


def kernel(**options: Any) -> Callable[[Any], Any]:
    """``numba.njit`` with the shared cache."""

    def compile_(function: Any) -> Any:
        before, _config.CACHE_DIR = _config.CACHE_DIR, _CACHE
        try:
            return _njit(cache=True, error_model="numpy", **options)(function)
        finally:
            _config.CACHE_DIR = before

    return compile_


def inner(**options: Any) -> Callable[[Any], Any]:
    """What only kernels call: compiled into its callers."""
    return _njit(
        error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **options
    )
