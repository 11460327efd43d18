"""Source code: repositories, bare ones too, and folders of them, file by file.

A repository is read through the ``git`` program at a revision, without a checkout: one
``git ls-tree`` lists it and one ``git cat-file --batch`` hands out what is wanted. Each file
goes with the licence that lies nearest above it.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from hornbook.core.errors import UserError
from hornbook.data.read.config import GitSource
from hornbook.data.read.decode import NotText, decode
from hornbook.data.read.gitobjects import GitError, Objects, blob_bytes, git
from hornbook.data.read.languages import LANGUAGES, SHARED_ENDINGS, language_of
from hornbook.data.read.licence import (
    MAX_LICENCE_BYTES,
    UNKNOWN,
    is_allowed,
    is_licence_file,
    licence_of_folder,
    licence_of_source,
)
from hornbook.data.read.sources import Note, Skip, SourceFile, source_name

# Folders with other people's code, or with what programs made.
VENDORED = {
    *("node_modules", "bower_components", "jspm_packages", "vendor", "vendored"),
    *("third_party", "third-party", "thirdparty", "3rdparty", "external_libs"),
    *("site-packages", "dist-packages", "__pycache__", ".venv", "venv", ".tox", ".nox"),
    *("Pods", "Carthage", ".gradle", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
}
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MAX_CODE_BYTES = 4 << 20  # nobody writes more into one file by hand
LINK, SUBMODULE = "120000", "160000"  # modes of a tree's entries


@dataclass(frozen=True)
class CodeFile(SourceFile):
    """A file of code: on disk, or an object of the repository at ``file``."""

    licence: str = UNKNOWN  # what the nearest licence file says
    blob: str = ""  # the object's id; '' for a file on disk
    bytes: int = 0

    def size(self) -> int:
        """How many bytes it holds."""
        return self.bytes

    def state(self) -> str:
        """Changes when the content does."""
        return f"{self.licence} {self.blob}" if self.blob else super().state()


@dataclass(frozen=True)
class Entry:
    """What a tree lists: ``path`` within it, its mode as git writes it, id and size."""

    path: str
    mode: str
    blob: str
    size: int


def find_code(source: GitSource, skip: Skip) -> Iterator[CodeFile]:
    """The files of code below a source's path, in a fixed order; strays go to ``skip``.

    Raises :class:`UserError` for a missing folder, a wrong language or revision.
    """
    for language in source.languages:
        if language not in LANGUAGES:
            near = get_close_matches(language.lower(), LANGUAGES, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise UserError(
                f"data.sources: unknown language '{language}' in 'languages'{hint}; known "
                f"are {', '.join(sorted(LANGUAGES))}."
            )
    root = Path(source.path).expanduser()
    if not root.is_dir():
        raise UserError(
            f"data.sources: there is no folder '{source.path}' (looked in {root.absolute()})."
        )
    yield from _below(root, "", source, skip)


def _below(
    folder: Path, prefix: str, source: GitSource, skip: Skip
) -> Iterator[CodeFile]:
    """The files of a repository, or of all repositories and files below a folder."""
    if source.revision and is_repository(folder):
        try:
            entries = list_revision(folder, source.revision)
        except GitError as error:
            if not prefix:
                raise UserError(
                    f"data.sources: '{source.path}' has no 'revision' named "
                    f"'{source.revision}' ({error})."
                ) from None
            skip(prefix, f"no revision of that name ({error})")
            return
        with Objects(folder) as objects:
            yield from _choose(
                entries,
                lambda entry: objects.read(entry.blob, MAX_LICENCE_BYTES),
                (folder, prefix),
                source,
                skip,
            )
        return
    inner: list[Path] = []
    entries = list_disk(folder, inner if source.revision else None, skip)
    yield from _choose(
        entries,
        lambda e: (folder / e.path).read_bytes(),
        (folder, prefix),
        source,
        skip,
    )
    for repository in inner:
        path = repository.relative_to(folder).as_posix()
        yield from _below(repository, f"{prefix}{path}/", source, skip)


def is_repository(folder: Path) -> bool:
    """Whether a folder is a git repository: with a working tree, or bare."""
    bare = (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    return (folder / ".git").exists() or (bare and (folder / "refs").is_dir())


def list_disk(root: Path, repositories: list[Path] | None, skip: Skip) -> list[Entry]:
    """What lies below a folder, sorted by path; repositories in it go to their own list."""
    entries: list[Entry] = []
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listed:
                found = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            path = folder.relative_to(root).as_posix()
            skip(path, f"folder cannot be read ({error.strerror})")
            continue
        for entry in found:
            path = Path(entry.path)
            if entry.is_symlink() or not entry.is_dir():
                status = entry.stat(follow_symlinks=False)
                kind = LINK if entry.is_symlink() else f"{status.st_mode:o}"
                name = path.relative_to(root).as_posix()
                entries.append(Entry(name, kind, "", status.st_size))
            elif entry.name == ".git":
                continue
            elif repositories is not None and is_repository(path):
                repositories.append(path)
            else:
                waiting.append(path)
    if repositories:
        repositories.sort()
    return sorted(entries, key=lambda entry: entry.path)


def list_revision(repository: Path, revision: str) -> list[Entry]:
    """The files of a repository at a revision. Raises :class:`GitError`."""
    commit = git(
        repository,
        "rev-parse",
        "--verify",
        "--end-of-options",
        f"{revision}^{{commit}}",
    )
    listing = ("ls-tree", "-r", "-z", "--full-tree", commit.decode().strip())
    try:
        listed = git(repository, *listing, "-l")
    except GitError:  # objects are missing, as in a partial clone: no sizes then
        listed = git(repository, *listing).replace(b"\t", b" -\t")
    entries = []
    for line in listed.split(b"\0"):
        if line:
            facts, _, name = line.partition(b"\t")
            mode, _, blob, size = facts.decode("ascii").split()
            path = name.decode("utf-8", "surrogateescape")
            known = int(size) if size.isdigit() else 0  # a damaged object has none
            entries.append(Entry(path, mode, blob, known))
    return entries


def _choose(
    entries: list[Entry],
    read: Callable[[Entry], bytes],
    place: tuple[Path, str],
    source: GitSource,
    skip: Skip,
) -> Iterator[CodeFile]:
    folder, prefix = place
    licences = _licences(entries, read)
    name = source_name(source)
    for entry in entries:
        path = prefix + entry.path
        if reason := _refused(entry, source):
            skip(path, reason)
            continue
        file = folder if entry.blob else folder / entry.path
        licence = _nearest(licences, entry.path)
        facts = {"licence": licence, "blob": entry.blob, "bytes": entry.size}
        yield CodeFile(name, path, file, **facts)


def _refused(entry: Entry, source: GitSource) -> str:
    """Why a file is not read at all, from what the listing says of it; '' when it may be."""
    path = PurePosixPath(entry.path)
    if entry.mode == LINK:
        return "a symbolic link"
    if entry.mode == SUBMODULE:
        return "a submodule (add its repository as a source)"
    if not entry.blob and not stat.S_ISREG(int(entry.mode, 8)):
        return "not a regular file"
    if not source.vendored and VENDORED.intersection(path.parts[:-1]):
        return "vendored (see 'vendored')"
    if entry.size > MAX_CODE_BYTES:
        return f"larger than {MAX_CODE_BYTES >> 20} MiB"
    language = language_of(entry.path)
    if not language and path.suffix:
        return f"no known language (it ends in {path.suffix[:20]})"
    sure = language and path.suffix[1:] not in SHARED_ENDINGS
    return _unwanted(language, source) if sure else ""


def _unwanted(language: str, source: GitSource) -> str:
    if not source.languages or language in source.languages:
        return ""
    return f"not one of 'languages' (it is {language})"


def _licences(entries: list[Entry], read: Callable[[Entry], bytes]) -> dict[str, str]:
    """Folder -> the licence that the licence files in it state."""
    texts: dict[str, dict[str, str]] = {}
    for entry in entries:
        path = PurePosixPath(entry.path)
        if is_licence_file(path.name) and entry.size <= MAX_LICENCE_BYTES:
            if entry.mode in (LINK, SUBMODULE):
                continue
            try:
                raw = read(entry)
            except (OSError, GitError):
                continue  # reading it as a document will report it
            text = raw.decode("utf-8", "replace")
            texts.setdefault(path.parent.as_posix(), {})[path.name] = text
    return {folder: licence_of_folder(found) for folder, found in texts.items()}


def _nearest(licences: dict[str, str], path: str) -> str:
    for folder in PurePosixPath(path).parents:
        if (licence := licences.get(folder.as_posix(), UNKNOWN)) != UNKNOWN:
            return licence
    return UNKNOWN


def read_code(
    found: CodeFile, source: GitSource, skip: Skip, note: Note
) -> Iterator[tuple[str, str]]:
    """The text of one file, if its language and licence are wanted."""
    try:
        raw = (
            blob_bytes(found.file, found.blob, MAX_CODE_BYTES)
            if found.blob
            else _on_disk(found)
        )
    except GitError as error:
        skip(found.path, f"cannot be read ({error})")
        return
    if raw.startswith(LFS_POINTER):
        skip(found.path, "a Git LFS pointer (its content is not in the repository)")
        return
    try:
        text, _ = decode(raw, found.file.suffix or PurePosixPath(found.path).suffix)
    except NotText as error:
        skip(found.path, str(error))
        return
    language = language_of(found.path, text[:4096])
    licence = licence_of_source(text, found.licence)
    reason = _unwanted(language, source) if language else "no known language"
    if not reason and not is_allowed(licence, source.licences):
        reason = f"licence not one of 'licences' (it is {licence[:80]})"
    if reason:
        skip(found.path, reason)
        return
    note(found.path, {"language": language, "licence": licence})
    yield found.path, text


def _on_disk(found: CodeFile) -> bytes:
    with found.open() as handle:
        return handle.read(MAX_CODE_BYTES)
