"""Noise on the embeddings while fine-tuning (NEFTune, Jain et al. 2023, arXiv 2310.05914).

Uniform noise of the same size whatever the length of the row: answers get longer and less
like the training set's wording. Nothing is added outside of training. Training sets PyTorch's
generator by the step, so a resumed run adds what one that was never killed does.
"""

import torch
from torch import Tensor, nn

from hornbook.model.transformer import Transformer


def add_noise(model: Transformer, alpha: float) -> None:
    """From now on, add ``alpha / sqrt(time * d_model)`` times U(-1, 1) to the embeddings."""

    def noisy(embedding: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not (embedding.training and torch.is_grad_enabled()):
            return output
        size = alpha / (output.shape[-2] * output.shape[-1]) ** 0.5
        return output + torch.empty_like(output).uniform_(-size, size)

    model.embedding.register_forward_hook(noisy)
