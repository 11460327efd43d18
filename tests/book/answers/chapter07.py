"""Right answers to the exercises of chapter 7, and a usual mistake for each."""

import math

import torch


def loss_and_gradient(logits, targets):
    counts = targets >= 0
    rows = torch.arange(len(targets))
    log_p = logits.log_softmax(-1)
    loss = -(log_p[rows, targets.clamp(min=0)] * counts).sum()
    gradient = log_p.exp()
    gradient[rows, targets.clamp(min=0)] -= 1
    return loss, gradient * counts[:, None]


def adam_step(weight, gradient, mean, square, step, lr):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.95 * square + 0.05 * gradient**2
    first, second = mean / (1 - 0.9**step), square / (1 - 0.95**step)
    return weight - lr * first / (second.sqrt() + 1e-8), mean, square


def cosine(step, steps, warmup, final):
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / (steps - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def orthogonal(matrix):
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def wrong_loss_and_gradient(logits, targets):
    shares = logits.exp() / logits.exp().sum(-1, keepdim=True)  # overflows
    rows = torch.arange(len(targets))
    loss = -shares[rows, targets.clamp(min=0)].log().sum()
    shares[rows, targets.clamp(min=0)] -= 1
    return loss, shares


def wrong_adam_step(weight, gradient, mean, square, step, lr):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.95 * square + 0.05 * gradient**2
    return weight - lr * mean / (square.sqrt() + 1e-8), mean, square  # not corrected


def wrong_cosine(step, steps, warmup, final):
    if step < warmup:
        return step / warmup  # the first step does nothing
    done = (step - warmup) / (steps - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2


def wrong_orthogonal(matrix):
    return matrix / matrix.norm(dim=-1, keepdim=True)  # rows of length one
