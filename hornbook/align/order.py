"""Which rows a step takes: a pure function of (seed, step), so there is nothing to save."""

import numpy as np

from hornbook.data.permutation import permute, random_number


def rows_of_step(step: int, batch: int, n_rows: int, seed: int) -> np.ndarray:
    """Indices ``(batch,)`` into ``n_rows`` rows: every epoch visits each row once, in an order
    of its own. A batch may reach across the end of an epoch.
    """
    places = np.arange(step * batch, (step + 1) * batch)
    epochs, within = np.divmod(places, n_rows)
    rows = np.empty(batch, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        key = random_number(seed, int(epoch))
        rows[here] = permute(within[here].astype(np.uint64), n_rows, key)
    return rows
