"""Datasets of the Hugging Face hub: which files a recipe means, and their copies here.

The hub's own library lists, fetches, resumes and keeps them in its cache; this file only
chooses. Every file comes from one commit, even if the branch moves on meanwhile.
"""

import importlib
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hornbook.core.errors import UserError
from hornbook.core.progress import console
from hornbook.data.read.config import HubSource
from hornbook.data.read.sources import Skip, SourceFile, source_name

READABLE = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
COMPRESSED = re.compile(r"\.(gz|zst|lz4)$")
SPLITS = "train|test|validation|valid|val|dev|eval"


def fetch_dataset(source: HubSource, skip: Skip) -> Iterator[SourceFile]:
    """The files a source means, each fetched when it is asked for; failures go to ``skip``.

    Raises :class:`UserError` for a dataset, revision, config or split that is not there.
    """
    hub = _library()
    # Read here as well, for the library looks at it only once, when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT")
    info = _info(hub.HfApi(endpoint=endpoint), source)
    names = [sibling.rfilename for sibling in info.siblings or []]
    card = info.card_data.to_dict() if info.card_data else {}
    chosen = choose_files(names, card.get("configs") or [], source)
    console.print(
        f"{source.repo} at {info.sha}: {len(chosen)} files",
        markup=False,
        highlight=False,
    )
    for name in chosen:
        try:
            file = hub.hf_hub_download(
                *(source.repo, name),
                repo_type="dataset",
                revision=info.sha,
                endpoint=endpoint,
                cache_dir=str(Path(source.cache).expanduser())
                if source.cache
                else None,
            )
        except Exception as error:  # the library's, its http client's, the system's
            skip(name, f"download failed ({_brief(error)})")
            continue
        yield SourceFile(source_name(source), name, Path(file))


def _library() -> Any:
    try:
        hub = importlib.import_module("huggingface_hub")
        utils = importlib.import_module("huggingface_hub.utils")
    except ImportError:
        raise UserError(
            "Reading datasets of the hub needs the package huggingface_hub: "
            "pip install 'hornbook[hub]'."
        ) from None
    utils.disable_progress_bars()  # ours is on the screen already
    return hub


def _info(api: Any, source: HubSource) -> Any:
    try:
        return api.dataset_info(source.repo, revision=source.revision)
    except Exception as error:
        raise UserError(
            f"data.sources: the dataset '{source.repo}' (revision '{source.revision}') "
            f"cannot be had from the hub: {_brief(error)}."
        ) from None


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = type(error).__name__
    return f"{named}: {lines[0].rstrip('.')[:200]}" if lines else named


def choose_files(
    names: list[str], configs: list[dict[str, Any]], source: HubSource
) -> list[str]:
    """The names of the files that a source means, sorted. Raises :class:`UserError`.

    By its own patterns; else by the dataset card's ``configs``; else by the words that
    stand in the files' names.
    """
    readable = sorted(n for n in names if COMPRESSED.sub("", n).endswith(READABLE))
    if source.files:
        chosen = [n for n in readable if any(_matches(n, p) for p in source.files)]
    elif configs:
        patterns = _patterns(_config(configs, source), source)
        chosen = [n for n in readable if any(_matches(n, p) for p in patterns)]
    else:
        chosen = _by_name(readable, source)
    if not chosen:
        some = ", ".join(readable[:5]) or "none that can be read"
        raise UserError(
            f"data.sources: no file of the dataset '{source.repo}' is meant by 'files', "
            f"'config' and 'split'; it has {some}."
        )
    return chosen


def _matches(name: str, pattern: str) -> bool:
    """Patterns as on the hub: ``**`` any folders, ``*`` within one; or a folder's name."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.rstrip("/"))
    meanings = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(meanings.get(part, re.escape(part)) for part in parts)
    simple = "/" not in pattern and fnmatch(name.rpartition("/")[2], pattern)
    return simple or bool(re.fullmatch(rf"{regex}(/.*)?", name))


def _config(configs: list[dict[str, Any]], source: HubSource) -> dict[str, Any]:
    by_name = {str(c.get("config_name", "default")): c for c in configs}
    if source.config:
        return by_name[_known("config", source.config, list(by_name), source)]
    default = [c for n, c in by_name.items() if c.get("default") or n == "default"]
    if default or len(by_name) == 1:
        return (default or list(by_name.values()))[0]
    raise UserError(
        f"data.sources: the dataset '{source.repo}' has several configs; choose one with "
        f"'config': {', '.join(by_name)}."
    )


def _patterns(config: dict[str, Any], source: HubSource) -> list[str]:
    """The patterns of a config's files, of the split that is asked for."""
    files = config.get("data_files") or "**"
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    if isinstance(files, str):
        files = [files]
    by_split: dict[str, list[str]] = {}
    for entry in files:
        split = entry.get("split", "train") if isinstance(entry, dict) else "train"
        paths = entry.get("path", []) if isinstance(entry, dict) else entry
        paths = [paths] if isinstance(paths, str) else paths
        by_split.setdefault(str(split), []).extend(map(str, paths))
    if not source.split:
        return [pattern for patterns in by_split.values() for pattern in patterns]
    return by_split[_known("split", source.split, list(by_split), source)]


def _by_name(names: list[str], source: HubSource) -> list[str]:
    if source.config:
        folders = sorted({n.split("/")[0] for n in names if "/" in n})
        names = [n for n in names if _has_word(n, re.escape(source.config))]
        if not names:
            _known("config", source.config, folders, source)
    if source.split and any(_has_word(n, SPLITS) for n in names):
        names = [n for n in names if _has_word(n, re.escape(source.split))]
    return names


def _has_word(name: str, word: str) -> bool:
    return bool(re.search(rf"(^|[/._-])({word})([/._-]|$)", name))


def _known(key: str, value: str, known: list[str], source: HubSource) -> str:
    if value in known:
        return value
    near = get_close_matches(value, known, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise UserError(
        f"data.sources: the dataset '{source.repo}' has no {key} '{value}'{hint}; it has "
        f"{', '.join(known[:20]) or 'none'}."
    )
