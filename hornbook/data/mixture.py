"""Mixture: how often a model sees each source, decided while it trains, not on disk.

Samples come in blocks; each block holds the same number of samples of every source, in an
order of its own. So which source sample ``n`` is from, and which of that source's windows it
is, follows from ``n`` alone.
"""

from dataclasses import dataclass

import numpy as np

from hornbook.core.errors import UserError
from hornbook.data.config import MixtureConfig
from hornbook.data.permutation import permute, random_number

BLOCK = 1 << 16  # samples; shares are exact to one in so many


@dataclass(frozen=True)
class Mixture:
    """A plan for ``samples`` samples from several sources."""

    names: tuple[str, ...]
    quotas: np.ndarray  # (sources,) int64: samples of each source in every block
    epochs: dict[str, float]  # how often each source will have been seen in the end
    seed: int

    def locate(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(source, position)`` of samples (int64): the position counts within the source."""
        ends = np.cumsum(self.quotas)
        blocks, places = np.divmod(samples, ends[-1])
        for block in np.unique(blocks):
            here = blocks == block
            key = random_number(self.seed, int(block), 3)
            mixed = permute(places[here].astype(np.uint64), int(ends[-1]), key)
            places[here] = mixed.astype(np.int64)
        source = np.searchsorted(ends, places, side="right")
        within = places - (ends - self.quotas)[source]
        return source, blocks * self.quotas[source] + within

    @property
    def shares(self) -> dict[str, float]:
        """The share of each source among the samples."""
        shares = self.quotas / self.quotas.sum()
        return dict(zip(self.names, shares.tolist(), strict=True))


def plan_mixture(
    config: MixtureConfig, windows: dict[str, int], samples: int, seed: int
) -> Mixture:
    """The plan for a run of ``samples`` samples from sources of so many ``windows`` each."""
    epochs = epochs_per_source(config, windows, samples)
    wanted = np.array([epochs[name] * windows[name] for name in windows])
    quotas = _whole_numbers(wanted / wanted.sum() * min(BLOCK, samples))
    seen = quotas / quotas.sum() * samples
    realised = {
        name: float(seen[i] / windows[name]) if windows[name] else 0.0
        for i, name in enumerate(windows)
    }
    return Mixture(tuple(windows), quotas, realised, seed)


def _whole_numbers(wanted: np.ndarray) -> np.ndarray:
    """Round to whole numbers of the same sum (largest remainders); none that counts to 0."""
    rounded = np.floor(wanted)
    short = round(float(wanted.sum() - rounded.sum()))
    rounded[np.argsort(rounded - wanted, kind="stable")[:short]] += 1
    rounded[(wanted > 0) & (rounded == 0)] = 1
    return rounded.astype(np.int64)


def epochs_per_source(
    config: MixtureConfig, sizes: dict[str, int], budget: float
) -> dict[str, float]:
    """How often each source is seen, so that ``budget`` divides as the weights ask.

    ``sizes`` and ``budget`` are in one unit. Without weights a source's is its size to the
    power 1 / temperature, so that a higher temperature evens sources out. No source is seen
    more than ``max_epochs`` times: what it lacks then goes to the others, as long as there
    are any. Raises :class:`UserError` for a weight of an unknown source, or none above 0.
    """
    unknown = set(config.weights) - set(sizes)
    if unknown:
        raise UserError(
            f"data.mixture.weights names '{sorted(unknown)[0]}', which is no source; there "
            f"are {', '.join(sorted(sizes))}."
        )
    power = 1 / config.temperature
    weights = {
        name: config.weights.get(name, 0.0) if config.weights else float(size) ** power
        for name, size in sizes.items()
    }
    epochs = dict.fromkeys(sizes, 0.0)
    open_ = {name for name in sizes if weights[name] > 0 and sizes[name]}
    if not open_:
        raise UserError("data.mixture.weights leaves no source with any text.")
    while open_:
        total = sum(weights[name] for name in open_)
        wanted = {n: budget * weights[n] / total / sizes[n] for n in open_}
        capped = {n for n in open_ if wanted[n] > config.max_epochs}
        for name in capped or open_:
            epochs[name] = min(wanted[name], config.max_epochs)
        if not capped:
            break
        budget -= sum(config.max_epochs * sizes[name] for name in capped)
        open_ -= capped
    return epochs
