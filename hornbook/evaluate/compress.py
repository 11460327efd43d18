"""The same held-out bytes for general compressors: what any model should beat."""

import lzma

import zstandard

ZSTD_WINDOW = 27  # log2 of the bytes zstd looks back: 128 MiB, its usual limit


def xz_bits_per_byte(data: bytes) -> float:
    """``xz -9e``: bits of the compressed file per byte of ``data``."""
    packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    return 8 * len(packed) / len(data)


def zstd_bits_per_byte(data: bytes, level: int = 19) -> float:
    """``zstd -19 --long=27``: bits of the compressed file per byte of ``data``."""
    settings = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=ZSTD_WINDOW, enable_ldm=True, source_size=len(data)
    )
    packed = zstandard.ZstdCompressor(compression_params=settings).compress(data)
    return 8 * len(packed) / len(data)
