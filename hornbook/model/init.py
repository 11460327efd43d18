"""Where training starts: the initial weights.

"zero", the default: every block starts as the identity. The matrices that write into the
residual stream are zero, so the first steps are those of a shallow model and depth comes
in by itself. An untied head is zero too: the first prediction is uniform, its loss
ln(vocab_size). All other matrices keep the scale of what passes through them,
1/sqrt(inputs). Embeddings have the unit scale that blocks then add to; tied to the head
they must be small, or the first logits would be large. Value embeddings, which are added
to something that is there already, begin as nothing.

"gpt2": everything normal with 0.02, what writes into the residual stream divided by the
root of how many do. "mup": muP's scales (arXiv 2203.03466), with which a good learning rate
stays good as the model grows, provided the optimizer scales it by width as muP says.
"""

from torch import nn

from hornbook.model.config import ModelConfig

SMALL = 0.02
WRITERS = (".output", ".down")  # what adds to the residual stream


def initialise(model: nn.Module, config: ModelConfig) -> None:
    """Set every weight of a :class:`Transformer` in place, from torch's global seed."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            small = config.tied or config.init == "gpt2"
            nn.init.normal_(module.weight, std=SMALL if small else 1.0)
            if ".value_embedding" in name and config.init == "zero":
                nn.init.zeros_(module.weight)
        elif isinstance(module, nn.Linear):
            std = _std(name, module.in_features, config)
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _std(name: str, inputs: int, config: ModelConfig) -> float:
    head, writer = name == "head", name.endswith(WRITERS)
    match config.init:
        case "gpt2":
            return SMALL / (2 * config.n_layers) ** 0.5 if writer else SMALL
        case "mup":
            return 1 / inputs if head else inputs**-0.5
        case _:
            return 0.0 if head or writer else inputs**-0.5
