"""Multi-head latent attention (MLA, DeepSeek-V2, arXiv 2405.04434).

Keys and values of all heads are made from one short vector per token, its latent, and only
that is cached. Rotary positions would not survive the expansion, so they live in a few
extra features: one rotated key that all heads share, beside the latent.
"""

import torch
from torch import Tensor, nn

from hornbook.model import sizes
from hornbook.model.attention import Mask, Sight, attend
from hornbook.model.config import LatentConfig, ModelConfig
from hornbook.model.mask import windows
from hornbook.model.norm import RMSNorm
from hornbook.model.rope import rotate


class LatentAttention(nn.Module):
    """Attention whose cache holds ``rank + d_rope`` numbers per token and layer."""

    def __init__(self, config: ModelConfig, layer: int, latent: LatentConfig):
        super().__init__()
        self.layer, self.window = layer, windows(config)[layer]
        self.n_heads, self.d_head = config.n_heads, sizes.d_head(config)
        self.rank, self.d_rope = latent.rank, latent.d_rope
        self.score_cap = config.score_cap
        d_model, eps = config.d_model, config.norm_eps
        queries = self.n_heads * (self.d_head + self.d_rope)
        self.query_down = self.query_norm = nn.Identity()
        if latent.query_rank:
            self.query_down = nn.Linear(d_model, latent.query_rank, bias=False)
            self.query_norm = RMSNorm(latent.query_rank, eps)
        self.query = nn.Linear(latent.query_rank or d_model, queries, bias=False)
        self.latent = nn.Linear(d_model, self.rank + self.d_rope, bias=False)
        self.latent_norm = RMSNorm(self.rank, eps)
        self.key_value = nn.Linear(
            self.rank, self.n_heads * 2 * self.d_head, bias=False
        )
        self.output = nn.Linear(self.n_heads * self.d_head, d_model, bias=False)

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        """(batch, time, d_model) to the same shape."""
        batch, time, _ = x.shape
        query = self.query(self.query_norm(self.query_down(x)))
        query = query.view(batch, time, self.n_heads, -1).transpose(1, 2)
        plain, turned = query.split((self.d_head, self.d_rope), dim=-1)
        latent, shared = self.latent(x).split((self.rank, self.d_rope), dim=-1)
        latent, shared = self.latent_norm(latent).unsqueeze(1), shared.unsqueeze(1)
        if sight.turns is not None:
            turned, shared = rotate(turned, sight.turns), rotate(shared, sight.turns)
        if sight.cache is not None:
            kept = torch.cat((latent, shared), dim=-1)
            kept, _ = sight.cache.extend(self.layer, kept, kept[..., :0])
            latent, shared = kept.split((self.rank, self.d_rope), dim=-1)
        mixed = self._attend(plain, turned, latent, shared, sight.masks[self.window])
        return self.output(mixed.transpose(1, 2).reshape(batch, time, -1))

    def _attend(
        self,
        plain: Tensor,
        turned: Tensor,
        latent: Tensor,
        shared: Tensor,
        mask: Mask,
    ) -> Tensor:
        """Expand latents (batch, 1, past, rank) to keys and values, and attend."""
        batch, _, past, _ = latent.shape
        both = self.key_value(latent[:, 0]).view(batch, past, self.n_heads, -1)
        key, value = both.transpose(1, 2).chunk(2, dim=-1)
        key = torch.cat((key, shared.expand(-1, self.n_heads, -1, -1)), dim=-1)
        query = torch.cat((plain, turned), dim=-1)
        return attend(query, key, value, mask, self.score_cap)
