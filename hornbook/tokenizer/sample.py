"""A fair sample of a stream of texts, whatever its length and order."""

import heapq
from collections.abc import Iterable, Iterator

import xxhash


def sample(texts: Iterable[str], max_bytes: int, seed: int = 0) -> Iterator[str]:
    """Texts of about ``max_bytes`` bytes in all, each as likely as any other.

    A text's hash is its lot: the smallest lots that fit are kept, so the same texts are
    chosen in any order of the stream. Holds the sample in memory. 0 means everything.
    """
    if not max_bytes:
        yield from texts
        return
    kept: list[tuple[int, int, bytes]] = []  # a heap whose top is the largest lot
    total = 0
    for number, text in enumerate(texts):
        data = text.encode(errors="replace")
        lot = xxhash.xxh3_64_intdigest(data, seed)
        if total >= max_bytes and lot >= -kept[0][0]:
            continue
        heapq.heappush(kept, (-lot, number, data))
        total += len(data)
        while total - len(kept[0][2]) >= max_bytes:
            total -= len(heapq.heappop(kept)[2])
    for _, _, data in sorted(kept, key=lambda item: item[1]):
        yield data.decode()
