"""Files packed with a dictionary are refused by name; every other zstd file is read."""

import io
import struct

import pytest
import zstandard

from hornbook.data.config import DataConfig
from hornbook.data.documents import read_texts
from hornbook.data.read.compressed import BrokenStream
from hornbook.data.read.config import (
    CrawlSource,
    FilesSource,
)
from hornbook.data.read.extract import extract
from hornbook.data.read.zstd import refuse_dictionary

TEXT = b"some words about the lamp and the house on the hill\n" * 50


@pytest.fixture(scope="module")
def dictionary():
    samples = [
        b"some words about the lamp %d and house %d\n" % (n, n * 7) * 20
        for n in range(500)
    ]
    return zstandard.train_dictionary(2000, samples)


@pytest.mark.parametrize("known_size", [True, False])
def test_the_dictionarys_number_is_that_of_the_library(dictionary, known_size):
    packer = zstandard.ZstdCompressor(
        dict_data=dictionary, write_content_size=known_size
    )
    packed = packer.compress(TEXT)
    number = zstandard.get_frame_parameters(packed).dict_id
    assert number
    with pytest.raises(BrokenStream, match=f"dictionary {number};"):
        refuse_dictionary(io.BytesIO(packed))


@pytest.mark.parametrize("level", [1, 3, 19])
@pytest.mark.parametrize("size", [0, 1, 300, 70_000])
def test_frames_without_one_pass_and_stay_where_they_are(level, size):
    for raw in (zstandard.compress(b"x" * size, level), b"x" * size, b""):
        handle = io.BytesIO(raw)
        refuse_dictionary(handle)
        assert handle.read() == raw


def test_such_files_are_counted_with_the_way_out(dictionary, tmp_path):
    packed = zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT)
    raw = dictionary.as_bytes()
    own = struct.pack("<II", 0x184D2A5D, len(raw)) + raw + packed
    (tmp_path / "in").mkdir()
    for name, content in (
        ("a.txt.zst", packed),
        ("b.warc.zst", own),
        ("c.txt.zst", zstandard.compress(TEXT)),
    ):
        (tmp_path / "in" / name).write_bytes(content)
    files = FilesSource(path=str(tmp_path / "in"), name="f", include=("*.txt.zst",))
    crawl = CrawlSource(path=str(tmp_path / "in/b.warc.zst"), name="c")
    facts = extract(DataConfig(sources=(files,)), tmp_path / "out")
    assert list(read_texts(tmp_path / "out")) == [TEXT.decode()]
    assert any("dictionary" in s["reason"] for s in facts["skipped"])
    with pytest.raises(Exception, match="unpack it with the program zstd"):
        extract(DataConfig(sources=(crawl,)), tmp_path / "two")
