"""Going on from somebody's weights: a run whose model and tokenizer come from a directory.

``hornbook import DIR`` writes a recipe with ``start = "DIR"``; its tokenizer stage then
takes DIR's tokenizer (with our special tokens added where it lacks them) and its pretrain
stage begins with DIR's weights. DIR is what Transformers saves, or a model of ours.
"""

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
import torch
from torch import Tensor

from hornbook.core.errors import UserError
from hornbook.core.files import read_json, sha256, write_text
from hornbook.core.settings import to_table
from hornbook.model.config import ModelConfig
from hornbook.model.huggingface import check_weights, load_model, read_config
from hornbook.model.transformer import Transformer
from hornbook.tokenizer.base import (
    SPECIAL_TOKENS,
    Tokenizer,
    load_tokenizer,
    padded_size,
)
from hornbook.tokenizer.bpe import BPETokenizer
from hornbook.tokenizer.openai import read_gpt2

END_OF_TEXT = "<|endoftext|>"
MODEST_CONTEXT = (
    1024  # tokens: what a recipe begins with, however far the model can see
)


def write_import(directory: Path, path: Path | None, text: str | None) -> Path:
    """Write a recipe that goes on from ``directory``; returns its path.

    Raises :class:`UserError` for an architecture, weights or a tokenizer that can't be
    taken over, and where the recipe exists already.
    """
    directory = directory.resolve()
    path = path or Path(f"{directory.name}.toml")
    if path.suffix != ".toml":
        raise UserError(f"A recipe's name ends in .toml; try {path}.toml.")
    if path.exists():
        raise UserError(f"{path} exists already; choose another name with --recipe.")
    config = check_weights(directory)
    tokenizer = start_tokenizer(directory)
    config = msgspec.structs.replace(
        config,
        vocab_size=tokenizer.vocab_size,
        context_length=min(config.context_length, MODEST_CONTEXT),
    )
    settings = {k: v for k, v in to_table(config).items() if v not in (None, [])}
    template = resources.files("hornbook") / "recipes" / "template" / "import.toml"
    recipe = template.read_text()
    for mark, value in (
        ('"NAME"', tomli_w.dumps({"k": path.stem})[4:-1]),
        ('"TEXTS"', tomli_w.dumps({"k": text or "my-texts"})[4:-1]),
        ('"DIRECTORY"', tomli_w.dumps({"k": str(directory)})[4:-1]),
        ("MODEL\n", tomli_w.dumps({"model": settings})),
    ):
        recipe = recipe.replace(mark, value)
    write_text(path, recipe)
    return path


def probe(directory: Path) -> dict[str, str]:
    """Digests of the files that a run from ``directory`` depends on."""
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json")
    files = [directory / name for name in (*names, "merges.txt")]
    files += sorted(directory.glob("*.safetensors"))
    return {file.name: sha256(file) for file in files if file.exists()}


def start_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of a model directory, with our special tokens after its own.

    Its vocabulary is at least as large as the model's. Raises :class:`UserError` for one
    that is not byte-level BPE.
    """
    rows = read_config(directory).vocab_size
    known = _published_tokenizer(directory)
    missing = [name for name in SPECIAL_TOKENS if name not in known.special]
    if not isinstance(known, BPETokenizer) or (
        not missing and known.vocab_size == rows
    ):
        return known
    size = len(known.tokens)
    special = known.special | {name: size + n for n, name in enumerate(missing)}
    size += len(missing)
    size = rows if size <= rows else padded_size(size)
    return BPETokenizer(known.vocabulary, known.pattern, special, size, known.kind)


def _published_tokenizer(directory: Path) -> Tokenizer:
    """Its tokenizer as it is: ``tokenizer.json``, or the pair of files GPT-2 came with."""
    pair = directory / "merges.txt", directory / "vocab.json"
    if not (directory / "tokenizer.json").exists() and all(p.exists() for p in pair):
        return read_gpt2(*pair)
    pieces = directory / "tokenizer.model"
    if pieces.exists() and not (directory / "tokenizer.json").exists():
        raise UserError(
            f"{pieces} is a SentencePiece tokenizer, and Hornbook goes on only with "
            "byte-level BPE, in tokenizer.json or in vocab.json and merges.txt."
        )
    return load_tokenizer(directory)


def start_model(directory: Path, config: ModelConfig) -> Transformer:
    """A model of ``config`` with the weights of ``directory``.

    The context may be shorter than it was, and the vocabulary larger: new tokens begin as
    the mean of the known ones, the end of a document as the token the model ends with.
    Raises :class:`UserError` where anything else about the weights differs.
    """
    found = load_model(directory).state_dict()
    model = Transformer(config)
    state = model.state_dict()
    odd = sorted(state.keys() ^ found.keys())
    if odd:
        raise UserError(
            f"[model] doesn't fit the weights of {directory} ('{odd[0]}' is only in one of "
            "them); `hornbook import` writes the settings that do."
        )
    new = _new_tokens(directory)
    with torch.no_grad():
        for name, target in state.items():
            target.copy_(_fitted(name, found[name], target, new, directory))
    return model


def _fitted(
    name: str, source: Tensor, target: Tensor, new: dict[int, int | None], where: Path
) -> Tensor:
    """``source`` in the shape of ``target``: positions cut, rows for new tokens added."""
    if name == "position.table.weight" and len(source) > len(target):
        source = source[: len(target)]
    if "embedding" in name or name.startswith("head"):
        mean, more = source.mean(0), max(0, len(target) - len(source))
        source = torch.cat((source, mean.expand(more, -1)))
        for token, like in new.items():
            source[token] = mean if like is None else source[like]
    if source.shape != target.shape:
        raise UserError(
            f"[model] calls for '{name}' of shape {tuple(target.shape)}, and the weights of "
            f"{where} have {tuple(source.shape)}."
        )
    return source


def _new_tokens(directory: Path) -> dict[int, int | None]:
    """Ids of the special tokens we add, and the token each begins as, if any."""
    added = start_tokenizer(directory).special
    ends = read_json(directory / "config.json").get("eos_token_id")
    end = ends[0] if isinstance(ends, list) and ends else ends
    known = _published_tokenizer(directory).special
    return {
        token: end if name == END_OF_TEXT and isinstance(end, int) else None
        for name, token in added.items()
        if name not in known
    }


def facts(directory: Path) -> dict[str, Any]:
    """What the manifest says of where the weights came from."""
    return {"start": {"directory": str(directory), "files": probe(directory)}}
