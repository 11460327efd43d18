"""Which rows a step takes: a pure function of (seed, step), so there is nothing to save."""

from functools import lru_cache

import numpy as np


def rows_of_step(step: int, batch: int, n_rows: int, seed: int) -> np.ndarray:
    """Indices ``(batch,)`` into ``n_rows`` rows: every epoch visits each row once, in an order
    of its own. A batch may reach across the end of an epoch.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs, within = np.divmod(places, n_rows)
    return np.array(
        [
            epoch_order(n_rows, seed, int(e))[i]
            for e, i in zip(epochs, within, strict=True)
        ],
        np.int64,
    )


@lru_cache(maxsize=4)
def epoch_order(n_rows: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of one epoch, from a counter-based generator."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n_rows)
