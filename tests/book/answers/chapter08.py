"""Right answers to the exercises of chapter 8, and a usual mistake for each."""

import itertools
import math
import statistics
import struct


def mean_loss(losses, counts):
    pairs = [(x, n) for x, n in zip(losses, counts, strict=True) if n]
    return sum(x * n for x, n in pairs) / sum(n for _, n in pairs)


def bfloat16(x):
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    bits += 0x7FFF + ((bits >> 16) & 1)
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0]


def batch_of(step, skipped):
    for start, end in skipped:
        if step < start:
            break
        step += end - start
    return step


def limit(losses, spike):
    usual = statistics.median(losses[-20:])
    steps = [abs(b - a) for a, b in itertools.pairwise(losses)]
    spread = 1.4826 * statistics.median(steps) / math.sqrt(2)
    return usual + spike * max(spread, 0.02 * usual, 0.05)


def wrong_mean_loss(losses, counts):
    return sum(losses) / len(losses)  # a mean of means


def wrong_bfloat16(x):
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0]  # cut off


def wrong_batch_of(step, skipped):
    return step + sum(end - start for start, end in skipped if start <= step)


def wrong_limit(losses, spike):
    usual = statistics.mean(losses[-20:])
    spread = statistics.pstdev(losses)  # a spike widens it
    return usual + spike * max(spread, 0.02 * usual, 0.05)
