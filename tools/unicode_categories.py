"""Write hornbook/tokenizer/unicode16.npz: the general category of every code point.

Every engine carries its own Unicode version, and a tokenizer must not change when one of
them is updated. So the table is pinned: it is what tiktoken's regex engine answers
(Unicode 16), asked once per category, stored as runs. Needs the `dev` extra::

    python tools/unicode_categories.py
"""

from pathlib import Path

import numpy as np
import tiktoken

from hornbook.tokenizer.unicode import CATEGORIES, CODE_POINTS

TABLE = Path(__file__).parents[1] / "hornbook" / "tokenizer" / "unicode16.npz"


def members(category: str, text: str) -> list[int]:
    """The code points of ``text`` that tiktoken's engine puts into ``category``."""
    splitter = tiktoken.Encoding(
        category,
        pat_str=rf"\p{{{category}}}",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens={},
    )
    matched = splitter.encode_to_numpy(text, disallowed_special=())
    return [ord(char) for char in matched.astype(np.uint8).tobytes().decode()]


def main() -> None:
    """Probe every category and save the runs."""
    surrogates = range(0xD800, 0xE000)
    text = "".join(chr(c) for c in range(CODE_POINTS) if c not in surrogates)
    table = np.zeros(CODE_POINTS, np.uint8)
    for number, category in enumerate(CATEGORIES):
        if category not in ("Cn", "Cs"):
            table[members(category, text)] = number
    table[list(surrogates)] = CATEGORIES.index("Cs")
    starts = np.flatnonzero(np.diff(table, prepend=255)).astype(np.uint32)
    np.savez_compressed(TABLE, starts=starts, categories=table[starts])
    print(f"{TABLE}: {len(starts)} runs, {TABLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
