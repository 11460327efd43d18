"""Right answers to the exercises of chapter 4, and a usual mistake each."""

import torch


def embedding_gradient(tokens, gradient, vocab_size):
    result = torch.zeros(vocab_size, gradient.shape[1])
    return result.index_add(0, tokens, gradient)


def wrong_embedding_gradient(tokens, gradient, vocab_size):  # the last one wins
    result = torch.zeros(vocab_size, gradient.shape[1])
    result[tokens] = gradient
    return result


def speeds(width, base):
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def wrong_speeds(width, base):  # i / width instead of 2i / width
    return base ** (-torch.arange(width // 2, dtype=torch.float64) / width)


def turn(x, places, base):
    angles = torch.outer(places.double(), speeds(x.shape[1], base)).float()
    a, b = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def wrong_turn(x, places, base):  # pairs neighbours
    angles = torch.outer(places.double(), speeds(x.shape[1], base)).float()
    a, b = x[:, ::2], x[:, 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(1)


def longer_base(width, base, factor):
    return base * factor ** (width / (width - 2))


def wrong_longer_base(width, base, factor):  # as if the slowest were pair width / 2
    return base * factor


def penalties(n_heads, time):
    slopes = 2.0 ** (-8 * torch.arange(1, n_heads + 1) / n_heads)
    place = torch.arange(time)
    return -slopes[:, None, None] * (place[:, None] - place).clamp_min(0)


def wrong_penalties(n_heads, time):  # a reward
    return -penalties(n_heads, time)
