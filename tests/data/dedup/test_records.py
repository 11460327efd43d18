"""The texts of JSON lines: what a full parser says, whatever the lines hold."""

import json
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.dedup import records
from hornbook.data.dedup.json_scan import UNKNOWN, scan
from hornbook.data.dedup.records import Reader


class Record(msgspec.Struct):
    text: str


def scanned(block: bytes):
    """What the compiled loops alone make of some lines: texts or UNKNOWN."""
    room = len(block) + 2
    texts, offsets = np.empty(room + 8, np.uint8), np.zeros(room, np.int64)
    places = np.empty((room, 2), np.int64)
    found, taken, _ = scan(np.frombuffer(block, np.uint8), True, texts, offsets, places)
    if found == UNKNOWN:
        return UNKNOWN
    assert taken == len(block)
    return [bytes(texts[a:b]) for a, b in pairwise(offsets[: found + 1])]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(), st.dictionaries(st.text(), anything, max_size=3), st.booleans()
        ),
        max_size=4,
    ),
    st.booleans(),
    st.sampled_from([None, (",", ":"), (" ,  ", "\t: ")]),
)
def test_texts_are_those_of_a_full_parser(rows, ascii_, separators):
    lines = []
    for text, others, first in rows:
        record = {"text": text} | others if first else others | {"text": text}
        record["text"] = text
        lines.append(json.dumps(record, ensure_ascii=ascii_, separators=separators))
    try:
        block = "".join(line + "\n" for line in lines).encode()
    except UnicodeEncodeError:
        return
    assert scanned(block) == [text.encode() for text, _, _ in rows]


PIECES = r"""{"text": @ "a" @ , @ } @ { @ [ @ ] @ : @ "text" @ "n" @ 1 @ -0.5e+3 @ 01 @ 1.
@ true @ nul @ null @ "\u00e9" @ "\ud800" @ "\x" @ x @ "\ud83d\ude00" @ "a\"b\\" @ "
@ \\ @ 1e5 @ 2E"""
pieces = st.sampled_from([piece.strip() for piece in PIECES.split("@")] + [" ", "\t"])


@settings(max_examples=600, deadline=None)
@given(st.lists(pieces, max_size=9).map("".join), st.integers(0, 30))
def test_nothing_is_accepted_that_a_full_parser_refuses(tail, cut):
    line = ('{"text":"long enough for eight",' + tail).encode()
    line = line[: len(line) - cut if cut < 10 else None]
    found = scanned(line)
    if found != UNKNOWN:
        assert found == [msgspec.json.decode(line, type=Record).text.encode()]


def test_deep_values_are_left_to_the_full_parser():
    for depth, known in ((59, True), (61, False), (100_000, False)):
        line = b'{"n":' + b"[" * depth + b"]" * depth + b',"text":"a"}'
        assert scanned(line) == ([b"a"] if known else UNKNOWN)


@pytest.mark.parametrize("batch", [1, 40, 2 << 20])
def test_records_come_with_their_places(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(records, "BATCH_BYTES", batch)
    texts = ["a" * 300, "", "é", 'q"\\\n', "𐀀" * 9, "end"]
    lines = [json.dumps({"n": i, "text": text}) for i, text in enumerate(texts)]
    lines[4] = (
        '{"te\\u0078t": "' + texts[4] + '"}'
    )  # only the full parser knows that key
    path = tmp_path / "in.jsonl"
    path.write_text("\n \n".join(lines), encoding="utf-8")
    found, places = [], []
    for buffer, offsets, where in Reader(path).all():
        found += [bytes(buffer[a:b]).decode() for a, b in pairwise(offsets)]
        places += where.tolist()
    assert found == texts
    data = path.read_bytes()
    assert [data[a : a + n].strip().decode() for a, n in places] == lines
    with open(path, "rb") as file:
        some = np.array(places)[[5, 0, 3]]
        buffer, offsets, _ = Reader(path).at(file, some)
        assert bytes(buffer).decode() == texts[5] + texts[0] + texts[3]


@pytest.mark.parametrize(
    "line",
    [b'{"text": 1}', b'{"text": "\xff"}', b"[]", b'{"a": "text"}', b'{"text": "a'],
)
def test_the_line_that_is_wrong_is_named(tmp_path, line):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "a"}\n\n' + line + b'\n{"text": "b"}\n')
    with pytest.raises(UserError, match=r"in\.jsonl line 3"):
        list(Reader(path).all())
