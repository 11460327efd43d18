"""Training of the model that tells languages apart; :mod:`.language` is what it is for."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

from hornbook.core.errors import UserError
from hornbook.data.arrow import text_buffers
from hornbook.data.classify.language import (
    BITS,
    WIDTH,
    WINDOW,
    WINDOWS,
    LanguageModel,
    dominant_script,
    text_buckets,
)
from hornbook.data.classify.scripts import SCRIPTS, letter_tables
from hornbook.data.jit import kernel

EPOCHS, RATE, DECAY = 8, 0.2, 1e-4


def train_languages(
    texts: list[str], languages: list[str], seed: int = 1
) -> LanguageModel:
    """Learn from ``texts`` and the code of each one's language.

    Each text is seen whole, and as a half and a quarter, so that short ones are learnt too.
    A language belongs to the script of most of its texts. Softmax regression by AdaGrad.
    """
    pieces = [piece for text in texts for piece in _pieces(text)]
    labels = [code for code in languages for _ in range(3)]
    scripts, features, ends = _features(pieces)
    by_script = _languages_by_script(scripts, labels)
    numbers = {
        (SCRIPTS.index(script), code): number
        for script, codes in by_script.items()
        for number, code in enumerate(codes)
    }
    label = np.array(
        [numbers.get(pair, -1) for pair in zip(scripts.tolist(), labels, strict=True)]
    )
    sizes = np.array([len(by_script.get(name, ())) for name in SCRIPTS])
    used = np.flatnonzero((label >= 0) & (sizes[scripts] > 1))
    weights = _fit(features, ends, used, label, sizes[scripts], seed)
    scale = float(np.abs(weights).max() / 127) or 1.0
    return LanguageModel(by_script, np.rint(weights / scale).astype(np.int8), scale, {})


def _pieces(text: str) -> tuple[str, str, str]:
    middle = len(text) // 2
    return text, text[:middle], text[middle : middle + max(len(text) // 4, 40)]


def _languages_by_script(
    scripts: np.ndarray, labels: list[str]
) -> dict[str, tuple[str, ...]]:
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for script, code in zip(scripts.tolist(), labels, strict=True):
        if script:  # else too short to say
            seen[code][script] += 1
    by_script: dict[str, list[str]] = defaultdict(list)
    for code in sorted(seen):
        by_script[SCRIPTS[seen[code].most_common(1)[0][0]]].append(code)
    if crowded := [script for script, codes in by_script.items() if len(codes) > WIDTH]:
        raise UserError(f"More than {WIDTH} languages are written in {crowded[0]}.")
    return {script: tuple(codes) for script, codes in sorted(by_script.items())}


def _features(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each text's script, all buckets end to end, and where each text's end."""
    buffer, offsets = text_buffers(pa.array(texts, pa.large_string()))
    scripts = np.zeros(len(texts), np.int64)
    out = np.empty(4 * (int(offsets[-1]) + 2 * len(texts)), np.uint32)
    ends = np.zeros(len(texts) + 1, np.int64)
    _collect(buffer, offsets, *letter_tables(), len(SCRIPTS), scripts, out, ends)
    return scripts, out[: ends[-1]].copy(), ends


@kernel
def _collect(buffer, offsets, script_of, folded, n_scripts, scripts, out, ends):
    letters = np.zeros(n_scripts, np.int64)
    scratch = np.empty(4 * (WINDOWS * WINDOW + 8), np.uint32)
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        scripts[d] = dominant_script(buffer, start, end, script_of, letters)[0]
        count = text_buckets(buffer, start, end, script_of, folded, scripts[d], scratch)
        ends[d + 1] = ends[d] + count
        out[ends[d] : ends[d + 1]] = scratch[:count]


@kernel
def _fit(features, ends, used, label, sizes, seed):
    weights = np.zeros((1 << BITS, WIDTH))
    squares = np.full((1 << BITS, WIDTH), 1e-3)
    logits = np.zeros(WIDTH)
    np.random.seed(seed)
    for _ in range(EPOCHS):
        for d in np.random.permutation(used):
            rows = features[ends[d] : ends[d + 1]]
            unit, size = 1 / max(rows.size, 1) ** 0.5, sizes[d]
            logits[:] = 0
            for w in rows:
                logits += weights[w]
            p = np.exp(unit * (logits[:size] - logits[:size].max()))
            p /= p.sum()
            p[label[d]] -= 1
            for w in rows:
                for k in range(size):
                    gradient = unit * p[k] + DECAY * weights[w, k]
                    squares[w, k] += gradient * gradient
                    weights[w, k] -= RATE * gradient / squares[w, k] ** 0.5
    return weights
