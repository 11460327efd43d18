"""Where training starts: the initial weights.

Every block starts as the identity: the matrices that write into the residual stream are
zero, so the first steps are those of a shallow model and depth comes in by itself. An
untied head is zero too: the first prediction is uniform, its loss ln(vocab_size). All
other matrices keep the scale of what passes through them, 1/sqrt(inputs). Embeddings
have the unit scale that blocks then add to; tied to the head they must be small, or the
first logits would be large.
"""

from torch import nn

TIED_EMBEDDING_STD = 0.02


def initialise(model: nn.Module, tied: bool) -> None:
    """Set every weight of a :class:`Transformer` in place, from torch's global seed."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=TIED_EMBEDDING_STD if tied else 1.0)
        elif isinstance(module, nn.Linear):
            if name == "head" or name.endswith(("attention.output", ".down")):
                nn.init.zeros_(module.weight)
            else:
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
