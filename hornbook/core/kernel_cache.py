"""Where compiled kernels are cached, so that no edit to any of them goes unseen.

Numba caches compiled code by file, but code compiled from one file contains what it calls
in others. The kernels of a folder therefore share one cache named after the hash of all its
sources.
"""

import hashlib
import os
from pathlib import Path


def cache_folder(folder: Path, name: str) -> str:
    """The cache of the kernels whose sources are ``folder``'s: beside them, if it may be."""
    digest = hashlib.sha256()
    for source in sorted(folder.glob("*.py")):
        digest.update(source.read_bytes())
    base = folder / "__pycache__"
    if not os.access(base if base.exists() else folder, os.W_OK):
        base = (
            Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hornbook"
        )
    return str(base / f"{name}-{digest.hexdigest()[:16]}")
