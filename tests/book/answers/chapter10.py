"""Right answers to the exercises of chapter 10, and a usual mistake for each."""


def ring_bytes(ranks, size):
    return 2 * (ranks - 1) * size / ranks


def mean_over_ranks(means, counts):
    total = sum(m * n for m, n in zip(means, counts, strict=True) if n)
    return total / sum(counts)


def rows_of(rank, ranks, batch):
    each, more = divmod(batch, ranks)
    start = rank * each + min(rank, more)
    return list(range(start, start + each + (rank < more)))


def bubble(stages, micro_batches):
    return (stages - 1) / (micro_batches + stages - 1)


def wrong_ring_bytes(ranks, size):
    return (ranks - 1) * size  # everything to everybody


def wrong_mean_over_ranks(means, counts):
    return sum(means) / len(counts)


def wrong_rows_of(rank, ranks, batch):
    each = batch // ranks
    return list(range(rank * each, (rank + 1) * each))  # the rest is never read


def wrong_bubble(stages, micro_batches):
    return (stages - 1) / micro_batches
