"""Settings of evaluation."""

from hornbook.core.settings import Count, NonNegative, Settings


class EvaluateConfig(Settings, frozen=True):
    """What is measured on the held-out documents once training is over."""

    compare_compressors: bool = (
        True  # xz -9e, zstd -19 and a byte n-gram model on the same bytes
    )
    ngram_order: Count = 5
    functions: NonNegative = 100  # sampled Python functions to parse; 0 for none
    max_tokens: Count = 120
