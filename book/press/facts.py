"""What the book knows beside its files: shapes of models, versions, digests, exercises.

All of it is computed from the repository, so the same tree gives the same bytes.
"""

import hashlib
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from book.press.extract import PACKAGE, ROOT
from hornbook import __version__
from hornbook.core.errors import UserError
from hornbook.exercises.worksheet import CHAPTERS, exercises_in
from hornbook.model import sizes
from hornbook.model.presets import PRESETS

BOOK = ROOT / "book"
FONT_PACKAGES = ("fontpkg-source-sans-3", "fontpkg-jetbrains-mono")


def facts() -> dict[str, Any]:
    """Everything the templates read through ``sys.inputs.facts``."""
    return {
        "version": __version__,
        "typst": metadata.version("typst"),
        "fonts": {name: metadata.version(name) for name in FONT_PACKAGES},
        "chapters": [path.name for path in chapters()],
        "digests": {
            "source": digest(PACKAGE, "*.py"),
            "measurements": digest(ROOT / "bench" / "results", "*.json"),
            "artifacts": digest(BOOK / "artifacts", "*"),
            "text": digest(BOOK / "chapters", "*.typ"),
        },
        "lines": sum(
            len(path.read_text(encoding="utf-8").splitlines())
            for path in PACKAGE.rglob("*.py")
        ),
        "presets": {name: shape(name) for name in PRESETS},
        "exercises": {
            str(number): exercises_in(path) for number, path in CHAPTERS.items()
        },
    }


def shape(name: str) -> dict[str, Any]:
    """A preset's settings, widths, parameters by part and operations per token."""
    config = PRESETS[name]
    heads, key, value = sizes.cache_shape(config)
    return {
        **{field: getattr(config, field) for field in SHAPE},
        "d_head": sizes.d_head(config),
        "d_ff": sizes.d_ff(config),
        "latent": {"rank": config.latent.rank, "d_rope": config.latent.d_rope}
        if config.latent
        else None,
        "parameters": sizes.parameters(config),
        "total": sum(sizes.parameters(config).values()),
        "flops_per_token": sizes.flops_per_token(config),
        "flops_at": {str(t): sizes.flops_per_token(config, t) for t in LENGTHS},
        "cache_numbers": heads * (key + value) * config.n_layers,
    }


SHAPE = ("n_layers", "d_model", "n_heads", "n_kv_heads", "context_length")
LENGTHS = [2**power for power in range(8, 18)]  # contexts, in tokens
SHAPE += ("vocab_size", "mlp", "norm", "position", "tied")


def chapters() -> list[Path]:
    """The chapters in order: ``05-attention.typ``, then appendices ``A-recipes.typ``."""
    return sorted((BOOK / "chapters").glob("*.typ"))


def digest(folder: Path, pattern: str) -> str:
    """SHA-256 over names and contents of a folder's files."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def references() -> str:
    """The bibliography: all of ``refs/*.bib``; a key stands in one file only."""
    seen: dict[str, str] = {}
    texts = []
    for path in sorted((BOOK / "refs").glob("*.bib")):
        text = path.read_text(encoding="utf-8")
        for key in re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE):
            if key in seen:
                raise UserError(
                    f"The reference '{key}' is in {seen[key]} and in {path.name}: "
                    "keep one of them."
                )
            seen[key] = path.name
        texts.append(text)
    return "\n".join(texts)
