"""The numbers behind the published web rules: Gopher, C4 and FineWeb.

Words are what lies between white space, lines what lies between newlines. Other tools count
punctuation as words, which moves every threshold: the definition belongs to the rule.
Sources: Rae et al. 2021 (Gopher, A.1.1), Raffel et al. 2020 (C4, 2.2), Penedo et al. 2024
(FineWeb, 3.6).
"""

from functools import cache

import numpy as np
import pyarrow as pa
from numba import njit

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
from hornbook.data.filter.repetition import repeated_ngrams
from hornbook.data.filter.weblines import measure_lines, phrase_table, sentence_ends

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
    "bullet_line_share",
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
    "lorem_ipsum",
    "curly_brackets",
    "repeated_characters_in_lines",  # of the characters in non-empty lines
)
NGRAMS = tuple(
    f"top_{n}gram" if n <= 4 else f"repeated_{n}grams" for n in range(2, 11)
)  # share of the text's characters
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
FNV_START, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def measure_web(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """All of :data:`WORDS`, :data:`LINES` and :data:`NGRAMS`, float64 per text."""
    buffer, offsets = text_buffers(texts)
    names = WORDS + LINES + NGRAMS
    out = np.zeros((len(texts), len(names)))
    _measure(
        buffer, offsets, kinds(), _stop_words(), sentence_ends(), *phrase_table(), out
    )
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


@njit(nogil=True, cache=True)
def _measure(buffer, offsets, kind_of, stop_words, ends, phrases, lengths, out):
    longest = np.int64(0)
    for d in range(offsets.size - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    hashes = np.empty(longest // 2 + 1, np.uint64)
    word_lengths = np.empty(hashes.size, np.int32)
    alive = np.empty(hashes.size, np.bool_)
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
        measure_lines(buffer, start, end, ends, phrases, lengths, characters, row[7:22])
        repeated_ngrams(hashes, word_lengths, all_words, alive, grams, slots, row[22:])
        row[22:] /= characters


@njit(nogil=True, cache=True)
def _split(buffer, start, end, kind_of, stop_words, hashes, lengths, counts):
    """Hash and length of every word of a text, and in ``counts``:

    words, words with a letter or digit, their characters, '#', ellipses, words with a
    letter, different stop words, newlines, characters.
    """
    counts[:] = 0
    h, length, seen, found, dots = FNV_START, 0, 0, 0, 0
    i = start
    while i <= end:
        code, size = (np.int64(10), 1) if i == end else code_point(buffer, i, end)
        kind = kind_of[code] if code < TABLE_SIZE else 0
        counts[8] += i < end
        counts[7] += code == 10 and i < end
        if code == 46:
            dots += 1
        elif dots:
            counts[4] += dots // 3
            dots = 0
        if kind != SPACE:
            for j in range(i, i + size):
                h = (h ^ np.uint64(buffer[j])) * FNV_PRIME
            length += 1
            seen |= kind
            counts[3] += code == 35
            counts[4] += code == 0x2026
        elif length:
            words = counts[0]
            hashes[words], lengths[words] = mix(h), length
            counts[0] += 1
            if seen & (LETTER | DIGIT):
                counts[1] += 1
                counts[2] += length
            counts[5] += (seen & LETTER) != 0
            if length <= 4:
                for j in range(stop_words.size):
                    if h == stop_words[j]:
                        found |= 1 << j
            h, length, seen = FNV_START, 0, 0
        i += size
    while found:
        counts[6] += found & 1
        found >>= 1
