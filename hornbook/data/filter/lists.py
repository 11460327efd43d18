"""Lists of addresses and words that nobody wants to train on: the user's, and a short one.

A list is a text file, one entry a line, ``#`` before a comment. Addresses: ``example.com``
is that domain and all below it, ``.xxx`` a whole top-level domain; an entry with a slash,
or without a dot, is looked for anywhere in the address. Words: a word or a phrase, matched as
whole words without regard to case (in scripts without blanks, as a run of characters).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.data.arrow import text_buffers
from hornbook.data.characters import mix
from hornbook.data.jit import kernel
from hornbook.data.shingles import shingle_hashes, slot_of, word_tables

# The built-in lists: what only adult and spam sites call themselves, and say.
HOSTS = (
    *(".xxx", ".adult", ".porn", ".sex", ".sexy", ".casino", ".poker", ".bet"),
    *("porn", "xvideo", "xxxvid", "hentai", "camgirl", "sexcam", "livesex", "milf"),
    *("escortservice", "onlinecasino", "slotonline", "viagra", "cialis", "paydayloan"),
)
PHRASES = (
    *("free porn", "porn videos", "porn tube", "xxx videos", "sex videos", "sex cam"),
    *("live sex", "nude pics", "hot milf", "escort girls", "escort service"),
    *("online casino", "casino bonus", "no deposit bonus", "free spins", "slot online"),
    *("buy viagra", "cheap viagra", "generic viagra", "buy cialis", "generic cialis"),
    *("without prescription", "payday loans", "replica watches", "replica handbags"),
    *("essay writing service", "buy essay", "buy backlinks", "cheap jerseys"),
)


@dataclass(frozen=True)
class Addresses:
    """Domains, parts of addresses, and parts of the names of hosts alone."""

    domains: frozenset[str]
    parts: tuple[str, ...]
    host_parts: tuple[str, ...]

    def block(self, address: str) -> bool:
        """Whether ``address``, with or without its scheme, is on the list."""
        address = address.lower().partition("://")[2] or address.lower()
        host = address.partition("/")[0].rpartition("@")[2].partition(":")[0]
        labels = host.strip(".").split(".")
        if any(".".join(labels[i:]) in self.domains for i in range(len(labels))):
            return True
        return any(part in address for part in self.parts) or any(
            part in host for part in self.host_parts
        )


@cache
def read_addresses(files: tuple[str, ...], built_in: bool) -> tuple[Addresses, str]:
    """The address lists, and a digest of what is on them."""
    entries = [entry.lower() for file in files for entry in read_list(file)]
    parts = tuple(sorted({e for e in entries if "." not in e or "/" in e}))
    own = HOSTS if built_in else ()
    domains = {e.strip(".") for e in (*entries, *own) if "." in e and "/" not in e}
    host_parts = tuple(e for e in own if "." not in e)
    found = Addresses(frozenset(domains), parts, host_parts)
    return found, _digest([*entries, *own])


def read_list(file: str) -> list[str]:
    """The entries of a list, in order. Raises :class:`UserError` when it cannot be read."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"data.filters: the list {file} cannot be read ({error})."
        ) from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not (entries := [line for line in lines if line]):
        raise UserError(f"data.filters: the list {file} has no entries.")
    return entries


def _digest(entries: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Phrases:
    """Words and phrases as a tree of hashes: each node is the hash of the words so far."""

    keys: np.ndarray  # uint64, a hash table; 0 is free
    whole: np.ndarray  # bool: the node is the end of an entry
    unusable: tuple[str, ...]  # entries without a letter or digit

    def count(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """``(places where an entry stands, words)`` of each text, float64."""
        buffer, offsets = text_buffers(texts)
        hits, words = np.zeros(len(texts)), np.zeros(len(texts))
        _count(buffer, offsets, *word_tables(), self.keys, self.whole, hits, words)
        return hits, words


@cache
def read_phrases(files: tuple[str, ...]) -> tuple[Phrases, str]:
    """The word lists, and a digest of what is on them."""
    entries = [entry for file in files for entry in read_list(file)]
    return phrase_tree(tuple(entries)), _digest(entries)


@cache
def phrase_tree(entries: tuple[str, ...]) -> Phrases:
    """The tree of ``entries``."""
    buffer, offsets = text_buffers(pa.array(entries, pa.large_string()))
    size = 64
    while size < 4 * (int(offsets[-1]) + 1):
        size *= 2
    keys, whole = np.zeros(size, np.uint64), np.zeros(size, np.bool_)
    usable = np.zeros(len(entries), np.bool_)
    _grow(buffer, offsets, *word_tables(), keys, whole, usable)
    unusable = [entries[i] for i in np.flatnonzero(~usable)]
    return Phrases(keys, whole, tuple(unusable))


@kernel
def _step(node, word):
    return mix(node * np.uint64(3) + word) | np.uint64(1)


@kernel
def _grow(buffer, offsets, role, folded, keys, whole, usable):
    ring = np.zeros(1, np.uint64)
    for d in range(offsets.size - 1):
        out = np.empty(offsets[d + 1] - offsets[d] + 1, np.uint64)
        words = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, 1, ring, out
        )
        node = np.uint64(0)
        for i in range(words):
            node = _step(node, out[i])
            at = slot_of(keys, node)
            keys[at] = node
            whole[at] |= i == words - 1
        usable[d] = words > 0


@kernel
def _count(buffer, offsets, role, folded, keys, whole, hits, words):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    out, ring = np.empty(longest // 2 + 2, np.uint64), np.zeros(1, np.uint64)
    for d in range(offsets.size - 1):
        count = shingle_hashes(
            buffer, offsets[d], offsets[d + 1], role, folded, 1, ring, out
        )
        words[d] = count
        for i in range(count):
            node = np.uint64(0)
            for j in range(i, count):
                node = _step(node, out[j])
                at = slot_of(keys, node)
                if keys[at] == 0:
                    break
                if whole[at]:
                    hits[d] += 1
                    break
