"""Many texts at once, and texts of any length: cut, grouped, spread over threads.

Long texts are cut into parts of a megabyte where every pattern splits anyway: after a
newline that a letter or digit follows. Groups of parts go to whichever thread is free;
kernels hold no interpreter lock.
"""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hornbook.tokenizer.base import Batch
from hornbook.tokenizer.encoder import Encoder, Ids
from hornbook.tokenizer.kernels.scan import WHOLE
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.texts import GROUP, as_bytes, groups

Part = str | bytes | memoryview
CUT_HERE = re.compile(rb"\n(?=[A-Za-z0-9])")
BYTES_PER_ID = 3  # a guess for the first reservation


def encode_batch(encoders: Sequence[Encoder], texts: Sequence[str | bytes]) -> Batch:
    """The ids of all texts, a thread per encoder; UnicodeError for bytes that aren't UTF-8."""
    parts: list[Part] = []
    first_part = [0]
    for text in texts:
        parts.extend(parts_of(text, encoders[0]))
        first_part.append(len(parts))
    work = list(groups(parts))
    todo = iter(enumerate(work))  # shared: each group is taken once
    expected = sum(map(len, parts)) // BYTES_PER_ID // len(encoders) + GROUP

    def run(encoder: Encoder) -> tuple[Ids, list[tuple[int, int, np.ndarray]]]:
        """Encode groups as long as there are any: (number, first id, ends) of each."""
        ids, done = Ids(expected), []
        for number, group in todo:
            start = ids.used
            done.append((number, start, encoder.encode_group(group, ids)))
        return ids, done

    if len(encoders) == 1 or len(work) < 2:
        ids, done = run(encoders[0])
        ends = [np.zeros(1, np.int64), *(stops for _, _, stops in done)]
        ids.array.resize(ids.used, refcheck=False)
        return Batch(ids.array, np.concatenate(ends)[first_part])
    with ThreadPoolExecutor(len(encoders)) as pool:
        results = list(pool.map(run, encoders))
        return _assemble(pool, results, len(work), first_part)


def _assemble(
    pool: ThreadPoolExecutor,
    results: list[tuple[Ids, list[tuple[int, int, np.ndarray]]]],
    n_groups: int,
    first_part: list[int],
) -> Batch:
    """The groups' ids in order, wherever they were encoded."""
    sizes = np.zeros(n_groups + 1, np.int64)
    for _, done in results:
        for number, start, stops in done:
            sizes[number + 1] = stops[-1] - start
    base = np.cumsum(sizes)
    ids = np.empty(base[-1], np.int32)
    ends: list[np.ndarray] = [np.empty(0, np.int64)] * n_groups

    def place(result: tuple[Ids, list[tuple[int, int, np.ndarray]]]) -> None:
        theirs, done = result
        for number, start, stops in done:
            ids[base[number] : base[number + 1]] = theirs.array[start : stops[-1]]
            ends[number] = stops + (base[number] - start)

    list(pool.map(place, results))
    return Batch(ids, np.concatenate([np.zeros(1, np.int64), *ends])[first_part])


def parts_of(text: str | bytes, encoder: Encoder) -> Iterator[Part]:
    """Cut a text where its pieces end: into parts of a megabyte, or into its pieces."""
    if encoder.rule == WHOLE:
        whole = text if isinstance(text, str) else text.decode()
        yield from (piece.encode() for piece in split(whole, encoder.pattern))
    elif len(text) <= 2 * GROUP:
        yield text
    else:
        data = as_bytes(text) if isinstance(text, str) else text
        yield from _cut(memoryview(data))


def _cut(data: memoryview) -> Iterator[memoryview]:
    at = 0
    while at < len(data):
        cut = CUT_HERE.search(data, at + GROUP)
        end = cut.end() if cut else len(data)
        yield data[at:end]
        at = end
