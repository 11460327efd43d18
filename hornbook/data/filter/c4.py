"""C4's rules about lines: which it keeps, and what it finds in them (Raffel et al. 2020).

Where the paper and the code that made the data differ, this follows the code: five words a
line, three sentences a page, and "lorem ipsum" or "{" only drop the page when they stand in
a line that C4 would otherwise read on.
"""

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.filter.linescan import line_tables, scan_line, strip
from hornbook.data.jit import kernel

MIN_WORDS, MAX_WORD = 5, 1000  # per line; characters of its longest word
NEWLINE, DOT, QUOTE, BRACKET = 10, 46, 34, 93


@kernel
def add_c4_line(closed, sentences, phrases, curly, out):
    """Add a line of enough words to C4's sums, which skip what they drop, in its order.

    ``out[12:16]``: "lorem ipsum" in a closed line, in any; "{" in a closed line, in any.
    """
    if phrases & 1:
        out[12] = max(out[12], closed)
        out[13] = 1
    if phrases & 2:  # JavaScript
        return
    if curly:
        out[14] = max(out[14], closed)
        out[15] = 1
    if phrases == 0:
        out[8] += closed
        out[9] += 1
        out[10] += sentences * closed
        out[11] += sentences


@kernel
def c4_closed(buffer, a, b):
    """Whether C4 takes the line without blanks at its ends for a finished sentence."""
    while b > a and buffer[b - 1] == BRACKET:
        start = citation_start(buffer, a, b)
        if start == b:
            break
        b = start
    if a == b:
        return False
    last = buffer[b - 1]
    dots = b - a >= 3 and last == DOT and buffer[b - 2] == DOT and buffer[b - 3] == DOT
    return last in (DOT, 33, 63, QUOTE, 39) and not dots


@kernel
def citation_start(buffer, a, b):
    """Where the mark "[1]", "[edit]" or "[citation needed]" that ends at ``b`` begins.

    ``b`` itself when there is none. C4 takes these marks of encyclopedias out.
    """
    i = b - 2
    while i >= a and 48 <= buffer[i] <= 57:
        i -= 1
    if i >= a and buffer[i] == 91:
        return i
    for word in (b"[edit]", b"[citation needed]"):
        i = b - len(word)
        if i >= a:
            same = True
            for j in range(len(word)):
                same &= buffer[i + j] == word[j]
            if same:
                return i
    return b


def keep_c4_lines(texts: pa.LargeStringArray, closed: bool) -> pa.LargeStringArray:
    """The texts without the lines that C4 drops; blank lines go with them.

    ``closed`` asks for final punctuation, as C4 does and FineWeb does not.
    """
    buffer, offsets = text_buffers(texts)
    data = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint8)
    ends = np.zeros(len(texts) + 1, np.int64)
    _keep_c4_lines(buffer, offsets, line_tables(), closed, data, ends)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data[: ends[-1]])]
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


@kernel
def _keep_c4_lines(buffer, offsets, tables, closed, data, ends):
    size = 0
    for d in range(offsets.size - 1):
        first, i = size, offsets[d]
        while i < offsets[d + 1]:
            last, _, _, words, longest, _, phrases, _ = scan_line(
                buffer, i, offsets[d + 1], tables
            )
            a, b = strip(buffer, i, last)
            i = last + 1
            if phrases or words < MIN_WORDS or longest > MAX_WORD:
                continue
            if closed and not c4_closed(buffer, a, b):
                continue
            if size > first:
                data[size] = NEWLINE
                size += 1
            for j in range(a, b):
                data[size] = buffer[j]
                size += 1
                if buffer[j] == BRACKET:
                    size -= j + 1 - citation_start(buffer, a, j + 1)
        ends[d + 1] = size
