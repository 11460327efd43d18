"""The numbers behind the published web rules: Gopher, C4 and FineWeb.

Words are what lies between white space, lines what lies between newlines. Other tools count
punctuation as words, which moves every threshold: the definition belongs to the rule.
Sources: Rae et al. 2021 (Gopher, A.1.1), Raffel et al. 2020 (C4, 2.2), Penedo et al. 2024
(FineWeb, 3.6).
"""

from functools import cache

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import (
    DIGIT,
    LETTER,
    SPACE,
    TABLE_SIZE,
    code_point,
    kinds,
    mix,
)
from hornbook.data.filter.linescan import line_tables
from hornbook.data.filter.repetition import repeated_ngrams
from hornbook.data.filter.weblines import measure_lines
from hornbook.data.jit import kernel

WORDS = (
    "words",  # with at least one letter or digit
    "mean_word_length",  # of those, in characters
    "hashes_per_word",  # the character '#', over all words
    "ellipses_per_word",
    "alphabetic_word_share",  # words with a letter, of all words
    "stop_words",  # how many different ones of STOP_WORDS
    "newlines_per_word",
)
LINES = (  # shares are of the non-empty lines, and of the text's characters
    "bullet_line_share",  # of all lines, as is the next
    "ellipsis_line_share",
    "closed_line_share",  # lines that end in a sentence's punctuation
    "short_line_share",  # of at most 30 characters
    "repeated_line_share",
    "repeated_line_characters",
    "repeated_paragraph_share",
    "repeated_paragraph_characters",
    "c4_lines",  # lines that C4 keeps
    "c4_open_lines",  # the same, without asking for final punctuation (FineWeb)
    "c4_sentences",  # sentences in the lines C4 keeps
    "c4_open_sentences",
    "c4_lorem_ipsum",  # in a line that C4 reads as far as that; 0 or 1
    "c4_open_lorem_ipsum",
    "c4_curly_brackets",
    "c4_open_curly_brackets",
    "repeated_characters_in_lines",  # of the characters in non-empty lines
)
NGRAMS = tuple(
    f"top_{n}gram" if n <= 4 else f"repeated_{n}grams" for n in range(2, 11)
)  # share of the text's characters
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
NEWLINE, HASH, DOT, ELLIPSIS = 10, 35, 46, 0x2026


def measure_web(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """All of :data:`WORDS`, :data:`LINES` and :data:`NGRAMS`, float64 per text."""
    buffer, offsets = text_buffers(texts)
    names = WORDS + LINES + NGRAMS
    out = np.zeros((len(texts), len(names)))
    _measure(buffer, offsets, kinds(), _stop_words(), line_tables(), out)
    return {name: out[:, i].copy() for i, name in enumerate(names)}


@cache
def _stop_words() -> np.ndarray:
    hashes = np.zeros(len(STOP_WORDS), np.uint64)
    for i, word in enumerate(STOP_WORDS):
        h = int(FNV_START)
        for byte in word.encode():
            h = ((h ^ byte) * int(FNV_PRIME)) % 2**64
        hashes[i] = h
    return hashes


@kernel
def _measure(buffer, offsets, kind_of, stop_words, tables, out):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    hashes = np.empty(longest // 2 + 1, np.uint64)
    word_lengths = np.empty(hashes.size, np.int32)
    places = np.empty(hashes.size, np.int64)
    grams = np.empty(hashes.size, np.uint64)
    slots = np.empty(hashes.size, np.int64)
    counts = np.zeros(9, np.int64)
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        _split(buffer, start, end, kind_of, stop_words, hashes, word_lengths, counts)
        all_words, characters = counts[0], max(counts[8], 1)
        row = out[d]
        row[0] = counts[1]
        row[1] = counts[2] / max(counts[1], 1)
        row[2] = counts[3] / max(all_words, 1)
        row[3] = counts[4] / max(all_words, 1)
        row[4] = counts[5] / max(all_words, 1)
        row[5] = counts[6]
        row[6] = counts[7] / max(all_words, 1)
        measure_lines(buffer, start, end, tables, characters, row[7:24])
        repeated_ngrams(hashes, word_lengths, all_words, places, grams, slots, row[24:])
        row[24:] /= characters


@kernel
def _split(buffer, start, end, kind_of, stop_words, hashes, lengths, counts):
    """Hash and length of every word of a text, and in ``counts``:

    words, words with a letter or digit, their characters, '#', ellipses, words with a
    letter, different stop words, newlines, characters.
    """
    words = real = real_characters = marks = ellipses = alphabetic = found = 0
    newlines = characters = 0
    i = start
    while i < end:
        h, length, seen = FNV_START, 0, np.uint8(0)
        while i < end:
            code, size = np.int64(buffer[i]), 1
            if code >= 0x80:
                code, size = code_point(buffer, i, end)
            kind = kind_of[code] if code < TABLE_SIZE else np.uint8(0)
            if kind == SPACE:
                newlines += code == NEWLINE
                characters += 1
                i += size
                break
            for j in range(i, i + size):
                h = (h ^ np.uint64(buffer[j])) * FNV_PRIME
            length += 1
            seen |= kind
            marks += code == HASH
            ellipses += code == ELLIPSIS
            if code == DOT and i + 1 < end and buffer[i + 1] == DOT:
                ellipses += _whole_ellipses(buffer, start, i, end)
            i += size
        characters += length
        if length:
            hashes[words], lengths[words] = mix(h), length
            words += 1
            if seen & (LETTER | DIGIT):
                real += 1
                real_characters += length
            alphabetic += (seen & LETTER) != 0
            if length <= 4:
                for j in range(stop_words.size):
                    if h == stop_words[j]:
                        found |= 1 << j
    counts[0], counts[1], counts[2] = words, real, real_characters
    counts[3], counts[4], counts[5] = marks, ellipses, alphabetic
    counts[6], counts[7], counts[8] = 0, newlines, characters
    while found:
        counts[6] += found & 1
        found >>= 1


@kernel
def _whole_ellipses(buffer, start, i, end):
    """How many times "..." stands in the run of dots that begins at ``i``."""
    if i > start and buffer[i - 1] == DOT:
        return 0  # the run began earlier and is counted
    first = i
    while i < end and buffer[i] == DOT:
        i += 1
    return (i - first) // 3
