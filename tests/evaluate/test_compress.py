"""Compressors: the figure is the size of a file that their own decoders restore."""

import lzma
import random

import zstandard

from hornbook.evaluate.compress import xz_bits_per_byte, zstd_bits_per_byte


def words(n):
    rng = random.Random(2)
    vocabulary = ["".join(rng.choices("abcdefgh", k=5)) for _ in range(300)]
    return " ".join(rng.choice(vocabulary) for _ in range(n)).encode()


def test_noise_needs_all_its_bits_and_a_pattern_almost_none():
    noise, pattern = random.Random(1).randbytes(100_000), b"hornbook" * 10_000
    for bits in (xz_bits_per_byte, zstd_bits_per_byte):
        assert 8.0 <= bits(noise) < 8.02
        assert bits(pattern) < 0.05


def test_figures_are_those_of_the_command_line_settings():
    data = words(20_000)
    assert xz_bits_per_byte(data) == 8 * len(
        lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    ) / len(data)
    plain = 8 * len(zstandard.ZstdCompressor(level=19).compress(data)) / len(data)
    assert abs(zstd_bits_per_byte(data) - plain) < 0.02 * plain


def test_zstd_looks_back_further_than_its_default_window():
    block = random.Random(3).randbytes(2 << 20)
    assert zstd_bits_per_byte(block + block, level=1) < 4.1
    plain = zstandard.ZstdCompressor(level=1).compress(block + block)  # 512 KiB back
    assert 8 * len(plain) / len(block + block) > 7.9
