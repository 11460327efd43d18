"""What lines and paragraphs say about a web page."""

import numpy as np

from hornbook.data.characters import TABLE_SIZE, code_point, mix
from hornbook.data.filter.c4 import MAX_WORD, MIN_WORDS, add_c4_line, c4_closed
from hornbook.data.filter.linescan import FNV_START, MARK, NEWLINE, scan_line, strip
from hornbook.data.jit import kernel

SHORT_LINE = 30  # characters
DOT = 46


@kernel
def measure_lines(buffer, start, end, tables, characters, out):
    """Fill ``out`` with the numbers that ``webstatistics.LINES`` names."""
    out[:] = 0
    line_ends = 1
    for i in range(start, end):
        line_ends += buffer[i] == NEWLINE
    all_lines = max(line_ends - (end > start and buffer[end - 1] == NEWLINE), 1)
    size = 16
    while size < 2 * line_ends + 2:
        size *= 2
    lines_seen, paragraphs_seen = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    lines = in_lines = paragraphs = paragraph_size = 0
    paragraph = FNV_START
    i = start
    while i < end:
        last, h, count, words, longest, sentences, phrases, curly = scan_line(
            buffer, i, end, tables
        )
        if words:
            lines += 1
            in_lines += count
            a, b = strip(buffer, i, last)
            long = words >= MIN_WORDS and longest <= MAX_WORD
            _line(buffer, a, b, count, tables[1], out)
            if long:
                add_c4_line(c4_closed(buffer, a, b), sentences, phrases, curly, out)
            if _seen(lines_seen, h):
                out[4] += 1
                out[5] += count
            paragraph = mix(paragraph ^ h)
            paragraph_size += count + (paragraph_size > 0)
        if (not words or last + 1 >= end) and paragraph_size:
            paragraphs += 1
            if _seen(paragraphs_seen, paragraph):
                out[6] += 1
                out[7] += paragraph_size
            paragraph, paragraph_size = FNV_START, 0
        i = last + 1
    out[0] /= all_lines
    out[1] /= all_lines
    for j in range(2, 5):
        out[j] /= max(lines, 1)
    out[16] = out[5] / max(in_lines, 1)
    out[6] /= max(paragraphs, 1)
    out[5] /= characters
    out[7] /= characters


@kernel
def _line(buffer, a, b, characters, ends, out):
    """Add one non-empty line, stripped to ``a:b``, to the sums."""
    out[0] += buffer[a] == 45 or _is(buffer, a, b, 0x2022)
    out[1] += _ends_in_ellipsis(buffer, a, b)
    closing = _last_character(buffer, a, b)
    out[2] += closing < TABLE_SIZE and ends[closing] == MARK
    out[3] += characters <= SHORT_LINE


@kernel
def _seen(table, h):
    """Whether ``h`` was met before; remembers it."""
    key = h | np.uint64(1)
    mask = np.uint64(table.size - 1)
    at = (key >> np.uint64(1)) & mask
    while table[at] != 0 and table[at] != key:
        at = (at + np.uint64(1)) & mask
    met = table[at] == key
    table[at] = key
    return met


@kernel
def _last_character(buffer, a, b):
    i = b - 1
    while i > a and (buffer[i] & 0xC0) == 0x80:
        i -= 1
    return code_point(buffer, i, b)[0]


@kernel
def _is(buffer, a, b, code):
    return code_point(buffer, a, b)[0] == code


@kernel
def _ends_in_ellipsis(buffer, a, b):
    if b - a >= 3 and buffer[b - 1] == DOT and buffer[b - 2] == DOT:
        return buffer[b - 3] == DOT
    return _last_character(buffer, a, b) == 0x2026
