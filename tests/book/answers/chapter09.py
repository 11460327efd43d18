"""Right answers to the exercises of chapter 9, and a usual mistake for each."""

import math

import numpy as np


def power_law(x, y):
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    return math.exp(height), -slope


def optimum(A, a, B, b, flops):
    n = (a * A / (b * B)) ** (1 / (a + b)) * (flops / 6) ** (b / (a + b))
    return n, flops / 6 / n


def worth(tokens, unique):
    if tokens <= unique:
        return tokens
    passes = tokens / unique - 1
    return unique * (1 + 15 * (1 - math.exp(-passes / 15)))


def dollars(parameters, tokens, peak, share, hourly):
    return 6 * parameters * tokens / (peak * share) / 3600 * hourly


def wrong_power_law(x, y):
    slope, height = np.polyfit(np.log(x), np.log(y), 1)
    return height, slope  # neither the power of e nor the sign


def wrong_optimum(A, a, B, b, flops):
    n = math.sqrt(flops / 6 / 20)  # twenty tokens to a parameter, whatever the law
    return n, flops / 6 / n


def wrong_worth(tokens, unique):
    return min(tokens, unique * 16)


def wrong_dollars(parameters, tokens, peak, share, hourly):
    return 6 * parameters * tokens / peak / 3600 * hourly  # the peak is never reached
