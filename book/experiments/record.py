"""Where the book's experiments leave their results, and on what they were measured."""

from pathlib import Path
from typing import Any

from hornbook.core.files import write_json
from hornbook.gather import processor
from hornbook.pipeline import versions

ARTIFACTS = Path(__file__).parents[1] / "artifacts"


def record(name: str, facts: dict[str, Any]) -> None:
    """Write ``book/artifacts/NAME``: the facts, rounded, the machine and the versions."""
    path = ARTIFACTS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {"machine": processor(), "versions": versions()}
    write_json(path, {**_rounded(facts), **measured})
    print(f"wrote {path.relative_to(ARTIFACTS.parents[1])}", flush=True)


def _rounded(value: Any) -> Any:
    """Six significant digits: enough to print, and small files."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
