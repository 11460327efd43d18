"""Source code: every number against plain Python, and each rule on a clear case."""

import base64
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.characters import DIGIT, LETTER, SPACE, kinds
from hornbook.data.filter.codestatistics import (
    MIN_ENCODED,
    is_code,
    measure_code,
    unwanted_name,
)
from hornbook.data.filter.config import FilterConfig
from hornbook.data.filter.filters import filter_documents

CODE = "".join(
    f"def value_{name}(x: int) -> int:\n    '''What {name} is.'''\n    return x.{name}\n\n"
    for name in "abcdefgh"
)


def encoded_pieces(text):
    """Runs of base64 characters and whether each is data, and what lies before it."""
    for match in re.finditer(r"[A-Za-z0-9+/=]+", text):
        token = match.group()
        mixed = re.search("[A-Z]", token) and re.search("[a-z]", token)
        hexadecimal = re.fullmatch("[0-9a-fA-F]+", token)
        data = len(token) >= MIN_ENCODED and re.search("[0-9]", token)
        number = token[0].isdigit() or (
            token[0] == "x" and text[: match.start()].endswith("\\")
        )
        yield token, bool(data and (mixed or hexadecimal)), number


def reference(text):
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    kind = [kinds()[ord(c)] for c in text]
    pieces = list(encoded_pieces(text))
    runs, run = [0], 0
    for token, data, _ in pieces:
        run = run + len(token) if data else 0
        runs.append(run)
    size, tokens = max(len(text), 1), max(sum(len(p[0]) for p in pieces), 1)
    return {
        "mean_line_length": sum(map(len, lines)) / max(len(lines), 1),
        "longest_line": max(map(len, lines), default=0),
        "alphanumeric_share": sum(k in (LETTER, DIGIT) for k in kind) / size,
        "white_space_share": sum(k == SPACE for k in kind) / size,
        "encoded_share": sum(len(t) for t, data, _ in pieces if data) / size,
        "longest_encoded": max(runs),
        "number_share": sum(len(t) for t, _, number in pieces if number) / tokens,
    }


pieces = st.sampled_from(
    [
        "x = ",
        "\n",
        "\n\n",
        "é",
        "日",
        "0x1f, ",
        "\\x3a",
        "a" * 50,
        "deadBEEF01" * 5,
        " ",
    ]
) | st.sampled_from(
    ["QUJD0+/x" * 6, "3.14", "-7,", "foo(", '"', "0123456789" * 5, "x2"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=25).map("".join))
def test_every_number_equals_the_plain_python_reference(text):
    measured = measure_code(pa.array(["y", text], pa.large_string()))
    for name, value in reference(text).items():
        assert measured[name][1] == pytest.approx(value), name


BLOB = base64.b64encode(np.random.default_rng(0).bytes(3000)).decode()
CASES = {
    "good.py": (CODE, ""),
    "minified.js": (
        "\n".join(f"g{i}(a,b,c);h{i}=k[{i}].m(n,o,p).q(r,s);" for i in range(60)),
        "code: minified",
    ),
    "lines.c": ("\n".join("int x; " * 20 + str(i) for i in range(20)), "code: long lines"),
    "one.c": (CODE + "int " + "y, " * 400 + "z;\n" + CODE * 3, "code: a very long line"),
    "key.py": (CODE * 9 + "".join(
        f'    "{BLOB[i:i + 60]}"\n' for i in range(0, 2400, 60)
    ), "code: encoded data"),
    "table.c": ("\n".join(
        ", ".join(f"0x{(i * 7919) % 251:02x}" for i in range(r, r + 12))
        for r in range(0, 600, 12)
    ), "code: table of numbers"),
    "art.sh": ("# +--+ # |  | #\n#########\n: : : : :\n" * 12, "code: few letters"),
    "package-lock.json": (CODE, "code: lock file or vendored"),
    "node_modules/left/pad.js": (CODE, "code: lock file or vendored"),
    "n.ipynb": (
        json.dumps({"cells": [{"source": [CODE]}]}, indent=1), "code: notebook",
    ),
    "letters.txt": ("\n".join("word " * 60 for _ in range(8)), ""),  # prose is not asked
}  # fmt: skip


def test_each_rule_gives_its_reason_and_prose_is_not_asked(corpus, tmp_path):
    documents = corpus({path: text for path, (text, _) in CASES.items()})
    config = FilterConfig(
        preset="code", max_digit_share=1, max_symbol_share=1, max_word_length=10**6,
        max_duplicate_lines=1,
    )  # fmt: skip
    filter_documents(config, documents, tmp_path / "out")
    numbers = pq.read_table(tmp_path / "out" / "statistics.parquet").to_pylist()
    reasons = dict(zip(CASES, (row["reason"] for row in numbers), strict=True))
    wanted = {path: reason for path, (_, reason) in CASES.items()}
    assert reasons == wanted


@pytest.mark.parametrize(
    ("path", "code", "unwanted"),
    [
        ("a/b/c.py", True, False),
        ("Makefile", True, False),
        ("src/app.min.js", True, True),
        ("poetry.lock", True, True),
        ("api/v1/service_pb2.py", True, True),
        ("third_party/zlib/inflate.c", True, True),
        ("notes.md", False, False),
        ("vendors.txt", False, False),
        ("https://example.com/vendor/page.php", False, False),
        (".py", False, False),
    ],
)
def test_names_tell_code_and_what_nobody_wants(path, code, unwanted):
    assert (is_code(path), unwanted_name(path)) == (code, unwanted)
