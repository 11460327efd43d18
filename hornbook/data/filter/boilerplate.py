"""Lines that a site says on every page, cut before any rule looks at what remains.

Three kinds: lines that many documents of one source hold (headers and footers); short notices
about cookies, newsletters, sharing and copyright; runs of short lines, as menus are.

How many documents hold a line is counted in tables of fixed size (a count-min sketch,
Cormode and Muthukrishnan 2005): a line is never counted too low, and too high only where two
other lines share both its places, so memory stays the same whatever the corpus.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hornbook.core.progress import Progress
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.characters import mix
from hornbook.data.documents import count_documents, document_files, read_tables
from hornbook.data.filter.codestatistics import is_code
from hornbook.data.filter.config import Boilerplate
from hornbook.data.filter.linescan import (
    count_lines,
    keep_lines,
    line_tables,
    matches,
    phrase_table,
    scan_line,
    strip,
)
from hornbook.data.jit import kernel

NOTICES = (
    *("accept cookies", "accept all cookies", "cookie settings", "cookie policy"),
    *("this site uses cookies", "this website uses cookies", "we use cookies"),
    *("by continuing to use this site", "subscribe to our", "sign up for our"),
    *(
        "join our mailing list",
        "our newsletter",
        "all rights reserved",
        "privacy policy",
    ),
    *("share on facebook", "share on twitter", "follow us on", "skip to content"),
    *("skip to main content", "back to top", "add to cart", "leave a reply"),
    *("post a comment", "your email address will not be published"),
    *("enable javascript", "you must be logged in"),
)
NOTICE_WORDS = 20  # a longer line is prose that happens to say so
MENU_WORDS = 3  # a longer line is no entry of a menu
MOST_SLOTS = 1 << 26  # two tables of uint16: 256 MB


class LineCounts:
    """In about how many documents of a source a line stands; never fewer than it says."""

    def __init__(self, slots: int) -> None:
        self.table = np.zeros((2, slots), np.uint16)

    def add(self, table: pa.Table, min_characters: int) -> None:
        """Count the lines of a table's documents, each once per document."""
        buffer, offsets = text_buffers(column_texts(table))
        tables = line_tables()
        _count(buffer, offsets, _seeds(table), min_characters, tables, self.table)


def count_boilerplate(config: Boilerplate, documents: Path) -> LineCounts:
    """Count every line of ``documents``: the first of two readings."""
    size = sum(_text_bytes(path) for path in document_files(documents))
    slots = 1 << 14
    while slots < min(size // 16, MOST_SLOTS):
        slots *= 2
    counts = LineCounts(slots)
    with Progress("lines", count_documents(documents), "doc") as progress:
        for table in read_tables(documents):
            counts.add(table, config.min_characters)
            progress.advance(table.num_rows)
    return counts


def _text_bytes(path: Path) -> int:
    file = pq.read_metadata(path)
    return sum(file.row_group(g).total_byte_size for g in range(file.num_row_groups))


def cut_boilerplate(
    table: pa.Table, counts: LineCounts, config: Boilerplate
) -> tuple[pa.Table, dict[str, Any]]:
    """The table with those lines cut, and ``lines``, ``bytes`` and some ``examples``."""
    texts = column_texts(table)
    buffer, offsets = text_buffers(texts)
    kept = np.ones(count_lines(buffer, offsets), np.bool_)
    _mark(
        buffer,
        offsets,
        _seeds(table),
        np.array([is_code(path) for path in table.column("path").to_pylist()]),
        (config.max_documents, config.min_characters, config.navigation_run),
        config.notices,
        line_tables(),
        phrase_table(NOTICES)[:2],
        counts.table,
        kept,
    )
    cut = int((~kept).sum())
    if not cut:
        return table, {"lines": 0, "bytes": 0, "examples": []}
    shorter = keep_lines(texts, kept)
    facts = {
        "lines": cut,
        "bytes": int(
            offsets[-1] - offsets[0] - np.diff(text_buffers(shorter)[1]).sum()
        ),
        "examples": _examples(texts, kept),
    }
    return table.set_column(
        table.schema.get_field_index("text"), "text", shorter
    ), facts


def _examples(
    texts: pa.LargeStringArray, kept: np.ndarray, most: int = 20
) -> list[str]:
    """Some of the lines that were cut, for a reader of the funnel."""
    found: dict[str, None] = {}
    line = 0
    for text in texts:
        lines = text.as_py().split("\n")
        for number in np.flatnonzero(~kept[line : line + len(lines)]).tolist():
            found.setdefault(lines[number].strip()[:200])
        line += len(lines)
        if len(found) >= most:
            break
    return list(found)[:most]


def _seeds(table: pa.Table) -> np.ndarray:
    """A hash of each document's source: lines are counted per source."""
    seeds = {
        name: xxhash.xxh3_64_intdigest(name.encode())
        for name in set(table.column("source").to_pylist())
    }
    return np.array([seeds[s] for s in table.column("source").to_pylist()], np.uint64)


@kernel
def _places(h, seed, slots):
    """Where a line's two counters stand."""
    key = mix(h ^ seed)
    mask = np.uint64(slots - 1)
    return key & mask, (key >> np.uint64(32)) & mask


@kernel
def _line_key(buffer, i, last, tables):
    """The hash of a line without blanks at its ends."""
    a, b = strip(buffer, i, last)
    return scan_line(buffer, a, b, tables)[1] if b > a else np.uint64(0)


@kernel
def _count(buffer, offsets, seeds, min_characters, tables, counters):
    for d in range(offsets.size - 1):
        i, end = offsets[d], offsets[d + 1]
        seen = set([np.uint64(0)])  # noqa: C405  (what the compiler understands)
        while i < end:
            last, _, characters, words, _, _, _, _ = scan_line(buffer, i, end, tables)
            if words and characters >= min_characters:
                h = _line_key(buffer, i, last, tables)
                if h not in seen:
                    seen.add(h)
                    a, b = _places(h, seeds[d], counters.shape[1])
                    low = min(counters[0, a], counters[1, b])
                    if low < 65535:  # only what is lowest grows: errors stay smaller
                        counters[0, a] = max(counters[0, a], low + 1)
                        counters[1, b] = max(counters[1, b], low + 1)
            i = last + 1


@kernel
def _mark(
    buffer, offsets, seeds, code, limits, notices, tables, phrases, counters, kept
):
    """Set ``kept`` to False for every line that is to go."""
    max_documents, min_characters, run = limits
    line = 0
    for d in range(offsets.size - 1):
        i, end = offsets[d], offsets[d + 1]
        menu = 0  # lines of a menu so far
        while i <= end:
            last, _, characters, words, _, _, _, _ = scan_line(buffer, i, end, tables)
            if words and not code[d]:
                if characters >= min_characters:
                    h = _line_key(buffer, i, last, tables)
                    a, b = _places(h, seeds[d], counters.shape[1])
                    kept[line] = min(counters[0, a], counters[1, b]) <= max_documents
                if notices and words <= NOTICE_WORDS:
                    kept[line] &= not _has_notice(buffer, i, last, *phrases)
                entry = words <= MENU_WORDS and not _ends_a_sentence(buffer, i, last)
                menu = menu + 1 if entry else 0
                if run and menu >= run:  # the earlier lines of the run were not cut yet
                    kept[line] = False
                    if menu == run:
                        kept[line - run + 1 : line] = False
            elif not code[d]:
                menu = 0
            line += 1
            i = last + 1


@kernel
def _ends_a_sentence(buffer, i, last):
    c = buffer[strip(buffer, i, last)[1] - 1]
    return c in (33, 34, 39, 46, 58, 59, 63, 44) or c >= 0x80


@kernel
def _has_notice(buffer, i, last, rows, lengths):
    for j in range(i, last):
        if j > i and buffer[j - 1] > 64:
            continue  # a phrase begins where a word does
        for p in range(lengths.size):
            if matches(buffer, j, last, rows[p], lengths[p]):
                return True
    return False
