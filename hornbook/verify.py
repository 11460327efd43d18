"""Is everything in a run's directory still what was written there?

Every published stage has a manifest with the SHA-256 of its files, every checkpoint one of
its own. :func:`verify` reads them all again and says for each damaged file what to do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbook.core.errors import UserError
from hornbook.core.files import sha256
from hornbook.core.progress import Progress
from hornbook.pipeline import read_manifest


@dataclass(frozen=True)
class Damage:
    """One file that isn't what it was: which, what is wrong, and what to do about it."""

    path: Path
    problem: str
    remedy: str


@dataclass(frozen=True)
class Verdict:
    """What was read, and what of it is damaged."""

    files: int
    bytes: int
    damage: list[Damage]


def verify(run: Path) -> Verdict:
    """Read every file of ``run`` that has a digest and compare.

    Raises :class:`UserError` when ``run`` is no run directory.
    """
    if not (run / "recipe.toml").exists():
        raise UserError(f"{run} is no run: it holds no recipe.toml.")
    published = [
        path
        for path in sorted(run.iterdir())
        if path.is_dir() and path.suffix not in (".partial", ".old")
    ]
    files, size = 0, 0
    found: list[Damage] = []
    with Progress("verify", total=None, unit="B") as progress:
        for stage in published:
            for path, wrong in _stage(stage):
                held = path.stat().st_size if path.exists() else 0
                files, size = files + 1, size + held
                progress.advance(held, stage.name)
                if wrong:
                    found.append(Damage(path, wrong, _redo(run, stage.name)))
        for checkpoint in sorted(run.glob("*.partial/step-*[0-9]")):
            files += len(list(checkpoint.iterdir()))
            found += _checkpoint(checkpoint)
    return Verdict(files, size, found)


def _stage(directory: Path) -> Iterator[tuple[Path, str]]:
    """Every file of a stage with what is wrong with it (empty: nothing)."""
    try:
        manifest = read_manifest(directory.parent, directory.name)
    except UserError:
        manifest = {}
    if not manifest or "files" not in manifest:
        yield directory / "manifest.json", "is missing or damaged"
        return
    for name, noted in manifest["files"].items():
        path = directory / name
        if not path.is_file():
            yield path, "is missing"
        elif path.stat().st_size != noted["bytes"]:
            yield (
                path,
                f"has {path.stat().st_size:,} bytes instead of {noted['bytes']:,}",
            )
        elif sha256(path) != noted["sha256"]:
            yield path, "has other contents than were written (its SHA-256 differs)"
        else:
            yield path, ""


def _redo(run: Path, stage: str) -> str:
    recipe = run / "recipe.toml"
    return (
        f"remove {run / stage} and run `hornbook run {recipe}` again: it redoes this stage "
        "and what depends on it"
    )


def _checkpoint(directory: Path) -> list[Damage]:
    """What is wrong with a checkpoint of a training that was cut off."""
    from hornbook.train.checkpoint import damage

    remedy = (
        "nothing needs doing: the training goes on from the newest one that is sound"
    )
    return [Damage(path, problem, remedy) for path, problem in damage(directory)]
