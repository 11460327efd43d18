"""Right answers to the exercises of chapter 6, and a usual mistake for each."""

import torch


def rms_norm(x, gain, eps):
    wide = x.float()
    scale = (wide.square().mean(-1, keepdim=True) + eps).rsqrt()
    return (wide * scale * gain).to(x.dtype)


def gpt2_parameters(n_layers, d_model, vocab, context):
    attention = 4 * d_model * d_model + 4 * d_model
    feed_forward = 8 * d_model * d_model + 5 * d_model
    norms = 4 * d_model
    layers = n_layers * (attention + feed_forward + norms)
    return (vocab + context) * d_model + layers + 2 * d_model


def training_flops(weights, n_layers, d_model, tokens, time):
    return 6.0 * tokens * (weights + n_layers * 2 * d_model * time / 2)


def balance(scores, active):
    count = scores.shape[-1]
    chosen = scores.topk(active, -1).indices.flatten()
    used = torch.bincount(chosen, minlength=count) / len(chosen)
    return count * (used * scores.softmax(-1).mean(0)).sum()


def wrong_rms_norm(x, gain, eps):
    return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * gain  # overflows


def wrong_gpt2_parameters(n_layers, d_model, vocab, context):
    return (vocab + context) * d_model + n_layers * 12 * d_model * d_model  # no biases


def wrong_training_flops(weights, n_layers, d_model, tokens, time):
    return 6.0 * tokens * weights  # attention left out


def wrong_balance(scores, active):
    return scores.shape[-1] * scores.softmax(-1).mean(0).square().sum()  # never looks
