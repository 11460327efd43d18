"""Which language is a text written in? First by its script, then by its letters.

A text's script is counted, so that a Cyrillic text is never taken for English. Where one
language has a script to itself, that settles it. Else a linear model decides: runs of one to
four letters within words, hashed into buckets, each bucket with a weight per language
(softmax regression; the features are those of Cavnar and Trenkle 1994). Of a long text four
windows are read: more would cost time and change nothing.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.core.files import atomic_file, read_json, write_json
from hornbook.data.arrow import text_buffers
from hornbook.data.characters import TABLE_SIZE, code_point
from hornbook.data.classify.classifier import SHIPPED
from hornbook.data.classify.scripts import HAN, KANA, SCRIPTS, letter_tables
from hornbook.data.jit import kernel

BITS = 14
WIDTH = 24  # languages that may share one script
WINDOWS, WINDOW = 4, 1024  # bytes
MIN_LETTERS = 10  # fewer say nothing
MIN_KANA = 0.05  # of the letters: Japanese, not Chinese
SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class LanguageModel:
    """Per script the languages written in it, and the weights that tell them apart."""

    languages: dict[str, tuple[str, ...]]  # by the name of the script
    weights: np.ndarray  # (2^BITS, WIDTH) int8: a bucket's weight for a script's n-th
    scale: float  # what one step of a weight is worth
    card: dict[str, Any]

    def identify(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """``(code, score)`` per text: ``""`` when nothing can be said; scores in 0 .. 1.

        The score is the model's probability times the share of letters in the script.
        """
        buffer, offsets = text_buffers(texts)
        codes, sizes = self._by_script()
        found = np.zeros(len(texts), np.int32)
        score = np.zeros(len(texts))
        weights = (self.weights, self.scale)
        _identify(buffer, offsets, *letter_tables(), *weights, sizes, found, score)
        return codes[found], score

    def known(self) -> list[str]:
        """The codes of all languages."""
        return sorted({code for codes in self.languages.values() for code in codes})

    def _by_script(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes by ``script * WIDTH + number``, and how many languages a script has."""
        codes = np.full(len(SCRIPTS) * WIDTH, "", object)
        sizes = np.zeros(len(SCRIPTS), np.int64)
        for script, names in self.languages.items():
            at = SCRIPTS.index(script)
            codes[at * WIDTH : at * WIDTH + len(names)] = names
            sizes[at] = len(names)
        return codes, sizes

    def save(self, directory: Path) -> None:
        """Write ``weights.npy`` and ``card.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        with atomic_file(directory / "weights.npy") as handle:
            np.save(handle, self.weights)
        facts = {"bits": BITS, "scale": self.scale, "languages": self.languages}
        write_json(directory / "card.json", facts | {"card": self.card})


@cache
def load_language_model(directory: Path = SHIPPED / "language") -> LanguageModel:
    """The model that comes with Hornbook, or one's own by its directory."""
    facts = read_json(directory / "card.json")
    try:
        weights = np.load(directory / "weights.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{directory}/weights.npy cannot be read ({error}).") from None
    if facts.get("bits") != BITS or weights.shape != (1 << BITS, WIDTH):
        raise UserError(f"{directory} holds no language model of this version.")
    languages = {script: tuple(codes) for script, codes in facts["languages"].items()}
    return LanguageModel(languages, weights, facts["scale"], facts["card"])


@kernel
def _identify(buffer, offsets, script_of, folded, weights, scale, sizes, found, score):
    letters = np.zeros(sizes.size, np.int64)
    buckets = np.empty(4 * (WINDOWS * WINDOW + 8), np.uint32)
    sums = np.zeros(WIDTH, np.int32)
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        script, share = dominant_script(buffer, start, end, script_of, letters)
        languages = sizes[script] if script else 0
        if languages == 0:
            continue
        found[d], score[d] = script * WIDTH, share
        if languages == 1:
            continue
        count = text_buckets(buffer, start, end, script_of, folded, script, buckets)
        _add_rows(weights, buckets[:count], sums)
        unit = scale / max(count, 1) ** 0.5
        best, total = 0, 0.0
        for k in range(1, languages):
            best = k if sums[k] > sums[best] else best
        for k in range(languages):
            total += np.exp(unit * (sums[k] - sums[best]))
        found[d] += best
        score[d] /= total


@kernel
def _add_rows(weights, buckets, sums):
    """The sum of the buckets' weights; four at a time are twice as fast as one."""
    sums[:] = 0
    last = buckets.size - buckets.size % 4
    for i in range(0, last, 4):
        a, b = weights[buckets[i]], weights[buckets[i + 1]]
        c, d = weights[buckets[i + 2]], weights[buckets[i + 3]]
        for k in range(sums.size):
            pair = np.int32(a[k]) + np.int32(b[k])
            sums[k] += pair + np.int32(c[k]) + np.int32(d[k])
    for i in range(last, buckets.size):
        for k in range(sums.size):
            sums[k] += weights[buckets[i], k]


@kernel
def window(start, end, number):
    """Where the ``number``-th window of a text begins and ends; short texts have one."""
    if end - start <= WINDOWS * WINDOW:
        return (start, end) if number == 0 else (end, end)
    first = start + (end - start - WINDOW) * number // (WINDOWS - 1)
    return first, first + WINDOW


@kernel
def dominant_script(buffer, start, end, script_of, letters):
    """``(script, its share of the letters)``; script 0 when there are too few letters."""
    letters[:] = 0
    for number in range(WINDOWS):
        i, stop = window(start, end, number)
        while i < stop:
            code, size = np.int64(buffer[i]), 1
            if code >= 0x80:
                code, size = code_point(buffer, i, stop)
            letters[script_of[code] if code < TABLE_SIZE else 0] += 1
            i += size
    letters[0] = 0
    total = letters.sum()
    if total < MIN_LETTERS:
        return 0, 0.0
    if letters[KANA] >= MIN_KANA * total:
        letters[KANA] += letters[HAN]
        letters[HAN] = 0
    script = int(letters.argmax())
    return script, letters[script] / total


@kernel
def text_buckets(buffer, start, end, script_of, folded, script, out):
    """The buckets of all runs of 1 to 4 letters of ``script``; a word's ends count as one.

    Returns how many; ``out`` holds four per character of the windows.
    """
    found = 0
    blank = np.uint64(32)
    for number in range(WINDOWS):
        i, stop = window(start, end, number)
        a = b = c = np.uint64(0)  # the characters before, the nearest last
        while i <= stop:
            code, size = np.int64(32 if i == stop else buffer[i]), 1
            if code >= 0x80:
                code, size = code_point(buffer, i, stop)
            i += size
            inside = code < TABLE_SIZE and script_of[code] == script
            if not inside and (c == 0 or c == blank):
                a = b = np.uint64(0)
                c = blank
                continue
            d = np.uint64(folded[code]) if inside else blank
            if inside:
                out[found] = _bucket(d)
                found += 1
            pair = d << np.uint64(16) ^ c
            triple = pair << np.uint64(16) ^ b
            out[found] = _bucket(pair)
            found += c != 0
            out[found] = _bucket(triple)
            found += b != 0
            out[found] = _bucket(triple << np.uint64(16) ^ a)
            found += a != 0
            a, b, c = b, c, d
            if not inside:
                a = b = np.uint64(0)
    return found


@kernel
def _bucket(letters):
    """The bucket of up to four letters, 16 bits each (Dietzfelbinger et al. 1997)."""
    return np.uint32((letters * SPREAD) >> np.uint64(64 - BITS))
