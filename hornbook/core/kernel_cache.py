"""Where compiled kernels are cached, so that no edit to any of them goes unseen.

Numba caches compiled code by file, but code compiled from one file contains what it calls
in others. The kernels of a folder therefore share one cache named after the hash of all its
sources.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def cache_folder(folder: Path, name: str, sources: Iterable[Path] | None = None) -> str:
    """The cache of the kernels in ``sources``, by default all of ``folder``'s files.

    It lies beside them where that may be written, else in the user's cache. Numba's own
    setting (``NUMBA_CACHE_DIR``) wins.
    """
    if chosen := _config().CACHE_DIR:
        return chosen
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py") if sources is None else sources):
        digest.update(source.read_bytes())
    base = folder / "__pycache__"
    if not os.access(base if base.exists() else folder, os.W_OK):
        base = (
            Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hornbook"
        )
    return str(base / f"{name}-{digest.hexdigest()[:16]}")


def cached(compiler: Callable[[Any], Any], function: Any, folder: str) -> Any:
    """``compiler(function)``, where ``compiler`` is a caching one of Numba's, in ``folder``."""
    config = _config()
    before, config.CACHE_DIR = config.CACHE_DIR, folder
    try:
        return compiler(function)
    finally:
        config.CACHE_DIR = before


def _config() -> Any:
    import numba.core.config  # heavy, and only kernels need it

    return numba.core.config
