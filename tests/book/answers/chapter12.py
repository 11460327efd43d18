"""Right answers to the exercises of chapter 12, and a usual mistake each."""

import torch
import torch.nn.functional as F


def best_policy(start, rewards, beta):
    return (start.log() + rewards / beta).softmax(-1)


def wrong_best_policy(start, rewards, beta):
    weights = start * (rewards / beta).exp()  # overflows
    return weights / weights.sum()


def dpo_loss(policy, reference, beta):
    rewards = beta * (policy - reference)
    return F.softplus(rewards[:, 1] - rewards[:, 0]).mean()


def wrong_dpo_loss(policy, reference, beta):
    rewards = beta * (policy - reference)
    return -torch.sigmoid(rewards[:, 0] - rewards[:, 1]).log().mean()


def group_advantages(rewards):
    others = rewards.sum(1, keepdims=True) - rewards
    return rewards - others / (rewards.shape[1] - 1)


def wrong_group_advantages(rewards):
    return rewards - rewards.mean(1, keepdims=True)


def traced(surprises, decay):
    out, later = torch.zeros_like(surprises), 0.0
    for place in reversed(range(len(surprises))):
        later = surprises[place] + decay * later
        out[place] = later
    return out


def wrong_traced(surprises, decay):
    out, before = torch.zeros_like(surprises), 0.0
    for place in range(len(surprises)):  # looks back instead of ahead
        before = surprises[place] + decay * before
        out[place] = before
    return out
