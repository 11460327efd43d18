"""Finds the string under the key ``text`` in lines of JSON and undoes its escapes.

Compiled loops over bytes. They accept nothing that is not JSON, but not all that is: a key
written with escapes, a key ``text`` that comes twice, half a surrogate pair and values
nested more than ``DEEPEST`` deep make a line :data:`UNKNOWN`, for a full parser to judge.
Whether the bytes are UTF-8 is not looked at. Whoever looks for the end of something and
does not understand it returns the end of the line, where no part of an object can end.
"""

import numpy as np

from hornbook.data.jit import inlined, kernel
from hornbook.data.shingles import TOPS, between, load_eight, trailing_zeros

QUOTE, BACKSLASH, COMMA, COLON = ord('"'), ord("\\"), ord(","), ord(":")
BLANK, TAB, NEWLINE, RETURN = ord(" "), ord("\t"), ord("\n"), ord("\r")
MINUS, PLUS, POINT = ord("-"), ord("+"), ord(".")
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = ord("{"), ord("}"), ord("["), ord("]")
ZERO, NINE, SMALL_E, SMALL_U = ord("0"), ord("9"), ord("e"), ord("u")
KEY = np.frombuffer(b'"text"', np.uint8)
WORDS = np.frombuffer(b"true\0false\0null\0", np.uint8)
DEEPEST = 60
UNKNOWN = -1

ESCAPED = np.zeros(128, np.uint8)  # what stands for what after a backslash
for _letter, _meaning in zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True):
    ESCAPED[ord(_letter)] = ord(_meaning)


@kernel
def scan(lines, last, texts, offsets, places):
    """Fill texts, offsets, places; returns ``(records or UNKNOWN, bytes, lines)``."""
    records = newlines = start = 0
    while start < lines.size:
        end = next_line(lines, start, lines.size)
        whole = end > start and lines[end - 1] == NEWLINE
        if not (whole or last):
            break
        i = _after_blanks(lines, start, end)
        if i < end:
            written = _find_text(lines, i, end, texts, offsets[records])
            if written == UNKNOWN:
                return UNKNOWN, 0, 0
            places[records, 0], places[records, 1] = start, end - start
            records += 1
            offsets[records] = written
        newlines += whole
        start = end
    return records, start, newlines


@kernel
def _find_text(lines, i, end, texts, at):
    """Write the text of the object at ``i`` to ``texts[at:]``; returns where it ends."""
    if lines[i] != OPEN:
        return UNKNOWN
    written = UNKNOWN
    while True:
        i = _after_blanks(lines, i + 1, end)
        is_text = _begins(lines, i, end, KEY)
        i = _after_key(lines, i, end)
        if is_text:
            if written != UNKNOWN:
                return UNKNOWN  # twice
            i, written = _decode(lines, i, end, texts, at)
        else:
            i = _after_value(lines, i, end)
        i = _after_blanks(lines, i, end)
        if i < end and lines[i] == CLOSE:
            break
        if i >= end or lines[i] != COMMA:
            return UNKNOWN
    return written if _after_blanks(lines, i + 1, end) == end else UNKNOWN


@kernel
def _decode(lines, i, end, texts, at):
    """Undo the escapes of the string at ``i``: where it ends in both arrays, or UNKNOWN."""
    if i >= end or lines[i] != QUOTE:
        return end, UNKNOWN
    i += 1
    while i < end:
        if i + 8 <= end:
            eight = load_eight(lines, i)
            store_eight(texts, at, eight)
            plain = min(trailing_zeros(special_bytes(eight)) >> 3, 8)
            i += plain
            at += plain
            if plain == 8:
                continue
        elif lines[i] != QUOTE and lines[i] != BACKSLASH and lines[i] >= BLANK:
            texts[at] = lines[i]
            i += 1
            at += 1
            continue
        if lines[i] == QUOTE:
            return i + 1, at
        if lines[i] != BACKSLASH or i + 1 >= end:
            return end, UNKNOWN  # a control character
        letter = lines[i + 1]
        if letter == SMALL_U:
            i, at = _decode_number(lines, i, end, texts, at)
            if at == UNKNOWN:
                return end, UNKNOWN
        elif letter < 128 and ESCAPED[letter]:
            texts[at] = ESCAPED[letter]
            i += 2
            at += 1
        else:
            return end, UNKNOWN
    return end, UNKNOWN


@inlined
def special_bytes(eight):
    """The top bit of each byte that is a quote, a backslash or a control character."""
    ascii_ = eight & ~TOPS
    found = between(ascii_, 0, 0x1F) | between(ascii_, 0x22, 0x22)
    return (found | between(ascii_, 0x5C, 0x5C)) & ~eight & TOPS


@inlined
def store_eight(bytes_, i, eight):
    """Write the bytes of a number to ``bytes_[i:i + 8]``, the lowest one first."""
    at = np.uint64(i)
    for k in range(8):
        bytes_[at + np.uint64(k)] = np.uint8(eight >> np.uint64(8 * k))


@kernel
def _decode_number(lines, i, end, texts, at):
    """Write the character of the escape ``\\uXXXX``, or of two that are one pair, as UTF-8."""
    code = _hexadecimal(lines, i + 2, end)
    i += 6
    if 0xD800 <= code < 0xDC00:
        low = UNKNOWN
        if i + 1 < end and lines[i] == BACKSLASH and lines[i + 1] == SMALL_U:
            low = _hexadecimal(lines, i + 2, end)
        if not 0xDC00 <= low < 0xE000:
            return end, UNKNOWN
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        i += 6
    elif code == UNKNOWN or 0xDC00 <= code < 0xE000:
        return end, UNKNOWN
    if code < 0x80:
        texts[at] = code
        return i, at + 1
    more = 1 if code < 0x800 else 2 if code < 0x10000 else 3  # bytes after the first
    texts[at] = (0xFF00 >> (more + 1)) & 0xFF | code >> (6 * more)
    for k in range(1, more + 1):
        texts[at + k] = 0x80 | (code >> (6 * (more - k))) & 0x3F
    return i, at + more + 1


@kernel
def _hexadecimal(lines, i, end):
    """The number that the four digits at ``i`` mean."""
    if i + 4 > end:
        return UNKNOWN
    code = 0
    for digit in lines[i : i + 4]:
        if ZERO <= digit <= NINE:
            code = code * 16 + digit - ZERO
        elif 0x61 <= digit | 0x20 <= 0x66:
            code = code * 16 + (digit | 0x20) - 0x61 + 10
        else:
            return UNKNOWN
    return code


@kernel
def _after_value(lines, i, end):
    """Where the value at ``i`` ends, whatever it is; ``end`` when it is not understood."""
    within = np.uint64(
        1
    )  # bit by bit from the lowest: is it an object or a list around us
    while i < end:
        if lines[i] == OPEN or lines[i] == OPEN_LIST:
            if within >> np.uint64(DEEPEST):
                break
            within = within << np.uint64(1) | np.uint64(lines[i] == OPEN)
            i = _after_blanks(lines, i + 1, end)
            if i < end and lines[i] != CLOSE and lines[i] != CLOSE_LIST:
                i = _after_key(lines, i, end) if within & np.uint64(1) else i
                continue
        elif lines[i] == QUOTE:
            i = _after_string(lines, i, end)
        else:
            i = _after_word(lines, i, end)
        while within > 1:  # close what ends here
            i = _after_blanks(lines, i, end)
            if i >= end or lines[i] != (CLOSE if within & np.uint64(1) else CLOSE_LIST):
                break
            within >>= np.uint64(1)
            i += 1
        if within == 1:
            return i
        if i >= end or lines[i] != COMMA:
            break
        i = _after_blanks(lines, i + 1, end)
        i = _after_key(lines, i, end) if within & np.uint64(1) else i
    return end


@kernel
def _after_key(lines, i, end):
    """Where the value begins whose key is the string at ``i``."""
    i = _after_blanks(lines, _after_string(lines, i, end), end)
    if i >= end or lines[i] != COLON:
        return end
    return _after_blanks(lines, i + 1, end)


@kernel
def _after_string(lines, i, end):
    if i >= end or lines[i] != QUOTE:
        return end
    i += 1
    while i < end and lines[i] != QUOTE and lines[i] >= BLANK:
        if lines[i] == BACKSLASH:
            i += 1
            letter = lines[i] if i < end else np.uint8(0)
            if letter == SMALL_U:
                if _hexadecimal(lines, i + 1, end) == UNKNOWN:
                    return end
            elif letter >= 128 or not ESCAPED[letter]:
                return end
        i += 1
    return i + 1 if i < end and lines[i] == QUOTE else end


@kernel
def _after_word(lines, i, end):
    """Where a number, ``true``, ``false`` or ``null`` ends."""
    for start, size in ((0, 4), (5, 5), (11, 4)):
        if _begins(lines, i, end, WORDS[start : start + size]):
            return i + size
    if lines[i] == MINUS:
        i += 1
    after = _after_digits(lines, i, end)
    if after == i or (lines[i] == ZERO and after > i + 1):
        return end
    i = after
    if i < end and lines[i] == POINT:
        after = _after_digits(lines, i + 1, end)
        if after == i + 1:
            return end
        i = after
    if i < end and lines[i] | 0x20 == SMALL_E:
        i += 2 if i + 1 < end and (lines[i + 1] == MINUS or lines[i + 1] == PLUS) else 1
        after = _after_digits(lines, i, end)
        i = after if after > i else end
    return i


@kernel
def _after_digits(lines, i, end):
    while i < end and ZERO <= lines[i] <= NINE:
        i += 1
    return i


@kernel
def _after_blanks(lines, i, end):
    while i < end and (
        lines[i] == BLANK
        or lines[i] == TAB
        or lines[i] == NEWLINE
        or lines[i] == RETURN
    ):
        i += 1
    return i


@kernel
def _begins(lines, i, end, with_):
    """Whether the bytes at ``i`` are those of ``with_``."""
    if i + with_.size > end:
        return False
    same = True
    for k in range(with_.size):
        same &= lines[i + k] == with_[k]
    return same


@kernel
def next_line(bytes_, start, end):
    """Where the line after the one at ``start`` begins."""
    while start < end:
        if start + 8 <= end:
            eight = load_eight(bytes_, start)
            found = between(eight & ~TOPS, NEWLINE, NEWLINE) & ~eight & TOPS
            if found == 0:
                start += 8
                continue
        start += 1
        if bytes_[start - 1] == NEWLINE:
            break
    return start
