"""GGUF, the format of llama.cpp: one file with weights, settings, tokenizer and chat template.

Needs the package ``gguf``. Weights that are multiplied are stored in the type asked for;
norms stay in float32. llama.cpp's "llama" turns neighbouring features of a query together,
where we (and Qwen) couple a feature with the one half a head away, so rows of its query and
key matrices change places: :func:`neighbours`.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.core.errors import UserError
from hornbook.model import sizes
from hornbook.model.config import ModelConfig
from hornbook.model.layout_rope import resolved
from hornbook.model.layouts import layout_for
from hornbook.model.rope import frequencies
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import Tokenizer
from hornbook.tokenizer.chat import CHAT_TEMPLATE
from hornbook.tokenizer.huggingface import to_characters

TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")
BLOCK = 32  # columns that q8_0 and q4_0 round together
# What llama.cpp calls the way a tokenizer splits text before merging.
SPLITS = {"gpt2": "gpt-2", "gpt4": "dbrx", "llama3": "dbrx", "o200k": "gpt-4o"}
NORMAL, CONTROL, UNUSED = 1, 3, 5  # kinds of tokens
NAMES = {
    "attention_norm": "attn_norm",
    "attention.query": "attn_q",
    "attention.key": "attn_k",
    "attention.value": "attn_v",
    "attention.output": "attn_output",
    "attention.query_norm": "attn_q_norm",
    "attention.key_norm": "attn_k_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward.gate": "ffn_gate",
    "feed_forward.up": "ffn_up",
    "feed_forward.down": "ffn_down",
}


def need_gguf() -> Any:
    """The package ``gguf``; :class:`UserError` when it isn't installed."""
    try:
        import gguf
    except ImportError:
        raise UserError(
            "GGUF files are written with the package 'gguf'; install it: "
            "pip install 'hornbook[export]'."
        ) from None
    return gguf


def write_gguf(
    model: Transformer, tokenizer: Tokenizer, path: Path, kind: str, name: str
) -> None:
    """Write ``model`` with its tokenizer to ``path``, matrices as ``kind`` (:data:`TYPES`).

    Raises :class:`UserError` for an architecture, a tokenizer or a type that GGUF can't
    express.
    """
    gguf = need_gguf()
    family = layout_for(model.config).model_type
    if family not in ("llama", "qwen2", "qwen3"):
        raise UserError(
            "GGUF can hold models of the shape of Llama, Qwen2 or Qwen3, and this one is "
            f"{family}; export it as ONNX, or use its safetensors."
        )
    if kind not in TYPES:
        raise UserError(
            f"There is no GGUF type '{kind}' here; it can be {', '.join(TYPES)}."
        )
    unfinished = path.with_name(f"{path.name}.partial")
    writer = gguf.GGUFWriter(unfinished, family)
    _add_settings(writer, model.config, family, name)
    _add_tokenizer(writer, tokenizer, model.config.vocab_size)
    _add_tensors(writer, gguf, model, family, kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def neighbours(matrix: np.ndarray, n_heads: int) -> np.ndarray:
    """Rows (n_heads * d_head, ...) so that pairs half a head apart come to lie together."""
    pairs = matrix.reshape(n_heads, 2, -1, *matrix.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(pairs).reshape(matrix.shape)


def _add_settings(writer: Any, config: ModelConfig, family: str, name: str) -> None:
    width = sizes.d_head(config)
    writer.add_name(name)
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(sizes.d_ff(config))
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_vocab_size(config.vocab_size)
    scaling = resolved(config).rope_scaling
    if scaling is None or scaling.kind == "llama3":  # the latter is a tensor
        return
    if scaling.kind != "linear":
        raise UserError(
            f"RoPE scaled by '{scaling.kind}' isn't exported to GGUF; linear and llama3 are."
        )
    writer.add_rope_scaling_type(need_gguf().RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(scaling.factor)


def _add_tokenizer(writer: Any, tokenizer: Tokenizer, vocab_size: int) -> None:
    """Byte-level BPE: its tokens, merges, special tokens and chat template."""
    vocabulary = getattr(tokenizer, "vocabulary", None)
    if tokenizer.kind != "bpe" or vocabulary is None:
        raise UserError(
            f"llama.cpp knows no tokenizer of the kind '{tokenizer.kind}'; only models with a "
            "BPE tokenizer can be exported to GGUF."
        )
    if tokenizer.pattern not in SPLITS:
        raise UserError(
            "llama.cpp doesn't know this tokenizer's own split pattern; it knows "
            f"{', '.join(SPLITS)}."
        )
    names = [to_characters(token) for token in vocabulary.tokens]
    special = {token: name for name, token in tokenizer.special.items()}
    tokens, kinds = [], []
    for token in range(vocab_size):
        plain = names[token] if token < len(names) else ""
        tokens.append(special.get(token) or plain or f"<|unused{token}|>")
        kind = CONTROL if token in special else NORMAL if plain else UNUSED
        kinds.append(kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLITS[tokenizer.pattern])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(
        [f"{names[left]} {names[right]}" for left, right in vocabulary.pairs]
    )
    writer.add_add_bos_token(False)
    end = tokenizer.special.get("<|endoftext|>")
    if end is not None:
        writer.add_bos_token_id(end)  # documents begin after the end of another
        writer.add_eos_token_id(end)
    turn = tokenizer.special.get("<|end|>")
    if turn is not None:
        writer.add_eot_token_id(turn)
        template = CHAT_TEMPLATE.replace("{%- generation -%}", "")
        writer.add_chat_template(template.replace("{%- endgeneration -%}", ""))
    pad = tokenizer.special.get("<|pad|>")
    if pad is not None:
        writer.add_pad_token_id(pad)


def _add_tensors(
    writer: Any, gguf: Any, model: Transformer, family: str, kind: str
) -> None:
    config = model.config
    for ours, parameter in model.named_parameters():
        array = parameter.detach().float().numpy()
        if family == "llama" and ".query." in ours:
            array = neighbours(array, config.n_heads)
        if family == "llama" and ".key." in ours:
            array = neighbours(array, config.n_kv_heads)
        add_tensor(writer, gguf, gguf_name(ours), array, kind)
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind == "llama3":
        width = sizes.d_head(config)
        plain, _ = frequencies(width, config.rope_base, None)
        slowed, _ = frequencies(width, config.rope_base, resolved(config).rope_scaling)
        factors = (plain / slowed).float().numpy()
        writer.add_tensor("rope_freqs.weight", factors)


def add_tensor(writer: Any, gguf: Any, name: str, array: np.ndarray, kind: str) -> None:
    """One tensor: vectors in float32, matrices as ``kind``.

    Rows that don't divide into blocks of 32 keep float16 instead of being rounded.
    """
    if kind in ("q8_0", "q4_0") and array.shape[-1] % BLOCK:
        kind = "f16"
    if array.ndim == 1 or kind == "f32":
        writer.add_tensor(name, np.ascontiguousarray(array, np.float32))
    elif kind == "f16":
        writer.add_tensor(name, np.ascontiguousarray(array.astype(np.float16)))
    else:
        stored = gguf.GGMLQuantizationType[kind.upper()]
        data = gguf.quants.quantize(np.ascontiguousarray(array), stored)
        writer.add_tensor(name, data, raw_dtype=stored)


def gguf_name(ours: str) -> str:
    """``blocks.0.attention.query.weight`` -> ``blk.0.attn_q.weight``."""
    whole = {"embedding": "token_embd", "norm": "output_norm", "head": "output"}
    module, _, kind = ours.rpartition(".")
    if module in whole:
        return f"{whole[module]}.{kind}"
    _, layer, part = module.split(".", 2)
    return f"blk.{layer}.{NAMES[part]}.{kind}"
