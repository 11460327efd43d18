"""Encoding: texts to ids, a few hundred pieces at a time.

Most pieces have been seen before, so their ids are in a table (``slots.py``). A batch goes
through the loops of ``pieces.py``: keys, and a prefetch of each slot; the search for the
slots; merging the pieces that are new; copying the ids out. Words 2 and 3 of a slot hold up
to four ids::

    word 2: count << 56 | id_1 << 32 | id_0        word 3: id_3 << 32 | id_2

and for more than four, word 3 says where in ``spill`` they are. Long pieces are first cut
where no token can reach (``cuts.py``), and the parts looked up.

Where pieces end says the scanner, a C function of its own: so there is one kernel for all
patterns, and both can be compiled at the same time.
"""

import numpy as np

from hornbook.tokenizer.kernels.jit import (
    ONE,
    ZERO,
    call,
    inlined,
    kernel,
    view,
    view_as,
)
from hornbook.tokenizer.kernels.merge import LONGEST, merge_long
from hornbook.tokenizer.kernels.pieces import (
    BATCH,
    BYTE_IDS,
    COLUMNS,
    CUTS,
    MADE,
    OUT,
    PAIRS,
    PLACES,
    PROGRESS,
    ROWS,
    SCRATCH,
    SEEN,
    SPILL,
    USED,
    copy_out,
    learn,
    plan,
    search,
    settle,
)
from hornbook.tokenizer.kernels.scanners import (
    BUFFER,
    COUNT,
    CURSOR,
    ENDS,
    POS,
    SCAN,
    SCANNER,
    STOP,
)

ROOM = BATCH * (LONGEST + 9)  # how much of seen and spill a batch can need at most
FULL, LONG_PIECE = -1, -2
TEXT, AT, FOUND, PIECE_END, PART_END = range(5)  # of progress


@inlined
def is_full(bits, seen, spill, used):
    """Whether the next batch might not fit."""
    crowded = (used[0] + BATCH) * 2 > (1 << bits)
    return crowded or used[1] + ROOM > len(seen) or used[2] + ROOM > len(spill)


@inlined
def begin_text(cursor, progress, ends, at, n):
    """Let the scanner begin at ``at``, or after a piece that was left in the middle."""
    cursor[POS], cursor[COUNT] = at, 0
    if progress[PIECE_END] > at:
        ends[ZERO] = cursor[POS] = progress[PIECE_END]
        cursor[COUNT] = 1
    cursor[SCAN], cursor[STOP] = cursor[POS] + 1, n


@kernel
def encode_texts(address):
    """Write the ids of all texts of the buffer into ``out`` from ``progress[FOUND]`` on.

    ``places`` is ``(3, texts)``: where each starts and stops, and, written here, how many
    ids there are up to its end. Returns the number of ids, or FULL when the cache needs
    room, or LONG_PIECE when :func:`encode_long` is needed; the next call goes on where
    ``progress`` says.
    """
    places, progress = (
        view(address, PLACES, np.int64),
        view(address, PROGRESS, np.int64),
    )
    ends, cursor = view(address, ENDS, np.uint64), view(address, CURSOR, np.int64)
    seen, spill = view(address, SEEN, np.uint8), view(address, SPILL, np.uint32)
    used = view(address, USED, np.int64)
    cuts = view_as(address, SCRATCH, (ROWS, COLUMNS), np.uint64)[CUTS]
    bits, texts, scanner = used[3], len(places) // 3, cursor[SCANNER]
    o = progress[FOUND]
    for text in range(progress[TEXT], texts):
        at, n = max(progress[AT], places[text]), places[texts + text]
        begin_text(cursor, progress, ends, at, n)
        while at < n:
            if cursor[COUNT] == 0:
                call(scanner, address)
            i, m = ZERO, np.uint64(cursor[COUNT])
            while i < m:
                progress[TEXT], progress[AT], progress[FOUND] = text, at, o
                progress[PIECE_END] = ends[i]
                if is_full(bits, seen, spill, used):
                    return FULL
                k, i = plan(address, at, i, m)
                if k == ZERO:
                    progress[PART_END] = cuts[ONE]
                    return LONG_PIECE
                missing = search(address, k)
                if missing != ZERO:
                    learn(address, settle(address, missing))
                o = copy_out(address, k, o)
                at = np.int64(cuts[k])
            cursor[COUNT] = 0
        places[2 * texts + text] = o
    progress[:] = 0
    return o


@kernel
def encode_long(address, marks, links, heap):
    """Merge the one piece that ``progress`` says is too long to cache; see merge_long."""
    buf, out = view(address, BUFFER, np.uint8), view(address, OUT, np.int32)
    byte_ids, made = view(address, BYTE_IDS, np.uint32), view(address, MADE, np.uint32)
    pairs, progress = view(address, PAIRS, np.uint64), view(address, PROGRESS, np.int64)
    start, end = progress[AT], progress[PART_END]
    progress[FOUND] = merge_long(
        *(buf, start, end - start, byte_ids, pairs, made),
        *(marks, links, heap, out, progress[FOUND]),
    )
    progress[AT] = end
