"""Which numbers there are, which of them a configuration needs, and where they come from.

Numbers first, decisions later: ``statistics.parquet`` keeps every number of every document,
so a rule with another threshold asks the stored number and measures nothing again. A number
is only trusted for the very text it was measured on (by hash), by the same measure (by tag).
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from hornbook.core.errors import UserError
from hornbook.data.arrow import column_texts, text_buffers
from hornbook.data.filter.codestatistics import (
    CODE,
    is_code,
    measure_code,
    unwanted_name,
)
from hornbook.data.filter.config import (
    FilterConfig,
    WebLines,
)
from hornbook.data.filter.expression import names_in
from hornbook.data.filter.lists import (
    PHRASES,
    phrase_tree,
    read_addresses,
    read_phrases,
)
from hornbook.data.filter.pagelines import measure_page_lines
from hornbook.data.filter.statistics import PLAIN, measure
from hornbook.data.filter.webstatistics import LINES, NGRAMS, WORDS, measure_web

Columns = dict[str, np.ndarray]

HEAD_LINES = 12
COMMENT = re.compile(r"\s*(#|//|/\*|\*|--|;|%|<!--|\"\"\"|''')")
GENERATED = re.compile(
    r"auto-?generated|automatically generated|@generated|do not (edit|modify)"
    r"|\b(file|module|code|codec|configuration)\b[^.]{0,40}\bgenerated (by|from|on|and)\b",
    re.IGNORECASE,
)
NOTEBOOK = re.compile(r'\s*\{\s*"(cells|metadata|nbformat|worksheets)"\s*:')


@dataclass(frozen=True)
class Measure:
    """Some numbers measured together.

    ``tag`` says what they depend on beside the text; it changes when the measure does.
    """

    columns: tuple[str, ...]
    run: Callable[[pa.Table, FilterConfig], Columns]
    asked: Callable[[FilterConfig], bool]
    tag: Callable[[FilterConfig], str] = lambda config: "1"


def _plain(table: pa.Table, config: FilterConfig) -> Columns:
    return measure(column_texts(table)) | {"generated": _generated(table)}


def _generated(table: pa.Table) -> np.ndarray:
    """:func:`looks_generated` of each; only heads that hold one of its words are looked at."""
    heads = pc.call_function(
        "utf8_slice_codeunits", [column_texts(table)], pc.SliceOptions(0, 2000)
    )
    words = pc.MatchSubstringOptions("generated|do not (edit|modify)", ignore_case=True)
    maybe = pc.call_function("match_substring_regex", [heads], words)
    found = np.zeros(table.num_rows)
    for row in np.flatnonzero(maybe.to_numpy(zero_copy_only=False)).tolist():
        found[row] = looks_generated(heads[row].as_py())
    return found


def _heads(table: pa.Table, characters: int) -> list[str]:
    """The beginning of each text."""
    options = pc.SliceOptions(0, characters)
    return pc.call_function(
        "utf8_slice_codeunits", [table.column("text")], options
    ).to_pylist()


def looks_generated(text: str) -> bool:
    """Whether a comment within the first lines says that a program wrote the file."""
    head = text[:2000].split("\n")[:HEAD_LINES]
    return any(COMMENT.match(line) and GENERATED.search(line) for line in head)


def _web(table: pa.Table, config: FilterConfig) -> Columns:
    return measure_web(column_texts(table))


def _page_lines(table: pa.Table, config: FilterConfig) -> Columns:
    limit = (config.web_lines or WebLines()).max_uppercase
    return measure_page_lines(column_texts(table), limit)


def _code(table: pa.Table, config: FilterConfig) -> Columns:
    paths = _paths(table)
    heads = _heads(table, 200)
    return measure_code(column_texts(table)) | {
        "is_code": np.array([is_code(path) for path in paths], np.float64),
        "unwanted_name": np.array([unwanted_name(path) for path in paths], np.float64),
        "notebook": np.array(
            [p.endswith(".ipynb") and bool(NOTEBOOK.match(h))
             for p, h in zip(paths, heads, strict=True)], np.float64,
        ),
    }  # fmt: skip


def _language(table: pa.Table, config: FilterConfig) -> Columns:
    from hornbook.data.classify.language import load_language_model

    codes, scores = load_language_model().identify(column_texts(table))
    if not config.languages_of_code:
        code = np.array([is_code(path) for path in _paths(table)], bool)
        codes[code], scores[code] = "code", 1.0
    return {"language": codes.astype(object), "language_score": scores}


def _lists(table: pa.Table, config: FilterConfig) -> Columns:
    texts, paths = column_texts(table), _paths(table)
    hits, words = np.zeros(len(texts)), np.ones(len(texts))
    if config.word_blocklist:
        hits, words = read_phrases(config.word_blocklist)[0].count(texts)
    addresses, _ = read_addresses(config.url_blocklist, config.built_in_lists)
    from_web = np.array(["://" in path for path in paths], bool)
    spam = np.zeros(len(texts))
    if config.built_in_lists and from_web.any():
        spam[from_web] = phrase_tree(PHRASES).count(texts.filter(pa.array(from_web)))[0]
    blocked = [
        web and addresses.block(path) for path, web in zip(paths, from_web, strict=True)
    ]
    return {
        "blocked_words": hits,
        "blocked_word_share": hits / np.maximum(words, 1),
        "spam_phrases": spam,
        "blocked_address": np.array(blocked, np.float64),
    }


def _list_tag(config: FilterConfig) -> str:
    words = read_phrases(config.word_blocklist)[1] if config.word_blocklist else ""
    return words + read_addresses(config.url_blocklist, config.built_in_lists)[1]


def _paths(table: pa.Table) -> list[str]:
    has = "path" in table.column_names
    return table.column("path").to_pylist() if has else [""] * table.num_rows


def _asks_web(config: FilterConfig) -> bool:
    tables = config.gopher_quality, config.gopher_repetition, config.c4, config.fineweb
    return any(tables)


MEASURES = {
    "plain": Measure((*PLAIN, "generated"), _plain, lambda config: True),
    "web": Measure((*WORDS, *LINES, *NGRAMS), _web, _asks_web),
    "page lines": Measure(
        ("flagged_word_share",),
        _page_lines,
        lambda config: config.web_lines is not None,
        lambda config: str((config.web_lines or WebLines()).max_uppercase),
    ),
    "code": Measure(
        (*CODE, "is_code", "unwanted_name", "notebook"),
        _code,
        lambda config: config.code is not None,
    ),
    "language": Measure(
        ("language", "language_score"),
        _language,
        lambda config: bool(config.languages),
        lambda config: f"1 {config.languages_of_code}",
    ),
    "lists": Measure(
        ("blocked_words", "blocked_word_share", "spam_phrases", "blocked_address"),
        _lists,
        lambda config: (
            bool(config.url_blocklist or config.word_blocklist) or config.built_in_lists
        ),
        _list_tag,
    ),
}


def needed(config: FilterConfig) -> list[str]:
    """The measures whose numbers ``config`` asks for (its presets filled in)."""
    used = names_in(config.keep, [c for m in MEASURES.values() for c in m.columns])
    return [
        name
        for name, measure in MEASURES.items()
        if config.statistics == "all"
        or (name == "plain")
        or (config.enabled and (measure.asked(config) or used & set(measure.columns)))
    ]


def measure_table(
    table: pa.Table, config: FilterConfig, stored: "StoredNumbers | None" = None
) -> Columns:
    """Every number that rules may ask for, one array over the rows each.

    ``table`` needs ``text``, and for some numbers ``path``. Numbers that ``stored`` has for
    these very texts are taken from there.
    """
    earlier = stored.numbers(table, config) if stored else {}
    columns: Columns = {}
    for name in needed(config):
        measure = MEASURES[name]
        if all(column in earlier for column in measure.columns):
            columns |= {column: earlier[column] for column in measure.columns}
        else:
            columns |= measure.run(table, config)
    return columns


def text_hashes(table: pa.Table) -> np.ndarray:
    """A 64-bit hash of each text and path, uint64."""
    buffer, offsets = text_buffers(column_texts(table))
    view = buffer.data
    hashes = [
        xxhash.xxh3_64_intdigest(view[a:b]) for a, b in pairwise(offsets.tolist())
    ]
    paths = [xxhash.xxh3_64_intdigest(path.encode()) for path in _paths(table)]
    return np.array(hashes, np.uint64) ^ np.array(paths, np.uint64)


def number_table(
    table: pa.Table, columns: Columns, reasons: np.ndarray, config: FilterConfig
) -> pa.Table:
    """The rows of ``statistics.parquet`` for ``table``; the tags stand in its metadata."""
    rows = {"id": table.column("id"), "text_hash": text_hashes(table), **columns}
    tags = {name: MEASURES[name].tag(config) for name in needed(config)}
    return pa.table({**rows, "reason": reasons}).replace_schema_metadata(
        {"measures": json.dumps(tags)}
    )


class StoredNumbers:
    """The numbers of an earlier ``statistics.parquet``, found by a batch's first id."""

    def __init__(self, directory: Path) -> None:
        self._groups: dict[str, tuple[Path, int]] = {}
        self._tags: dict[Path, dict[str, str]] = {}
        for path in sorted(directory.glob("**/statistics*.parquet")):
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            with pq.ParquetFile(path) as file:
                tags = (file.schema_arrow.metadata or {}).get(b"measures")
                if tags is None:
                    return
                self._tags[path] = json.loads(tags)
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=["id"])["id"]
                    if len(ids):
                        self._groups[ids[0].as_py()] = (path, group)
        except (OSError, pa.ArrowInvalid):
            return  # what is not readable is measured again

    def numbers(self, table: pa.Table, config: FilterConfig) -> Columns:
        """The stored columns that hold for ``table``; none when it is not the same texts."""
        if not table.num_rows or table.column("id")[0].as_py() not in self._groups:
            return {}
        path, group = self._groups[table.column("id")[0].as_py()]
        tags = self._tags[path]
        names = [n for n in needed(config) if tags.get(n) == MEASURES[n].tag(config)]
        wanted = [column for name in names for column in MEASURES[name].columns]
        with pq.ParquetFile(path) as file:
            rows = file.read_row_group(group, columns=["id", "text_hash", *wanted])
        same = rows.column("id").to_pylist() == table.column("id").to_pylist()
        if not same or not np.array_equal(
            rows.column("text_hash").to_numpy(), text_hashes(table)
        ):
            return {}
        return {name: rows.column(name).to_numpy() for name in wanted}


def check_lists(config: FilterConfig) -> dict[str, list[str]]:
    """Entries of word lists that can match nothing, by name: they have no letter or digit.

    Raises :class:`UserError` for a list that cannot be read, or for an unknown language.
    """
    if config.languages:
        from hornbook.data.classify.language import load_language_model

        known = load_language_model().known()
        for code in config.languages:
            if code not in known:
                raise UserError(
                    f"data.filters.languages: '{code}' is not known; there are "
                    f"{', '.join(known)}."
                )
    read_addresses(config.url_blocklist, config.built_in_lists)
    unusable = read_phrases(config.word_blocklist)[0].unusable
    return {"list_entries_ignored": list(unusable)} if unusable else {}
