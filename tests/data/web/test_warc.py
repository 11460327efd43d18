"""Archives, sound and damaged: what is there is read, what is broken is named."""

import gzip
import io
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.read import compressed
from hornbook.data.read.compressed import open_stream
from hornbook.data.web import http, warc
from hornbook.data.web.http import join_chunks, parse_answer
from hornbook.data.web.warc import BadRecord, read_records


def warc_record(body: bytes, url="http://a.example/", kind="response", length=None):
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\n"
        f"Content-Length: {len(body) if length is None else length}\r\n\r\n"
    )
    return head.encode() + body + b"\r\n\r\n"


def read(raw: bytes):
    skipped = []
    records = list(
        read_records(
            "x", io.BytesIO(raw), lambda path, why: skipped.append((path, why))
        )
    )
    return [record.payload for record in records], skipped


BODIES = [b"first", b"second\r\n\r\nWARC/1.0\r\nnot a header", b"", b"x" * 200_000]
RECORDS = [warc_record(body) for body in BODIES]


@pytest.mark.parametrize(
    "pack",
    [
        b"".join,
        lambda rs: b"".join(map(gzip.compress, rs)),
        lambda rs: gzip.compress(b"".join(rs)),  # against the custom, but it happens
        lambda rs: b"".join(map(zstandard.compress, rs)),
        lambda rs: b"".join(gzip.compress(r) + b"\0" * 10 for r in rs),
    ],
)
def test_records_come_back_however_they_are_packed(pack):
    assert read(pack(RECORDS)) == (BODIES, [])


def test_a_broken_member_costs_its_own_record_only():
    members = [gzip.compress(record) for record in RECORDS]
    members[1] = members[1][:20] + b"\xff\xfe\xfd" + members[1][23:]
    found, skipped = read(b"".join(members))
    assert found == [BODIES[0], *BODIES[2:]]
    assert skipped[0][0] == f"x@{len(members[0])}"
    assert "gzip" in skipped[0][1]


@pytest.mark.parametrize("cut", [1, 5, 40, 400])
def test_a_truncated_archive_gives_what_is_whole(cut):
    packed = b"".join(
        map(gzip.compress, [*RECORDS[:2], warc_record(bytes(range(256)) * 9)])
    )
    found, skipped = read(packed[:-cut])
    assert found[:2] == BODIES[:2]
    assert len(found) == (3 if cut < 8 else 2)  # only the checksum is missing
    assert len(skipped) == 1


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (warc_record(b"x", length="many"), "content length of 'many'"),
        (warc_record(b"x", length=-1), "content length"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "begins with"),
        (b"WARC/1.0\r\n" + b"A: b\r\n" * 2000, "header lines"),
        (b"WARC/1.0\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", "does not end"),
        (warc_record(b"x", length=10**15), "larger than"),
    ],
)
def test_malformed_records_are_named_and_passed_over(bad, why):
    found, skipped = read(gzip.compress(bad) + gzip.compress(RECORDS[0]))
    assert why in skipped[0][1]
    assert len(skipped) == 1
    assert found == [b"first"]


def test_a_plain_archive_goes_on_at_the_next_record():
    bad = warc_record(b"x", length="many")
    found, skipped = read(bad + RECORDS[0])
    assert found == [b"first"]
    assert "content length" in skipped[0][1]


def test_a_decompression_bomb_costs_no_memory(monkeypatch):
    monkeypatch.setattr(warc, "MAX_RECORD_BYTES", 1 << 20)
    bomb = gzip.compress(warc_record(b"\0" * (1 << 26)))
    tracemalloc.start()
    found, skipped = read(bomb + gzip.compress(RECORDS[0]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [b"first"]
    assert "larger than" in skipped[0][1]
    assert peak < 16 << 20


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_is_fatal_or_endless(data):
    packed = bytearray(b"".join(map(gzip.compress, RECORDS[:3])))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(
            st.integers(0, 255)
        )
    found, _ = read(bytes(packed[: data.draw(st.integers(0, len(packed)))]))
    assert len(found) <= 4


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_can_be_offered_as_an_archive(raw):
    read(raw)
    read(b"WARC/1.0\r\n" + raw)
    read(b"filedesc://x " + raw)
    read(compressed.GZIP + raw)


def test_streams_read_what_the_standard_library_reads():
    raw = bytes(range(256)) * 5000
    for packed in (raw, gzip.compress(raw) * 2, zstandard.compress(raw) * 2):
        whole = raw if packed == raw else raw * 2
        assert open_stream(io.BytesIO(packed)).read() == whole


ARC = (
    b"filedesc://a.arc 0.0.0.0 20100101 text/plain 10\n1 0 X\nURL\n\n"
    b"http://a.example/with blank 1.2.3.4 20100101 text/html 20\nHTTP/1.0 200 OK\r\n\r\nx\n"
)


def test_arc_records_are_read_and_urls_may_hold_blanks():
    records = list(read_records("x", io.BytesIO(ARC), lambda *_: None))
    assert [r.kind for r in records] == ["warcinfo", "response"]
    assert records[1].url == "http://a.example/with blank"
    assert records[1].payload == b"HTTP/1.0 200 OK\r\n\r\nx"


def answer(headers: bytes, body: bytes):
    return parse_answer(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + body)


def test_http_encodings_are_undone():
    plain = b"<p>hello</p>" * 50
    chunked = (
        b"10\r\n"
        + plain[:16]
        + b"\r\n"
        + b"248;x=y\r\n"
        + plain[16:]
        + b"\r\n0\r\n\r\n"
    )
    raw_deflate = zlib.compressobj(wbits=-15)
    cases = {
        b"A: b": plain,
        b"Content-Encoding: gzip": gzip.compress(plain),
        b"Content-Encoding: deflate": zlib.compress(plain),
        b"content-encoding: Deflate": raw_deflate.compress(plain) + raw_deflate.flush(),
        b"Transfer-Encoding: chunked": chunked,
        b"Content-Encoding: gzip\r\nX: 1": plain,  # says so, but it is not
        b"Transfer-Encoding: chunked\r\nX: 1": plain,
    }
    for headers, body in cases.items():
        assert answer(headers, body).body == plain, headers


def test_content_types_are_taken_apart():
    found = answer(b'Content-Type: Text/HTML; charset="ISO-8859-1"', b"")
    assert (found.status, found.media_type, found.charset) == (
        200,
        "text/html",
        "iso-8859-1",
    )


def test_a_compressed_body_is_bounded(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 1000)
    with pytest.raises(BadRecord, match="larger"):
        answer(b"Content-Encoding: gzip", gzip.compress(b"x" * 10_000_000))


@given(st.binary(max_size=200))
def test_chunks_of_any_bytes_end(body):
    assert len(join_chunks(body)) <= len(body)
