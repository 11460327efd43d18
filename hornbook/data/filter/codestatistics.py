"""The numbers behind the rules for source code, measured in one look at each byte.

Names of files say as much as their contents: :func:`is_code` tells source code from prose,
:func:`unwanted_name` knows lock files, vendored folders and minified files.
"""

import re

import numpy as np
import pyarrow as pa

from hornbook.data.arrow import text_buffers
from hornbook.data.characters import (
    DIGIT,
    LETTER,
    SPACE,
    TABLE_SIZE,
    code_point,
    kinds,
)
from hornbook.data.jit import kernel

CODE = (
    "mean_line_length",  # characters, over all lines
    "longest_line",  # characters
    "alphanumeric_share",  # of all characters
    "white_space_share",  # likewise
    "encoded_share",  # likewise: in base64 or hexadecimal runs
    "longest_encoded",  # characters of the longest such run, line breaks left out
    "number_share",  # of letters and digits: those in numbers
)
MIN_ENCODED = 40  # characters of a run that may be encoded data
NEWLINE, BACKSLASH = 10, 92

SUFFIXES = frozenset(
    """
    .adb .asm .awk .bash .bat .c .cc .cfg .clj .cljs .cmake .coffee .cpp .cs .css .cu .cxx
    .d .dart .el .elm .erl .ex .exs .f .f90 .fs .fsx .go .gradle .groovy .h .hh .hpp .hrl .hs
    .hxx .ini .ipynb .java .jl .js .json .jsx .kt .kts .less .lisp .lock .lua .m .mjs .mk .ml
    .mli .mm .nim .pas .php .pl .pm .proto .ps1 .py .pyi .pyx .r .rb .rkt .rs .s .sass .scala
    .scm .scss .sh .sol .sql .sum .sv .swift .tcl .tf .toml .ts .tsx .v .vb .vhd .vue .xml
    .yaml .yml .zig .zsh .map
    """.split()  # noqa: SIM905
)
UNWANTED = re.compile(
    r"(^|/)(node_modules|bower_components|vendor|vendored|third_party|third-party)/"
    r"|(^|/)(package-lock\.json|pnpm-lock\.yaml|npm-shrinkwrap\.json|go\.sum)$"
    r"|\.lock$|[.-]min\.(js|css|mjs)$|[.-]bundle\.js$|\.(js|css)\.map$"
    r"|_pb2(_grpc)?\.pyi?$|\.pb\.(go|cc|h)$|\.g\.dart$|\.designer\.cs$|(^|/)moc_\w+\.cpp$",
    re.IGNORECASE,
)


def is_code(path: str) -> bool:
    """Whether a document is source code, judged by its file's name; an address is not."""
    name = path.rpartition("/")[2].lower()
    dot = name.rfind(".")
    if "://" in path:
        return False
    return (dot > 0 and name[dot:] in SUFFIXES) or name in ("makefile", "dockerfile")


def unwanted_name(path: str) -> bool:
    """Lock files, vendored folders, minified files and those that compilers write."""
    return "://" not in path and UNWANTED.search(path) is not None


def measure_code(texts: pa.LargeStringArray) -> dict[str, np.ndarray]:
    """The numbers named in :data:`CODE`, one float64 array of ``len(texts)`` each."""
    buffer, offsets = text_buffers(texts)
    out = np.zeros((len(CODE), len(texts)))
    _measure(buffer, offsets, kinds(), _token_kinds(), out)
    return dict(zip(CODE, out, strict=True))


UPPER, LOWER, NUMERAL, HEX, OTHER = (np.uint8(1 << bit) for bit in range(5))


def _token_kinds() -> np.ndarray:
    """What each byte says about a run of base64: bits; 0 when it ends the run."""
    table = np.zeros(256, np.uint8)
    table[ord("A") : ord("Z") + 1] = UPPER
    table[ord("a") : ord("z") + 1] = LOWER
    table[ord("0") : ord("9") + 1] = NUMERAL
    table[list(b"+/=")] = OTHER
    for letter in b"abcdefABCDEF":
        table[letter] |= HEX
    return table


@kernel
def _measure(buffer, offsets, kind_of, token_of, out):
    for d in range(offsets.size - 1):
        start, end = offsets[d], offsets[d + 1]
        characters = lines = line = longest = in_lines = spaces = alphanumeric = 0
        i = start
        while i < end:
            code, size = np.int64(buffer[i]), 1
            if code >= 0x80:
                code, size = code_point(buffer, i, end)
            i += size
            characters += 1
            kind = kind_of[code] if code < TABLE_SIZE else np.uint8(0)
            spaces += kind == SPACE
            alphanumeric += kind in (LETTER, DIGIT)
            line += 1
            if code == NEWLINE:
                in_lines += line - 1
                longest = max(longest, line - 1)
                lines, line = lines + 1, 0
        lines += line > 0
        encoded, run, numbers, tokens = _tokens(buffer, start, end, token_of)
        out[0, d] = (in_lines + line) / max(lines, 1)
        out[1, d] = max(longest, line)
        out[2, d] = alphanumeric / max(characters, 1)
        out[3, d] = spaces / max(characters, 1)
        out[4, d] = encoded / max(characters, 1)
        out[5, d] = run
        out[6, d] = numbers / max(tokens, 1)


@kernel
def _tokens(buffer, start, end, token_of):
    """``(encoded, longest encoded run, in numbers, in all)``: bytes of a text's tokens.

    A token is a run of base64's characters. It is encoded data when it is long and holds
    digits beside capitals and small letters, or beside nothing but a to f; it is a number
    when it begins with a digit, or is an escape such as \\\\x1f.
    """
    encoded = run = longest = numbers = tokens = 0
    i = start
    while i < end:
        if token_of[buffer[i]] == 0:
            i += 1
            continue
        first, seen, plain = i, np.uint8(0), True
        while i < end and token_of[buffer[i]]:
            kind = token_of[buffer[i]]
            seen |= kind
            plain &= (kind & (NUMERAL | HEX)) != 0
            i += 1
        size = i - first
        mixed = plain or (seen & UPPER and seen & LOWER)
        if size >= MIN_ENCODED and seen & NUMERAL and mixed:
            encoded += size
            run += size
            longest = max(longest, run)
        else:
            run = 0
        escape = (
            first > start and buffer[first - 1] == BACKSLASH and buffer[first] == 120
        )
        tokens += size
        if token_of[buffer[first]] & NUMERAL or escape:
            numbers += size
    return encoded, longest, numbers, tokens
