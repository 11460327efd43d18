"""Settings of a classifier that judges documents."""

from hornbook.core.settings import Fraction, Settings


class ClassifyConfig(Settings, frozen=True):
    """A linear classifier's word on each document."""

    model: str = "toxicity"  # one that comes with Hornbook, or the folder of one's own
    max_score: Fraction = 0.5  # a probability; for quality set 1 and a min_score
    min_score: Fraction = 0.0
