"""Each rank reads its rows of the one global batch, and no more memory for more text."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from hornbook.data.config import DataConfig
from hornbook.data.loader import PretrainBatches, pretrain_batches
from hornbook.data.shards import Shards
from hornbook.data.windows import Windows

ROWS, LENGTH = 64, 128


def sparse_shards(folder, tokens: int, files: int = 4) -> Shards:
    """So many tokens in files that take no room: holes, read as zeros."""
    folder.mkdir()
    size = tokens // files
    try:
        arrays = [
            np.lib.format.open_memmap(
                folder / f"tokens-{n:05d}.npy", "w+", np.uint16, (size,)
            )
            for n in range(files)
        ]
    except OSError as error:
        pytest.skip(f"no sparse files of {size * 2:,} bytes here: {error}")
    starts = np.arange(files + 1, dtype=np.int64) * size
    offsets = np.array([0, tokens], np.int64)
    index = {"sources": {"all": 1}, "bytes": 4 * tokens, "vocab_size": 50_000}
    return Shards(folder, arrays, starts, offsets, index)


def peak_of_a_rank(shards: Shards, rank: int, ranks: int) -> tuple[int, list[int]]:
    """The most memory a rank needs for some steps, and where its windows begin."""
    tracemalloc.start()
    part = Windows(shards, LENGTH, 1, 0, shards.tokens)
    batches = PretrainBatches([part], ROWS)
    rows = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    starts = []
    for step in (0, 1, 1_000_000):
        mine = batches.part(step, rows)
        assert mine.tokens.shape == (ROWS // ranks, LENGTH)
        samples = np.arange(step * ROWS, (step + 1) * ROWS)[rows]
        starts += part.starts(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, starts


def test_a_rank_needs_no_more_memory_for_a_trillion_tokens_than_for_a_million(tmp_path):
    peaks = {}
    for tokens in (10**6, 10**12):
        shards = sparse_shards(tmp_path / str(tokens), tokens)
        peak_of_a_rank(shards, 0, 4)  # what is only allocated once
        found = [peak_of_a_rank(shards, rank, 4) for rank in range(4)]
        peaks[tokens] = max(peak for peak, _ in found)
    starts = [start for _, part in found for start in part]
    assert len(set(starts)) == 3 * ROWS  # nobody reads what another reads
    assert max(starts) > 9 * 10**11
    assert peaks[10**12] < 1.5 * peaks[10**6]
    assert peaks[10**12] < 1 << 20


def test_the_shares_of_all_ranks_are_the_global_batch_in_order(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    tokens = np.random.default_rng(0).integers(0, 99, 5000).astype(np.uint16)
    index = {"sources": {"a": 1, "b": 1}, "bytes": 9999, "vocab_size": 99}
    shards = Shards(
        folder, [tokens], np.array([0, 5000]), np.array([0, 2000, 5000]), index
    )
    from hornbook.data.config import MixtureConfig

    for mixture in (None, MixtureConfig(weights={"a": 3.0, "b": 1.0})):
        data = DataConfig(sources=(), mixture=mixture)
        batches = pretrain_batches(shards, data, 16, 10, 50, 1)
        for step in (0, 7):
            whole = batches(step)
            for edges in ([0, 5, 10], [0, 3, 6, 10]):
                spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
                parts = [batches.part(step, span) for span in spans]
                assert torch.equal(torch.cat([p.tokens for p in parts]), whole.tokens)
                assert torch.equal(torch.cat([p.targets for p in parts]), whole.targets)
