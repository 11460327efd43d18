"""Right answers to the exercises of chapter 16, and a usual mistake for each."""

import math


def bits_per_byte(nats_per_token, tokens, size):
    return nats_per_token * tokens / (size * math.log(2))


def redone(needs, changed):
    anew = []
    for stage, read in needs.items():
        if stage == changed or any(name in anew for name in read):
            anew.append(stage)
    return anew


def checkpoint_steps(save_seconds, step_seconds, hours_between_failures):
    apart = math.sqrt(2 * save_seconds * hours_between_failures * 3600)
    return max(1, round(apart / step_seconds))


def wrong_bits_per_byte(nats_per_token, tokens, size):
    return nats_per_token * tokens / size  # nats, not bits


def wrong_redone(needs, changed):
    return [s for s, read in needs.items() if s == changed or changed in read]


def wrong_checkpoint_steps(save_seconds, step_seconds, hours_between_failures):
    apart = math.sqrt(2 * save_seconds * hours_between_failures)  # hours, not seconds
    return max(1, round(apart / step_seconds))
