"""The decoder-only transformer: embeddings, a stack of blocks, a head.

Reading order: :class:`Transformer`, then block.py, attention.py and feedforward.py.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.attention import Cache, Sight, soft_cap
from hornbook.model.block import BLOCKS
from hornbook.model.check import check
from hornbook.model.config import ModelConfig
from hornbook.model.init import initialise
from hornbook.model.mask import masks
from hornbook.model.norm import norm
from hornbook.model.paths import Path, rules
from hornbook.model.position import POSITIONS
from hornbook.model.rope import Rotary
from hornbook.model.skips import Skips


class Transformer(nn.Module):
    """A language model: for every token, the logits of the one that follows."""

    path: Path = "usual"  # how attention is computed: paths.py

    def __init__(self, config: ModelConfig):
        super().__init__()
        check(config)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.rotary = self.position = self.head = None
        self.skips = Skips(config.n_layers) if config.skips else None
        if config.position == "rope":
            latent = config.latent
            self.rotary = Rotary(
                config, latent.d_rope if latent else sizes.d_head(config)
            )
        elif config.position in POSITIONS:
            self.position = POSITIONS[config.position](config)
        block = BLOCKS[config.norm_place]
        self.blocks = nn.ModuleList(block(config, n) for n in range(config.n_layers))
        # After a post-norm block the stream is normalised already.
        self.norm = nn.Identity() if config.norm_place == "post" else norm(config)
        if not config.tied:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        initialise(self, config)

    def forward(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Logits (batch, time, vocab_size) of the token after each of ``tokens``.

        tokens    (batch, time) int64, at most ``context_length`` of them
        segments  (batch, time) int64: a token sees only its own segment's earlier tokens,
                  which keeps documents packed into one row apart
        cache     holds the tokens before these, and takes them in
        """
        return self.unembed(self.hidden(tokens, segments, cache))

    def hidden(
        self,
        tokens: Tensor,
        segments: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The last block's normalised output, (batch, time, d_model)."""
        sight = self.sight(tokens, segments, cache)
        x = self.embedding(tokens)
        if self.config.embedding_scale != 1:
            x = x * self.config.embedding_scale
        if self.position is not None:
            x = self.position(x, None if cache is None else cache.positions)
        start = x
        for layer, block in enumerate(self.blocks):
            if self.skips is not None:
                x = self.skips(x, start, layer)
            x = block(x, sight)
        return self.norm(x)

    def unembed(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocab_size) from hidden states (..., d_model)."""
        weight = self.embedding.weight if self.head is None else self.head.weight
        logits = F.linear(hidden, weight)
        cap = self.config.logit_cap
        return soft_cap(logits, cap) if cap else logits

    def sight(
        self, tokens: Tensor, segments: Tensor | None, cache: Cache | None
    ) -> Sight:
        """Where ``tokens`` stand and what they may see, the same for all blocks."""
        time = tokens.shape[1]
        if time > self.config.context_length:
            raise UserError(
                f"{time} tokens are more than 'context_length' "
                f"({self.config.context_length}), all that this model has positions for."
            )
        positions, past = (
            (None, time) if cache is None else (cache.positions, cache.length)
        )
        turns = None if self.rotary is None else self.rotary(time, positions)
        if cache is None and self.path != "usual":
            seen = rules(self.path, self.config, time, segments, tokens.device)
        else:
            seen = masks(self.config, time, segments, positions, past, tokens.device)
        return Sight(turns, seen, cache, tokens)
