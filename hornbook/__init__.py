"""Hornbook: build a large language model from scratch, and read how.

The rooms, in the order of the data:

    data        raw text -> clean, deduplicated documents -> token shards -> batches
    tokenizer   text <-> ids
    model       the transformer
    train       one training loop for every objective
    align       instruction tuning and preferences
    infer       the engine behind chat, generation and evaluation
    evaluate    how good is it?
    report      the run's own PDF

``core`` lies under all of them; ``recipe``, ``run`` and ``cli`` stand on top.
"""

__version__ = "0.1.0"
