"""Right answers to the exercises of chapter 11, and a usual mistake each."""

import numpy as np
import torch


def targets_of(ids, mask):
    return np.where(mask[1:] == 1, ids[1:], -100)


def wrong_targets_of(ids, mask):
    return np.where(
        mask[:-1] == 1, ids[1:], -100
    )  # the mask of the input, not the target


def changed(x, weight, down, up, alpha):
    return x @ weight.T + alpha / down.shape[0] * (x @ down.T) @ up.T


def wrong_changed(x, weight, down, up, alpha):
    return x @ weight.T + alpha * (x @ down.T) @ up.T


def nearest(change, rank):
    u, values, v = torch.linalg.svd(change, full_matrices=False)
    return u[:, :rank] * values[:rank], v[:rank]


def wrong_nearest(change, rank):
    u, _values, v = torch.linalg.svd(change, full_matrices=False)
    return u[:, :rank], v[:rank]


def apart(student, teacher, temperature):
    ours = (student / temperature).log_softmax(-1)
    theirs = (teacher / temperature).log_softmax(-1)
    return (theirs.exp() * (theirs - ours)).sum() * temperature**2


def wrong_apart(student, teacher, temperature):
    ours = (student / temperature).log_softmax(-1)
    theirs = (teacher / temperature).log_softmax(-1)
    return (ours.exp() * (ours - theirs)).sum() * temperature**2
