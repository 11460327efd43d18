"""Right answers to the exercises of chapter 1, and a usual mistake each."""

import math
from collections import Counter, defaultdict


def bits_per_byte(nats, text):
    return sum(nats) / math.log(2) / len(text.encode())


def wrong_bits_per_byte(nats, text):  # letters, not bytes
    return sum(nats) / math.log(2) / len(text)


def perplexity(probabilities):
    return math.exp(-sum(map(math.log, probabilities)) / len(probabilities))


def wrong_perplexity(probabilities):  # the mean of probabilities, not of logarithms
    return len(probabilities) / sum(probabilities)


def counts_model(text, order):
    after = defaultdict(Counter)
    for i in range(order - 1, len(text)):
        after[text[i - order + 1 : i]][text[i]] += 1
    return {
        h: {x: n / counts.total() for x, n in counts.items()}
        for h, counts in after.items()
    }


def wrong_counts_model(text, order):  # divides by all occurrences of the context
    model = counts_model(text, order)
    for context, shares in model.items():
        followed = sum(
            text[i : i + len(context)] == context for i in range(len(text) - 1)
        )
        every = text.count(context)
        model[context] = {x: p * followed / max(every, 1) for x, p in shares.items()}
    return model


def interpolate(count, total, followers, discount, shorter):
    if not total:
        return shorter
    return (max(count - discount, 0) + discount * followers * shorter) / total


def wrong_interpolate(count, total, followers, discount, shorter):  # no floor at zero
    if not total:
        return shorter
    return (count - discount + discount * followers * shorter) / total


def code_length(probabilities):
    return math.ceil(1 - sum(map(math.log2, probabilities)))


def wrong_code_length(probabilities):  # each symbol rounded up by itself
    return sum(math.ceil(-math.log2(p)) for p in probabilities)
