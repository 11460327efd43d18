"""Shapes that can't be built, refused by the key that is wrong."""

from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.config import ModelConfig


def check(config: ModelConfig) -> None:
    """Raise :class:`UserError` for a combination of settings that makes no model."""
    if not config.vocab_size:
        raise UserError("'vocab_size' is 0: set it to the tokenizer's.")
    if config.n_heads % config.n_kv_heads:
        raise UserError(
            f"'n_heads' ({config.n_heads}) must be a multiple of 'n_kv_heads' "
            f"({config.n_kv_heads})."
        )
    width = config.latent.d_rope if config.latent else sizes.d_head(config)
    if config.position == "rope" and width % 2:
        name = "latent.d_rope" if config.latent else "d_head"
        raise UserError(
            f"'{name}' ({width}) must be even: rotary positions turn its halves together."
        )
    if config.rope_scaling and config.position != "rope":
        raise UserError(
            f"'rope_scaling' needs 'position' to be 'rope', not '{config.position}'."
        )
    if config.latent and (config.qk_norm or config.bias != "none"):
        raise UserError(
            "'latent' attention has norms of its own and no biases: set 'qk_norm' to false "
            "and 'bias' to 'none'."
        )
    if config.latent and config.position != "rope":
        raise UserError("'latent' attention takes its positions from 'rope' only.")
    if config.latent and config.value_embeddings:
        raise UserError(
            "'latent' attention has no values for 'value_embeddings' to join."
        )
    if config.experts and config.experts.active > config.experts.count:
        raise UserError(
            f"'experts.active' ({config.experts.active}) is more than 'experts.count' "
            f"({config.experts.count})."
        )
    if config.experts and config.experts.active == 1:
        raise UserError(
            "'experts.active' is 1: a lone expert's share is always 1, so the router would "
            "learn nothing; take 2 or more."
        )
    if config.experts and config.bias == "all":
        raise UserError("'experts' have no biases: set 'bias' to 'none' or 'qkv'.")
