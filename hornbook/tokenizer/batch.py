"""Many texts at once, and texts of any length: cut, grouped, spread over threads.

Long texts are cut into parts of a megabyte where every pattern splits anyway: after a
newline that a letter or digit follows. Groups of parts go to whichever thread is free;
kernels hold no interpreter lock.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from hornbook.tokenizer.base import Batch
from hornbook.tokenizer.encoder import Encoder, Ids
from hornbook.tokenizer.kernels.scan import WHOLE
from hornbook.tokenizer.pretokenize import split
from hornbook.tokenizer.texts import GROUP, as_bytes

Part = str | bytes | memoryview
CUT_HERE = re.compile(rb"\n(?=[A-Za-z0-9])")
SHARES = 8  # of a thread, at least, where there is enough: so that all end together
SMALLEST_GROUP = 1 << 16  # bytes: a kernel call's cost doesn't show yet


def encode_batch(encoders: Sequence[Encoder], texts: Sequence[str | bytes]) -> Batch:
    """The ids of all texts, a thread per encoder; UnicodeError for bytes that aren't UTF-8.

    The first thread takes groups from the front, and their ids are at once where they
    belong. The others take groups from the back, and theirs are moved at the end.
    """
    parts, first_part = all_parts(texts, encoders[0])
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    total = int(sizes.sum())
    work = even_groups(parts, sizes, total // (SHARES * len(encoders)))
    todo = deque(enumerate(work))
    ends = [np.zeros(1, np.int64)] * len(
        work
    )  # of each group's texts, from its start on

    def run(encoder: Encoder) -> tuple[Ids, list[int]]:
        """Encode groups as long as there are any; also which they were, in order."""
        at_front = encoder is encoders[0]
        ids, done = Ids(total if at_front else total // 2), list[int]()
        while todo:
            try:
                number, group = todo.popleft() if at_front else todo.pop()
            except IndexError:  # another thread was quicker
                break
            start = ids.used
            ends[number] = encoder.encode_group(group, ids) - start
            done.append(number)
        return ids, done

    if len(encoders) == 1 or len(work) < 2:
        (ids, _), others = run(encoders[0]), []
    else:
        with ThreadPoolExecutor(len(encoders)) as pool:
            (ids, _), *others = pool.map(run, encoders)
    starts = np.cumsum([0, *(int(stops[-1]) for stops in ends)])
    ids.reserve(int(starts[-1]) - ids.used)
    for theirs, done in others:
        at = 0
        for number in done:
            start, stop = starts[number : number + 2].tolist()
            ids.array[start:stop] = theirs.array[at : at + stop - start]
            at += stop - start
    ids.array.resize(starts[-1], refcheck=False)
    stops = [stops + start for stops, start in zip(ends, starts[:-1], strict=True)]
    return Batch(ids.array, np.concatenate([starts[:1], *stops])[first_part])


def even_groups(
    parts: Sequence[Part], sizes: np.ndarray, wanted: int
) -> list[Sequence[Part]]:
    """Consecutive parts, about ``wanted`` bytes at a time, within reason."""
    wanted = min(GROUP, max(wanted, SMALLEST_GROUP))
    group_of = (np.cumsum(sizes) - sizes) // wanted
    edges = [0, *(np.flatnonzero(np.diff(group_of)) + 1).tolist(), len(parts)]
    return [parts[a:b] for a, b in pairwise(edges) if b > a]


def all_parts(
    texts: Sequence[str | bytes], encoder: Encoder
) -> tuple[Sequence[Part], list[int] | slice]:
    """The texts, cut where they are too long, and which part is the first of each text."""
    if encoder.rule != WHOLE and max(map(len, texts), default=0) <= 2 * GROUP:
        return texts, slice(None)
    parts: list[Part] = []
    first = [0]
    for text in texts:
        parts.extend(parts_of(text, encoder))
        first.append(len(parts))
    return parts, first


def parts_of(text: str | bytes, encoder: Encoder) -> Iterator[Part]:
    """Cut a text where its pieces end: into parts of a megabyte, or into its pieces."""
    if encoder.rule == WHOLE:
        whole = text if isinstance(text, str) else text.decode()
        yield from (piece.encode() for piece in split(whole, encoder.pattern))
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
