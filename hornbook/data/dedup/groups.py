"""Which documents share a band key: the candidates that are worth comparing.

One band at a time: its keys are dealt out by their leading bits into parts that fit the
processor's cache, and each part is searched with a small hash table. That is linear in
the number of documents, where a sort is not, and touches main memory twice per key. Near
copies agree on many bands; a group of documents that several bands find is noted once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hornbook.data.engine import on_cluster
from hornbook.data.jit import kernel

Band = np.ndarray | tuple[str, int, int]  # its keys, or file, place and number
PART = 32768  # keys that are searched at a time: with their table they fit the L2 cache


@dataclass(frozen=True)
class Groups:
    """Sets of two or more documents, end to end: group ``g`` is ``[ends[g], ends[g + 1])``."""

    members: np.ndarray  # int32, ascending within a group
    ends: np.ndarray  # int64, (groups + 1,)

    def among(self, ranked: np.ndarray) -> np.ndarray:
        """Those of ``ranked`` that are in a group, in the order given."""
        inside = np.zeros(int(ranked.max(initial=-1)) + 1, bool)
        inside[self.members] = True
        return ranked[inside[ranked]]


def find_groups(keys: Iterable[np.ndarray], eligible: np.ndarray) -> Groups:
    """The groups of ``eligible`` documents that share a key in some band.

    ``keys`` gives one uint64 array per band, of one key per document; only one of them is
    needed at a time. Besides it, memory holds 28 bytes per document and the groups.
    """
    documents = np.flatnonzero(eligible).astype(np.int32)
    bits = max(int(len(documents) // PART).bit_length(), 1)
    search = Search(documents, bits)
    bands = map(search, keys)
    if (
        on_cluster()
    ):  # one task for each band, which reads its keys from the shared file
        from hornbook.data.cluster import cluster_map

        bands = cluster_map(partial(search_fresh, documents, bits), map(_place, keys))
    newest = np.full(len(eligible), -1, np.int32)  # per first member, its latest group
    members, ends, older = np.zeros(0, np.int32), np.zeros(1, np.int64), newest[:0]
    count = 0
    for order, found, found_ends in bands:
        n_found = len(order)
        members = _with_room(members, int(ends[count]) + int(found_ends[n_found]))
        ends = _with_room(ends, count + n_found + 1)
        older = _with_room(older, count + n_found)
        count = _append_new(
            order, found, found_ends, members, ends, count, newest, older
        )
    return Groups(members[: ends[count]], ends[: count + 1])


class Search:
    """Finds the groups of one band after the other.

    Working space is kept for all: fresh memory costs more than the work done in it.
    """

    def __init__(self, documents: np.ndarray, bits: int) -> None:
        n = len(documents)
        self._documents, self._bits = documents, bits
        self._dealt = np.empty(n, np.uint64), np.empty(n, np.int32)
        self._found, self._ends = np.empty(n, np.int32), np.zeros(n // 2 + 1, np.int32)

    def __call__(self, band: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(order, found, ends)``: the groups, and the order of their first members.

        Like ones lie near each other then. Valid until the next call.
        """
        part_ends = _deal(band, self._documents, self._bits, *self._dealt)
        count = _share(*self._dealt, part_ends, self._found, self._ends)
        order = np.argsort(self._found[self._ends[:count]])
        return order, self._found, self._ends


def search_fresh(
    documents: np.ndarray, bits: int, band: Band
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """:class:`Search` of a single band, wherever it is; only what was found goes back."""
    if isinstance(band, tuple):
        path, offset, size = band
        band = np.memmap(path, np.uint64, "r", offset, (size,))
    order, found, ends = Search(documents, bits)(band)
    return order, found[: ends[len(order)]], ends[: len(order) + 1]


def _place(band: np.ndarray) -> Band:
    """Where in a file the keys of ``band`` are, or themselves."""
    whole = band
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if not isinstance(whole, np.memmap):
        return band
    whole.flush()  # other machines read the file, not this one's memory
    start = band.ctypes.data - whole.ctypes.data
    return str(whole.filename), whole.offset + start, len(band)


def _with_room(array: np.ndarray, size: int) -> np.ndarray:
    """``array`` or a copy with room for ``size`` values: half as much again as before."""
    if size <= len(array):
        return array
    larger = np.zeros(max(size, len(array) * 3 // 2), array.dtype)
    larger[: len(array)] = array
    return larger


@kernel
def _deal(keys, documents, bits, part_keys, part_documents):
    """Sort keys and documents by the key's first ``bits``; returns where each part ends."""
    shift = np.uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.int64)
    for document in documents:
        ends[np.int64(keys[document] >> shift) + 1] += 1
    for part in range(1, ends.size):
        ends[part] += ends[part - 1]
    place = ends[:-1].copy()
    for document in documents:
        key = keys[document]
        at = place[np.int64(key >> shift)]
        place[np.int64(key >> shift)] = at + 1
        part_keys[at] = key
        part_documents[at] = document
    return ends


@kernel
def _share(keys, documents, part_ends, members, ends):
    """Fill in the groups of documents with equal keys; returns how many there are."""
    n_members = n_groups = 0
    largest = 1
    for part in range(part_ends.size - 1):
        largest = max(largest, part_ends[part + 1] - part_ends[part])
    slots = 4
    while slots < 2 * largest:
        slots *= 2
    first = np.empty(slots, np.int32)  # by hash: the first place of a key, or -1
    last = np.empty(largest, np.int32)  # per first place, the last one with its key
    following = np.empty(largest, np.int32)  # per place, the next one with its key
    for part in range(part_ends.size - 1):
        start, size = part_ends[part], part_ends[part + 1] - part_ends[part]
        first[:] = -1
        for i in range(size):
            following[i] = -1
            last[i] = i
            at = np.int64(keys[start + i]) & (slots - 1)
            while first[at] >= 0 and keys[start + first[at]] != keys[start + i]:
                at = (at + 1) & (slots - 1)
            if first[at] < 0:
                first[at] = i
            else:
                following[last[first[at]]] = i
                last[first[at]] = i
                last[i] = -1  # not the first of its key
        for i in range(size):
            if last[i] <= i:  # a later one, or a key of its own
                continue
            while i >= 0:
                members[n_members] = documents[start + i]
                n_members += 1
                i = following[i]
            n_groups += 1
            ends[n_groups] = n_members
    return n_groups


@kernel
def _append_new(order, found, found_ends, members, ends, count, newest, older):
    """Append the groups that are not there yet; returns how many there are now."""
    for g in order:
        start, size = found_ends[g], found_ends[g + 1] - found_ends[g]
        other = newest[found[start]]
        while other >= 0:
            if ends[other + 1] - ends[other] == size:
                same = True
                for i in range(size):
                    if members[ends[other] + i] != found[start + i]:
                        same = False
                        break
                if same:
                    break
            other = older[other]
        if other >= 0:
            continue
        older[count] = newest[found[start]]
        newest[found[start]] = count
        at = ends[count]
        members[at : at + size] = found[start : start + size]
        count += 1
        ends[count] = at + size
    return count
